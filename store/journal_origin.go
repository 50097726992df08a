package store

import (
	"slices"

	"station-agent/store/record"
)

const keepOrigins = 4096 // the newest intents of which ScanOf knows

// origins tells from which scans the packages of items came. Whoever reports a change asks it, so that it must be quick.
type origins struct {
	list []origin            // by id
	of   map[string][]origin // the same by row
}

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
	for _, o := range slices.Backward(j.origins.of[hash]) {
		if record.Same(o.wanted, pkg) {
			return o.scan
		}
	}
	return 0
}

// hasOrigin tells whether ScanOf knows of a package of that item at all.
func (j *Journal) hasOrigin(hash string) bool {
	j.reading.Lock()
	defer j.reading.Unlock()
	return len(j.origins.of[hash]) > 0
}

// note keeps the intents of e and forgets those that didn't come true.
func (o *origins) note(e record.Entry) {
	if e.State != nil {
		o.add(e.State.Open)
	}
	o.add(e.Intents)
	if out := e.Outcome; out != nil && out.Result != record.Settled && out.Result != record.SameValue {
		o.forget(slices.IndexFunc(o.list, func(x origin) bool { return x.id == out.Intent }), 1)
	}
	if len(o.list) > keepOrigins+keepOrigins/8 {
		o.forget(0, len(o.list)-keepOrigins)
	}
}

func (o *origins) add(intents []record.Intent) {
	if o.of == nil {
		o.of = map[string][]origin{}
	}
	for _, i := range intents {
		if n := len(o.list); n == 0 || i.ID > o.list[n-1].id {
			x := origin{i.ID, i.Scan, i.Hash, i.Package}
			o.list, o.of[i.Hash] = append(o.list, x), append(o.of[i.Hash], x)
		}
	}
}

// forget takes out n origins from the place at on, none if that is -1.
func (o *origins) forget(at, n int) {
	if at < 0 {
		return
	}
	for _, gone := range o.list[at : at+n] {
		left := slices.DeleteFunc(o.of[gone.hash], func(x origin) bool { return x.id == gone.id })
		if o.of[gone.hash] = left; len(left) == 0 {
			delete(o.of, gone.hash)
		}
	}
	o.list = slices.Delete(o.list, at, at+n)
}
