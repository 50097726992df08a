package bed

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Line is one line of the agent's log.
type Line struct {
	Time     time.Time `json:"time"`
	Level    string    `json:"level"`
	Msg      string    `json:"msg"`
	What     string    `json:"what"`
	Err      string    `json:"err"`
	Reader   string    `json:"reader"`
	Code     string    `json:"code"`
	Verdict  string    `json:"verdict"`
	Step     string    `json:"step"`
	Package  string    `json:"package"`
	Hash     string    `json:"hash"`
	Count    int       `json:"count"`
	NotEmpty int       `json:"not_empty"`
	Result   string    `json:"result"` // of an assignment that the operator is called back for
	Text     string    `json:"text"`
	TookMS   float64   `json:"took_ms"`
	Raw      string    `json:"-"`
	At       time.Time `json:"-"` // when it was read from the agent
	Place    int       `json:"-"` // among all lines, as for Wait
}

// Agent runs the agent's binary as a process, again and again.
type Agent struct {
	binary, config string
	OnLine         func(Line) // sees every line, in order; set before Start

	mu      sync.Mutex
	lines   []Line // of all runs
	began   int    // how many there were when it was started last
	wake    chan struct{}
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the process is gone and its log is read
	waitErr error
}

// NewAgent makes an agent that is not started yet.
func NewAgent(binary, config string) *Agent {
	return &Agent{binary: binary, config: config, wake: make(chan struct{})}
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
	a.cmd, a.ended, a.began = cmd, ended, len(a.lines)
	a.mu.Unlock()
	go func() {
		defer close(ended)
		a.read(out)
		err := cmd.Wait()
		a.mu.Lock()
		a.waitErr = err
		a.mu.Unlock()
	}()
	return nil
}

func (a *Agent) read(out io.Reader) {
	in := bufio.NewScanner(out)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		line := Line{Raw: in.Text(), At: time.Now()}
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			line.Msg = line.Raw // not a log line: the last words of a refused start
		}
		line.Place = a.Mark()
		if a.OnLine != nil {
			a.OnLine(line)
		}
		a.mu.Lock()
		a.lines = append(a.lines, line)
		close(a.wake)
		a.wake = make(chan struct{})
		a.mu.Unlock()
	}
}

// PID of the running process.
func (a *Agent) PID() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cmd.Process.Pid
}

// Lines gives all lines so far that f wants (nil: all).
func (a *Agent) Lines(f func(Line) bool) []Line {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []Line
	for _, l := range a.lines {
		if f == nil || f(l) {
			list = append(list, l)
		}
	}
	return list
}

// Mark is the place behind the newest line, for Wait.
func (a *Agent) Mark() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.lines)
}

// Began is the place before the first line of the process that was started last.
func (a *Agent) Began() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.began
}

// ErrEnded says that the process is gone and that all of its log was looked at.
var ErrEnded = errors.New("it has ended")

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

// Wait gives the first line behind mark that f wants.
func (a *Agent) Wait(ctx context.Context, mark int, f func(Line) bool) (Line, error) {
	for {
		a.mu.Lock()
		for _, l := range a.lines[min(mark, len(a.lines)):] {
			if f(l) {
				a.mu.Unlock()
				return l, nil
			}
		}
		mark = max(mark, len(a.lines))
		wake, ended := a.wake, a.ended
		a.mu.Unlock()
		select {
		case <-wake:
		case <-ended:
			a.mu.Lock()
			grown := len(a.lines) > mark
			a.mu.Unlock()
			if !grown {
				return Line{}, fmt.Errorf("wait for the agent: %w", ErrEnded)
			}
		case <-ctx.Done():
			return Line{}, fmt.Errorf("wait for the agent: %w", ctx.Err())
		}
	}
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
