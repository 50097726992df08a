package deliver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"station-agent/store/record"
)

// splitAgain is how long a batch that was refused alike is only probed with its first record, before it is split anew:
// splitting takes two requests a record.
const splitAgain = 10 * time.Minute

// heldReach is how many times the bytes of a request are read while refused records are held.
const heldReach = 4

// heldMost is how many records are read at least while refused ones are held, for requests of fewer.
const heldMost = 10

// probeMost is how many records the first request behind an outage has, about. A batch of not many more goes as it is: a single
// record and a bulk request are different questions to Certyo, and what was posted one way is not posted again the other.
const probeMost = 10

// delivery is the loop from the outbox to Certyo. All of it but the requests themselves is done by one goroutine.
type delivery struct {
	*Courier
	spare  []*parcel
	flying int
	landed chan *parcel
	busy   map[row]struct{} // rows with a record under way
	stuck  map[row]*stuck   // rows whose oldest record is left open again and again

	wait   backoff
	until  time.Time     // nothing is posted before
	first  time.Time     // until when those that wait linger, zero if none does
	hurry  bool          // they have lingered, before a failure
	outage int           // so many records had the request that met an outage which isn't over; 0: there is none
	spread time.Duration // at most so long the second request waits after a start

	mixed    bool      // an answer of this run left records open and accepted others
	held     bool      // the last round refused records and accepted none
	alike    time.Time // when a whole batch was last found refused alike, zero if not
	most     int       // records in a request: fewer once Certyo found one too large
	maxBytes int       // likewise

	keys   map[string]struct{} // what cut has seen; kept from batch to batch
	rows   map[row]struct{}
	parted bool // skip left out a change of a row that is in the batch
}

// row names a row of the database.
type row struct{ database, collection, id string }

func rowOf(r *record.Record) row { return row{r.Database, r.Collection, r.ID} }

// stuck is a row whose oldest record was left open by answers that accepted others.
type stuck struct {
	wait  backoff
	until time.Time
	why   string
}

// deliver runs the loop until ctx ends.
func (c *Courier) deliver(ctx context.Context) error {
	d := &delivery{
		Courier: c, landed: make(chan *parcel, c.cfg.Parallel), busy: map[row]struct{}{}, stuck: map[row]*stuck{},
		most: c.cfg.Batch, maxBytes: c.cfg.MaxBytes, spread: c.cfg.Spread, keys: make(map[string]struct{}, c.cfg.Batch), rows: map[row]struct{}{},
	}
	for range c.cfg.Parallel {
		d.spare = append(d.spare, &parcel{round: round{certyo: c.certyo, limiter: c.limiter}})
	}
	if d.spread > 0 {
		d.outage = c.cfg.Batch // a few records first, as nobody knows how it stands
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		for ; d.flying > 0; d.flying-- {
			<-d.landed
		}
	}()
	for {
		err := d.turn(ctx)
		switch {
		case record.ClassOf(err) == record.StopHere:
			return err
		case ctx.Err() != nil:
			return nil
		}
	}
}

// turn sends one batch if one may go, else it waits for something to happen.
func (d *delivery) turn(ctx context.Context) error {
	p, wake, err := d.next()
	if err != nil {
		d.fail(err, 0)
		return err
	}
	if p != nil {
		return d.launch(ctx, p)
	}
	var alarm <-chan time.Time
	if !wake.IsZero() {
		timer := time.NewTimer(time.Until(wake))
		defer timer.Stop()
		alarm = timer.C
	}
	changed := d.outbox.Changed()
	if d.flying >= d.limit() || time.Now().Before(d.until) {
		changed = nil // it will be looked for then
	}
	select {
	case <-ctx.Done():
	case <-alarm:
	case <-changed:
	case p := <-d.landed:
		return d.land(ctx, p)
	}
	return nil
}

// limit is how many requests may be under way: one while anything is wrong.
func (d *delivery) limit() int {
	if d.held || d.outage > 0 || d.wait.failures > 0 {
		return 1
	}
	return d.cfg.Parallel
}

// next gives a batch that may go now, or tells when to look again: a zero time if only something that happens is to be waited for.
func (d *delivery) next() (*parcel, time.Time, error) {
	now := time.Now()
	if d.flying >= d.limit() {
		return nil, time.Time{}, nil
	}
	if opens := d.limiter.opens(now); opens.After(d.until) {
		d.until = opens
	}
	if now.Before(d.until) {
		return nil, d.until, nil
	}
	p := d.spare[len(d.spare)-1]
	head, err := d.pick(p, now)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read outbox: %w", err)
	}
	n, full := d.cut(head)
	if n == 0 {
		d.first, d.hurry = time.Time{}, false
		return nil, d.due(now), nil
	}
	if d.first.IsZero() {
		d.first = now.Add(d.cfg.Linger)
	}
	if !full && !d.parted && !d.hurry && now.Before(d.first) {
		return nil, earliest(d.first, d.due(now)), nil
	}
	if ready := d.limiter.posts.ready(); ready.After(now) {
		return nil, ready, nil
	}
	d.spare = d.spare[:len(d.spare)-1]
	return p, time.Time{}, nil
}

