package capture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"station-agent/store/record"
)

var testSpec = &Spec{Schema: "external", Name: "buylo_products", Key: []string{"hash"}, Station: "station"}

var testTable = func() *Table {
	t, err := NewTable(testSpec, []Column{{Name: "hash", Kind: Text}, {Name: "station", Kind: Text}, {Name: "package", Kind: Text}})
	if err != nil {
		panic(err)
	}
	return t
}()

// image is a row of testTable; "" is NULL.
func image(hash, station, pack string) []any {
	row := []any{hash, nil, nil}
	if station != "" {
		row[1] = station
	}
	if pack != "" {
		row[2] = pack
	}
	return row
}

// fakeSource is a log in memory. Positions are numbers of transactions in file f. It ends each Run where cut says.
type fakeSource struct {
	mu     sync.Mutex
	txs    []Tx
	purged int                     // transactions before this one are gone
	start  func() time.Time        // the server's clock
	cut    func(from, i int) error // asked before each transaction is given; its error ends the Run
	more   chan struct{}           // closed when txs grew
	runs   int
	given  int           // transactions that a sink took
	beat   time.Duration // between signs of life while nothing lies behind; 0: only one
}

func place(i int, at time.Time) record.Position {
	return record.Position{Flavor: "mysql", File: "f", Pos: uint64(i), At: at}
}

// commit appends a transaction.
func (s *fakeSource) commit(at time.Time, rows ...RowChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.txs) + 1
	for i := range rows {
		if rows[i].Table == nil {
			rows[i].Table = testTable
		}
		rows[i].Ordinal = i
	}
	s.txs = append(s.txs, Tx{Position: place(n, at), ID: fmt.Sprintf("tx-%d", n), At: at, Tick: at.UnixMicro(), Rows: rows})
	if s.more != nil {
		close(s.more)
		s.more = nil
	}
}

func (s *fakeSource) Start(context.Context) (record.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.start != nil {
		now = s.start()
	}
	return place(len(s.txs), now), nil
}

func (s *fakeSource) next(i int) (Tx, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i < s.purged {
		return Tx{}, nil, Gap("purged")
	}
	if i < len(s.txs) {
		return s.txs[i], nil, nil
	}
	if s.more == nil {
		s.more = make(chan struct{})
	}
	return Tx{}, s.more, nil
}

