package store

import (
	"fmt"

	"station-agent/store/record"
)

// Shown is a value that a row was seen to have.
type Shown struct {
	Hash  string
	Value record.Value
}

// Shown gives what own writes, and the conflicts they met, have shown of rows since the entry after, oldest first: what rows
// that were read before don't tell.
func (j *Journal) Shown(after uint64) (list []Shown, err error) {
	wishes := map[uint64]Shown{} // by intent
	note := func(intents []record.Intent) {
		for _, i := range intents {
			wishes[i.ID] = Shown{i.Hash, i.Package}
		}
	}
	err = eachSegmentFrom(j.dir, j.id, after+1, func(s, _ *segment, _ bool) error {
		return s.each(func(e record.Entry) error {
			if e.State != nil {
				note(e.State.Open)
			}
			note(e.Intents)
			if w, known := wishes[outcomeOf(e)]; known && e.Seq > after {
				if e.Outcome.Result == record.OtherValue {
					w.Value = e.Outcome.Found
				}
				list = append(list, w)
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read what rows showed: %w", err)
	}
	return list, nil
}

// outcomeOf is the intent whose row e tells of, 0 if it tells of none.
func outcomeOf(e record.Entry) uint64 {
	if e.Outcome == nil {
		return 0
	}
	switch e.Outcome.Result {
	case record.Settled, record.SameValue, record.OtherValue:
		return e.Outcome.Intent
	}
	return 0
}
