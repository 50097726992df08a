package deliver

import (
	"context"
	"errors"
	"fmt"
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

// deliver is the loop from the outbox to Certyo.
func (c *Courier) deliver(ctx context.Context) error {
	var wait backoff
	linger := c.cfg.Linger
	for {
		batch, err := c.gather(ctx, linger)
		progress := false
		if err == nil && ctx.Err() == nil {
			progress, err = c.send(ctx, batch)
		}
		switch {
		case record.ClassOf(err) == record.StopHere:
			return err
		case ctx.Err() != nil:
			return nil
		case err == nil:
			c.conds.Delivery.Back()
			wait.reset()
			linger = c.cfg.Linger
			continue
		}
		c.conds.Delivery.Lost(err)
		if progress {
			wait.reset()
		}
		pause(ctx, wait.next(err))
		linger = 0
	}
}

// gather waits for records and lets few of them linger for company. It returns nothing if ctx ended.
func (c *Courier) gather(ctx context.Context, linger time.Duration) ([]record.Queued, error) {
	most, reach := c.cfg.Batch, c.cfg.MaxBytes
	if c.held { // a large record must not be all that is seen, nor one that fills a request by itself
		most, reach = max(most, heldMost), reach*heldReach
	}
	var patience <-chan time.Time
	for {
		head, err := c.outbox.Head(c.head[:0], most, reach)
		c.head = head
		if err != nil {
			return nil, fmt.Errorf("read outbox: %w", err)
		}
		n, full := c.cut(head)
		if full || n > 0 && linger <= 0 {
			return head, nil
		}
		if n > 0 && patience == nil {
			timer := time.NewTimer(linger)
			defer timer.Stop()
			patience = timer.C
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-c.outbox.Changed():
		case <-patience:
			linger = 0
		}
	}
}

// cut tells how many records of head make a request: within the limit of bytes, no key twice, as a doubled one would be
// refused, and, once an answer was mixed, no row twice. It is full if something is left out or waiting would add little.
func (c *Courier) cut(head []record.Queued) (n int, full bool) {
	clear(c.keys)
	clear(c.rows)
	size := 0
	for i := range head {
		q := &head[i]
		size += len(q.Payload)
		if _, twice := c.keys[q.Key]; twice || i == c.cfg.Batch || i > 0 && size > c.cfg.MaxBytes {
			return i, true
		}
		c.keys[q.Key] = struct{}{}
		if !c.mixed {
			continue
		}
		r := row{q.Database, q.Collection, q.ID}
		if _, twice := c.rows[r]; twice {
			return i, true
		}
		c.rows[r] = struct{}{}
	}
	return len(head), len(head) >= c.cfg.Batch || size >= c.cfg.MaxBytes/2
}

// row names a row of the database.
type row struct{ database, collection, id string }

// send posts the first of head, settles what was answered and tells whether anything was.
func (c *Courier) send(ctx context.Context, head []record.Queued) (progress bool, err error) {
	if time.Since(c.alike) < splitAgain {
		head = head[:1]
	}
	r := &c.round
	r.begin(head)
	defer func() {
		r.end()
		clear(c.head)
	}()
	posting := c.post(ctx, r, head)
	deliveries, held := c.conclude(r)
	if len(deliveries) > 0 {
		if err := c.outbox.Settle(deliveries); err != nil {
			return false, fmt.Errorf("settle records: %w", err)
		}
	}
	if posting != nil { // held and posting at once: the rest of the batch wasn't tried, so nothing is known of alike
		return len(deliveries) > 0, posting
	}
	return len(deliveries) > 0, held
}

// post makes one request of head, and the next ones only as long as everything is refused: a record that can't share a
// request with those behind it finds its company there.
func (c *Courier) post(ctx context.Context, r *round, head []record.Queued) error {
	for from := 0; from < len(head); {
		n, _ := c.cut(head[from:])
		if err := r.post(ctx, from, from+n); err != nil {
			return err
		}
		if accepted, _, _ := r.count(); accepted > 0 {
			return nil
		}
		from += n
	}
	return nil
}

// conclude decides which answers count. Receipts always do. A refusal counts if another record was accepted in the same
// round: that shows that the fault is in the record. Otherwise the refused are held, also one that stands alone: it is
// posted again, soon with records behind it.
func (c *Courier) conclude(r *round) (deliveries []record.Delivery, held error) {
	c.mixed = c.mixed || r.mixed
	accepted, refused, reason := r.count()
	if accepted > 0 {
		c.alike = time.Time{}
	}
	if accepted > 0 {
		deliveries = make([]record.Delivery, 0, len(r.answers))
	}
	for i, a := range r.answers {
		if a.Receipt == nil && (a.Refusal == "" || accepted == 0) {
			continue
		}
		a.Seq = r.seqs[i]
		deliveries = append(deliveries, a)
	}
	if c.held = refused > 0 && accepted == 0; !c.held {
		return deliveries, nil
	}
	if refused > 1 && refused == len(r.answers) {
		c.alike = time.Now()
	}
	return nil, fmt.Errorf("%w (%d of them): %s: nothing is parked until Certyo accepts another record; "+
		"check tenant, client and address of Certyo", errAlike, refused, reason)
}

var (
	errAlike = errors.New("all records are refused alike by Certyo")
	errOpen  = errors.New("records were left open by the answer of Certyo")
)
