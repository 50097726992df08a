package deliver

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"time"

	"station-agent/store/record"
)

// splitAgain is how long a batch that was refused alike is only probed with its first record, before it is split anew:
// splitting takes two requests a record.
const splitAgain = 10 * time.Minute

// delivery is the loop from the outbox to Certyo. All of it but the requests themselves is done by one goroutine.
type delivery struct {
	*Courier
	spare    []*parcel
	aloft    []*parcel // under way
	prepared *parcel   // read, and to go next
	landed   chan *parcel
	under    map[uint64]struct{} // sequences that are under way
	busy     map[uint64]struct{} // rows of those, by hash
	seed     maphash.Seed
	stuck    map[row]*stuck // rows whose oldest record is left open again and again

	wait   backoff
	until  time.Time     // nothing is posted before
	first  time.Time     // until when those that wait linger, zero if none does
	hurry  bool          // they have lingered, before a failure
	faults int           // so often in a row the service itself failed
	outage int           // so many records had the request that met an outage which isn't over; 0: there is none
	spread time.Duration // at most so long the second request waits after a start

	mixed    bool                 // an answer of this run left records open and accepted others
	held     bool                 // the last round refused records and accepted none
	refused  map[uint64]time.Time // records that are held: when the post began that was the first to be refused
	taken    time.Time            // when the last post began that was accepted
	alike    time.Time            // when a whole batch was last found refused alike, zero if not
	most     int                  // records in a request: fewer once Certyo found one too large
	maxBytes int                  // likewise

	keys    map[string]struct{} // what cut has seen; kept from batch to batch
	rows    map[row]struct{}
	skipped bool // a record was left out
	parted  bool // there is no room for more, or a change of a row was left out that is in the batch
}

