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
	dueAtOnce   = 100            // records looked at between two writes to the ledger
	alarmedWait = time.Hour      // until a mismatch or a missing record is looked at again
	retireAfter = 24 * time.Hour // a record that was superseded so long ago is not asked for any more
	askAgain    = time.Minute    // the clock may be set meanwhile, so ledger and hours are asked again
	failedWait  = time.Minute    // at most, until a record that got no answer is looked at again: an outage tells nothing of it
)

// verify is the loop that looks at accepted records until they are anchored.
func (c *Courier) verify(ctx context.Context) error {
	var wait backoff
	c.reportTally() // what earlier runs found
	for {
		if again := c.limiter.looks.shut(time.Now()); !again.IsZero() && ctx.Err() == nil {
			pause(ctx, time.Until(again))
			continue
		}
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
			if isLimited(err) {
				c.limiter.refusedLook()
			}
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
	for _, group := range c.groups(due) {
		more, err := c.lookAtGroup(ctx, group)
		looks = append(looks, more...)
		if ctx.Err() != nil {
			break
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

// lookAtEach verifies records one by one, up to the first error.
func (c *Courier) lookAtEach(ctx context.Context, due []record.Unproven) (looks []record.Look, err error) {
	for i := range due {
		u := &due[i]
		if now := time.Now(); c.limiter.looks.opens(now).After(now) {
			return looks, nil // the rest is due still
		}
		c.limiter.looks.wait(ctx)
		c.limiter.looks.spend([]record.Record{u.Record})
		state, answer, err := c.certyo.Verify(ctx, *u)
		if ctx.Err() != nil {
			return looks, nil
		}
		if isHeld(err) {
			return looks, err
		}
		l, failed := c.lookOf(u, state, answer, err)
		if failed != nil {
			return looks, failed
		}
		looks = append(looks, l) // with an error too: it comes behind the others now, so that one that always fails stops nobody
		if err != nil {
			return looks, err
		}
		c.limiter.grantedLook()
	}
	return looks, nil
}

// lookOf makes a Look of what came of one verification.
func (c *Courier) lookOf(u *record.Unproven, said record.Anchoring, answer json.RawMessage, err error) (record.Look, error) {
	state, failed := said, error(nil)
	switch {
	case record.ClassOf(err) == record.ThisOne:
		state = record.Unclear
		answer, _ = json.Marshal(map[string]string{"error": err.Error()}) // strings can't fail
	case err != nil: // it tells nothing of the record
		state, answer = u.State, nil
	default:
		state, failed = c.judge(u, said)
	}
	if state == "" {
		state = record.Pending
	}
	c.watch(u, state)
	l := record.Look{Seq: u.Seq, State: state, Answer: answer}
	if !state.Ends() {
		l.Due = time.Now().Add(c.wait(u, state, err))
	}
	return l, failed
}

// judge tells how a record stands after an answer.
func (c *Courier) judge(u *record.Unproven, said record.Anchoring) (record.Anchoring, error) {
	age := time.Since(u.Since)
	switch {
	case u.State == record.Mismatch && (said == record.Mismatch || said == record.Pending):
		return record.Mismatch, nil // what was sent since excuses nothing
	case said == record.Mismatch, said == record.Overtaken:
		later, err := c.ledger.Later(*u)
		switch {
		case err != nil:
			return said, fmt.Errorf("look for a later change of %s: %w", nameOf(u), err)
		case later && age > retireAfter:
			return record.Retired, nil
		case later:
			return record.Overtaken, nil
		case said == record.Overtaken:
			return record.Unclear, nil
		}
	case said == record.Missing && !isOverdue(u, c.cfg.Overdue):
		return record.Pending, nil
	}
	return said, nil
}

// wait is the time until the next look.
func (c *Courier) wait(u *record.Unproven, state record.Anchoring, err error) time.Duration {
	gap := c.gap(u.Looks + 1)
	switch {
	case err != nil && record.ClassOf(err) == record.Again:
		return min(gap, failedWait)
	case state == record.Mismatch, state == record.Missing:
		return alarmedWait
	case state == record.Overtaken:
		return max(gap, time.Since(u.Since)) // twice as old by then
	}
	return gap
}

// gap is the wait before look n, counted from 0, with a tenth of jitter so that stations don't march in step.
func (c *Courier) gap(n int) time.Duration {
	d := c.cfg.Schedule[min(n, len(c.cfg.Schedule)-1)]
	return d + rand.N(d/10+1)
}

func isOverdue(u *record.Unproven, after time.Duration) bool { return time.Since(u.Since) > after }

func nameOf(u *record.Unproven) string {
	return fmt.Sprintf("%s/%s version %s", u.Record.Collection, u.Record.ID, u.Record.Version)
}

// watch keeps the lists of what a person should know.
func (c *Courier) watch(u *record.Unproven, state record.Anchoring) {
	name := nameOf(u)
	unproven := state == record.Pending || state == record.Unclear
	c.overdue.set(u.Seq, name, u.Since, unproven && isOverdue(u, c.cfg.Overdue))
	c.mismatched.set(u.Seq, name, u.Since, state == record.Mismatch)
	c.missing.set(u.Seq, name, u.Since, state == record.Missing)
}

func (c *Courier) report() {
	if n, oldest := c.overdue.oldest(c.ledger); n > 0 {
		c.conds.Anchoring.Lost(fmt.Errorf("%s accepted but not proven anchored after %s, the oldest is %s, accepted %s: ask Certyo about it",
			n, c.cfg.Overdue, oldest.name, oldest.since.UTC().Format(time.RFC3339)))
	} else {
		c.conds.Anchoring.Back()
	}
	c.reportTally()
}

// reportTally counts what the ledger knows, of earlier runs too, and names what this run has seen.
func (c *Courier) reportTally() {
	t := c.ledger.Tally()
	c.reportAlarm(c.conds.Integrity, c.mismatched, t.Mismatch, "%s whose content at Certyo differs from what was sent, %s: "+
		"it is not sent again; compare the evidence with Certyo")
	c.reportAlarm(c.conds.Presence, c.missing, t.Missing, "%s that Certyo accepted and doesn't know any more, %s: "+
		"it is not sent again; ask Certyo, naming record and time")
}

func (c *Courier) reportAlarm(cond Condition, seen standing, known int, text string) {
	here, oldest := seen.oldest(c.ledger)
	n := max(here, count(known))
	if n == 0 {
		cond.Back()
		return
	}
	which := "found before this start, to be looked at again within " + alarmedWait.String()
	if here > 0 {
		which = fmt.Sprintf("the oldest seen since the start is %s, accepted %s", oldest.name, oldest.since.UTC().Format(time.RFC3339))
	}
	cond.Lost(fmt.Errorf(text, n, which))
}
