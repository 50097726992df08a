package gpio

import (
	"context"
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// Button is one push button between a pin and ground, or the supply.
type Button struct {
	Name       string        // for messages
	Pin        string        // see the package comment
	ActiveHigh bool          // it connects to the supply; else to ground
	Settle     time.Duration // how long the level must stand still, 0 means 25 ms
}

const (
	defaultSettle = 25 * time.Millisecond
	lookAgain     = 250 * time.Millisecond // without an edge: one may have been lost
	shortest      = time.Millisecond       // to wait: below it a queued edge would not be read (and see defect a)
	firstPause    = 250 * time.Millisecond // before a pin is opened again
	lastPause     = 5 * time.Second
)

// Condition is the state of one thing outside: it is lost with a reason, or it is back. Both may be called as often as you
// like.
type Condition interface {
	Lost(err error)
	Back()
}

var errDead = errors.New("the line does not answer: look at dmesg")

// Run calls changed whenever b is pressed (true) or let go (false), until ctx ends; it must not wait. A pin that can't be had
// is tried again with a growing pause. The error is always nil.
func (b Button) Run(ctx context.Context, h Host, cond Condition, changed func(pressed bool)) error {
	if b.Settle == 0 {
		b.Settle = defaultSettle
	}
	pause := firstPause
	for {
		worked, err := b.watch(ctx, h, cond, changed)
		if ctx.Err() != nil {
			return nil
		}
		cond.Lost(fmt.Errorf("button %s at %s: %w", b.Name, b.Pin, err))
		if worked {
			pause = firstPause
		}
		if !wait(ctx, pause) {
			return nil
		}
		pause = min(2*pause, lastPause)
	}
}

// watch follows the pin until it fails or ctx ends. It tells whether the pin worked for a while.
func (b Button) watch(ctx context.Context, h Host, cond Condition, changed func(bool)) (worked bool, err error) {
	p, err := h.line(b.Pin)
	if err != nil {
		return false, err
	}
	defer p.Close() // also of a pin that failed (defect l)
	pull := gpio.PullUp
	if b.ActiveHigh {
		pull = gpio.PullDown
	}
	if err := p.In(pull, gpio.BothEdges); err != nil {
		return false, fmt.Errorf("%w: %s", err, lineAdvice(err))
	}
	d := debounce{settle: b.Settle}
	for first := true; ctx.Err() == nil; first = false {
		before := time.Now()
		long := d.wait(before)
		if first {
			long = shortest
		}
		edge := p.WaitForEdge(long)
		now := time.Now()
		if !edge && now.Sub(before) < long/2 { // an error, not the time-out: it would come again at once, and Read lie (defect m)
			return worked, errDead
		}
		if first {
			cond.Back()
		}
		worked = true
		down := p.Read() == gpio.Level(b.ActiveHigh)
		if first {
			d.is = down
		} else if d.see(down, edge, now) {
			changed(d.is)
		}
	}
	return worked, nil
}

// debounce believes a level that stood still for a while. It is a function of what it is shown.
type debounce struct {
	settle time.Duration
	is     bool // believed

	doubt bool      // another level was seen
	since time.Time // when it was first seen, or the last edge was
}

// see takes in the level at a moment, and whether there was an edge since the last. It tells whether another one is believed.
func (d *debounce) see(level, edge bool, now time.Time) bool {
	if edge || !d.doubt {
		d.since = now
	}
	d.doubt = level != d.is
	if !d.doubt || now.Sub(d.since) < d.settle {
		return false
	}
	d.is, d.doubt = level, false
	return true
}

// wait is how long to wait for an edge at most.
func (d *debounce) wait(now time.Time) time.Duration {
	if !d.doubt {
		return lookAgain
	}
	return max(shortest, d.since.Add(d.settle).Sub(now))
}

// wait waits for d; it is false if ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
