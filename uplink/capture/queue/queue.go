package queue

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// Way is what positions of this source say.
const Way = "queue"

// Config of a Source. Explain may be nil.
type Config struct {
	DB      *sql.DB // its sessions are in UTC; each Run keeps a connection
	Explain func(error) error
	Table   *capture.Spec
	Queue   Name
	Station string
	Known   func(collection, after string, n int) ([]string, error) // ids of the Shadow
	Stored  func() (record.Position, error)                         // how far the store is
	Every   time.Duration                                           // from look to look while nothing comes; 1 s if 0
	Chunk   int                                                     // entries at a time; 1000 if 0
}

const (
	everyDefault = time.Second
	chunkDefault = 1000
	standBy      = 5 * time.Second
	storedLook   = 20 * time.Millisecond
	cleanEvery   = time.Minute
	keepTaken    = "24 HOUR"
	cleanRows    = 1000
	depthEvery   = 30 * time.Second
	depthMost    = 100_000
)

// Source reads one queue table.
type Source struct {
	cfg Config

	mu      sync.Mutex
	waiting int
	oldest  time.Time
}

// New checks cfg. It doesn't connect.
func New(cfg Config) (*Source, error) {
	if cfg.DB == nil || cfg.Table == nil || cfg.Queue.Table == "" || cfg.Station == "" || cfg.Stored == nil {
		return nil, errors.New("check queue: database, table, queue table, store and station must be given")
	}
	if cfg.Table.Station != "" { // the one that reads would mark what others need
		return nil, fmt.Errorf("check queue of %s: a queue table has one reader: all rows must be this station's", cfg.Table)
	}
	if cfg.Every <= 0 {
		cfg.Every = everyDefault
	}
	if cfg.Chunk <= 0 {
		cfg.Chunk = chunkDefault
	}
	return &Source{cfg: cfg}, nil
}

// Backlog is how many entries wait, at most 100,000, and since when the oldest does (zero for none), as of half a minute ago.
func (s *Source) Backlog() (waiting int, oldest time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting, s.oldest
}

func (s *Source) explain(err error) error {
	if err != nil && s.cfg.Explain != nil {
		err = s.cfg.Explain(err)
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("read queue table %s: %w", s.cfg.Queue, err)
}

// Probe tells whether the queue table is there, fits the table and can be read.
func (s *Source) Probe(ctx context.Context) error {
	conn, err := s.cfg.DB.Conn(ctx)
	if err != nil {
		return s.explain(err)
	}
	defer conn.Close()
	if _, err := s.open(ctx, conn); err != nil {
		return err
	}
	faults, err := Check(ctx, conn, s.cfg.Table, s.cfg.Queue)
	if err != nil {
		return s.explain(err)
	}
	for _, f := range faults {
		if f.Serious {
			return fmt.Errorf("read queue table %s: %s", s.cfg.Queue, f.Text)
		}
	}
	return nil
}

// open reads the layouts.
func (s *Source) open(ctx context.Context, conn *sql.Conn) (*reader, error) {
	read := capture.Snapshot{DB: conn, Table: s.cfg.Table, Station: s.cfg.Station, Explain: s.cfg.Explain}
	table, err := read.Layout(ctx)
	if err != nil {
		return nil, err
	}
	return &reader{Source: s, conn: conn, read: read, table: table, query: entries(table, s.cfg.Queue), rows: s.cfg.Chunk}, nil
}

// Snapshot implements capture.Source. The entries that are there show how the rows came to be as the sweep will find them: they
// count as taken.
func (s *Source) Snapshot(ctx context.Context, want []capture.Want, run string) (p record.Position, _ []capture.State, err error) {
	conn, err := s.cfg.DB.Conn(ctx)
	if err != nil {
		return p, nil, s.explain(err)
	}
	defer conn.Close()
	r, err := s.open(ctx, conn)
	if err != nil {
		return p, nil, err
	}
	p = record.Position{Way: Way}
	err = r.consistent(ctx, func() error {
		if p.At, err = r.now(ctx); err != nil {
			return err
		}
		there, err := r.unmarked(ctx)
		if err != nil {
			return err
		}
		p.Taken = there.String()
		for _, w := range want {
			if w.Table != s.cfg.Table {
				return fmt.Errorf("read queue of %s: this one is of %s", w.Table, s.cfg.Table)
			}
			p.Sweep = capture.Sweeps{w.Table.Collection(): {Run: run, Quiet: w.Quiet, All: w.All, Began: p.At}}.String()
		}
		return nil
	})
	return p, nil, err
}

// Run implements capture.Source. While another agent reads the table it stands by.
func (s *Source) Run(ctx context.Context, from record.Position, keep func(*capture.RowChange) bool, sink func(capture.Tx) error) error {
	if from.Way != Way {
		return capture.OtherWay(from.Way, Way)
	}
	conn, err := s.cfg.DB.Conn(ctx)
	if err != nil {
		return s.explain(err)
	}
	defer conn.Close()
	r, err := s.open(ctx, conn)
	if err != nil {
		return err
	}
	was, err := parseTaken(from.Taken)
	if err != nil {
		return err
	}
	if r.sweeps, err = capture.ParseSweeps(from.Sweep); err != nil {
		return err
	}
	r.keep, r.sink, r.at = keep, sink, from.At
	free, err := r.lock(ctx)
	if err != nil || free == nil {
		return err
	}
	defer free()
	if ours, err := r.ours(ctx, was); err != nil {
		return err
	} else if ours {
		r.taken = was
	}
	for {
		if err := r.look(ctx); err != nil {
			return err
		}
	}
}

// lock waits until this agent is the one that reads. It gives nil if ctx ended before.
func (r *reader) lock(ctx context.Context) (free func(), err error) {
	sum := sha256.Sum256([]byte(r.cfg.Queue.String()))
	name := capture.Own + hex.EncodeToString(sum[:16])
	for {
		var got sql.NullInt64
		if err := r.conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, 0)", name).Scan(&got); err != nil {
			return nil, r.explain(err)
		}
		if got.Int64 == 1 {
			return func() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
				defer cancel()
				_, _ = r.conn.ExecContext(ctx, "DO RELEASE_LOCK(?)", name) // else it ends with the connection
			}, nil
		}
		if err := r.sink(capture.Tx{Idle: true}); err != nil {
			return nil, err
		}
		if err := rest(ctx, standBy); err != nil {
			return nil, err
		}
	}
}

func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d*9/10 + rand.N(d/5+1))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