func (s *fakeSource) Run(ctx context.Context, from record.Position, keep func(*RowChange) bool, sink func(Tx) error) error {
	s.mu.Lock()
	s.runs++
	s.mu.Unlock()
	if err := sink(Tx{}); err != nil {
		return err
	}
	for i := int(from.Pos); ; i++ {
		tx, more, err := s.next(i)
		if err != nil {
			return err
		}
		if s.cut != nil {
			if err := s.cut(int(from.Pos), i); err != nil {
				return err
			}
		}
		if more != nil {
			if err := sink(Tx{Idle: true}); err != nil {
				return err
			}
			select {
			case <-more:
				i--
				continue
			case <-s.pulse():
				i--
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		var rows []RowChange
		for _, row := range tx.Rows {
			if keep(&row) {
				rows = append(rows, row)
			}
		}
		tx.Rows = rows
		if err := sink(tx); err != nil {
			return err
		}
		s.mu.Lock()
		s.given++
		s.mu.Unlock()
	}
}

func (s *fakeSource) pulse() <-chan time.Time {
	if s.beat == 0 {
		return nil
	}
	return time.After(s.beat)
}

// did is how often it was run, and how many transactions were taken from it.
func (s *fakeSource) did() (runs, given int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs, s.given
}

// log is a Source without rows.
type log interface {
	Start(context.Context) (record.Position, error)
	Run(ctx context.Context, from record.Position, keep func(*RowChange) bool, sink func(Tx) error) error
}

// bed is a Source with the rows of a fakeRows.
type bed struct {
	log
	rows *fakeRows
}

func (b bed) Snapshot(ctx context.Context, want []Want, _ string) (record.Position, []State, error) {
	p, err := b.Start(ctx)
	if err != nil {
		return p, nil, err
	}
	found, err := b.rows.Rows(ctx, want[0].IDs)
	return p, found, err
}

// fakeRows is a table in memory.
type fakeRows struct {
	station string
	rows    func() map[string][]any
	refuse  atomic.Bool
	reads   atomic.Int32
}

func (f *fakeRows) Rows(_ context.Context, ids []string) ([]State, error) {
	f.reads.Add(1)
	if f.refuse.Load() {
		return nil, errors.New("refused")
	}
	want := make(map[string]bool)
	for _, id := range ids {
		want[id] = true
	}
	var found []State
	for id, row := range f.rows() {
		if !want[id] && testTable.Place(row) != f.station {
			continue
		}
		payload, err := testTable.AppendPayload(nil, row)
		if err != nil {
			return nil, err
		}
		found = append(found, State{Table: testSpec, ID: id, Place: testTable.Place(row), Payload: payload})
	}
	return found, nil
}

// history is a random log with the owner of every change as a person would work it out, and the table at its end.
type history struct {
	source fakeSource
	owners []string         // of each change, in order; "" for nobody's
	keys   []string         // of each change, without the a or b of a changed primary key
	rows   map[string][]any // the table at the end
}

func newHistory(r *rand.Rand, steps int, stations, agents []string) *history {
	h := &history{rows: make(map[string][]any)}
	type hold struct {
		station string
		left    time.Time
	}
	holds := make(map[string]hold)
	isAgent := func(s string) bool {
		for _, a := range agents {
			if a == s {
				return true
			}
		}
		return false
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var ids []string
	pick := func() string { return stations[r.IntN(len(stations))] }
	for n := range steps {
		at = at.Add(time.Duration(r.Int64N(int64(20 * time.Hour))))
		if r.IntN(5) == 0 {
			at = at.Add(time.Microsecond - time.Duration(r.Int64N(2))*time.Hour) // the server's clock was set
		}
		var rows []RowChange
		for range 1 + r.IntN(3) {
			c := RowChange{Op: record.Update}
			var id, to string
			if len(ids) == 0 || r.IntN(4) == 0 {
				id = fmt.Sprintf("row-%d-%d", n, len(rows))
				to, c.Op, c.After = id, record.Insert, image(id, pick(), "")
				ids = append(ids, id)
			} else {
				i := r.IntN(len(ids))
				id = ids[i]
				to, c.Before = id, h.rows[id]
				old := testTable.Place(c.Before)
				switch r.IntN(8) {
				case 0:
					c.Op, to = record.Delete, ""
					ids = append(ids[:i], ids[i+1:]...)
				case 1:
					to = fmt.Sprintf("key-%d-%d", n, len(rows))
					if r.IntN(2) == 0 {
						old = pick()
					}
					c.After = image(to, old, "moved")
					ids[i] = to
				case 2, 3, 4:
					c.After = image(id, pick(), plain(c.Before, 2))
				default:
					c.After = image(id, old, fmt.Sprintf("PKG-%d-%d", n, len(rows)))
				}
			}
			// whose is it?
			before, after := testTable.Place(c.Before), testTable.Place(c.After)
			was := holds[id]
			delete(holds, id)
			owner := ""
			switch {
			case isAgent(after):
				owner = after
				was = hold{station: after}
			case isAgent(before):
				owner = before
				was = hold{before, at}
			case was.station != "" && (was.left.IsZero() || at.Sub(was.left) <= keepDefault):
				owner = was.station
				if was.left.IsZero() {
					was.left = at
				}
			default:
				was = hold{}
			}
			if to != "" {
				holds[to] = was
			}
			delete(h.rows, id)
			if c.After != nil {
				h.rows[to] = c.After
			}
			h.owners = append(h.owners, owner)
			h.keys = append(h.keys, changeKey(fmt.Sprintf("tx-%d", n+1), at, len(rows), ""))
			rows = append(rows, c)
		}
		h.source.commit(at, rows...)
	}
	return h
}
