package station

import (
	"time"

	"station-agent/station/codec"
	"station-agent/station/serial"
)

// driven is the serial.Asker of one Reader that must be asked: it hands what comes to the ear, and the driver decides.
type driven struct {
	serial.Sink // of the ear
	ear         *ear
	driver      *codec.Driver
	fault       *Fault
	told        func(uint64)
	began       time.Time
	well        bool   // it reads, as told last
	silent      uint64 // as told last
}

// opened keeps from a Condition that the port is open: the reader has yet to answer.
type opened struct{ serial.Condition }

func (opened) Back() {}

// now is the driver's time.
func (a *driven) now() time.Duration { return time.Since(a.began) }

// Opened is serial.Asker's.
func (a *driven) Opened() {
	a.driver.Opened()
	a.well = false
}

// Feed is serial.Sink's.
func (a *driven) Feed(p []byte) {
	before := a.ear.tags
	a.Sink.Feed(p)
	if a.ear.tags != before {
		a.driver.Tags(a.now())
	}
}

// Next is serial.Asker's. The bench learns that the reader is blind, since its last answer, and when it sees again.
func (a *driven) Next() (send []byte, wait time.Duration, err error) {
	send, wait, err = a.driver.Next(a.now())
	well, last := a.driver.Well()
	switch {
	case well && !a.well:
		a.fault.Back()
		a.fault.Heard() // an answer shows as much as a code does
		a.ear.back()
	case a.well && !well:
		a.ear.tell(Read{Lost: true, At: a.began.Add(last)})
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
func (a *driven) Last() []byte { return a.driver.Last() }