// pick reads the records of a request: none of a row with an older one under way, or left open.
func (d *delivery) pick(p *parcel, now time.Time) ([]record.Queued, error) {
	most, reach := d.most, d.maxBytes
	switch {
	case d.held: // a large record must not be all that is seen, nor one that fills a request by itself
		most, reach = max(most, heldMost), reach*heldReach
	case d.outage > probeMost+1:
		most = min(most, probeMost)
	case d.outage > 0:
		most = min(most, d.outage)
	}
	d.parted = false
	clear(d.rows)
	head, err := d.outbox.Pick(p.head[:0], most, reach, func(q *record.Queued) bool {
		if len(d.busy)+len(d.stuck) == 0 && !d.mixed {
			return false
		}
		r := rowOf(&q.Record)
		if _, under := d.busy[r]; under {
			return true
		}
		if s := d.stuck[r]; s != nil && now.Before(s.until) {
			return true
		}
		if _, twice := d.rows[r]; twice && d.mixed && !d.held { // held ones follow one another, a request each
			d.parted = true
			return true
		}
		d.rows[r] = struct{}{}
		return false
	})
	p.head = head
	return head, err
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

// launch sends a batch on its way.
func (d *delivery) launch(ctx context.Context, p *parcel) error {
	if time.Since(d.alike) < splitAgain {
		p.head = p.head[:1]
	}
	p.head = fresh(p.head)
	for from := 0; from < len(p.head); {
		n, _ := d.cut(p.head[from:])
		from += n
		p.ends = append(p.ends, from)
		if !d.held { // those behind it are company for records that are refused
			break
		}
	}
	p.head = p.head[:p.ends[len(p.ends)-1]]
	if err := d.outbox.Posting(p.head); err != nil {
		p.end()
		d.spare = append(d.spare, p)
		err = fmt.Errorf("note what is posted: %w", err)
		d.fail(err, 0)
		return err
	}
	p.begin(p.head)
	for i := range p.head {
		d.busy[rowOf(&p.head[i].Record)] = struct{}{}
	}
	d.first, d.hurry = time.Time{}, false
	d.flying++
	go func() {
		p.err = p.send(ctx, d.lookup)
		d.landed <- p
	}()
	return nil
}

// land settles what came of a batch.
func (d *delivery) land(ctx context.Context, p *parcel) error {
	d.flying--
	n := len(p.head)
	defer func() {
		p.end()
		d.spare = append(d.spare, p)
	}()
	for i := range p.head {
		delete(d.busy, rowOf(&p.head[i].Record))
	}
	deliveries, held := d.conclude(p)
	if len(deliveries) > 0 {
		if err := d.outbox.Settle(deliveries); err != nil {
			err = fmt.Errorf("settle records: %w", err)
			d.fail(err, 0)
			return err
		}
		d.wait.reset()
	}
	if ctx.Err() != nil {
		return nil
	}
	d.remember(&p.round)
	err := p.err
	if err == nil {
		err = held
	}
	if errors.Is(err, errOpen) && (len(deliveries) > 0 || d.areStuck(p)) {
		d.setAside(p)
		err = nil
	}
	if err != nil {
		d.fail(err, n)
		return nil
	}
	d.outage = 0
	d.wait.reset()
	d.limiter.granted()
	d.unstick(p)
	if d.spread > 0 {
		d.until, d.spread = time.Now().Add(rand.N(d.spread)), 0
	}
	d.report()
	return nil
}

// fail tells why records stay, and lets the next request wait. N records had the one that failed, 0 if none was made.
func (d *delivery) fail(err error, n int) {
	d.conds.Delivery.Lost(err)
	d.until = time.Now().Add(d.wait.next(err))
	d.hurry = true
	switch {
	case isLimited(err):
		d.limiter.refused()
	case n > 0 && d.outage == 0 && !errors.Is(err, errOpen) && !errors.Is(err, errAlike):
		d.outage = n
	}
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
		errOpen, len(d.stuck), strings.Join(rows, ", "), more, cmp.Or(why, "it says nothing of them")))
}

// stuckMost is how many rows are set aside. With more, all wait until the first of them is due.
const stuckMost = 1000

// setAside lets the rows wait whose records were left open by an answer that accepted others.
func (d *delivery) setAside(p *parcel) {
	now := time.Now()
	for i := range p.answers {
		a := &p.answers[i]
		if a.Receipt != nil || a.Refusal != "" {
			continue
		}
		r := rowOf(&p.records[i])
		s := d.stuck[r]
		if s == nil {
			s = &stuck{}
			d.stuck[r] = s
		}
		s.why = a.Open
		s.until = now.Add(s.wait.next(errOpen))
	}
	if len(d.stuck) > stuckMost {
		d.until = d.due(now)
	}
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

// remember keeps later requests below what Certyo found too large, until the next start.
func (d *delivery) remember(r *round) {
	if r.tooLarge > 1 {
		d.most = min(d.most, max(r.tooLarge/2, 1))
		d.maxBytes = min(d.maxBytes, max(r.tooManyBytes/2, 1))
	}
}

// conclude decides which answers count. Receipts always do. A refusal counts if another record was accepted in the same
// round: that shows that the fault is in the record. Otherwise the refused are held, also one that stands alone: it is
// posted again, soon with records behind it.
func (d *delivery) conclude(p *parcel) (deliveries []record.Delivery, held error) {
	d.mixed = d.mixed || p.mixed
	accepted, refused, reason := p.count()
	deliveries = p.known
	if accepted > 0 {
		d.alike = time.Time{}
		deliveries = slices.Grow(deliveries, len(p.answers))
	}
	for i, a := range p.answers {
		if a.Receipt == nil && (a.Refusal == "" || accepted == 0) {
			continue
		}
		if a.Seq = p.seqs[i]; a.Receipt != nil {
			a.Receipt = p.receipt(a.Seq, a.Receipt)
		}
		deliveries = append(deliveries, a)
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

var (
	errAlike = errors.New("all records are refused alike by Certyo")
	errOpen  = errors.New("records were left open by the answer of Certyo")
)
