package assign

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"station-agent/store/record"
)

const (
	most    = 50_000           // rows on one station; more isn't a bench but a wrong configuration
	asks    = 8                // hashes looked at in one read
	mapRest = 30 * time.Second // until a map that can't be read is tried again
)

// WatcherConfig is what a Watcher needs. Kick, Asked and, without a map, MapCondition may be nil.
type WatcherConfig struct {
	DB        *sql.DB
	Explain   func(error) error // gives errors of DB their text and, if known, NotDone() bool
	Table     string            // "external.buylo_products"
	Station   string            // buylo_active_packing_station_uuid
	Condition Condition
	Every     time.Duration // from the start of a read to the start of the next, if it takes less than half of that; default 1 s
	Timeout   time.Duration // of one read; default 10 s

	// MapTable names the tags of the items by its columns epc and hash (see WorkspaceDDL): "" for none, or
	// "external_workspace.station_agent_epc". MapCondition is told whether it can be read; the rows are read either way.
	MapTable     string
	MapCondition Condition

	// Also reads along with the rows on the station; nil for nobody.
	Also Also

	// Kick asks for a read at once. Whoever kicks sends without blocking into a channel of capacity 1, so that a kick during a
	// read makes another one behind it.
	Kick <-chan struct{}

	// Asked gives the hashes that somebody wants to know of though they may not be on the station. It is called at the
	// beginning of each read, which looks at the first eight of those that aren't here.
	Asked func() []string

	// Seen gets each read, its rows in no order. It is called from the goroutine of Run, never twice at a time. What it
	// gets may be kept, but not changed.
	Seen func(record.Reading)
}

// Also has more read of the rows on the station, in the same statement. Its methods are called from the goroutine of Run.
type Also interface {
	// Columns are expressions over the table, which is called p, joined by commas; how many; none for nothing. It is asked before
	// each read.
	Columns() (expressions string, n int)
	// Line is one line of the read; a row with several tags has several. The cells are its only until it returns.
	Line(cells []sql.RawBytes) error
	// Ended says that the lines were all, or why they were not.
	Ended(err error)
}

// Watcher reads the rows on one station again and again: one statement each time, and one for each hash that was asked for.
type Watcher struct {
	cfg     WatcherConfig
	plain   *view
	mapped  *view // nil without a map
	tags    tags
	backoff backoff
}

// NewWatcher connects to nothing; its error is that of a table's name or of a missing station.
func NewWatcher(cfg WatcherConfig) (*Watcher, error) {
	if cfg.Station == "" {
		return nil, errors.New("watch station: no station: name its UUID")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = statementTime
	}
	if cfg.Every <= 0 {
		cfg.Every = time.Second
	}
	if cfg.Asked == nil {
		cfg.Asked = func() []string { return nil }
	}
	table, err := quote(cfg.Table)
	if err != nil {
		return nil, err
	}
	w := &Watcher{cfg: cfg, backoff: backoff{max: 5 * time.Second}, tags: tags{known: map[string][]string{}}}
	w.plain = newView(cfg, columns+"NULL FROM "+table+" p", cfg.Timeout)
	if cfg.MapTable == "" {
		return w, nil
	}
	m, err := quote(cfg.MapTable)
	if err != nil {
		return nil, err
	}
	// A slow map must not make the rows old.
	w.mapped = newView(cfg, columns+"m.epc FROM "+table+" p LEFT JOIN "+m+" m ON "+sameHash, cfg.Timeout/4)
	return w, nil
}

// Run reads until ctx ends, which gives nil.
func (w *Watcher) Run(ctx context.Context) error {
	defer w.plain.close()
	if w.mapped != nil {
		defer w.mapped.close()
	}
	for ctx.Err() == nil {
		began := time.Now()
		r, err := w.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			w.cfg.Condition.Lost(fmt.Errorf("read the rows on this station: %w", w.cfg.Explain(err)))
			w.rest(ctx, w.backoff.next())
			continue
		}
		took := time.Since(began)
		w.backoff.reset()
		w.cfg.Seen(r)
		w.cfg.Condition.Back()                                     // once the bench knows: who hears of it may scan at once
		w.rest(ctx, max(time.Until(began.Add(w.cfg.Every)), took)) // a slow server is left alone as long as it took
	}
	return nil
}

// rest waits for d, or for a kick.
func (w *Watcher) rest(ctx context.Context, d time.Duration) { rest(ctx, d, w.cfg.Kick) }

// look reads with the map if it can be read, else without.
func (w *Watcher) look(ctx context.Context) (record.Reading, error) {
	asked := w.cfg.Asked()
	var lost error
	if w.mapped != nil && w.tags.due(time.Now()) {
		r, err := w.read(ctx, w.mapped, asked)
		if err == nil {
			w.tags.learn(r)
			w.cfg.MapCondition.Back()
			return r, nil
		}
		lost = w.cfg.Explain(err)
	}
	r, err := w.read(ctx, w.plain, asked)
	if err != nil {
		return r, err // which is more than the map
	}
	if lost != nil && w.tags.lose(lost, time.Now()) && ctx.Err() == nil {
		w.cfg.MapCondition.Lost(fmt.Errorf("read the tags in %s: %w; items go by the tags that are known until it can be read: "+
			"\"station-agent workspace ddl\" prints the table that it should be", w.cfg.MapTable, lost))
	}
	w.tags.fill(&r)
	return r, nil
}

// read gives the rows on the station, and then what there is of the hashes asked for.
func (w *Watcher) read(ctx context.Context, v *view, asked []string) (r record.Reading, err error) {
	ctx, cancel := context.WithTimeout(ctx, v.limit)
	defer cancel()
	r.Began = time.Now()
	if r.Here, err = v.here(ctx, w.cfg.Also); err != nil {
		return r, err
	}
	for _, hash := range missing(asked, r.Here) {
		row, there, err := v.one(ctx, hash)
		if err != nil && record.ClassOf(w.cfg.Explain(err)) != record.ThisOne {
			return r, err
		}
		switch {
		case !there: // or it is none that the column could hold: a missing right would have shown before
			r.None = append(r.None, hash)
		case row.Away:
			r.Away = append(r.Away, row)
		default: // it came meanwhile
			r.Here = append(r.Here, row)
		}
	}
	return r, nil
}

// missing gives the hashes to look for, none twice.
func missing(asked []string, here []record.Row) (list []string) {
	for _, hash := range asked {
		if len(list) == asks {
			break
		}
		if !slices.Contains(list, hash) && !slices.ContainsFunc(here, func(r record.Row) bool { return r.Hash == hash }) {
			list = append(list, hash)
		}
	}
	return list
}
