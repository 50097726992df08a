package deliver

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"station-agent/store/record"
)

// stuck is a row whose oldest record was left open by answers that accepted others, or on which the service seems to fail.
type stuck struct {
	suspect bool
	wait    backoff
	until   time.Time
	since   time.Time
	why     string
}

// due tells when the first of the stuck rows that aren't due now is to be tried again, zero if there is none.
func (d *delivery) due(now time.Time) (first time.Time) {
	for _, s := range d.stuck {
		if s.until.After(now) {
			first = earliest(first, s.until)
		}
	}
	return first
}

// earliest of two moments that may be zero.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// report tells how delivery stands when the last request went well.
func (d *delivery) report() {
	if len(d.stuck) == 0 {
		d.conds.Delivery.Back()
		return
	}
	rows := make([]string, 0, len(d.stuck))
	why := ""
	for r, s := range d.stuck {
		rows = append(rows, r.collection+"/"+r.id)
		why = s.why
	}
	slices.Sort(rows)
	more := ""
	if len(rows) > 3 {
		rows, more = rows[:3], " …"
	}
	d.conds.Delivery.Lost(fmt.Errorf("%w: the oldest ones of %d rows (%s%s): %s; they are posted again, all other rows go on",
		errStuck, len(d.stuck), strings.Join(rows, ", "), more, cmp.Or(why, "it says nothing of them")))
}

const (
	stuckMost = 1000          // rows that are set aside; with more, all wait until the first of them is due
	stuckEnd  = 4 * stuckMost // what would be more than that isn't set aside

	spoilsAfter = 3 // failures in a row until a row is set aside whose record is left open by an answer to it alone
)

// setAside lets the rows wait whose records were left open by an answer that accepted others.
func (d *delivery) setAside(p *parcel) {
	now := time.Now()
	for i := range p.answers {
		a := &p.answers[i]
		if a.Receipt != nil || a.Refusal != "" {
			continue
		}
		if s := d.stick(rowOf(&p.records[i]), now, stuckEnd); s != nil {
			s.why = a.Open
			s.until = now.Add(s.wait.next(errOpen))
		}
	}
	if len(d.stuck) > stuckMost {
		d.until = d.due(now)
	}
}

// stick gives what is known of a row that is set aside, nil if there are so many already.
func (d *delivery) stick(r row, now time.Time, most int) *stuck {
	s := d.stuck[r]
	if s == nil && len(d.stuck) < most {
		s = &stuck{since: now}
		d.stuck[r] = s
	}
	return s
}

// spoiled sets the row aside whose record an answer to it alone left open, so that nothing behind it could be posted. As long as others
// are accepted no more is wrong, and it says so; else it may be the service.
func (d *delivery) spoiled(p *parcel) bool {
	if p.spoils == 0 {
		return false
	}
	now, r := time.Now(), rowOf(&p.records[p.spoils-1])
	if d.stuck[r] == nil && d.wait.failures < spoilsAfter {
		return false
	}
	s := d.stick(r, now, stuckMost)
	if s == nil {
		return false
	}
	s.why = p.answers[p.spoils-1].Open
	s.until = now.Add(longestWait + s.wait.next(errOpen)) // others are posted before it is due
	return d.taken.After(s.since)
}

// areStuck tells whether all rows of a parcel are known to be stuck.
func (d *delivery) areStuck(p *parcel) bool {
	for i := range p.records {
		if d.stuck[rowOf(&p.records[i])] == nil {
			return false
		}
	}
	return true
}

// unstick forgets the rows whose records were decided.
func (d *delivery) unstick(p *parcel) {
	if len(d.stuck) == 0 {
		return
	}
	for i := range p.head {
		if slices.ContainsFunc(p.known, func(y record.Delivery) bool { return y.Seq == p.head[i].Seq }) {
			delete(d.stuck, rowOf(&p.head[i].Record))
		}
	}
	for i := range p.answers {
		if a := &p.answers[i]; a.Receipt != nil || a.Refusal != "" {
			delete(d.stuck, rowOf(&p.records[i]))
		}
	}
}

// empty forgets what is told of records that wait when none does any more: a person dropped them.
func (d *delivery) empty() {
	if len(d.stuck) == 0 && !d.held {
		return
	}
	clear(d.stuck)
	clear(d.refused)
	d.held, d.alike = false, time.Time{}
	d.wait.reset()
	d.conds.Delivery.Back()
}

// remember keeps later requests below what Certyo found too large, until the next start.
func (d *delivery) remember(r *round) {
	if r.tooLarge > 1 {
		d.most = min(d.most, max(r.tooLarge/2, 1))
		d.maxBytes = min(d.maxBytes, max(r.tooManyBytes/2, 1))
	}
}

// conclude decides which answers count. Receipts always do. A refusal counts if another record was accepted before or with it in
// the same round, or after this record was refused before: that shows that the fault is in the record. What is accepted behind it may
// as well show that a fault has just been mended: it is posted once more. Otherwise the refused are held, also one that stands alone:
// it is posted again, soon with records behind it.
func (d *delivery) conclude(p *parcel) (deliveries []record.Delivery, held error) {
	d.mixed = d.mixed || p.mixed
	accepted, refused, reason := p.count()
	deliveries = p.known
	taken, began := d.taken, p.began
	if accepted > 0 {
		began = began.Add(-1) // what was accepted came behind what went ahead of it
		d.alike = time.Time{}
		if p.began.After(d.taken) {
			d.taken = p.began
		}
		deliveries = slices.Grow(deliveries, len(p.answers))
	}
	for i, a := range p.answers {
		if a.Seq = p.seqs[i]; a.Receipt == nil && (a.Refusal == "" || i < p.ahead && !d.isAtFault(a.Seq, began, taken)) {
			continue
		}
		if a.Receipt != nil {
			a.Receipt = p.receipt(a.Seq, a.Receipt)
		} else if accepted == 0 {
			refused--
		}
		deliveries = append(deliveries, a)
		delete(d.refused, a.Seq)
	}
	if d.held = refused > 0 && accepted == 0; !d.held {
		return deliveries, nil
	}
	if refused > 1 && refused == len(p.answers) {
		d.alike = time.Now()
	}
	return deliveries, fmt.Errorf("%w (%d of them): %s: nothing is parked until Certyo accepts another record; "+
		"check tenant, client and address of Certyo", errAlike, refused, reason)
}

// isAtFault tells whether others were accepted, the last ones by taken, after the record was refused first, and notes when that was.
func (d *delivery) isAtFault(seq uint64, began, taken time.Time) bool {
	first, before := d.refused[seq]
	if !before {
		if len(d.refused) > stuckMost {
			clear(d.refused)
		}
		d.refused[seq] = began
		return false
	}
	return taken.After(first)
}

var (
	errAlike = errors.New("all records are refused alike by Certyo")
	errStuck = errors.New("records get no answer from Certyo that settles them")
	errOpen  = errors.New("records were left open by the answer of Certyo")
)
