package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"station-agent/uplink/fleet/message"
)

const sayAgain = 30 * time.Second // how often a lasting trouble is logged

// board keeps the state of every outside world. It is where a loop's trouble becomes one line in the log, one problem in
// status and health, and one "recovered".
type board struct {
	log *slog.Logger
	now func() time.Time

	mu    sync.Mutex
	conds []*condition
}

// condition is one thing outside.
type condition struct {
	b     *board
	name  string
	known bool // said "up" or "lost" once
	lost  bool
	message.Problem
	kind   alarmKind
	until  time.Time // when something is lost; zero: nothing will be, or nobody knows when
	said   time.Time
	unsaid uint64
}

// lasting is an error that knows how long it may stand before something is lost.
type lasting interface {
	error
	Left() time.Duration
}

func newBoard(log *slog.Logger) *board { return &board{log: log, now: time.Now} }

// condition registers one thing outside under its name.
func (b *board) condition(name string) *condition {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := &condition{b: b, name: name, kind: alarmKindOf(name)}
	b.conds = append(b.conds, c)
	return c
}

// besides registers another thing, by its name and, unless c is of the first table, that of c.
func (c *condition) besides(name string) *condition {
	if c.name != "capture" {
		name += " of " + strings.TrimPrefix(c.name, "capture of ")
	}
	return c.b.once(name)
}

// once is the condition with a name, which may have been registered before.
func (b *board) once(name string) *condition {
	b.mu.Lock()
	for _, c := range b.conds {
		if c.name == name {
			b.mu.Unlock()
			return c
		}
	}
	b.mu.Unlock()
	return b.condition(name)
}

// problems lists what is lost now, in the order of registration.
func (b *board) problems() []message.Problem {
	b.mu.Lock()
	defer b.mu.Unlock()
	list, now := []message.Problem{}, b.now()
	for _, c := range b.conds {
		if !c.lost {
			continue
		}
		p := c.Problem
		if !c.until.IsZero() {
			left := max(0, round(c.until.Sub(now)))
			p.LeftS = &left
		}
		list = append(list, p)
	}
	return list
}

// well tells whether the thing called name was said to work, and isn't lost.
func (b *board) well(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conds {
		if c.name == name {
			return c.known && !c.lost
		}
	}
	return false
}

// failures counts how often the thing called name failed since it was lost, 0 if it isn't lost.
func (b *board) failures(name string) uint64 {
	for _, p := range b.problems() {
		if p.Name == name {
			return p.Count
		}
	}
	return 0
}

// why tells in brackets what is wrong with the thing called name, "" if nothing is.
func (b *board) why(name string) string {
	for _, p := range b.problems() {
		if p.Name == name {
			return " (" + p.Text + ")"
		}
	}
	return ""
}

// Lost says that the thing is away or wrong. The end of the program is none of its troubles.
func (c *condition) Lost(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	now := c.b.now()
	if !c.lost {
		c.lost, c.Problem = true, message.Problem{Name: c.name, Code: c.kind.code, Severity: c.kind.severity, Hint: c.kind.hint, Since: now.UTC()}
		c.said, c.unsaid = time.Time{}, 0
	}
	c.known = true
	c.Text, c.until = oneLine(err.Error()), time.Time{}
	if l, ok := errors.AsType[lasting](err); ok {
		c.until = now.Add(l.Left())
	}
	c.Count++
	c.unsaid++
	if now.Sub(c.said) < sayAgain {
		return
	}
	c.b.log.Warn("lost", "what", c.name, "err", c.Text, "count", c.unsaid)
	c.said, c.unsaid = now, 0
}

// Back says that the thing works.
func (c *condition) Back() {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	switch {
	case c.lost:
		c.b.log.Info("recovered", "what", c.name, "after", c.b.now().Sub(c.Since).Round(time.Millisecond), "count", c.Count)
	case !c.known:
		c.b.log.Info("up", "what", c.name)
	}
	c.known, c.lost = true, false
}

// oneLine keeps a text from outside from breaking a line of the log or the terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
