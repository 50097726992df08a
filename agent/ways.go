package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"station-agent/store"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/binlog"
)

const decideAgain = 5 * time.Second

// decide settles by which way each table is captured. What was decided before stays, unless the configuration says otherwise: it is
// a person's word. Open says that there are tables whose way is not found yet: one that isn't there, or a server that doesn't answer.
func (c *capturing) decide(ctx context.Context) (open bool, err error) {
	var errs []error
	for i, t := range c.tables {
		kept := c.store.Way(t.Spec.String())
		by, why := t.way, "the configuration says so"
		switch {
		case t.way == byAuto && kept.Name != "":
			by, why = kept.Name, kept.Why
		case t.way == byAuto && t.by != "" && kept.Name == "": // a person wants it tried anew
			t.by = ""
		}
		if err := c.fits(t, by); by != byAuto && err != nil {
			t.cond.Lost(err)
			t.by, open = "", true
			continue
		}
		if t.by == by && t.by != "" {
			continue
		}
		// What was found before is not tried again: a server that is away at the start must not cost the table its place. And Buylo's
		// table is there, or its trouble is said by its own runner.
		if by == byAuto || i > 0 && (kept.Name != by || t.left) {
			if by, why, err = c.probe(ctx, t, by, why); err != nil {
				t.cond.Lost(fmt.Errorf("find changes of %s: %w", t.Spec, err))
				open = true
				continue
			}
			t.cond.Back()
		}
		t.by, t.why, t.left = by, why, false
		errs = append(errs, c.keep(t, kept))
	}
	if err = errors.Join(errs...); err == nil {
		c.decided.Back()
	} else {
		c.decided.Lost(err)
	}
	return open, err
}

// keep makes a decision durable and says it once.
func (c *capturing) keep(t *tracked, kept store.Way) error {
	d := store.Way{Name: t.by, Why: t.why}
	if d == kept {
		return nil
	}
	c.log.Info("changes are found this way from now on", "table", t.Spec.String(), "way", t.by, "why", t.why, "cost", costs(t.by))
	if err := c.store.Decide(t.Spec.String(), d); err != nil {
		return fmt.Errorf("keep the way of %s: %w", t.Spec, err)
	}
	return nil
}

// fits tells whether the configuration lets a table be found by a way.
func (c *capturing) fits(t *tracked, way string) error {
	if way == byAuto {
		return nil
	}
	_, err := c.try(t, way)
	return err
}

// try makes the source of a way for one table.
func (c *capturing) try(t *tracked, way string) (prober, error) {
	one := *t
	one.by = way
	return c.source([]*tracked{&one}, c.store.Main())
}

// probe tries a way, or for auto each in turn. That a way doesn't work counts only if a later one does: else it may be the network.
func (c *capturing) probe(ctx context.Context, t *tracked, way, why string) (by, because string, err error) {
	ways := []string{way}
	if way == byAuto {
		if ways = []string{byBinlog, byPoll}; t.queue != "" {
			ways = []string{byBinlog, byQueue, byPoll}
		}
		why = "it was the first that works"
	}
	var failed error
	for _, w := range ways {
		err := c.probeOne(ctx, t, w)
		if err != nil && w == byBinlog && len(ways) > 1 && wait(ctx, decideAgain/2) {
			err = c.probeOne(ctx, t, w)
		}
		if err == nil {
			if failed != nil {
				why = oneLine(failed.Error())
			}
			return w, why, nil
		}
		if err = fmt.Errorf("%s: %w", w, err); failed != nil {
			err = fmt.Errorf("%w; %w", failed, err) // stands on one line
		}
		failed = err
	}
	return "", "", failed
}

func (c *capturing) probeOne(ctx context.Context, t *tracked, way string) error {
	source, err := c.try(t, way)
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

// unfit waits until the log's stream stands still and some of its tables can't be read though others can, as one that was dropped:
// they are left out of it until they can be read again, so that the others are captured. Buylo's is never left out.
func (c *capturing) unfit(ctx context.Context, r *running) []*tracked {
	for wait(ctx, decideAgain) {
		if r.Stalled() < c.patience {
			continue
		}
		var left []*tracked
		why, readable := make(map[*tracked]error), false
		for _, t := range r.tables {
			if why[t] = c.readable(ctx, t); why[t] == nil {
				readable = true
			} else if t != c.tables[0] {
				left = append(left, t)
			}
		}
		if !readable || len(left) == 0 || ctx.Err() != nil {
			continue // it isn't the tables: the server is away, or the store is full
		}
		for _, t := range left {
			t.cond.Lost(fmt.Errorf("find changes of %s: %w; the other tables are captured without it", t.Spec, why[t]))
		}
		return left
	}
	return nil
}

// readable asks the server for a table alone, and for no log: the stream that stands still keeps its connection.
func (c *capturing) readable(ctx context.Context, t *tracked) error {
	ctx, cancel := context.WithTimeout(ctx, c.patience.Abs()+decideAgain)
	defer cancel()
	own := c.binlog
	own.Tables = []*capture.Spec{t.Spec}
	source, err := binlog.New(own)
	if err != nil {
		return err
	}
	return source.Readable(ctx)
}
