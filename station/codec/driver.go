package codec

import (
	"errors"
	"fmt"
	"time"
)

// Settings are what a reader is told before it reads.
type Settings struct {
	Power  *float64 // dBm; nil: what it is set to
	Region Region   // "": what it is set to
}

// The times of a Driver.
const (
	answerTime = 500 * time.Millisecond  // for what is carried out at once
	stopTime   = 200 * time.Millisecond  // for a stop, which needn't be answered
	pollTime   = 1200 * time.Millisecond // for an inventory, which may take 1 s
	pace       = 20 * time.Millisecond   // from an answer to the next command: bytes nearer than 15 ms are one frame to a UHFReader18
	renewTime  = 100 * time.Millisecond  // from Stop to Start
	silence    = 2 * pollTime            // without a sound answer the reader has stopped reading
	tries      = 3                       // of a command that must be answered
)

// Driver decides what a reader that must be asked is told, and when.
//
//	Opened ──▶ stop ──▶ version ──▶ region ──▶ power ──▶ start, or poll upon poll
//	  ▲          ▲         │ no answer, refused             │ silent
//	  │          └─────────┼────────────────────────────────┤ once: it may have been restarted, and be set differently now
//	  └── error: reopen ◀──┴────────────────────────────────┘ again
//
// A command is sent only once the one before was answered or had its time: readers lose what comes meanwhile. It is a function of what
// it is told; times are since any moment and don't run backwards.
type Driver struct {
	c     *Commands
	steps []step

	at      int // step; behind the last it reads
	waits   bool
	sent    time.Duration
	tried   int
	err     error // ends the port
	next    time.Duration
	started time.Duration // the stream
	heard   time.Duration // last sound answer while reading
	failed  *Answer       // the last answer, if it was a failure
	again   bool          // it was set up again as it was silent, and has read nothing since
	well    bool
	version string
	silent  uint64
}

// step is one command before reading.
type step struct {
	what  string
	frame []byte
	any   bool // no answer is one, too
}

// NewDriver makes the driver of a protocol that has Commands. The error tells which setting can't be.
func NewDriver(p Protocol, s Settings) (*Driver, error) {
	c := p.Commands
	if c == nil {
		return nil, fmt.Errorf("protocol %q: its readers can't be told anything", p.Name)
	}
	d := &Driver{c: c}
	if c.Stop != nil {
		d.steps = append(d.steps, step{"stop", c.Stop, true})
	}
	d.steps = append(d.steps, step{what: "version", frame: c.Version})
	if s.Region != "" {
		f, err := c.Region(s.Region)
		if err != nil {
			return nil, err
		}
		d.steps = append(d.steps, step{what: fmt.Sprintf("region %q", s.Region), frame: f})
	}
	if s.Power != nil {
		f, err := c.Power(*s.Power)
		if err != nil {
			return nil, err
		}
		d.steps = append(d.steps, step{what: fmt.Sprintf("power_dbm %g", *s.Power), frame: f})
	}
	return d, nil
}

// Opened says that the port is open: nothing is known of the reader.
func (d *Driver) Opened() {
	*d = Driver{c: d.c, steps: d.steps, silent: d.silent}
}

// Last is what the reader is told before its port is closed for good: the antenna must be off; nil if it goes off by itself.
func (d *Driver) Last() []byte {
	if d.c.Start == nil {
		return nil
	}
	return d.c.Stop
}

// Well tells whether it reads, as far as is known, and when that was last so.
func (d *Driver) Well() (well bool, last time.Duration) { return d.well, d.heard }

// Version is what the reader said of itself; "" before.
func (d *Driver) Version() string { return d.version }

// Silent counts how often the reader fell silent while it read.
func (d *Driver) Silent() uint64 { return d.silent }

// Tags says that tags came.
func (d *Driver) Tags(now time.Duration) {
	if d.reads() {
		d.sound(now)
	}
}

// Heard says that an answer came.
func (d *Driver) Heard(a Answer, now time.Duration) {
	switch {
	case d.err != nil:
	case d.reads():
		d.inventoried(a, now)
	case d.waits && d.answers(a, d.steps[d.at].frame):
		d.answered(d.steps[d.at], a, now)
	}
}

// answered ends a step.
func (d *Driver) answered(s step, a Answer, now time.Duration) {
	switch {
	case a.What == Failed && !s.any:
		d.err = fmt.Errorf("the reader refuses %s (status %02X): see its manual for what it takes", s.what, a.Status)
		return
	case s.what == "version" && a.What != Version:
		return
	case s.what == "version":
		d.version = a.Version
	}
	d.advance(now)
}

