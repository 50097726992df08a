package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"station-agent/store/record"
)

const (
	dueAtOnce    = 100         // records looked at between two writes to the ledger
	mismatchWait = time.Hour   // until a mismatch is looked at again
	askAgain     = time.Minute // the clock may be set meanwhile, so the ledger is asked again
	failedWait   = time.Minute // at most, until a record that got no answer is looked at again: an outage tells nothing of it
)

// verify is the loop that looks at accepted records until they are anchored.
func (c *Courier) verify(ctx context.Context) error {
	var wait backoff
	c.reportIntegrity() // what earlier runs found
	for {
		due, next, err := c.ledger.Due(time.Now(), dueAtOnce)
		if err != nil {
			err = fmt.Errorf("read ledger: %w", err)
		} else if len(due) > 0 {
			err = c.look(ctx, due)
		}
		switch {
		case record.ClassOf(err) == record.StopHere:
			return err
		case ctx.Err() != nil:
			return nil
		case err != nil:
			c.conds.Verification.Lost(err)
			pause(ctx, wait.next(err))
		default:
			wait.reset()
			if len(due) == 0 {
				c.rest(ctx, next)
			}
		}
	}
}

// rest waits until next, or until the ledger changed.
func (c *Courier) rest(ctx context.Context, next time.Time) {
	d := askAgain
	if !next.IsZero() {
		d = min(d, max(time.Until(next), 0))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-c.ledger.Changed():
	}
}

// look verifies what is due, up to the first error, and notes what came out.
func (c *Courier) look(ctx context.Context, due []record.Unproven) error {
	var looks []record.Look
	var failed error
	for _, u := range due {
		c.pace.wait(ctx)
		l, err := c.lookAt(ctx, u)
		if ctx.Err() != nil {
			break
		}
		c.watch(u, l.State)
		if !isHeld(err) { // it comes behind the others now, so that one that always fails stops nobody
			looks = append(looks, l)
		}
		if failed = err; err != nil {
			break
		}
		c.conds.Verification.Back()
	}
	if len(looks) > 0 {
		if err := c.ledger.Look(looks); err != nil {
			failed = errors.Join(fmt.Errorf("note looks: %w", err), failed) // the class of the first counts
		}
	}
	c.report()
	return failed
}

// lookAt verifies one record. Its Look is right with an error too: the record is due again later.
func (c *Courier) lookAt(ctx context.Context, u record.Unproven) (record.Look, error) {
	state, answer, err := c.certyo.Verify(ctx, u)
	if err != nil {
		if state = record.Pending; record.ClassOf(err) == record.ThisOne {
			state = record.Unclear
		}
		answer, _ = json.Marshal(map[string]string{"error": err.Error()}) // strings can't fail
	}
	now, l := time.Now(), record.Look{Seq: u.Seq, State: state, Answer: answer}
	switch state {
	case record.Anchored:
	case record.Mismatch:
		l.Due = now.Add(mismatchWait)
	default:
		gap := c.gap(u.Looks + 1)
		if err != nil && record.ClassOf(err) == record.Again {
			gap = min(gap, failedWait)
		}
		l.Due = now.Add(gap)
	}
	return l, err
}

// gap is the wait before look n, counted from 0, with a tenth of jitter so that stations don't march in step.
func (c *Courier) gap(n int) time.Duration {
	d := c.cfg.Schedule[min(n, len(c.cfg.Schedule)-1)]
	return d + rand.N(d/10+1)
}

// watch keeps the two lists of what a person should know.
func (c *Courier) watch(u record.Unproven, state record.Anchoring) {
	name := fmt.Sprintf("%s/%s version %s", u.Record.Collection, u.Record.ID, u.Record.Version)
	c.overdue.set(u.Seq, name, u.Since, state != record.Anchored && state != record.Mismatch && time.Since(u.Since) > c.cfg.Overdue)
	c.mismatched.set(u.Seq, name, u.Since, state == record.Mismatch)
}

func (c *Courier) report() {
	if n, oldest := c.overdue.oldest(); n > 0 {
		c.conds.Anchoring.Lost(fmt.Errorf("%s accepted but not proven anchored after %s, the oldest is %s, accepted %s: ask Certyo about it",
			n, c.cfg.Overdue, oldest.name, oldest.since.UTC().Format(time.RFC3339)))
	} else {
		c.conds.Anchoring.Back()
	}
	c.reportIntegrity()
}

// reportIntegrity counts what the ledger knows, of earlier runs too, and names what this run has seen.
func (c *Courier) reportIntegrity() {
	seen, oldest := c.mismatched.oldest()
	n := max(seen, count(c.ledger.Mismatches()))
	if n == 0 {
		c.conds.Integrity.Back()
		return
	}
	which := "found before this start, to be looked at again within " + mismatchWait.String()
	if seen > 0 {
		which = fmt.Sprintf("the oldest seen since the start is %s, accepted %s", oldest.name, oldest.since.UTC().Format(time.RFC3339))
	}
	c.conds.Integrity.Lost(fmt.Errorf("%s whose content at Certyo differs from what was sent, %s: "+
		"it is not sent again; compare the evidence with Certyo", n, which))
}