// deliver runs the loop until ctx ends.
func (c *Courier) deliver(ctx context.Context) error {
	d := &delivery{
		Courier: c, landed: make(chan *parcel, c.cfg.Parallel), under: map[uint64]struct{}{}, busy: map[uint64]struct{}{}, seed: maphash.MakeSeed(),
		stuck: map[row]*stuck{}, refused: map[uint64]time.Time{},
		most: c.cfg.Batch, maxBytes: c.cfg.MaxBytes, spread: c.cfg.Spread, keys: make(map[string]struct{}, c.cfg.Batch), rows: map[row]struct{}{},
	}
	for range c.cfg.Parallel + 1 {
		d.spare = append(d.spare, &parcel{round: round{certyo: c.certyo, limiter: c.limiter}})
	}
	if d.spread > 0 {
		d.outage = c.cfg.Batch // a few records first, as nobody knows how it stands
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		for range d.aloft {
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
	if d.prepared != nil || len(d.aloft) > 0 && d.troubled() || time.Now().Before(d.until) {
		changed = nil // it will be looked for then
	}
	select {
	case <-ctx.Done():
	case <-alarm:
	case <-changed:
	case <-d.news:
	case p := <-d.landed:
		return d.land(ctx, p)
	}
	return nil
}

// troubled tells whether anything is wrong: then one request ends before the next is thought of.
func (d *delivery) troubled() bool {
	return d.held || d.outage > 0 || d.wait.failures > 0 || len(d.aloft) > 0 && d.aloft[0].tries != row{}
}

// next gives a batch that may go now, or tells when to look again: a zero time if only something that happens is to be waited for.
// A full batch is read while the one before it is under way.
func (d *delivery) next() (*parcel, time.Time, error) {
	now := time.Now()
	if len(d.aloft) > 0 && d.troubled() {
		return nil, time.Time{}, nil
	}
	if again := d.limiter.posts.shut(now); !again.IsZero() {
		d.discard() // until it may go a person may drop what is in it
		return nil, again, nil
	}
	if now.Before(d.until) {
		return nil, d.until, nil
	}
	if d.prepared == nil {
		if wake, err := d.prepare(now); d.prepared == nil {
			return nil, wake, err
		}
	}
	if !d.mayGo() {
		return nil, time.Time{}, nil
	}
	if ready := d.limiter.posts.ready(); ready.After(now) {
		if len(d.aloft) == 0 {
			d.discard() // who comes meanwhile may come along
		}
		return nil, ready, nil
	}
	p := d.prepared
	d.prepared = nil
	return p, time.Time{}, nil
}

// prepare reads the next batch, or tells when to look again.
func (d *delivery) prepare(now time.Time) (time.Time, error) {
	p := d.spare[len(d.spare)-1]
	head, err := d.pick(p, now)
	if err != nil {
		return time.Time{}, fmt.Errorf("read outbox: %w", err)
	}
	n, full := d.cut(head)
	full = full || d.parted
	switch {
	case n == 0:
		d.first, d.hurry = time.Time{}, false
		if !d.skipped {
			d.empty()
		}
		return d.due(now), nil
	case d.first.IsZero():
		d.first = now.Add(d.cfg.Linger)
	}
	if !full && !d.limiter.wished().now && (len(d.aloft) > 0 || !d.hurry) && now.Before(d.first) {
		return earliest(d.first, d.due(now)), nil
	}
	d.spare = d.spare[:len(d.spare)-1]
	d.prepared = p
	return time.Time{}, nil
}

// discard puts back what was prepared: it is read again.
func (d *delivery) discard() {
	if d.prepared != nil {
		d.prepared.end()
		d.spare = append(d.spare, d.prepared)
		d.prepared = nil
	}
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
	p.began = time.Now()
	d.goes(p)
	d.first, d.hurry = time.Time{}, false
	go func() {
		p.err = p.send(ctx, d.lookup)
		d.landed <- p
	}()
	return nil
}

// land settles what came of a batch.
func (d *delivery) land(ctx context.Context, p *parcel) error {
	d.arrives(p)
	n := len(p.head)
	defer func() {
		p.end()
		d.spare = append(d.spare, p)
	}()
	deliveries, held := d.conclude(p)
	d.remember(&p.round)
	var followed error
	if len(deliveries) < n || p.tooLarge > 0 {
		d.discard() // it may have later changes of what stays
	} else {
		followed = d.follow(ctx)
	}
	if len(deliveries) > 0 {
		if err := d.outbox.Settle(deliveries); err != nil {
			err = fmt.Errorf("settle records: %w", err)
			d.fail(err, 0)
			return err
		}
		d.wait.reset()
	}
	if followed != nil || ctx.Err() != nil {
		return followed
	}
	err := p.err
	if err == nil {
		err = held
	}
	if errors.Is(err, errOpen) && (len(deliveries) > 0 || d.areStuck(p)) {
		d.setAside(p)
		err = nil
	} else if errors.Is(err, errOpen) && d.spoiled(p) {
		d.report()
		return nil
	}
	d.clear(p, err)
	if d.accuse(p, err) {
		d.report()
		return nil
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

// follow sends what is prepared when all of the batch before it was decided, so that it is settled while the next is under way.
func (d *delivery) follow(ctx context.Context) error {
	now := time.Now()
	if d.prepared == nil || ctx.Err() != nil || d.troubled() || d.spread > 0 || now.Before(d.until) || !d.mayGo() ||
		d.limiter.posts.ready().After(now) || d.limiter.posts.opens(now).After(now) {
		return nil
	}
	p := d.prepared
	d.prepared = nil
	return d.launch(ctx, p)
}

// fail tells why records stay, and lets the next request wait. N records had the one that failed, 0 if none was made.
func (d *delivery) fail(err error, n int) {
	d.conds.Delivery.Lost(err)
	d.discard()
	d.hurry = true
	if isLimited(err) {
		d.limiter.refused()
		d.wait.reset()
		d.until = time.Now().Add(d.limiter.after429(err))
		return
	}
	d.until = time.Now().Add(d.wait.next(err))
	if n > 0 && d.outage == 0 && !errors.Is(err, errOpen) && !errors.Is(err, errAlike) {
		d.outage = n
		d.limiter.begin()
	}
}
