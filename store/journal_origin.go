package store

import (
	"slices"

	"station-agent/store/record"
)

const keepOrigins = 4096 // the newest intents of which ScanOf knows

// origins tells from which scans the packages of items came.
type origins []origin // by id

type origin struct {
	id, scan uint64
	hash     string
	wanted   record.Value
}

// ScanOf gives the sequence of the scan whose intent last put that item into that package, 0 if it isn't known: it was
// too long ago, or not from here. An intent that isn't settled yet counts, one that ended otherwise doesn't.
func (j *Journal) ScanOf(hash string, pkg record.Value) uint64 {
	j.reading.Lock()
	defer j.reading.Unlock()
	for _, o := range slices.Backward(j.origins) {
		if o.hash == hash && record.Same(o.wanted, pkg) {
			return o.scan
		}
	}
	return 0
}

// note keeps the intents of e and forgets those that didn't come true.
func (o *origins) note(e record.Entry) {
	if e.State != nil {
		o.add(e.State.Open)
	}
	o.add(e.Intents)
	if out := e.Outcome; out != nil && out.Result != record.Settled && out.Result != record.SameValue {
		*o = slices.DeleteFunc(*o, func(x origin) bool { return x.id == out.Intent })
	}
	if len(*o) > keepOrigins+keepOrigins/8 {
		*o = slices.Delete(*o, 0, len(*o)-keepOrigins)
	}
}

func (o *origins) add(intents []record.Intent) {
	for _, i := range intents {
		if n := len(*o); n == 0 || i.ID > (*o)[n-1].id {
			*o = append(*o, origin{i.ID, i.Scan, i.Hash, i.Package})
		}
	}
}
