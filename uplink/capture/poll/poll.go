package poll

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// Way is what positions of this source say.
const Way = "polling"

// Shadow is what capture knows of the rows.
type Shadow interface {
	Shadow(collection string, ids []string) (map[string]record.ShadowRow, error)
	ShadowAll(collection string, f func(record.ShadowRow) error) error
	ShadowIDs(collection, after string, n int) ([]string, error)
}

// Here reads the rows on the station, and what time it is at the server, along with somebody else's read of them; table is the
// layout that they are wanted in. It waits for the next read.
type Here func(ctx context.Context, table *capture.Table) (now time.Time, found []capture.State, err error)

// Config of a Source. Explain, Notice and Here may be nil.
type Config struct {
	DB      *sql.DB           // its sessions are in UTC
	Explain func(error) error // gives errors of DB their text and, if known, OverTime() bool
	Table   *capture.Spec
	Station string // our UUID
	Shadow  Shadow
	Notice  capture.Condition // lost while polling costs the server more than it should
	Here    Here              // sets the pace, if there is one
	Every   time.Duration     // from look to look; 1 s if 0
	Chunk   int               // rows of the whole table with each look; 500 if 0
}

const (
	everyDefault = time.Second
	everyMost    = 5 * time.Second // of what costs the server much
	chunkDefault = 500
	duty         = 10 // a look may take so small a part of the time
	ended        = 6  // times its limit, until the next look after one that the server ended
	everLongest  = 10 * time.Minute
	statement    = 5 * time.Second  // of one SELECT, at the server
	scanning     = 30 * time.Second // of one that reads a whole table: late is better than never
	relayout     = time.Minute      // how often the layout is read, and whether there is an index
	moveEvery    = 30 * time.Second // of a position that nothing was found before
)

// Longest is how long a statement may be without an answer: the connections of DB must not give it up before.
const Longest = scanning

// Source polls one table.
type Source struct {
	cfg   Config
	pace  pace      // of Run and Snapshot, which are never called at the same time
	next  time.Time // no look before
	index string    // what to ask for, if each look reads the whole table
}

// New checks cfg. It doesn't connect.
func New(cfg Config) (*Source, error) {
	if cfg.DB == nil || cfg.Table == nil || cfg.Shadow == nil || cfg.Station == "" {
		return nil, errors.New("check polling: database, table, shadow and station must be given")
	}
	if cfg.Table.Station == "" && cfg.Table.Updated == "" {
		return nil, fmt.Errorf("check polling of %s: name the column with the time of the last change", cfg.Table)
	}
	if cfg.Every <= 0 {
		cfg.Every = everyDefault
	}
	if cfg.Chunk <= 0 {
		cfg.Chunk = chunkDefault
	}
	return &Source{cfg: cfg, pace: pace{every: cfg.Every}}, nil
}

// session is what is known of the server and the table for one Run.
type session struct {
	*Source
	read  capture.Snapshot
	table *capture.Table
	laid  time.Time // when the layout was read, and what a look costs
}

func (s *Source) open(ctx context.Context) (*session, error) {
	var version string
	if err := s.cfg.DB.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
		return nil, s.explain(err)
	}
	return &session{Source: s, read: capture.Snapshot{
		DB: s.cfg.DB, Table: s.cfg.Table, Station: s.cfg.Station, Explain: s.cfg.Explain,
		Limit: capture.Limit{For: statement, Maria: strings.Contains(version, "MariaDB")},
	}}, nil
}

func (s *Source) explain(err error) error {
	if err != nil && s.cfg.Explain != nil {
		err = s.cfg.Explain(err)
	}
	return err
}

// layout reads the layout, and what a look costs the server, if what is known of them is old.
func (o *session) layout(ctx context.Context) (err error) {
	if o.table != nil && time.Since(o.laid) < relayout {
		return nil
	}
	o.laid = time.Now()
	if o.table, err = o.read.Layout(ctx); err != nil {
		return err
	}
	return o.judge(ctx)
}

// turn waits until the next look is due. Meanwhile it sees whether there is an index now.
func (o *session) turn(ctx context.Context) error {
	for {
		if err := o.layout(ctx); err != nil {
			return err
		}
		left := time.Until(o.next)
		if err := rest(ctx, min(left, relayout)); err != nil || left <= relayout {
			return err
		}
	}
}

// now is the server's time.
func (o *session) now(ctx context.Context) (time.Time, error) {
	var text string
	if err := o.cfg.DB.QueryRowContext(ctx, "SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)").Scan(&text); err != nil {
		return time.Time{}, o.explain(err)
	}
	return time.Parse(time.DateTime, text)
}

// Snapshot implements capture.Source.
func (s *Source) Snapshot(ctx context.Context, want []capture.Want, run string) (record.Position, []capture.State, error) {
	o, err := s.open(ctx)
	if err != nil {
		return record.Position{}, nil, err
	}
	p := record.Position{Way: Way}
	if err := o.turn(ctx); err != nil {
		return p, nil, err
	}
	began := time.Now()
	if p.At, err = o.now(ctx); err != nil {
		return p, nil, err
	}
	if len(want) == 0 {
		return p, nil, nil
	}
	w := want[0]
	switch {
	case len(want) > 1 || w.Table != s.cfg.Table:
		return p, nil, fmt.Errorf("poll %s: only %s is polled here", w.Table, s.cfg.Table)
	case w.Table.Station == "":
		p.Sweep = capture.Sweeps{w.Table.Collection(): {Run: run, Quiet: w.Quiet, All: w.All, Began: p.At}}.String()
		return p, nil, nil
	}
	found, err := o.read.Rows(ctx, w.IDs)
	return p, found, o.looked(began, err)
}

// Run implements capture.Source. Positions of another way are of no use: the rows have to be compared.
func (s *Source) Run(ctx context.Context, from record.Position, _ func(*capture.RowChange) bool, sink func(capture.Tx) error) error {
	if from.Way != Way {
		return capture.OtherWay(from.Way, Way)
	}
	o, err := s.open(ctx)
	if err != nil {
		return err
	}
	look, err := o.looker(from)
	if err != nil {
		return err
	}
	for {
		if err := o.turn(ctx); err != nil {
			return err
		}
		began := time.Now()
		txs, err := look.look(ctx)
		if err := o.looked(began, err); err != nil {
			return err
		}
		txs[len(txs)-1].Idle = true
		for _, tx := range txs {
			if err := sink(tx); err != nil {
				return err
			}
		}
	}
}

// looker looks once and gives what it found.
type looker interface {
	look(context.Context) ([]capture.Tx, error)
}

func (o *session) looker(from record.Position) (looker, error) {
	if o.cfg.Table.Station != "" {
		return newBench(o, from)
	}
	return newWhole(o, from)
}

// mover gives out a position now and then though nothing was found before it.
type mover struct{ last time.Time }

func (m *mover) due(found bool) bool {
	if !found && time.Since(m.last) < moveEvery {
		return false
	}
	m.last = time.Now()
	return true
}

// sum tells apart the states of a row.
func sum(s *capture.State) [16]byte {
	h := sha256.Sum256(append([]byte(s.Place+"\x00"), s.Payload...))
	return [16]byte(h[:16])
}

func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Probe tells whether the table can be read.
func (s *Source) Probe(ctx context.Context) error {
	o, err := s.open(ctx)
	if err != nil {
		return err
	}
	table, err := o.read.Layout(ctx)
	if err != nil {
		return err
	}
	_, err = o.read.Absent(ctx, table, []string{""})
	return err
}
