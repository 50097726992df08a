package deliver

import (
	"hash/maphash"
	"slices"
	"time"

	"station-agent/store/record"
)

// heldReach is how many times the bytes of a request are read while refused records are held.
const heldReach = 4

// heldMost is how many records are read at least while refused ones are held, for requests of fewer.
const heldMost = 10

// probeMost is how many records the first request behind an outage has, about. A batch of not many more goes as it is: a single
// record and a bulk request are different questions to Certyo, and what was posted one way is not posted again the other.
const probeMost = 10

// row names a row of the database.
type row struct{ database, collection, id string }

func rowOf(r *record.Record) row { return row{r.Database, r.Collection, r.ID} }

// pick reads the records of a request: none that is under way, and none of a row with an older one that was left open.
func (d *delivery) pick(p *parcel, now time.Time) ([]record.Queued, error) {
	if r, ok := d.suspect(now); ok && len(d.aloft) == 0 {
		return d.try(p, now, r)
	}
	most, reach := d.most, d.maxBytes
	switch {
	case d.held: // a large record must not be all that is seen, nor one that fills a request by itself
		most, reach = max(most, heldMost), reach*heldReach
	case d.outage > probeMost+1:
		most = min(most, probeMost)
	case d.outage > 0:
		most = min(most, d.outage)
	}
	d.parted, d.skipped = false, false
	clear(d.rows)
	head, err := d.outbox.Pick(p.head[:0], most, reach, func(q *record.Queued) bool {
		if d.leaves(q, now) {
			d.skipped = true
			return true
		}
		return false
	})
	d.parted = d.parted || len(head) == most
	p.head = head
	return head, err
}

// leaves tells whether a record is to be left out of a request.
func (d *delivery) leaves(q *record.Queued, now time.Time) bool {
	if _, under := d.under[q.Seq]; under {
		return true
	}
	if len(d.stuck) == 0 && !d.mixed {
		return false
	}
	r := rowOf(&q.Record)
	if s := d.stuck[r]; s != nil && now.Before(s.until) {
		return true
	}
	if _, twice := d.rows[r]; twice && d.mixed && !d.held { // held ones follow one another, a request each
		d.parted = true
		return true
	}
	d.rows[r] = struct{}{}
	return false
}

// cut tells how many records of head make a request: within the limit of bytes, no key twice, as a doubled one would be
// refused, and, once an answer was mixed, no row twice. It is full if something is left out or waiting would add little.
func (d *delivery) cut(head []record.Queued) (n int, full bool) {
	clear(d.keys)
	clear(d.rows)
	size := 0
	for i := range head {
		q := &head[i]
		size += len(q.Payload)
		if _, twice := d.keys[q.Key]; twice || i == d.most || i > 0 && size > d.maxBytes {
			return i, true
		}
		d.keys[q.Key] = struct{}{}
		if !d.mixed {
			continue
		}
		r := rowOf(&q.Record)
		if _, twice := d.rows[r]; twice {
			return i, true
		}
		d.rows[r] = struct{}{}
	}
	return len(head), len(head) >= d.most || size >= d.maxBytes/2
}

// hash names a row; two that share one aren't under way together.
func (d *delivery) hash(r *record.Record) uint64 { return maphash.String(d.seed, r.ID) }

// goes notes that p is under way.
func (d *delivery) goes(p *parcel) {
	d.aloft = append(d.aloft, p)
	for i := range p.head {
		d.under[p.head[i].Seq] = struct{}{}
		d.busy[d.hash(&p.head[i].Record)] = struct{}{}
	}
}

// arrives notes that p is not under way any more.
func (d *delivery) arrives(p *parcel) {
	others := slices.DeleteFunc(d.aloft, func(q *parcel) bool { return q == p })
	clear(d.under)
	clear(d.busy)
	d.aloft = d.aloft[:0]
	for _, q := range others {
		d.goes(q)
	}
}

// mayGo tells whether what is prepared has no row in common with what is under way, and is not one too many.
func (d *delivery) mayGo() bool {
	if len(d.aloft) == 0 {
		return true
	}
	if len(d.aloft) >= d.cfg.Parallel {
		return false
	}
	for i := range d.prepared.head {
		if _, busy := d.busy[d.hash(&d.prepared.head[i].Record)]; busy {
			return false
		}
	}
	return true
}
