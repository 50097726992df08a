package deliver

import (
	"math/rand/v2"
	"time"

	"station-agent/store/record"
)

// A service that fails on one record (status 500) looks as if it were ill, and that record is in each request that is made. So once it
// failed often, the rows of the failing request are set aside as suspects and others are tried. If those are accepted, the suspects
// are tried one by one, each beside a record that isn't suspected, so that a record that was in a bulk request goes in one again.
const (
	accuseAfter = 8 // failures in a row
	suspectWait = 10 * time.Minute
)

// accuse tells whether the service failed on one suspect alone while nothing else is wrong.
func (d *delivery) accuse(p *parcel, err error) bool {
	if !isFaulty(err) {
		d.faults = 0
		return false
	}
	d.faults++
	now := time.Now()
	for i := range p.head {
		r := rowOf(&p.head[i].Record)
		if p.tries != (row{}) && r != p.tries || p.tries == (row{}) && d.faults < accuseAfter {
			continue
		}
		if s := d.stick(r, now, stuckMost); s != nil {
			s.suspect, s.why = true, err.Error()
			s.until = now.Add(suspectWait + rand.N(suspectWait/10))
		}
	}
	return p.tries != (row{}) && d.outage == 0
}

// clear takes back what was said of the row that a parcel tries: it goes with the others again.
func (d *delivery) clear(p *parcel, err error) {
	if s := d.stuck[p.tries]; s != nil && s.suspect && !isFaulty(err) {
		delete(d.stuck, p.tries)
	}
}

// suspect gives the suspect that is longest due, if one is.
func (d *delivery) suspect(now time.Time) (first row, ok bool) {
	var due time.Time
	for r, s := range d.stuck {
		if s.suspect && !s.until.After(now) && (!ok || s.until.Before(due)) {
			first, due, ok = r, s.until, true
		}
	}
	return first, ok
}

// try reads the oldest record of a suspect, and one of another row for company.
func (d *delivery) try(p *parcel, now time.Time, suspect row) ([]record.Queued, error) {
	p.tries = suspect
	found, company := false, false
	head, err := d.outbox.Pick(p.head[:0], 2, d.maxBytes, func(q *record.Queued) bool {
		switch r := rowOf(&q.Record); {
		case r == suspect && !found:
			found = true
			return false
		case r == suspect || company || d.stuck[r] != nil || d.leaves(q, now):
			return true
		}
		company = true
		return false
	})
	d.parted, p.head = true, head
	if !found {
		delete(d.stuck, suspect) // a person dropped it
	}
	return head, err
}
