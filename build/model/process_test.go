package model

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

// line is one line of an agent's log.
type line struct {
	Time    time.Time `json:"time"`
	Msg     string    `json:"msg"`
	What    string    `json:"what"`
	Code    string    `json:"code"`
	Verdict string    `json:"verdict"`
	Step    string    `json:"step"`
	Package string    `json:"package"`
	Hash    string    `json:"hash"`
	Count   int       `json:"count"`
	Result  string    `json:"result"`
	Text    string    `json:"text"`
	raw     string
}

// process is the agent's binary at one station, started again and again. Its log goes on over all of them.
type process struct {
	config string

	mu    sync.Mutex
	lines []line
	wake  chan struct{} // closed and replaced with each line
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process is gone and its log is read
}

func (p *process) start() error {
	cmd := exec.Command(binary, "run", "--config", p.config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start agent: %w", err)
	}
	ended := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.ended = cmd, ended
	p.mu.Unlock()
	go func() {
		defer close(ended)
		p.follow(out)
		_ = cmd.Wait() // the exit code is asked for where it matters
	}()
	return nil
}

func (p *process) follow(out io.Reader) {
	in := bufio.NewScanner(out)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		l := line{raw: in.Text()}
		if json.Unmarshal(in.Bytes(), &l) != nil {
			l.Msg = l.raw // the last words of a refused start
		}
		p.mu.Lock()
		p.lines = append(p.lines, l)
		close(p.wake)
		p.wake = make(chan struct{})
		p.mu.Unlock()
	}
}

// errDead says that the process is gone and that all of its log was given.
var errDead = errors.New("the agent is gone")

// next waits for the n-th line.
func (p *process) next(ctx context.Context, n int) (line, error) {
	for {
		p.mu.Lock()
		wake, ended := p.wake, p.ended
		if n < len(p.lines) {
			l := p.lines[n]
			p.mu.Unlock()
			return l, nil
		}
		p.mu.Unlock()
		select {
		case <-wake:
		case <-ended:
			if p.count() <= n {
				return line{}, errDead
			}
		case <-ctx.Done():
			return line{}, ctx.Err()
		}
	}
}

func (p *process) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, l := range p.lines {
		b.WriteString(l.raw + "\n")
	}
	return b.String()
}

// dead tells whether no process runs.
func (p *process) dead() bool {
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// kill ends the process as a power cut would; false if there was none.
func (p *process) kill() bool { return p.signal(syscall.SIGKILL) == nil }

func (p *process) signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return errDead
	}
	return p.cmd.Process.Signal(s)
}

// join waits until the process is gone and its log is read.
func (p *process) join() {
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

// stop asks the process to end.
func (p *process) stop() error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop agent: %w", err)
	}
	p.join()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("stop agent: it ended with %d", code)
	}
	return nil
}

// intent is what the command "intents" says of one.
type intent struct {
	Hash    string  `json:"hash"`
	Package *string `json:"package"`
	State   string  `json:"state"`
}

// intents asks the running agent what waits for the database and what needs a person.
func (p *process) intents(ctx context.Context) (waiting, parked []intent, err error) {
	var errs strings.Builder
	cmd := exec.CommandContext(ctx, binary, "intents", "--json", "--config", p.config)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, nil, fmt.Errorf("ask for intents: %w: %s", err, errs.String())
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var i intent
		switch err := dec.Decode(&i); {
		case errors.Is(err, io.EOF):
			return waiting, parked, nil
		case err != nil:
			return nil, nil, fmt.Errorf("ask for intents: %w", err)
		case i.State == "waiting":
			waiting = append(waiting, i)
		default:
			parked = append(parked, i)
		}
	}
}
