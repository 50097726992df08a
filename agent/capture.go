package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/binlog"
	"station-agent/uplink/capture/poll"
	"station-agent/uplink/capture/queue"
	"station-agent/uplink/fleet/message"
)

// The ways by which changes of a table are found.
const (
	byBinlog = "binlog"
	byQueue  = "queue"
	byPoll   = "polling"
	byAuto   = "auto"
	byNone   = "off"
)

// costs is what a way costs the server, for people.
func costs(way string) string {
	return map[string]string{
		byBinlog: "the server sends its whole binary log, as to a replica",
		byQueue:  "a trigger writes each change once more, and one query a second reads them",
		byPoll:   "one query a second",
	}[way]
}

// capturing finds the changes of all tables: it decides by which way, and runs what that takes.
type capturing struct {
	log      *slog.Logger
	db       *sql.DB
	store    *store.DB
	board    *board
	tables   []*tracked
	scope    capture.Scope
	every    time.Duration
	patience time.Duration // with a stream that stands still, before its tables are tried one by one
	here     poll.Here     // the bench's read of the first table's rows
	others   []string      // streams of the store that are in use besides
	binlog   binlog.Config // but for its tables

	armed   chan struct{} // closed once the first table's changes can't be missed any more
	chosen  chan struct{} // somebody chose a way
	decided *condition

	mu    sync.Mutex
	runs  []*running
	until time.Time // nothing is captured before
}

// tracked is a table and how it is to be captured.
type tracked struct {
	*capture.Spec
	way   string // as configured
	queue string
	cond  *condition

	by, why string // as decided; by is "" before. Only the goroutine of Run reads and writes them, and left
	left    bool   // out of the log's stream, as it can't be read
}

// running is a Runner and its tables.
type running struct {
	*capture.Runner
	tables  []*tracked
	source  capture.Source
	by, why []string // of each table, as decided when it began
}

// Run captures until ctx ends. It returns an error only if the store is unusable.
func (c *capturing) Run(ctx context.Context) error {
	for c.rested(ctx) {
		open, err := c.decide(ctx)
		if record.ClassOf(err) == record.StopHere {
			return err
		}
		if err := c.work(ctx, open || err != nil); err != nil {
			return err
		}
	}
	return nil
}

// rest lets capture rest until then; the zero time ends it.
func (c *capturing) rest(until time.Time) {
	c.mu.Lock()
	c.until = until
	c.mu.Unlock()
	c.anew()
}

// anew lets everything be put together anew.
func (c *capturing) anew() {
	select {
	case c.chosen <- struct{}{}:
	default:
	}
}

