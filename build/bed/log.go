package bed

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
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

// Log is what an agent says, line by line, wherever it runs. The zero Log is empty.
type Log struct {
	OnLine func(Line) // sees every line, in order; set before Read

	mu    sync.Mutex
	lines []Line
	wake  chan struct{} // closed and replaced when a line came; nil until somebody waits
}

// Read takes in all lines of out. What is no line of a log, such as the last words of a refused start, is the message of its
// Line.
func (l *Log) Read(out io.Reader) {
	in := bufio.NewScanner(out)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		line := Line{Raw: strings.TrimSuffix(in.Text(), "\r"), At: time.Now(), Place: l.Mark()}
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			line.Msg = line.Raw
		}
		if l.OnLine != nil {
			l.OnLine(line)
		}
		l.mu.Lock()
		l.lines = append(l.lines, line)
		if l.wake != nil {
			close(l.wake)
			l.wake = nil
		}
		l.mu.Unlock()
	}
}

// Lines gives all lines so far that f wants (nil: all).
func (l *Log) Lines(f func(Line) bool) []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []Line
	for _, line := range l.lines {
		if f == nil || f(line) {
			list = append(list, line)
		}
	}
	return list
}

// Mark is the place behind the newest line, for Wait.
func (l *Log) Mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

// ErrEnded says that the process is gone and that all of its log was looked at.
var ErrEnded = errors.New("it has ended")

// Wait gives the first line behind mark that f wants, or ErrEnded when ended is closed and there is none.
func (l *Log) Wait(ctx context.Context, ended <-chan struct{}, mark int, f func(Line) bool) (Line, error) {
	for {
		l.mu.Lock()
		for _, line := range l.lines[min(mark, len(l.lines)):] {
			if f(line) {
				l.mu.Unlock()
				return line, nil
			}
		}
		mark = max(mark, len(l.lines))
		if l.wake == nil {
			l.wake = make(chan struct{})
		}
		wake := l.wake
		l.mu.Unlock()
		select {
		case <-wake:
		case <-ended:
			if l.Mark() <= mark {
				return Line{}, fmt.Errorf("wait for the agent: %w", ErrEnded)
			}
		case <-ctx.Done():
			return Line{}, fmt.Errorf("wait for the agent: %w", ctx.Err())
		}
	}
}
