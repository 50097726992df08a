package feedback

import (
	"context"
	"fmt"
	"sync"
	"time"

	"station-agent/store/record"
)

// Output is one lamp or buzzer. An error means that it must be closed and opened anew.
type Output interface {
	Set(hertz int) error // 0 is off, else on; a passive buzzer takes the pitch
	Close() error        // leaves it off
}

// Condition is the state of one thing outside: it is lost with a reason, or it is back. Both may be called as often as you
// like.
type Condition interface {
	Lost(err error)
	Back()
}

// Lamp is an Output of a channel; several may share one.
type Lamp struct {
	Channel   Channel
	Open      func() (Output, error) // may take a moment; the error says what to do
	Condition Condition
}

// Config is what a Player needs.
type Config struct {
	Book   *Book
	Lamps  []Lamp
	Silent bool // the buzzer never sounds
	Pitch  int  // per cent of each tone, so that neighbours differ; 0 means 100
	Test   bool // begin with the lamp test
}

const (
	firstPause = 250 * time.Millisecond // before an output is opened again
	lastPause  = 5 * time.Second
)

// Player plays patterns on outputs. It is a station.Panel. All methods but Run may be called from any goroutine and never
// wait.
type Player struct {
	c     Config
	began time.Time
	has   [channels]bool
	news  chan struct{}

	mu    sync.Mutex
	state State
}

// NewPlayer makes a player that shows nothing yet.
func NewPlayer(c Config) *Player {
	if c.Pitch == 0 {
		c.Pitch = 100
	}
	p := &Player{c: c, began: time.Now(), news: make(chan struct{}, 1)}
	for _, l := range c.Lamps {
		p.has[l.Channel] = true
	}
	if c.Test {
		p.state = p.state.Test(0)
	}
	return p
}

// change makes another state the one that is shown.
func (p *Player) change(f func(s State, t time.Duration) State) {
	p.mu.Lock()
	p.state = f(p.state, time.Since(p.began))
	p.mu.Unlock()
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// Show plays the signal of a scan. Acknowledged also silences what stands.
func (p *Player) Show(s record.Scan, _ time.Duration) {
	p.change(func(st State, t time.Duration) State {
		if s.Step == record.Acknowledged {
			st = st.Mute(true)
		}
		return st.Event(Of(s), max(s.Count, 0), t)
	})
}

// Resume asks for the label of what was open before the start. It doesn't end the lamp test.
func (p *Player) Resume(record.Session) {
	p.change(func(s State, t time.Duration) State {
		test := s.test
		s = s.Event(string(record.Question), 0, t)
		s.test = test
		return s
	})
}

// CallBack makes the call-back stand, from anew if it did.
func (p *Player) CallBack(record.Parked) {
	p.change(func(s State, t time.Duration) State {
		return p.c.Book.Stand(p.c.Book.Stand(s, CallBack, false, t), CallBack, true, t)
	})
}

// Stand makes a signal stand, or not any more.
func (p *Player) Stand(signal string, on bool) {
	p.change(func(s State, t time.Duration) State { return p.c.Book.Stand(s, signal, on, t) })
}

// Test plays the lamp test, and tells how long it takes.
func (p *Player) Test() time.Duration {
	p.change(State.Test)
	return p.c.Book.patterns[LampTest].Lasts
}

// Play plays one signal, with a count of 3 for those that count. The error lists the signals there are.
func (p *Player) Play(signal string) error {
	if !p.c.Book.Has(signal) {
		return fmt.Errorf("play %q: there is no such signal: see station-agent patterns", signal)
	}
	p.change(func(s State, t time.Duration) State { return s.Event(signal, 3, t) })
	return nil
}

// Mute silences what stands, or lets it sound again; events are always heard.
func (p *Player) Mute(quiet bool) {
	p.change(func(s State, _ time.Duration) State { return s.Mute(quiet) })
}

// ToggleMute is for a button.
func (p *Player) ToggleMute() {
	p.change(func(s State, _ time.Duration) State { return s.Mute(!s.quiet) })
}

// Shown is the signal that is shown at this moment, and whether what stands is silent.
func (p *Player) Shown() (signal string, muted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.c.Book.Shown(p.state, time.Since(p.began)), p.state.quiet
}

// look tells what the outputs are to show now, and for how long.
func (p *Player) look() (Frame, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Since(p.began)
	f, until := p.c.Book.Look(p.state, now)
	f = f.On(p.has)
	f[Buzzer] = f[Buzzer] * p.c.Pitch / 100
	if p.c.Silent {
		f[Buzzer] = 0
	}
	if until == Never {
		return f, Never
	}
	return f, max(0, until-now)
}

// Run plays until ctx ends, then makes all dark. An output that can't be had is tried again with a growing pause. The error
// is always nil.
func (p *Player) Run(ctx context.Context) error {
	slots := make([]slot, len(p.c.Lamps))
	for i, l := range p.c.Lamps {
		slots[i] = slot{Lamp: l, pause: firstPause}
	}
	defer func() {
		for i := range slots {
			slots[i].close()
		}
	}()
	if p.c.Test {
		for i := range slots { // opening them may take a second, and none is to miss its part of the test
			slots[i].show(0, time.Now())
		}
		p.change(State.retest)
	}
	timer := time.NewTimer(Never)
	defer timer.Stop()
	for ctx.Err() == nil {
		frame, until := p.look()
		for i := range slots {
			until = min(until, slots[i].show(frame[slots[i].Channel], time.Now()))
		}
		timer.Reset(until)
		select {
		case <-ctx.Done():
		case <-p.news:
		case <-timer.C:
		}
	}
	return nil
}

// slot is a Lamp with its output, while it has one.
type slot struct {
	Lamp
	out   Output
	pause time.Duration // before the next try to open it
	again time.Time     // not before
}

// show sets the output, and tells when it wants to be asked again at the latest.
func (s *slot) show(level int, now time.Time) time.Duration {
	if s.out == nil && now.Before(s.again) {
		return s.again.Sub(now)
	}
	var err error
	if s.out == nil {
		var out Output
		if out, err = s.Open(); err == nil {
			s.out = out
		}
	}
	if err == nil {
		err = s.out.Set(level)
	}
	if err == nil {
		s.Condition.Back()
		s.pause = firstPause
		return Never
	}
	s.Condition.Lost(err)
	s.close()
	pause := s.pause
	s.again, s.pause = now.Add(pause), min(2*s.pause, lastPause)
	return pause
}

func (s *slot) close() {
	if s.out != nil {
		_ = s.out.Close() // it was told as lost, or the program ends
		s.out = nil
	}
}
