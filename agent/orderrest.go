package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"station-agent/station/feedback"
)

// What commands of the fleet change for a while. It ends by itself, and with the agent: after a restart the station does what its
// configuration says, so that nothing somebody forgot keeps records back for ever.

// spell is something that lasts for a time; on and off are called one after another.
type spell struct {
	mu    sync.Mutex
	timer *time.Timer
	off   func()
}

// begin begins it, anew if it lasts already: off is called when it is over.
func (s *spell) begin(long time.Duration, off func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.off = off
	var mine *time.Timer
	mine = time.AfterFunc(long, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.timer == mine {
			s.over()
		}
	})
	s.timer = mine
}

// end ends it before its time, and tells whether it lasted.
func (s *spell) end() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer == nil {
		return false
	}
	s.timer.Stop()
	s.over()
	return true
}

func (s *spell) over() {
	s.timer = nil
	s.off()
}

func (s *spell) on() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.timer != nil
}

// blinking makes the lamps show which station it is.
type blinking struct {
	spell
	player interface{ Stand(signal string, on bool) }
}

func (b *blinking) on(long time.Duration) {
	b.player.Stand(feedback.Identify, true)
	b.begin(long, func() { b.player.Stand(feedback.Identify, false) })
}

// pausing lets delivery and capture rest.
type pausing struct {
	spell
	rests []func(until time.Time) // a zero time ends the rest
	armed <-chan struct{}         // capture knows where it starts; nil if nothing is captured
	cond  *condition
}

// begin begins a pause. Before capture knows where it starts the bench's own assignments would wait for it, so there is none.
func (p *pausing) begin(long time.Duration) error {
	if p.armed != nil {
		select {
		case <-p.armed:
		default:
			return errors.New("capture doesn't know yet where it starts, and assignments wait for that: try again when it does")
		}
	}
	until := time.Now().Add(long)
	for _, rest := range p.rests {
		rest(until)
	}
	p.cond.Lost(fmt.Errorf("delivery and capture rest until %s: a command of the fleet said so: resume ends it, and so does a restart", until.UTC().Format(time.RFC3339)))
	p.spell.begin(long, func() {
		for _, rest := range p.rests {
			rest(time.Time{})
		}
		p.cond.Back()
	})
	return nil
}

// levels changes how much the log says.
type levels struct {
	spell
	now   *slog.LevelVar
	usual slog.Level
}

func (l *levels) set(name string, long time.Duration) error {
	if !slices.Contains(logLevels(), name) {
		return usageError{fmt.Errorf("level is none of %s", strings.Join(logLevels(), ", "))}
	}
	level := levelOf(name)
	l.begin(long, func() { l.now.Set(l.usual) })
	l.now.Set(level)
	return nil
}
