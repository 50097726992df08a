package station

import (
	"time"

	"station-agent/station/codec"
	"station-agent/station/serial"
)

// asking is the serial.Asker of one Reader that must be asked: it hands what comes to the ear, and the driver decides.
type asking struct {
	*ear
	driver *codec.Driver
	cond   serial.Condition
	told   func(uint64)
	began  time.Time
	well   bool   // it reads, as told last
	silent uint64 // as told last
}

// opened keeps from a Condition that the port is open: the reader has yet to answer.
type opened struct{ serial.Condition }

func (opened) Back() {}

// now is the driver's time.
func (a *asking) now() time.Duration { return time.Since(a.began) }

// Opened is serial.Asker's.
func (a *asking) Opened() {
	a.driver.Opened()
	a.well = false
}

// Feed is serial.Sink's.
func (a *asking) Feed(p []byte) {
	before := a.tags
	a.ear.Feed(p)
	if a.tags != before {
		a.driver.Tags(a.now())
	}
}

// Next is serial.Asker's. The bench learns that the reader is blind, since its last answer, and when it sees again.
func (a *asking) Next() (send []byte, wait time.Duration, err error) {
	send, wait, err = a.driver.Next(a.now())
	well, last := a.driver.Well()
	switch {
	case well && !a.well:
		a.cond.Back()
		a.back()
	case a.well && !well:
		a.tell(Read{Lost: true, At: a.began.Add(last)})
	}
	a.well = well
	if n := a.driver.Silent(); n != a.silent {
		if a.silent = n; a.told != nil {
			a.told(n)
		}
	}
	return send, wait, err
}

// Last is serial.Asker's.
func (a *asking) Last() []byte { return a.driver.Last() }
