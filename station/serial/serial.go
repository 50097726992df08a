// Package serial listens at a serial port (a real tty, a USB scanner in COM port mode, a pseudo-terminal) for as long as
// the agent runs, through every unplugging.
//
// It promises
//
//   - The path is resolved anew at each open, so that a stable link such as /dev/serial/by-id/... leads to the reader
//     wherever the kernel put it; after the first error the old file is closed and never used again. While the port is
//     silent the path is looked at each second: a file behind which the device went without a word is given up, too.
//   - The port is ours alone: flock keeps other programs out that ask, TIOCEXCL those that don't.
//   - Nothing hangs: the open doesn't wait for a carrier, and each read ends with the idle gap, the unplugging or ctx.
//   - A byte that was damaged on the line arrives as FF, which is in no code, and never vanishes: half a code must not pass
//     for a shorter one.
//   - Only what an Asker gives is written, by the goroutine that reads, and a write ends after a second at most.
//
// It never opens a port that the configuration does not name, and never looks into the bytes.
package serial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"station-agent/store/record"
)

// Config names one port.
type Config struct {
	Name   string        // of the reader, for messages
	Device string        // path, best a stable link
	Baud   int           // bits per second, 0 means 9600; USB scanners in COM port mode ignore it
	Parity string        // "none", "even" or "odd"; "" means none. 8 data bits, 1 stop bit
	Idle   time.Duration // how long no byte comes before Sink.Idle is called, 0 means 80 ms

	look time.Duration // how often a silent port is looked at, 0 means 1 s
}

const (
	defaultBaud = 9600
	defaultIdle = 80 * time.Millisecond
	firstPause  = 250 * time.Millisecond // before the port is opened again
	lastPause   = 5 * time.Second
	defaultLook = time.Second
)

func (c Config) withDefaults() Config {
	if c.Baud == 0 {
		c.Baud = defaultBaud
	}
	if c.Idle == 0 {
		c.Idle = defaultIdle
	}
	if c.look == 0 {
		c.look = defaultLook
	}
	return c
}

// Check tells what is wrong with c.
func (c Config) Check() error {
	_, err := c.withDefaults().cflag()
	return err
}

// Sink takes what comes in. All methods are called from the goroutine of Run, and while one blocks nothing is read.
type Sink interface {
	Feed(p []byte) // p is valid during the call only
	Idle()         // bytes came, and then none for the idle gap
	Gone()         // the port is closed: what was half said stays so
}

// Asker is a Sink whose reader must be told something. Its methods are called like those of Sink.
type Asker interface {
	Sink
	Opened() // the port is open

	// Next is called after each of the others. It gives what is to be written now, nothing if that is empty, and in which time it
	// is to be called again if nothing comes. An error gives the port up: it is what people are told.
	Next() (send []byte, wait time.Duration, err error)

	// Last gives what is written before ctx ends it all.
	Last() []byte
}

// Condition is the state of one thing outside: it is lost with a reason, or it is back. Both may be called as often as you
// like.
type Condition interface {
	Lost(err error)
	Back()
}

// Run listens at the port until ctx ends, and opens it again with a growing pause (0.25 s to 5 s) whenever it is lost, from
// the start again once bytes came. It returns nil, or an error of class StopHere if c can't be used at all.
func Run(ctx context.Context, c Config, to Sink, cond Condition) error {
	c = c.withDefaults()
	if err := c.Check(); err != nil {
		return record.Stop(fmt.Errorf("reader %s: %w", c.Name, err))
	}
	pause := firstPause
	for {
		began := time.Now()
		worked, err := listen(ctx, c, to, cond)
		if ctx.Err() != nil {
			return nil
		}
		told, ok := errors.AsType[told](err)
		if ok {
			cond.Lost(fmt.Errorf("reader %s: %w", c.Name, told.error))
		} else {
			cond.Lost(fmt.Errorf("reader %s: %w: %s", c.Name, err, advice(err)))
		}
		if good(worked, ok, time.Since(began)) {
			pause = firstPause
		}
		if !wait(ctx, pause+rand.N(pause/4)) {
			return nil
		}
		pause = min(2*pause, lastPause)
	}
}

// good tells whether a port that was lost had been good, so that the pauses begin anew: bytes came, and of a reader that was given up by
// who asks it (told) for a while, as one that can't be set up may say something all the same.
func good(worked, told bool, lasted time.Duration) bool {
	return worked && (!told || lasted > lastPause)
}

// listen opens the port and hands on what comes until the port is lost or ctx ends. It tells whether anything came.
func listen(ctx context.Context, c Config, to Sink, cond Condition) (worked bool, err error) {
	p, err := open(c)
	if err != nil {
		return false, err
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		p.wake()
	})
	defer func() {
		if !stop() {
			<-woken
		}
		p.close()
		to.Gone()
	}()
	cond.Back()
	ask, ok := to.(Asker)
	if !ok {
		ask = listener{to}
	}
	ask.Opened()
	worked, err = pump(ctx, p, c, ask)
	if last := ask.Last(); ctx.Err() != nil && len(last) > 0 {
		_ = p.write(last) // nobody is there any more to be told
	}
	return worked, err
}

// told is an error of an Asker, which tells what to do.
type told struct{ error }

func (t told) Unwrap() error { return t.error }

// listener is an Asker that says nothing.
type listener struct{ Sink }

func (listener) Opened()                              {}
func (listener) Next() ([]byte, time.Duration, error) { return nil, time.Hour, nil }
func (listener) Last() []byte                         { return nil }

// astrayFor is how often the path must lead elsewhere: udev takes links away for a moment when it is told to make them anew.
const astrayFor = 2

func pump(ctx context.Context, p *port, c Config, to Asker) (worked bool, err error) {
	buf := make([]byte, 4096)
	quiet, astray := true, 0
	ends := time.Now().Add(c.look) // the gap
	for {
		send, wait, err := to.Next()
		if err != nil {
			return worked, told{err}
		}
		if len(send) > 0 {
			if err := p.write(send); err != nil {
				return worked, err
			}
		}
		n, err := p.read(ctx, buf, min(wait, time.Until(ends)))
		switch {
		case err != nil:
			return worked, err
		case n > 0:
			to.Feed(p.marks.strip(buf[:n]))
			quiet, worked = false, true
			ends = time.Now().Add(c.Idle)
			continue
		case time.Now().Before(ends): // it was Next's time
			continue
		case !quiet:
			to.Idle()
			quiet = true
		case !p.astray():
			astray = 0
		default:
			if astray++; astray >= astrayFor {
				return worked, p.error(errAstray)
			}
		}
		ends = time.Now().Add(c.look)
	}
}

// advice tells a person what to do about err.
func advice(err error) string {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return "put the agent's user into the group that owns the port (dialout)"
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EWOULDBLOCK):
		return "another program holds the port: end it"
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EISDIR):
		return "it is no serial port: correct reader.device"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "it takes no bytes: plug it out and in again"
	case errors.Is(err, io.EOF), errors.Is(err, unix.EIO), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV), errors.Is(err, errAstray):
		return "the reader was unplugged: plug it in"
	default:
		return "plug the reader in or correct reader.device"
	}
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
