package record

import (
	"encoding/json"
	"time"
)

// Fate is what became of a Record: how it stands before it was accepted or where that ended badly, else in the words of Anchoring.
type Fate string

// The fates that are no Anchoring.
const (
	Waits      Fate = "waiting"     // in the outbox
	DeadLetter Fate = "dead letter" // Certyo refused it for good
	Dropped    Fate = "dropped"     // out of the outbox or the dead letters without having been accepted: it is never anchored
	Passed     Fate = "passed"      // a state that was found, and not sent as a newer change of its row was
	Lost       Fate = "lost"        // could not be read for a while, and was given up
)

// Moment is a time by a station's clock, and whether that may be believed: "trusted", "worked out" from a later trusted time of the
// same boot, "not trusted", or "unknown".
type Moment struct {
	At    time.Time `json:"at,omitzero"` // UTC
	Clock string    `json:"clock"`
}

// Moment is the wall time of s.
func (s Stamp) Moment() Moment {
	switch {
	case s == Stamp{}:
		return Moment{Clock: "unknown"}
	case s.Trusted:
		return Moment{s.Wall.UTC(), "trusted"}
	case s.Filled:
		return Moment{s.Wall.UTC(), "worked out"}
	}
	return Moment{s.Wall.UTC(), "not trusted"}
}

// Account is all that a store knows of one Record.
type Account struct {
	Seq      uint64
	Record   Record
	Fate     Fate
	Scan     uint64          // journal sequence of the scan that led to it, 0 if none is known
	Stored   Moment          // when it came into the outbox
	Receipt  *Receipt        // nil: not accepted
	Accepted Moment          // by our clock
	Answer   json.RawMessage // of the last verification that told something, to the byte; nil if there was none
	Answered Moment
	Refusal  string // of a dead letter
	Refused  Moment
}
