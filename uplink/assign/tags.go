package assign

import (
	"time"

	"station-agent/store/record"
)

// tags are those that the map named last, for the time while it can't be read. A map changes slowly: what it said is
// better than nothing.
type tags struct {
	known  map[string][]string // by hash
	misses int                 // reads in a row that failed with the map and not without
	rest   time.Time           // the map is left alone until then
}

func (t *tags) due(now time.Time) bool { return !now.Before(t.rest) }

// learn keeps what a read with the map says of its rows.
func (t *tags) learn(r record.Reading) {
	t.misses = 0
	if len(t.known) > most {
		clear(t.known)
	}
	for _, rows := range [][]record.Row{r.Here, r.Away} {
		for _, row := range rows {
			if len(row.EPCs) > 0 {
				t.known[row.Hash] = row.EPCs
			} else {
				delete(t.known, row.Hash)
			}
		}
	}
}

// fill gives the rows of a read without the map what is known of them.
func (t *tags) fill(r *record.Reading) {
	for _, rows := range [][]record.Row{r.Here, r.Away} {
		for n := range rows {
			rows[n].EPCs = t.known[rows[n].Hash]
		}
	}
}

// lose takes in that a read failed with the map and not without, and tells whether that is the map's fault: what the
// server says is, and what fails twice. A connection may break at any time.
func (t *tags) lose(err error, now time.Time) bool {
	t.misses++
	if t.misses == 1 && !notDone(err) {
		return false
	}
	t.rest = now.Add(mapRest)
	return true
}
