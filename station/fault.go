package station

import (
	"fmt"
	"sync"
	"time"

	"station-agent/station/serial"
)

// faultAfter is how long a reader may be away before anybody is told: a plug that was moved is no fault.
const faultAfter = 2 * time.Second

// Fault stands between a device, which says at once that it is lost and each time that it was opened, and what people are
// told: a fault after 2 s, until the reader gave a valid code. That its port can be opened doesn't show that it reads. It
// also shows what is lost and opened again and again without a code between. It may be used from several goroutines.
type Fault struct {
	name string
	cond serial.Condition

	mu     sync.Mutex
	open   bool
	opened time.Time   // last
	since  time.Time   // when it was lost first, zero while nothing is wrong
	shown  bool        // people were told
	late   *time.Timer // tells them
	err    error       // the last
}

// NewFault makes the fault of the reader called name, which is shown by cond.
func NewFault(name string, cond serial.Condition) *Fault { return &Fault{name: name, cond: cond} }

// Lost says that the device is away.
func (f *Fault) Lost(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.open && !f.shown && now.Sub(f.opened) >= faultAfter { // it worked, as far as anybody knows
		f.since = time.Time{}
	}
	f.open, f.err = false, err
	switch {
	case f.shown:
		f.cond.Lost(err)
	case f.since.IsZero():
		f.since = now
		f.stop()
		f.late = time.AfterFunc(faultAfter, f.tell)
	case now.Sub(f.since) >= faultAfter:
		f.show()
	}
}

// tell shows a fault that lasts.
func (f *Fault) tell() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.open && !f.shown && time.Since(f.since) >= faultAfter { // else it ended, or another one began, while this waited for the lock
		f.show()
	}
}

func (f *Fault) show() {
	f.shown = true
	f.cond.Lost(f.err)
}

// Back says that the device was opened.
func (f *Fault) Back() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open, f.opened = true, time.Now()
	if f.shown {
		f.cond.Lost(fmt.Errorf("reader %s: it is plugged in again and has read nothing yet: scan any code, or lay a tag on it", f.name))
		return
	}
	f.cond.Back()
}

// Heard says that the reader gave a valid code.
func (f *Fault) Heard() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.since.IsZero() {
		return
	}
	f.since, f.shown = time.Time{}, false
	f.stop()
	f.cond.Back()
}

// End says that nobody is told any more.
func (f *Fault) End() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown, f.since = false, time.Time{}
	f.open = true
	f.stop()
}

func (f *Fault) stop() {
	if f.late != nil {
		f.late.Stop()
	}
}
