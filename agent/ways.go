package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"station-agent/store"
	"station-agent/store/record"
)

const (
	decideAgain = 5 * time.Second
)

// decide settles by which way each table is captured. What was decided before stays, unless the configuration says
// otherwise: it is a person's word. It returns an error only if the store is unusable.
func (c *capturing) decide(ctx context.Context) error {
	for _, t := range c.tables {
		kept := c.store.Way(t.Spec.String())
		switch {
		case t.way != byAuto:
			t.by, t.why = t.way, "the configuration says so"
		case kept.Name != "":
			t.by, t.why = kept.Name, kept.Why
			continue
		default:
			if err := c.probe(ctx, t); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return nil
			}
		}
		if err := c.keep(ctx, t, kept); err != nil {
			return err
		}
	}
	c.decided.Back()
	return nil
}

// keep makes a decision durable and says it once.
func (c *capturing) keep(ctx context.Context, t *tracked, kept store.Way) error {
	d := store.Way{Name: t.by, Why: t.why}
	if d == kept {
		return nil
	}
	c.log.Info("changes are found this way from now on", "table", t.Spec.String(), "way", t.by, "why", t.why, "cost", costs(t.by))
	for {
		err := c.store.Decide(t.Spec.String(), d)
		if err == nil || record.ClassOf(err) == record.StopHere {
			return err
		}
		c.decided.Lost(fmt.Errorf("keep the way of %s: %w", t.Spec, err))
		if !wait(ctx, decideAgain) {
			return nil
		}
	}
}

// probe tries the ways of a table in turn until one works, again and again until the server answers.
func (c *capturing) probe(ctx context.Context, t *tracked) error {
	for ctx.Err() == nil {
		err := c.tryAll(ctx, t)
		if err == nil {
			return nil
		}
		c.decided.Lost(fmt.Errorf("choose how changes of %s are found: %w", t.Spec, err))
		wait(ctx, decideAgain)
	}
	return nil
}

// tryAll tries each way. That a way doesn't work counts only if a later one does: else it may be the network.
func (c *capturing) tryAll(ctx context.Context, t *tracked) error {
	ways := []string{byBinlog, byPoll}
	if t.queue != "" {
		ways = []string{byBinlog, byQueue, byPoll}
	}
	var failed []error
	for _, way := range ways {
		err := c.try(ctx, t, way)
		if err != nil && way == byBinlog && wait(ctx, decideAgain/2) {
			err = c.try(ctx, t, way)
		}
		if err == nil {
			t.by, t.why = way, "it was the first that works"
			if len(failed) > 0 {
				t.why = oneLine(errors.Join(failed...).Error())
			}
			return nil
		}
		failed = append(failed, fmt.Errorf("%s: %w", way, err))
	}
	return errors.Join(failed...)
}

func (c *capturing) try(ctx context.Context, t *tracked, way string) error {
	one := *t
	one.by = way
	stream, err := c.store.Stream("")
	if err != nil {
		return err
	}
	source, err := c.source([]*tracked{&one}, stream)
	if err != nil {
		return err
	}
	return source.Probe(ctx)
}

// wait waits for d; false if ctx ended before.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
