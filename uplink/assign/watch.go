package assign

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"station-agent/store/record"
)

const most = 50_000 // rows on one station; more isn't a bench but a wrong configuration

// WatcherConfig is what a Watcher needs. Kick may be nil.
type WatcherConfig struct {
	DB        *sql.DB
	Explain   func(error) error // gives errors of DB their text
	Table     string            // "external.buylo_products"
	Station   string            // buylo_active_packing_station_uuid
	Condition Condition
	Every     time.Duration // from the start of a read to the start of the next; default 1 s
	Timeout   time.Duration // of one read; default 10 s

	// Kick asks for a read at once. Whoever kicks sends without blocking into a channel of capacity 1, so that a kick during a
	// read makes another one behind it.
	Kick <-chan struct{}

	// Seen gets all rows on the station, in no order, and the time (with its monotonic part) before which nothing of it was
	// read. It is called from the goroutine of Run, never twice at a time.
	Seen func(rows []record.Row, began time.Time)
}

// Watcher reads the rows on one station again and again.
type Watcher struct {
	cfg     WatcherConfig
	read    statement
	backoff backoff
}

// NewWatcher connects to nothing; its error is that of the table's name or of a missing station.
func NewWatcher(cfg WatcherConfig) (*Watcher, error) {
	table, err := quote(cfg.Table)
	if err != nil {
		return nil, err
	}
	if cfg.Station == "" {
		return nil, errors.New("watch station: no station: name its UUID")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = statementTime
	}
	if cfg.Every <= 0 {
		cfg.Every = time.Second
	}
	text := "SELECT hash, buylo_ean, buylo_name, external_package_id, buylo_active_packing_station_uuid FROM " + table +
		" WHERE buylo_active_packing_station_uuid = ?"
	return &Watcher{
		cfg:     cfg,
		read:    statement{db: cfg.DB, text: text, limit: cfg.Timeout},
		backoff: backoff{max: 5 * time.Second},
	}, nil
}

// Run reads until ctx ends, which gives nil.
func (w *Watcher) Run(ctx context.Context) error {
	defer w.read.close()
	for ctx.Err() == nil {
		began := time.Now()
		rows, err := w.rows(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			w.cfg.Condition.Lost(fmt.Errorf("read the rows on this station: %w", w.cfg.Explain(err)))
			w.rest(ctx, w.backoff.next())
			continue
		}
		w.backoff.reset()
		w.cfg.Condition.Back()
		w.cfg.Seen(rows, began)
		w.rest(ctx, time.Until(began.Add(w.cfg.Every)))
	}
	return nil
}

// rest waits for d, or for a kick.
func (w *Watcher) rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-w.cfg.Kick:
	}
}

func (w *Watcher) rows(ctx context.Context) (rows []record.Row, err error) {
	err = w.read.use(ctx, func(ctx context.Context, stmt *sql.Stmt) error {
		found, err := stmt.QueryContext(ctx, w.cfg.Station)
		if err != nil {
			return err
		}
		defer found.Close()
		for n := 0; found.Next(); n++ {
			if n == most {
				return fmt.Errorf("more than %d rows: is %q one packing station?", most, w.cfg.Station)
			}
			var r record.Row
			var ean, name sql.NullString
			var station string
			if err := found.Scan(&r.Hash, &ean, &name, &r.Package, &station); err != nil {
				return err
			}
			if station == w.cfg.Station { // the collation may have let others through
				r.EAN, r.Name = ean.String, name.String
				rows = append(rows, r)
			}
		}
		return found.Err()
	})
	return rows, err
}
