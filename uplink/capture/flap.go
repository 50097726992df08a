package capture

import (
	"fmt"
	"time"
)

// flaps counts how often rows change their station: one that two antennas see goes to and fro, and each time is a record.
type flaps struct {
	rows  map[string]*flap
	swept time.Time
	lost  bool
}

type flap struct {
	times int
	since time.Time
}

const (
	flapTimes = 6 // within flapSpan
	flapSpan  = time.Minute
)

// moved notes that a row came to another station or left one, and gives the alarm if it does so too often.
func (f *flaps) moved(table *Spec, id string, now time.Time) error {
	if f.rows == nil {
		f.rows = make(map[string]*flap)
	}
	row := f.rows[id]
	if row == nil || now.Sub(row.since) > flapSpan {
		row = &flap{since: now}
		f.rows[id] = row
	}
	if row.times++; row.times < flapTimes {
		return nil
	}
	f.lost = true
	return fmt.Errorf("row %s of %s came or left %d times within %s: two antennas see the item, or it lies at the edge of one; each time is a record",
		id, table, row.times, now.Sub(row.since).Round(time.Second))
}

// calm forgets the rows that stopped, and tells whether none flaps any more after one did.
func (f *flaps) calm(now time.Time) bool {
	if now.Sub(f.swept) < flapSpan {
		return false
	}
	f.swept = now
	still := false
	for id, row := range f.rows {
		if now.Sub(row.since) > flapSpan {
			delete(f.rows, id)
		} else if row.times >= flapTimes {
			still = true
		}
	}
	over := f.lost && !still
	f.lost = still
	return over
}
