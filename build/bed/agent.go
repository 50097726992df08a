package bed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Agent runs the agent's binary as a process, again and again.
type Agent struct {
	Log // of all runs

	binary, config string

	mu      sync.Mutex
	began   int // how many lines there were when it was started last
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the process is gone and its log is read
	waitErr error
}

// NewAgent makes an agent that is not started yet.
func NewAgent(binary, config string) *Agent {
	return &Agent{binary: binary, config: config}
}

// Start starts the process; it does not wait for anything.
func (a *Agent) Start() error {
	cmd := exec.Command(a.binary, "run", "--config", a.config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start agent: %w", err)
	}
	ended := make(chan struct{})
	a.mu.Lock()
	a.cmd, a.ended, a.began = cmd, ended, a.Mark()
	a.mu.Unlock()
	go func() {
		defer close(ended)
		a.Read(out)
		err := cmd.Wait()
		a.mu.Lock()
		a.waitErr = err
		a.mu.Unlock()
	}()
	return nil
}

// PID of the running process.
func (a *Agent) PID() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cmd.Process.Pid
}

// Began is the place before the first line of the process that was started last.
func (a *Agent) Began() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.began
}

// Ended tells whether no process runs.
func (a *Agent) Ended() bool {
	a.mu.Lock()
	ended := a.ended
	a.mu.Unlock()
	if ended == nil {
		return true
	}
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// Wait gives the first line behind mark that f wants. It ends with ErrEnded if the process does.
func (a *Agent) Wait(ctx context.Context, mark int, f func(Line) bool) (Line, error) {
	a.mu.Lock()
	ended := a.ended
	a.mu.Unlock()
	return a.Log.Wait(ctx, ended, mark, f)
}

// Kill ends the process as a power cut would, and waits until it is gone. No process is no error.
func (a *Agent) Kill() {
	_ = a.signal(syscall.SIGKILL)
	a.join()
}

// Stop asks the process to end and tells its exit code and how long it took.
func (a *Agent) Stop() (code int, took time.Duration, err error) {
	began := time.Now()
	if err := a.signal(syscall.SIGTERM); err != nil {
		return -1, 0, err
	}
	a.join()
	return a.ExitCode(), time.Since(began), nil
}

// ExitCode waits for the end of the process.
func (a *Agent) ExitCode() int {
	a.join()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cmd.ProcessState.ExitCode()
}

func (a *Agent) signal(s syscall.Signal) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cmd == nil {
		return errors.New("no agent runs")
	}
	return a.cmd.Process.Signal(s)
}

func (a *Agent) join() {
	a.mu.Lock()
	ended := a.ended
	a.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

// Command runs another command of the agent's binary and gives what it printed.
func (a *Agent) Command(ctx context.Context, args ...string) (stdout string, stderr string, code int, err error) {
	var out, errs strings.Builder
	cmd := exec.CommandContext(ctx, a.binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		err = nil
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode(), err
}

// Status asks the running agent.
func (a *Agent) Status(ctx context.Context) (map[string]any, error) {
	out, errs, code, err := a.Command(ctx, "status", "--json", "--config", a.config)
	if err != nil {
		return nil, fmt.Errorf("ask status: %w", err)
	}
	if code != 0 {
		return nil, fmt.Errorf("ask status: exit %d: %s", code, errs)
	}
	var s map[string]any
	return s, json.Unmarshal([]byte(out), &s)
}
