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
	var patience <-chan time.Time
	for {
		head, err := c.outbox.Head(c.cfg.Batch, c.cfg.MaxBytes)
		if err != nil {
			return nil, fmt.Errorf("read outbox: %w", err)
		}
		batch, full := c.cut(head)
		if full || len(batch) > 0 && linger <= 0 {
			return batch, nil
		}
		if len(batch) > 0 && patience == nil {
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

// cut makes a batch of head: within the limit of bytes, and no key twice, as a doubled one would be refused. It is full if
// it leaves something out or waiting would add little.
func (c *Courier) cut(head []record.Queued) (batch []record.Queued, full bool) {
	size, keys := 0, make(map[string]bool, len(head))
	for i, q := range head {
		size += len(q.Payload)
		if i > 0 && size > c.cfg.MaxBytes || keys[q.Key] {
			return head[:i], true
		}
		keys[q.Key] = true
	}
	return head, len(head) >= c.cfg.Batch || size >= c.cfg.MaxBytes/2
}

// send posts one batch, settles what was answered and tells whether anything was.
func (c *Courier) send(ctx context.Context, batch []record.Queued) (progress bool, err error) {
	if time.Since(c.alike) < splitAgain {
		batch = batch[:1]
	}
	r := newRound(c.certyo, batch)
	posting := r.post(ctx, 0, len(batch))
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

// conclude decides which answers count. Receipts always do. A refusal counts if the endpoint is known to take records:
// from this very batch, or, for one that stands alone, from this run. Otherwise the refused are held.
func (c *Courier) conclude(r *round) (deliveries []record.Delivery, held error) {
	accepted, refused, reason := r.count()
	probe := !c.alike.IsZero() && len(r.answers) == 1
	if accepted > 0 {
		c.takes, c.alike = true, time.Time{}
	}
	parks := accepted > 0 || c.takes && len(r.answers) == 1 && !probe
	for i, a := range r.answers {
		if a.Receipt == nil && (a.Refusal == "" || !parks) {
			continue
		}
		a.Seq = r.seqs[i]
		deliveries = append(deliveries, a)
	}
	if refused == 0 || parks {
		return deliveries, nil
	}
	if !probe && len(r.answers) > 1 && refused == len(r.answers) {
		c.alike = time.Now()
	}
	return deliveries, fmt.Errorf("%w (%d of them): %s: nothing is parked; check tenant, client and address of Certyo",
		errAlike, refused, reason)
}

var (
	errAlike = errors.New("all records are refused alike by Certyo")
	errOpen  = errors.New("records were left open by the answer of Certyo")
)
