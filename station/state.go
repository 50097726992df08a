package station

import (
	"slices"
	"time"

	"station-agent/store/record"
)

// State is where the bench stands: the session, which is in the journal, and what is forgotten with the power.
type State struct {
	record.Session
	Armed    *Armed        // a scan that is waited for
	Ask      Ask           // what must be answered before anything is added
	Newcomer string        // who signs on while a package is open, by pseudonym
	Waiting  []Wait        // scans of items that aren't known yet, oldest first
	Round    uint64        // counts what was opened, gathered anew, and ended
	Units    units         // which item a code with a serial number named
	Touched  time.Duration // when somebody scanned last, since boot
	Stepped  time.Duration // and when a scan changed the session last
	heard    heard
	refused  *record.Scan // the last scan that was refused
}

// Armed is a command, or a first scan, that waits for the next one.
type Armed struct {
	By      Command // Override after a conflict, Remove, Clear, Status; "" for a sweep
	Until   time.Duration
	Package string   // Override: the one that the item is in; a sweep: the label
	Hash    string   // Override: the item
	Code    string   // Override: what named it
	Radio   bool     // Override: nobody scanned the item, it came onto an antenna
	Rows    []string // a sweep: the hashes listed
}

// Ask is a question to the operator.
type Ask string

// The questions.
const (
	Nothing  Ask = ""
	AskLabel Ask = "label" // after a restart, or a long pause with gathered items: is this still the package at hand?
	AskBadge Ask = "badge" // somebody else signed on: who goes on with what is open?
)

// Wait is a scan that was told Waiting.
type Wait struct {
	Tag   record.Tag
	Seq   uint64 // of that scan
	At    time.Duration
	Round uint64 // in which it was scanned: it joins nothing later
	Until time.Duration
}

// heard is the last code that a reader gave.
type heard struct {
	reader, code string
	at           time.Duration
}

// Resume is the state after a start: whatever was open may have been swapped meanwhile, so it is asked for. What was closed
// or ended before the start is not undone any more: nobody knows how long ago that was.
func Resume(s record.Session, now record.Stamp) State {
	st := State{Session: s.Clone(), Touched: now.Mono, Stepped: now.Mono}
	if st.busy() {
		st.Ask = AskLabel
	} else {
		st.Undo = nil
	}
	return st
}

// clone copies s deeply enough that changing the copy leaves s alone.
func (s State) clone() State {
	s.Session = s.Session.Clone()
	s.Waiting = slices.Clone(s.Waiting)
	return s
}

// busy tells whether something is open or gathered.
func (s State) busy() bool { return s.Package != "" || len(s.Items) > 0 }

// holds tells whether the item was added.
func (s State) holds(hash string) bool {
	return slices.ContainsFunc(s.Items, func(i record.Packed) bool { return i.Hash == hash })
}

// Deadline is the moment, since boot, when Tick has something to do though nothing happened; false if there is none.
func (s State) Deadline(r Rules) (at time.Duration, ok bool) {
	sooner := func(d time.Duration) {
		if !ok || d < at {
			at, ok = d, true
		}
	}
	if s.Armed != nil {
		sooner(s.Armed.Until)
	}
	for _, w := range s.Waiting {
		sooner(w.Until)
	}
	if r.TimeOut > 0 && s.expires() {
		sooner(s.Touched + r.TimeOut)
	}
	return at, ok
}

// expires tells whether a long pause changes anything: an open package is closed, gathered items are asked for once.
func (s State) expires() bool {
	return s.Package != "" || len(s.Items) > 0 && s.Ask == Nothing
}
