package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"station-agent/store/record"
)

var errEnded = errors.New("the stream of changes ended by itself")

// stream moves transactions from the source into the store until one of them fails or ctx ends. What came whole is
// stored even then.
func (r *Runner) stream(ctx context.Context, from record.Position) error {
	keep, err := r.interest(ctx, from)
	if err != nil {
		return err
	}
	r.recent = newRecent()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	txs, used := newQueue(), &recycled{}
	m := mapper{tables: r.cfg.Tables, used: used}
	take := func(c *RowChange) bool {
		if !keep(c) {
			return false
		}
		m.take(c)
		return true
	}
	ended := make(chan error, 1)
	go func() {
		defer close(txs.list)
		ended <- r.source.Run(ctx, from, take, func(tx Tx) error { return txs.put(ctx, m.tx(tx)) })
	}()
	err = r.collect(ctx, txs, used, from)
	cancel()
	for range txs.list { // let the source end
	}
	return cmp.Or(err, <-ended, errEnded)
}

// interest makes the function that keeps the rows which may be ours, so that what other stations do costs neither memory
// nor a look into the store: the row stands here, stood here, or is in the Shadow. It knows more rows rather than fewer;
// the Scope decides. Rows that left too long ago are forgotten here.
func (r *Runner) interest(ctx context.Context, from record.Position) (func(*RowChange) bool, error) {
	var old []record.ShadowRow
	stations := make(map[*Spec]map[string]struct{}) // the ids known of each table with stations
	for _, spec := range r.cfg.Tables {
		if spec.Station == "" {
			continue
		}
		known := make(map[string]struct{})
		stations[spec] = known
		err := r.store.ShadowAll(spec.Collection(), func(row record.ShadowRow) error {
			if r.cfg.Scope.expired(&row, from.At) {
				row.Gone = true
				old = append(old, row)
			} else {
				known[row.ID] = struct{}{}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read shadow: %w", err)
		}
	}
	if old != nil {
		forget := record.Group{Position: from, Shadow: old}
		if err := r.hold(ctx, "forget rows", func() error { return r.store.Put(forget) }); err != nil {
			return nil, err
		}
	}
	station := r.cfg.Scope.Station
	return func(c *RowChange) bool {
		t := c.Table
		known := stations[t.Spec]
		if known == nil {
			return slices.Contains(r.cfg.Tables, t.Spec)
		}
		if !t.standsAt(c.After, station) && !t.standsAt(c.Before, station) && !holds(known, t, c.Before) && !holds(known, t, c.After) {
			return false
		}
		if c.After != nil && !holds(known, t, c.After) {
			known[t.ID(c.After)] = struct{}{}
		}
		return true
	}, nil
}

func holds(known map[string]struct{}, t *Table, row []any) bool {
	if row == nil {
		return false
	}
	_, ok := known[t.shortID(row)]
	return ok
}

// collect groups transactions and stores the groups: at once when one is full, else as the rule of latency says. While
// the store refuses a group, nothing is read: the source waits with its connection open, for as long as the server lets it.
func (r *Runner) collect(ctx context.Context, txs *queue, used *recycled, from record.Position) error {
	began := time.Now()
	stored := began
	g := &group{position: from}
	timer := time.NewTimer(moveEvery)
	defer timer.Stop()
	for {
		due := false
		if len(r.asked)+len(r.doubt) > 0 && g.empty() {
			return errRenew
		}
		select {
		case tx, ok := <-txs.list:
			if !ok {
				return r.put(ctx, g)
			}
			txs.took(&tx)
			idle := g.empty()
			r.hear(&tx.Tx, idle && time.Since(began) > healthy)
			had := len(g.changes)
			if err := g.add(&tx); err != nil {
				return cmp.Or(r.put(ctx, g), err)
			}
			if idle && g.moved || had == 0 && len(g.changes) > 0 {
				timer.Reset(g.wait(time.Since(stored)))
			}
			due = g.full() || len(txs.list) == 0 && g.ripe(time.Since(stored))
		case <-timer.C:
			due = true
		}
		if !due || g.empty() {
			continue
		}
		if err := r.put(ctx, g); err != nil {
			return err
		}
		stored = time.Now()
		if why, err := r.missed(); err != nil || why != "" || stored.Sub(began) > streamAge {
			return cmp.Or(err, errRenew)
		}
		used.give(g.changes)
		clear(g.changes)
		*g = group{position: g.position, changes: g.changes[:0]}
	}
}

// hear notes a sign of life. With calm, nothing waits to be stored and the stream has lasted: if nothing lies behind
// either, capture goes on. (A server may call itself idle before it gives the first transaction.)
func (r *Runner) hear(tx *Tx, calm bool) {
	r.back()
	now := time.Now()
	if r.flaps.calm(now) {
		r.cfg.Flapping.Back()
	}
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
	if tx.Idle && calm {
		r.went = now
	}
}

// put stores a group if there is something in it.
func (r *Runner) put(ctx context.Context, g *group) error {
	if g.empty() {
		return nil
	}
	return r.hold(ctx, "store changes", func() error { return r.enter(g) })
}

// hold does put until the store takes what it gives, so that a full card costs the server no second reading. It gives up
// when ctx ends or the store is unusable.
func (r *Runner) hold(ctx context.Context, what string, put func() error) error {
	for pause := pauseLeast; ; pause = min(2*pause, holdMost) {
		err := put()
		if err == nil {
			r.goesOn()
			r.back()
			return nil
		}
		err = fmt.Errorf("%s: %w", what, err)
		if record.ClassOf(err) != record.Again || ctx.Err() != nil {
			return err
		}
		r.refused = time.Now()
		r.cond.Lost(err)
		rest(ctx, pause)
	}
}

func (r *Runner) goesOn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.went = time.Now()
}

// back gives the all-clear, unless the store refused something a moment ago: a full one takes a group now and then, when
// records have gone out.
func (r *Runner) back() {
	if time.Since(r.refused) >= steady {
		r.cond.Back()
	}
}

// look gives the alarm for rows that flap.
func (r *Runner) look(e *entry) {
	if r.cfg.Flapping == nil {
		return
	}
	for _, l := range e.books {
		for _, id := range l.moved {
			if err := r.flaps.moved(l.spec, id, time.Now()); err != nil {
				r.cfg.Flapping.Lost(err)
			}
		}
	}
}

// enter stores the records of a group's changes, the Shadow after them and the position behind them.
func (r *Runner) enter(g *group) error {
	e := &entry{scope: &r.cfg.Scope, records: r.room.records[:0]}
	for _, c := range g.changes {
		l := e.book(c.table)
		if l.shadow == nil {
			var err error
			if l.shadow, err = r.before(g, l.spec); err != nil {
				return fmt.Errorf("read shadow: %w", err)
			}
		}
		l.apply(c)
	}
	r.look(e)
	if !g.position.Zero() {
		g.position.Tables = names(r.cfg.Tables)
	}
	rows := e.rows(r.room.rows[:0])
	r.room = room{e.records, rows}
	defer r.room.clear()
	if err := r.store.Put(record.Group{Position: g.position, Records: e.records, Shadow: rows}); err != nil {
		return err
	}
	r.recent.note(rows)
	return nil
}

// before gives the Shadow of a table's rows that the group concerns, as the last group left it.
func (r *Runner) before(g *group, table *Spec) (map[string]record.ShadowRow, error) {
	collection, ids := table.Collection(), g.ids(table)
	if g.found(table) {
		return r.store.Shadow(collection, once(ids)) // with the payloads, which a row that was found is compared with
	}
	rows, ask := r.recent.known(collection, ids)
	if len(ask) == 0 {
		return rows, nil
	}
	more, err := r.store.Shadow(collection, once(ask))
	maps.Copy(rows, more)
	return rows, err
}

// once sorts ids and leaves each but once.
func once(ids []string) []string {
	slices.Sort(ids)
	return slices.Compact(ids)
}
