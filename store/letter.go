package store

import (
	"cmp"
	"slices"

	"station-agent/store/record"
)

// letter is what is known of the refusals of one record. Tries and First outlive a retry: the record waits then, and its
// letter with it in state.Again.
type letter struct {
	Seq   uint64       `json:"seq"`
	Text  string       `json:"text"`            // of the last refusal
	At    record.Stamp `json:"at"`              // of the last one
	First record.Stamp `json:"first,omitzero"`  // of the first one, if there were more
	Tries int          `json:"tries,omitempty"` // how many there were, if more than one
	Bytes int64        `json:"bytes,omitempty"` // of the record's payload; 0 if an older program noted the refusal
}

func (l letter) tries() int { return cmp.Or(l.Tries, 1) }

func (l letter) first() record.Stamp {
	if l.First == (record.Stamp{}) {
		return l.At
	}
	return l.First
}

// mostAgain bounds the memory of refusals of records that wait once more; the tries of what exceeds are counted anew.
const mostAgain = 20_000

// refuse puts a record among the dead letters, as the newest.
func (s *state) refuse(r refusal, at record.Stamp) {
	l := letter{Seq: r.seq, Text: r.text, At: at, Bytes: r.bytes}
	if i := slices.IndexFunc(s.Again, func(was letter) bool { return was.Seq == r.seq }); i >= 0 {
		was := s.Again[i]
		l.First, l.Tries, l.Bytes = was.first(), was.tries()+1, cmp.Or(l.Bytes, was.Bytes)
		s.Again = slices.Delete(s.Again, i, i+1)
	}
	s.Refused = append(s.Refused, l)
}

// again takes the dead letters of sp off the list, as their records wait once more.
func (s *state) again(sp span) {
	for _, l := range s.Refused {
		if sp.holds(l.Seq) {
			l.Text = "" // the next refusal has its own, and thousands of them would stand in memory and at the head of each file
			s.Again = append(s.Again, l)
		}
	}
	s.Again = s.Again[max(0, len(s.Again)-mostAgain):]
	s.forgive(sp)
}

// forgive takes the dead letters of sp off the list.
func (s *state) forgive(sp span) {
	s.Refused = slices.DeleteFunc(s.Refused, func(l letter) bool { return sp.holds(l.Seq) })
}

// forget ends the memory of earlier refusals of the records of sp.
func (s *state) forget(sp span) {
	s.Again = slices.DeleteFunc(s.Again, func(l letter) bool { return sp.holds(l.Seq) })
}

func (s span) holds(seq uint64) bool { return s.First <= seq && seq <= s.Last }

// spills counts, ever, the dead letters that went because there were more than are kept. In a commit a count is 0 if it didn't
// change.
type spills struct {
	Spilled        uint64 `json:"letters_dropped,omitempty"`
	SpillsKnown    uint64 `json:"letters_dropped_known,omitempty"` // so many of them a person knows of
	SpillsExported uint64 `json:"letters_exported,omitempty"`
}

func (s *spills) add(c spills) {
	s.Spilled = max(s.Spilled, c.Spilled)
	s.SpillsKnown = max(s.SpillsKnown, c.SpillsKnown)
	s.SpillsExported = max(s.SpillsExported, c.SpillsExported)
}

func lettersBytes(list []letter) (n int64) {
	for _, l := range list {
		n += l.Bytes
	}
	return n
}