// advance goes on to the next step.
func (d *Driver) advance(now time.Duration) {
	d.at++
	d.waits, d.tried, d.next = false, 0, now+pace
	d.heard, d.failed = now, nil
}

// inventoried takes in an answer while it reads.
func (d *Driver) inventoried(a Answer, now time.Duration) {
	if d.c.Start == nil && d.waits && d.answers(a, d.c.Poll) {
		d.waits, d.next = false, now+pace
	}
	if a.What == Failed {
		a.Data = nil // its time is over with this call
		d.failed = &a
		return
	}
	d.sound(now)
}

func (d *Driver) sound(now time.Duration) {
	d.heard, d.failed, d.again, d.well = now, nil, false, true
}

func (d *Driver) reads() bool { return d.at == len(d.steps) }

// polls tells whether an inventory may still run.
func (d *Driver) polls(now time.Duration) bool {
	return d.c.Start == nil && d.waits && now < d.sent+pollTime
}

// answers tells whether a is the answer to the command in frame.
func (d *Driver) answers(a Answer, frame []byte) bool {
	return a.Command == frame[d.c.At] || d.c.Refusal != 0 && a.Command == d.c.Refusal && a.What == Failed
}

// Next gives what has to be sent now, nothing if it is empty, and in which time Next has to be called again even if nothing comes. An
// error says that the reader can't be used like that: its port is to be closed and opened again.
func (d *Driver) Next(now time.Duration) (send []byte, wait time.Duration, err error) {
	for d.err == nil && !d.reads() {
		s := d.steps[d.at]
		given := answerTime
		if s.any {
			given = stopTime
		}
		switch {
		case !d.waits && now < d.next:
			return nil, d.next - now, nil
		case d.waits && now < d.sent+given:
			return nil, d.sent + given - now, nil
		case d.waits && s.any:
			d.advance(now)
		case d.waits && d.tried >= tries:
			d.err = d.unanswered(s)
		default:
			d.waits, d.sent = true, now
			d.tried++
			return s.frame, given, nil
		}
	}
	if d.err == nil && now >= d.heard+silence && !d.polls(now) {
		return d.fellSilent(now)
	}
	if d.err != nil {
		d.well = false
		return nil, 0, d.err
	}
	return d.read(now)
}

func (d *Driver) unanswered(s step) error {
	if s.what == "version" {
		return errors.New("no answer from the reader: see that it has power, that baud is its line speed and protocol how it speaks; " +
			"one that reads on its own and can't be asked needs listen_only = true")
	}
	return fmt.Errorf("no answer from the reader to %s, though it told its version: leave that setting out if it can't be set", s.what)
}

// fellSilent sets the reader up again, and gives the port up if that was in vain.
func (d *Driver) fellSilent(now time.Duration) ([]byte, time.Duration, error) {
	d.well = false
	switch {
	case !d.again:
		d.silent++
		d.again, d.at, d.waits, d.tried = true, 0, false, 0 // next stays: the pause behind an answer
		return d.Next(now)
	case d.failed != nil:
		d.err = fmt.Errorf("the reader can't read (status %02X): see that its antenna is connected, and its manual", d.failed.Status)
	default:
		d.err = errors.New("the reader tells its version, but says nothing while it reads: switch it off and on")
	}
	return nil, 0, d.err
}

// read keeps the reader reading.
func (d *Driver) read(now time.Duration) ([]byte, time.Duration, error) {
	most := d.heard + silence - now
	switch stream := d.c.Start != nil; {
	case d.waits && stream && d.c.Lasts > 0 && now >= d.started+d.c.Lasts:
		d.waits, d.next = false, now+renewTime
		return d.c.Stop, min(most, renewTime), nil
	case d.waits && stream && d.c.Lasts > 0:
		return nil, min(most, d.started+d.c.Lasts-now), nil
	case d.waits && stream:
		return nil, most, nil
	case d.polls(now):
		return nil, d.sent + pollTime - now, nil
	case !d.waits && now < d.next:
		return nil, min(most, d.next-now), nil
	case stream:
		d.waits, d.started = true, now
		return d.c.Start, most, nil
	}
	d.waits, d.sent = true, now
	return d.c.Poll, pollTime, nil
}
