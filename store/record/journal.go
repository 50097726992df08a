package record

import (
	"maps"
	"slices"
)

// Entry is one journal entry: what happened at one moment, written whole or not at all.
type Entry struct {
	Seq     uint64    `json:"seq"` // given by the journal
	At      Stamp     `json:"at"`
	Scan    *Scan     `json:"scan,omitempty"`
	Session *Session  `json:"session,omitempty"` // the session afterwards, if the scan changed it
	Intents []Intent  `json:"intents,omitempty"`
	Outcome *Outcome  `json:"outcome,omitempty"`
	Added   *Addition `json:"added,omitempty"` // on the card in place of Session, if the scan only put one more item in
	Clock   bool      `json:"clock,omitempty"` // nothing happened but that the clock became trusted: At dates this boot
	State   *State    `json:"state,omitempty"` // everything before this entry, folded: stands at the head of a segment
	Bytes   int64     `json:"bytes,omitempty"` // with State: how long the segment was made
}

// Parked is an intent that needs a person.
type Parked struct {
	Intent
	Outcome Outcome `json:"outcome"`
	Seen    bool    `json:"seen,omitempty"` // somebody acknowledged the call at the bench
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
	LastDone Stamp              `json:"last_done"`         // last intent that was settled
	Clock    Stamp              `json:"clock,omitzero"`    // the last trusted stamp of any entry
	Undated  string             `json:"undated,omitempty"` // the boot whose entries wait for a trusted stamp
}

// Apply folds e into s. A State at the head of a segment replaces what came before. A newer intent on a row takes the
// place of a parked one.
func (s *State) Apply(e Entry) {
	if e.State != nil {
		*s = e.State.Clone()
	}
	s.Seq = e.Seq
	s.date(e.At)
	if e.Scan != nil {
		if s.Verdicts == nil {
			s.Verdicts = map[Verdict]uint64{}
		}
		s.Verdicts[e.Scan.Verdict]++
		s.LastScan = e.At.Fill(s.Clock)
		if e.Scan.Step == Acknowledged {
			s.acknowledge()
		}
	}
	s.Session.Follow(e)
	for _, i := range e.Intents {
		s.Intent = max(s.Intent, i.ID)
		s.Open = append(s.Open, i)
		s.Parked = slices.DeleteFunc(s.Parked, func(p Parked) bool { return p.Hash == i.Hash })
	}
	if e.Outcome != nil {
		s.end(*e.Outcome, e.At)
	}
}

// acknowledge marks what went wrong until now as seen. The list is shared with clones and replaced.
func (s *State) acknowledge() {
	s.Parked = slices.Clone(s.Parked)
	for n := range s.Parked {
		s.Parked[n].Seen = true
	}
}

// date notes a trusted stamp, which dates all others of its boot, or that one is missing.
func (s *State) date(at Stamp) {
	switch {
	case at.Trusted:
		s.Clock = at
		s.LastScan, s.LastDone = s.LastScan.Fill(at), s.LastDone.Fill(at)
		if s.Undated == at.Boot {
			s.Undated = ""
		}
	case at.Boot != "" && at.Boot != s.Clock.Boot:
		s.Undated = at.Boot
	}
}

func (s *State) end(o Outcome, at Stamp) {
	if s.Results == nil {
		s.Results = map[Result]uint64{}
	}
	if n := slices.IndexFunc(s.Open, func(i Intent) bool { return i.ID == o.Intent }); n >= 0 {
		if o.Result.Parks() {
			s.Parked = append(s.Parked, Parked{Intent: s.Open[n], Outcome: o})
		}
		s.Open = slices.Delete(s.Open, n, n+1)
	} else if n := slices.IndexFunc(s.Parked, func(p Parked) bool { return p.ID == o.Intent }); n >= 0 {
		s.Parked = slices.Delete(s.Parked, n, n+1)
	} else {
		return // ended twice: the crash lies between the row and the journal
	}
	s.Results[o.Result]++
	if o.Result == Settled || o.Result == SameValue {
		s.LastDone = at.Fill(s.Clock)
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