// rested waits for the end of a rest, if there is one; false if ctx ends.
func (c *capturing) rested(ctx context.Context) bool {
	for ctx.Err() == nil {
		c.mu.Lock()
		left := time.Until(c.until)
		c.mu.Unlock()
		if left <= 0 {
			return true
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-c.chosen:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return false
}

// work runs all that the decisions take, until ctx ends or somebody chooses another way; with open, only until the ways that are
// open are to be tried again. A table that can't be found by its way is left out, and said.
func (c *capturing) work(ctx context.Context, open bool) error {
	runs, err := c.assemble()
	if err != nil {
		if record.ClassOf(err) == record.StopHere {
			return err
		}
		c.decided.Lost(err)
		open = true
	}
	c.mu.Lock()
	c.runs = runs
	c.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	var left []*tracked
	for _, r := range runs {
		g.Go(func() error { return r.Run(ctx) })
		if r.tables[0].by == byBinlog {
			g.Go(func() error {
				return capture.NewPurge(r.Runner, r.tables[0].cond.besides("binary log")).Run(ctx)
			})
		}
		if r.tables[0] == c.tables[0] {
			g.Go(func() error { return c.arm(ctx, r.Armed()) })
		}
		if r.tables[0].by == byBinlog && len(r.tables) > 1 {
			g.Go(func() error {
				if left = c.unfit(ctx, r); left != nil {
					cancel()
				}
				return nil
			})
		}
	}
	g.Go(func() error {
		defer cancel()
		if !open {
			select {
			case <-c.chosen:
			case <-ctx.Done():
			}
			return nil
		}
		return c.watch(ctx)
	})
	err = g.Wait()
	for _, t := range left {
		t.by, t.left = "", true
	}
	return err
}

// watch tries the ways that are open until one more is found, and then lets everything be put together anew.
func (c *capturing) watch(ctx context.Context) error {
	for {
		again := time.NewTimer(decideAgain)
		select {
		case <-c.chosen:
			again.Stop()
			return nil
		case <-ctx.Done():
			again.Stop()
			return nil
		case <-again.C:
		}
		before := c.found()
		if _, err := c.decide(ctx); record.ClassOf(err) == record.StopHere {
			return err
		}
		if c.found() > before {
			return nil
		}
	}
}

// found counts the tables whose way is known.
func (c *capturing) found() (n int) {
	for _, t := range c.tables {
		if t.by != "" {
			n++
		}
	}
	return n
}

// arm passes on that the first table's runner has its place.
func (c *capturing) arm(ctx context.Context, armed <-chan struct{}) error {
	select {
	case <-armed:
	case <-ctx.Done():
		return nil
	}
	select {
	case <-c.armed:
	default:
		close(c.armed)
	}
	return nil
}

// assemble makes the runners: one for all tables that are read from the binary log, and one for each other.
func (c *capturing) assemble() (runs []*running, err error) {
	var fromLog, rest [][]*tracked
	for _, t := range c.tables {
		switch {
		case t.by == "": // not found yet
		case t.by != byBinlog:
			rest = append(rest, []*tracked{t})
		case fromLog == nil:
			fromLog = [][]*tracked{{t}}
		default:
			fromLog[0] = append(fromLog[0], t)
		}
	}
	groups := append(fromLog, rest...)
	sort.SliceStable(groups, func(i, k int) bool { // the first table's is the first
		return slices.Index(c.tables, groups[i][0]) < slices.Index(c.tables, groups[k][0])
	})
	names := slices.Clone(c.others)
	var failed []error
	for _, tables := range groups {
		name := c.streamOf(tables)
		names = append(names, name)
		r, err := c.runner(name, tables)
		if err != nil {
			tables[0].cond.Lost(err)
			failed = append(failed, err)
			continue
		}
		runs = append(runs, r)
	}
	if c.found() == len(c.tables) { // one whose server doesn't answer yet goes on where it was
		failed = append(failed, c.store.Retire(names))
	}
	return runs, errors.Join(failed...)
}

// streamOf names the store's stream for tables that are found together: that of the first table has no name.
func (c *capturing) streamOf(tables []*tracked) string {
	switch {
	case tables[0] == c.tables[0]:
		return ""
	case tables[0].by == byBinlog:
		return byBinlog
	}
	return "table " + tables[0].Collection()
}

func (c *capturing) runner(name string, tables []*tracked) (*running, error) {
	stream, err := c.store.Stream(name)
	if err != nil {
		return nil, err
	}
	source, err := c.source(tables, stream)
	if err != nil {
		return nil, err
	}
	first := tables[0]
	run, err := capture.New(capture.Config{
		Tables: specs(tables), Scope: c.scope, Flapping: first.cond.besides("flapping rows"),
	}, source, stream, first.cond)
	r := &running{Runner: run, tables: tables, source: source}
	for _, t := range tables {
		r.by, r.why = append(r.by, t.by), append(r.why, t.why)
	}
	return r, err
}

func specs(tables []*tracked) []*capture.Spec {
	list := make([]*capture.Spec, len(tables))
	for i, t := range tables {
		list[i] = t.Spec
	}
	return list
}

// prober is a source that can tell whether it can work.
type prober interface {
	capture.Source
	Probe(context.Context) error
}

// source makes the source for tables that are found by one way.
func (c *capturing) source(tables []*tracked, stream *store.Stream) (prober, error) {
	t := tables[0]
	switch t.by {
	case byQueue:
		name, err := queue.ParseName(t.queue)
		if err != nil {
			return nil, err
		}
		return queue.New(queue.Config{
			DB: c.db, Explain: c.binlog.Explain, Table: t.Spec, Queue: name, Station: c.scope.Station, Every: c.every,
			Known: stream.ShadowIDs, Stored: stream.Position,
		})
	case byPoll:
		p := poll.Config{
			DB: c.db, Explain: c.binlog.Explain, Table: t.Spec, Station: c.scope.Station, Shadow: stream, Every: c.every,
			Notice: t.cond.besides("cost of polling"),
		}
		if t == c.tables[0] {
			p.Here = c.here
		}
		return poll.New(p)
	default:
		own := c.binlog
		own.Tables, own.Known = specs(tables), stream.ShadowIDs
		return binlog.New(own)
	}
}

// lag is how far the table that is furthest behind is behind; false if nothing was read yet.
func (c *capturing) lag() (most time.Duration, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.runs {
		if !r.LastEvent().IsZero() {
			most, known = max(most, r.Lag()), true
		}
	}
	return most, known
}

// ways tells how each table is captured.
func (c *capturing) ways() []message.Way {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := []message.Way{}
	for _, r := range c.runs {
		for i, t := range r.tables {
			w := message.Way{Table: t.Spec.String(), Way: r.by[i], Why: r.why[i], Cost: costs(r.by[i])}
			if q, ok := r.source.(*queue.Source); ok {
				n, oldest := q.Backlog()
				w.Waiting = &n
				if !oldest.IsZero() {
					s := round(time.Since(oldest))
					w.OldestS = &s
				}
			}
			if !r.LastEvent().IsZero() {
				s := round(r.Lag())
				w.LagS = &s
			}
			list = append(list, w)
		}
	}
	return list
}

var (
	errNotCaptured = errors.New("nothing is captured: capture.source is off")
	errNoSuchTable = errors.New("no such table is captured")
)

// snapshot has all rows of a table reported once more.
func (c *capturing) snapshot(table string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.runs {
		for _, t := range r.tables {
			if t.Spec.String() != table {
				continue
			}
			if err := r.Snapshot(t.Spec); err != nil {
				return fmt.Errorf("take a snapshot of %s: %w", table, err)
			}
			return nil
		}
	}
	return fmt.Errorf("take a snapshot of %s: %w: see station-agent capture", table, errNoSuchTable)
}

// resync has the rows of a table, and of those that are captured together with it, compared with what was reported of them.
func (c *capturing) resync(table string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.runs {
		for _, t := range r.tables {
			if t.Spec.String() == table {
				r.Compare()
				return nil
			}
		}
	}
	return fmt.Errorf("compare rows of %s: %w: see station-agent capture", table, errNoSuchTable)
}

// choose lets a person say by which way the changes of a table are found from now on; "auto" decides anew. All of its rows
// are compared then.
func (c *capturing) choose(table, way string) error {
	i := slices.IndexFunc(c.tables, func(t *tracked) bool { return t.Spec.String() == table })
	if i < 0 {
		return fmt.Errorf("choose way of %s: %w: see station-agent capture", table, errNoSuchTable)
	}
	t := c.tables[i]
	switch {
	case t.way != byAuto:
		return fmt.Errorf("choose way of %s: the configuration says %s: change it there", table, t.way)
	case way == byQueue && t.queue == "":
		return fmt.Errorf("choose way of %s: the configuration names no queue table for it", table)
	case !slices.Contains([]string{byAuto, byBinlog, byQueue, byPoll}, way):
		return fmt.Errorf("choose way of %s: %q is none of auto, binlog, queue, polling", table, way)
	}
	d := store.Way{}
	if way != byAuto {
		d = store.Way{Name: way, Why: "a person chose it"}
		if err := c.fits(t, way); err != nil {
			return fmt.Errorf("choose way of %s: %w", table, err)
		}
	}
	if err := c.store.Decide(table, d); err != nil {
		return err
	}
	c.anew()
	return nil
}

// compile-time: a stream of the store is all that a source and a runner need.
var (
	_ capture.Store    = (*store.Stream)(nil)
	_ capture.Salvager = (*store.Stream)(nil)
	_ poll.Shadow      = (*store.Stream)(nil)
)
