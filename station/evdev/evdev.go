// Package evdev reads what types: scanners and RFID readers that pass for keyboards ("keyboard wedge"), and keypads.
//
//	struct input_event (linux/input.h), as the kernel gives it to this program:
//	+-----------+-----------+--------+--------+-----------+
//	|  seconds  | microsec. |  type  |  code  |   value   |   24 bytes on 64-bit, 16 on 32-bit:
//	|  8 or 4   |  8 or 4   |   2    |   2    |     4     |   the times are machine words
//	+-----------+-----------+--------+--------+-----------+
//	type 1 (EV_KEY): value 1 pressed, 0 let go, 2 repeats    type 0 (EV_SYN): code 0 end of a report, 3 events were dropped
//
// It promises
//
//   - The device is ours alone (EVIOCGRAB): nothing that is scanned is typed into a console, where a code could be a command.
//   - Its path is resolved anew at each open, so that a link in /dev/input/by-id leads to the scanner wherever it is plugged in.
//   - Half a code is a misread and never passes for a shorter one: a code ends with Enter or Tab, and one that stops before
//     that, that lost keys, or that holds a key without a meaning in the layout is bad.
//   - Nothing hangs, and memory is bounded.
//
// What a key means is up to the layout that the *scanner* is set to, not to this machine: scanners type what a keyboard of
// that country would. Set it to us, or better to a COM port: GS, which parts the fields of a GS1 code, is typed by some
// scanners as Ctrl+] and by others not at all.
//
// It never opens a device that the configuration does not name, and never lights its lamps.
package evdev

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

// Config names one device.
type Config struct {
	Name   string        // of the reader, for messages
	Device string        // path, best a link in /dev/input/by-id that ends in -event-kbd
	Layout string        // what its keys mean, see Layouts; "" means us
	Gap    time.Duration // how long no key may come within a code, 0 means 100 ms; for fingers some seconds
}

const (
	defaultGap = 100 * time.Millisecond
	firstPause = 250 * time.Millisecond // before the device is opened again
	lastPause  = 5 * time.Second
	eviocgrab  = 0x40044590 // _IOW('E', 0x90, int)
)

// Check tells what is wrong with c.
func (c Config) Check() error {
	if _, ok := sheets()[c.layout()]; !ok {
		return fmt.Errorf("%q is no layout: there are %v", c.Layout, Layouts())
	}
	return nil
}

func (c Config) layout() string {
	if c.Layout == "" {
		return "us"
	}
	return c.Layout
}

// Sink takes what was typed, from the goroutine of Run; while it blocks nothing is read.
type Sink interface {
	Typed(c Code)
	Gone() // the device is closed
}

// Condition is the state of one thing outside: it is lost with a reason, or it is back. Both may be called as often as you
// like.
type Condition interface {
	Lost(err error)
	Back()
}

// Run reads the device until ctx ends, and opens it again with a growing pause (0.25 s to 5 s) whenever it is lost, from the
// start again once a key came. It returns nil, or an error of class StopHere if c can't be used at all.
func Run(ctx context.Context, c Config, to Sink, cond Condition) error {
	return run(ctx, c, to, cond, grab)
}

// run takes the device by claim; a pipe, which plays a device in tests, can't be grabbed.
func run(ctx context.Context, c Config, to Sink, cond Condition, claim func(*os.File) error) error {
	if err := c.Check(); err != nil {
		return record.Stop(fmt.Errorf("reader %s: %w", c.Name, err))
	}
	if c.Gap == 0 {
		c.Gap = defaultGap
	}
	pause := firstPause
	for {
		worked, err := c.listen(ctx, to, cond, claim)
		if ctx.Err() != nil {
			return nil
		}
		cond.Lost(fmt.Errorf("reader %s: %w: %s", c.Name, err, advice(err)))
		if worked {
			pause = firstPause
		}
		if !wait(ctx, pause+rand.N(pause/4)) {
			return nil
		}
		pause = min(2*pause, lastPause)
	}
}

func grab(f *os.File) error {
	raw, err := f.SyscallConn() // f.Fd would take the file from the poller, and Close would not wake a read any more
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.IoctlSetInt(int(fd), eviocgrab, 1) })
	if failed != nil {
		failed = fmt.Errorf("grab %s: %w", f.Name(), failed)
	}
	return errors.Join(err, failed)
}

// listen reads the device until it is lost or ctx ends. It tells whether any key came.
func (c Config) listen(ctx context.Context, to Sink, cond Condition, claim func(*os.File) error) (worked bool, err error) {
	f, err := os.OpenFile(c.Device, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = f.Close() })
	defer func() {
		if stop() {
			_ = f.Close() // which lets the grab go
		}
		to.Gone()
	}()
	if err := claim(f); err != nil {
		return false, err
	}
	cond.Back()
	keys := Keys{Layout: c.layout()}
	tell := func(code Code, ended bool) {
		if ended {
			to.Typed(code)
		}
	}
	defer func() { tell(keys.Cut("the reader was unplugged")) }()
	var events parser
	buf := make([]byte, 64*eventSize)
	for {
		var deadline time.Time
		if keys.Begun() {
			deadline = time.Now().Add(c.Gap)
		}
		if err := f.SetReadDeadline(deadline); err != nil {
			return worked, err
		}
		n, err := f.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			n, err = look(f, buf)
		}
		switch {
		case n > 0:
			worked = true
			for _, e := range events.feed(buf[:n]) {
				tell(keys.Feed(e))
			}
		case err != nil:
			return worked, err
		default:
			tell(keys.Cut(fmt.Sprintf("no Enter or Tab within %v", c.Gap)))
		}
	}
}

// look reads what is there without waiting. Keys that lay there while this program waited for a processor are no gap.
func look(f *os.File, buf []byte) (n int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	if e := raw.Control(func(fd uintptr) { n, err = unix.Read(int(fd), buf) }); e != nil {
		return 0, e
	}
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		err = nil
	}
	return max(0, n), err
}

// advice tells a person what to do about err.
func advice(err error) string {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return "give the agent's user the right to it by a udev rule, or put it into the group input"
	case errors.Is(err, unix.EBUSY):
		return "another program has grabbed it: end that"
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EISDIR):
		return "it is no input device: correct reader.device"
	case errors.Is(err, io.EOF), errors.Is(err, unix.ENODEV):
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
