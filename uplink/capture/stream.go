package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"station-agent/store/record"
)

var errEnded = errors.New("the stream of changes ended by itself")

// stream moves transactions from the source into the store until one of them fails or ctx ends. What came whole is
// stored even then.
func (r *Runner) stream(ctx context.Context, from record.Position) error {
	keep, err := r.interest(from)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	txs := make(chan Tx, 64)
	ended := make(chan error, 1)
	go func() {
		defer close(txs)
		ended <- r.source.Run(ctx, from, keep, func(tx Tx) error {
			select {
			case txs <- tx:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	err = r.collect(txs, from)
	cancel()
	for range txs { // let the source end
	}
	return cmp.Or(err, <-ended, errEnded)
}

// interest makes the function that keeps the rows which may be ours, so that what other stations do costs neither memory
// nor a look into the store: the row stands here, stood here, or is in the Shadow. It knows more rows rather than fewer;
// the Scope decides. Rows that left too long ago are forgotten here.
func (r *Runner) interest(from record.Position) (func(*RowChange) bool, error) {
	known := make(map[string]struct{})
	var old []record.ShadowRow
	err := r.store.ShadowAll(r.cfg.Table.Collection(), func(row record.ShadowRow) error {
		if r.cfg.Scope.expired(&row, from.At) {
			row.Gone = true
			old = append(old, row)
		} else {
			known[row.ID] = struct{}{}
		}
		return nil
	})
	if err == nil && old != nil {
		err = r.store.Put(record.Group{Position: from, Shadow: old})
	}
	if err != nil {
		return nil, fmt.Errorf("read shadow: %w", err)
	}
	station := r.cfg.Scope.Station
	return func(c *RowChange) bool {
		t := c.Table
		if t.Spec != r.cfg.Table {
			return false
		}
		if !t.standsAt(c.After, station) && !t.standsAt(c.Before, station) && !holds(known, t, c.Before) && !holds(known, t, c.After) {
			return false
		}
		if c.After != nil && !holds(known, t, c.After) {
			known[strings.Clone(plain(c.After, t.key))] = struct{}{}
		}
		return true
	}, nil
}

func holds(known map[string]struct{}, t *Table, row []any) bool {
	if row == nil {
		return false
	}
	_, ok := known[plain(row, t.key)]
	return ok
}

// collect groups transactions and stores the groups: at once when one is full, or when nothing more is at hand and the
// last commit was a while ago; else when the first change has waited long enough.
func (r *Runner) collect(txs <-chan Tx, from record.Position) error {
	began := time.Now()
	stored := began
	g := &group{position: from}
	timer := time.NewTimer(moveEvery)
	defer timer.Stop()
	for {
		due := false
		select {
		case tx, ok := <-txs:
			if !ok {
				return r.put(g)
			}
			idle := g.empty()
			r.hear(&tx, idle && time.Since(began) > healthy)
			had := len(g.changes)
			if err := g.add(&tx, r.cfg.Table); err != nil {
				return cmp.Or(r.put(g), err)
			}
			if idle && g.moved || had == 0 && len(g.changes) > 0 {
				timer.Reset(g.wait(time.Since(stored)))
			}
			due = g.full() || len(txs) == 0 && len(g.changes) > 0 && time.Since(stored) >= groupDelay
		case <-timer.C:
			due = true
		}
		if !due || g.empty() {
			continue
		}
		if err := r.put(g); err != nil {
			return err
		}
		stored = time.Now()
		if stored.Sub(began) > streamAge {
			return errRenew
		}
		*g = group{position: g.position, changes: g.changes[:0], scratch: g.scratch}
	}
}

// hear notes a sign of life. While the store refuses what was read it is none: not before a group is stored, or the stream
// has been calm, with nothing that waits to be stored and nothing behind. (A server may call itself idle before it gives
// the first transaction: calm is for a stream that has lasted.)
func (r *Runner) hear(tx *Tx, calm bool) {
	if calm && tx.Idle {
		r.refused = false
	}
	if !r.refused {
		r.cond.Back()
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = now
	if tx.ID != "" {
		r.last = tx.At
		r.delay = max(now.Sub(tx.At), 0)
	}
	if tx.Idle {
		r.delay = 0
	}
}

// put stores a group if there is something in it, and tells whether the store takes groups.
func (r *Runner) put(g *group) error {
	if g.empty() {
		return nil
	}
	err := r.enter(g)
	if r.refused = err != nil; !r.refused {
		r.cond.Back()
	}
	return err
}

// enter stores the records of a group's changes, the Shadow after them and the position behind them.
func (r *Runner) enter(g *group) error {
	l := r.ledger()
	if len(g.changes) > 0 {
		var err error
		if l.shadow, err = r.store.Shadow(l.spec.Collection(), g.ids()); err != nil {
			return fmt.Errorf("read shadow: %w", err)
		}
	}
	for i := range g.changes {
		l.apply(&g.changes[i])
	}
	if err := r.store.Put(record.Group{Position: g.position, Records: l.records, Shadow: l.rows()}); err != nil {
		return fmt.Errorf("store changes: %w", err)
	}
	return nil
}
