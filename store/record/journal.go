package record

import (
	"maps"
	"slices"
)

// Session is the packing session: the open package, what is in it, and the package closed before it, so that closing can
// be undone too.
type Session struct {
	Package string         `json:"package,omitempty"` // "" if none is open
	Items   []Packed       `json:"items,omitempty"`   // in the order of the scans
	Before  *ClosedPackage `json:"before,omitempty"`  // what was closed last, one level deep
}

// Packed is one item of a package and the value its row had before.
type Packed struct {
	Hash string `json:"hash"`
	Was  Value  `json:"was"`
}

// ClosedPackage is a package that was closed.
type ClosedPackage struct {
	Package string   `json:"package"`
	Items   []Packed `json:"items"`
}

// Entry is one journal entry: what happened at one moment, written whole or not at all.
type Entry struct {
	Seq     uint64   `json:"seq"` // given by the journal
	At      Stamp    `json:"at"`
	Scan    *Scan    `json:"scan,omitempty"`
	Session *Session `json:"session,omitempty"` // the session afterwards, if the scan changed it
	Intents []Intent `json:"intents,omitempty"`
	Outcome *Outcome `json:"outcome,omitempty"`
	State   *State   `json:"state,omitempty"` // everything before this entry, folded: stands at the head of a segment
}

// Parked is an intent that needs a person.
type Parked struct {
	Intent
	Outcome Outcome `json:"outcome"`
}

// State is what the entries of a journal add up to.
type State struct {
	Seq      uint64             `json:"seq"`    // of the last entry
	Intent   uint64             `json:"intent"` // the last intent id given
	Session  Session            `json:"session"`
	Open     []Intent           `json:"open,omitempty"`   // not settled yet, oldest first
	Parked   []Parked           `json:"parked,omitempty"` // ended in a way that needs a person
	Verdicts map[Verdict]uint64 `json:"verdicts,omitempty"`
	Results  map[Result]uint64  `json:"results,omitempty"`
	LastScan Stamp              `json:"last_scan"`
	LastDone Stamp              `json:"last_done"` // last intent that was settled
}

// Apply folds e into s. A State at the head of a segment replaces what came before. A newer intent on a row takes the
// place of a parked one.
func (s *State) Apply(e Entry) {
	if e.State != nil {
		*s = e.State.Clone()
		s.Seq = e.Seq
		return
	}
	s.Seq = e.Seq
	if e.Scan != nil {
		if s.Verdicts == nil {
			s.Verdicts = map[Verdict]uint64{}
		}
		s.Verdicts[e.Scan.Verdict]++
		s.LastScan = e.At
	}
	if e.Session != nil {
		s.Session = e.Session.Clone()
	}
	for _, i := range e.Intents {
		s.Intent = max(s.Intent, i.ID)
		s.Open = append(s.Open, i)
		s.Parked = slices.DeleteFunc(s.Parked, func(p Parked) bool { return p.Hash == i.Hash })
	}
	if e.Outcome != nil {
		s.end(*e.Outcome, e.At)
	}
}

func (s *State) end(o Outcome, at Stamp) {
	if s.Results == nil {
		s.Results = map[Result]uint64{}
	}
	if n := slices.IndexFunc(s.Open, func(i Intent) bool { return i.ID == o.Intent }); n >= 0 {
		if o.Result.Parks() {
			s.Parked = append(s.Parked, Parked{s.Open[n], o})
		}
		s.Open = slices.Delete(s.Open, n, n+1)
	} else if n := slices.IndexFunc(s.Parked, func(p Parked) bool { return p.ID == o.Intent }); n >= 0 {
		s.Parked = slices.Delete(s.Parked, n, n+1)
	} else {
		return // ended twice: the crash lies between the row and the journal
	}
	s.Results[o.Result]++
	if o.Result == Settled || o.Result == SameValue {
		s.LastDone = at
	}
}

// Clone copies s, so that the copy can be read while s goes on.
func (s State) Clone() State {
	s.Session = s.Session.Clone()
	s.Open = slices.Clone(s.Open)
	s.Parked = slices.Clone(s.Parked)
	s.Verdicts = maps.Clone(s.Verdicts)
	s.Results = maps.Clone(s.Results)
	return s
}

// Clone copies s deeply enough that appending to the copy leaves s alone.
func (s Session) Clone() Session {
	s.Items = slices.Clone(s.Items)
	if s.Before != nil {
		s.Before = &ClosedPackage{s.Before.Package, slices.Clone(s.Before.Items)}
	}
	return s
}
