package capture

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture/capturetest"
)

var foundSpec = &Spec{Schema: "shop", Name: "orders", Key: []string{"id"}}

var foundTable = func() *Table {
	t, err := NewTable(foundSpec, []Column{{Name: "id", Kind: Text}, {Name: "v", Kind: Text}})
	if err != nil {
		panic(err)
	}
	return t
}()

// A group with changes of two tables leaves the Shadow of both.
func TestTwoTablesInOneGroup(t *testing.T) {
	store := &capturetest.Store{}
	r, err := New(Config{Tables: []*Spec{testSpec, foundSpec}, Scope: Scope{Station: here}}, bed{&fakeSource{}, nil}, store, &capturetest.Condition{})
	if err != nil {
		t.Fatal(err)
	}
	r.recent = newRecent()
	m := mapper{tables: r.cfg.Tables}
	g := &group{}
	tx := m.tx(Tx{ID: "tx-1", At: time.Unix(1_779_170_400, 0), Tick: 5, Rows: []RowChange{
		{Table: testTable, Op: record.Insert, After: image("x", here, "P-1")},
		{Table: foundTable, Ordinal: 1, Op: record.Insert, After: []any{"o1", "new"}},
	}})
	if err := g.add(&tx); err != nil {
		t.Fatal(err)
	}
	if err := r.enter(g); err != nil {
		t.Fatal(err)
	}
	for collection, id := range map[string]string{"buylo_products": "x", "orders": "o1"} {
		rows, err := store.Shadow(collection, []string{id})
		if _, ok := rows[id]; err != nil || !ok {
			t.Errorf("the Shadow lacks %s of %s (%v); the group wrote %+v", id, collection, err, store.Groups()[0].Shadow)
		}
	}
}

// A row that came in one group with a change of another table is still ours when it leaves and is changed elsewhere.
func TestARowBesideAnotherTablesChangeStaysOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, source := &capturetest.Store{}, &fakeSource{}
		r, err := New(Config{Tables: []*Spec{testSpec, foundSpec}, Scope: Scope{Station: here}},
			bed{source, &fakeRows{station: here, rows: func() map[string][]any { return nil }}}, store, &capturetest.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		stop := begin(t, r)
		at := time.Now()
		source.commit(at, RowChange{Op: record.Insert, After: image("x", here, "")}, RowChange{Table: foundTable, Op: record.Insert, After: []any{"o1", "new"}})
		time.Sleep(time.Minute)
		source.commit(at, RowChange{Op: record.Update, Before: image("x", here, ""), After: image("x", "", "")}, RowChange{Table: foundTable, Op: record.Update, Before: []any{"o1", "new"}, After: []any{"o1", "b"}})
		time.Sleep(time.Minute)
		source.commit(at, RowChange{Op: record.Update, Before: image("x", "", ""), After: image("x", "", "P-1")})
		time.Sleep(time.Minute)
		stop()
		n := 0
		for _, rec := range store.Records() {
			if rec.Collection == "buylo_products" {
				n++
			}
		}
		if n != 3 {
			t.Errorf("%d records of the row, want 3", n)
		}
	})
}

// A snapshot that a person asked for is taken though the store refuses it once.
func TestASnapshotIsNotForgottenWhileTheStoreIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, source := &capturetest.Store{}, &fakeSource{beat: time.Second}
		r, _ := newRunner(t, here, nil, source, store, nil)
		stop := begin(t, r)
		defer func() { stop() }()
		time.Sleep(time.Minute)
		refused := 0
		store.Fail = func(record.Group) error {
			if refused++; refused > 1 {
				return nil
			}
			return errors.New("the store is full")
		}
		if err := r.Snapshot(testSpec); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		p, err := store.Position()
		if err != nil || p.Sweep == "" {
			t.Errorf("position %+v, %v after %d tries: nobody sweeps", p, err, refused)
		}
	})
}

// wanting keeps what a snapshot was asked for.
type wanting struct {
	log
	want []Want
}

func (w *wanting) Snapshot(ctx context.Context, want []Want, run string) (record.Position, []State, error) {
	w.want = want
	p, err := w.Start(ctx)
	p.Sweep = Sweeps{want[0].Table.Collection(): {Run: run, Quiet: want[0].Quiet, All: want[0].All}}.String() // as all sources make it
	return p, nil, err
}

// After the store lost records, what stands in a table that is swept is reported once more, also if the Shadow has it.
func TestASweepAfterLostRecordsReportsAll(t *testing.T) {
	store := &capturetest.Store{}
	if err := store.Put(record.Group{Position: place(1, time.Unix(1, 0)), Shadow: []record.ShadowRow{{Collection: "orders", ID: "o1", Version: "1", Payload: []byte(`{"id":"o1","v":"new"}`)}}}); err != nil {
		t.Fatal(err)
	}
	store.Salvage(place(1, time.Unix(1, 0)), "records/1.db can't be read")
	source := &wanting{log: &fakeSource{}}
	r, err := New(Config{Tables: []*Spec{foundSpec}, Scope: Scope{Station: here}}, source, store, &capturetest.Condition{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.once(t.Context()); err == nil {
		t.Fatal("no gap")
	}
	p, _ := store.Position()
	sweeps, err := ParseSweeps(p.Sweep)
	if err != nil {
		t.Fatal(err)
	}
	// the chunk as the sources give it
	progress := sweeps["orders"]
	r.recent = newRecent()
	m, g := mapper{tables: r.cfg.Tables}, &group{}
	tx := m.tx(Tx{ID: "sweep", Position: p, At: time.Unix(9, 0), Tick: 9, Run: progress.Run, Quiet: progress.Quiet, All: progress.All,
		Found: []State{{Table: foundSpec, ID: "o1", Payload: []byte(`{"id":"o1","v":"new"}`)}}})
	before := len(store.Records())
	if err := errors.Join(g.add(&tx), r.enter(g)); err != nil {
		t.Fatal(err)
	}
	if len(store.Records()) == before {
		t.Errorf("the row whose record may be lost was not reported: progress %+v", progress)
	}
}

// A row that a sweep found and then found missing has a record of each, with a key of its own.
func TestWhatASweepFoundAndThenMissedHasTwoKeys(t *testing.T) {
	store := &capturetest.Store{}
	r, err := New(Config{Tables: []*Spec{foundSpec}, Scope: Scope{Station: here}}, bed{&fakeSource{}, nil}, store, &capturetest.Condition{})
	if err != nil {
		t.Fatal(err)
	}
	r.recent = newRecent()
	m := mapper{tables: r.cfg.Tables}
	for _, tx := range []Tx{
		{ID: "sweep", At: time.Unix(9, 0), Tick: 9, Run: "run", Found: []State{{Table: foundSpec, ID: "o1", Payload: []byte(`{"id":"o1","v":"new"}`)}}},
		{ID: "sweep", At: time.Unix(10, 0), Tick: 10, Run: "run", Missing: []Absence{{Table: foundSpec, ID: "o1", To: time.Unix(10, 0)}}},
	} {
		mapped, g := m.tx(tx), &group{}
		if err := errors.Join(g.add(&mapped), r.enter(g)); err != nil {
			t.Fatal(err)
		}
	}
	list := store.Records()
	if len(list) != 2 || list[0].Op != record.Upsert || list[1].Op != record.Delete || list[0].Key == list[1].Key {
		t.Errorf("%+v", list)
	}
}

// shaky is a source whose first snapshots fail, once that is wanted.
type shaky struct {
	bed
	fails atomic.Int32
}

func (s *shaky) Snapshot(ctx context.Context, want []Want, run string) (record.Position, []State, error) {
	if s.fails.Add(-1) >= 0 {
		return record.Position{}, nil, errors.New("the server went away")
	}
	return s.bed.Snapshot(ctx, want, run)
}

// Rows are compared when a person wants it, once, also if the first tries fail, and a record says why.
func TestRowsAreComparedWhenAPersonWantsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := &fakeRows{station: here, rows: func() map[string][]any { return nil }}
		store, source := &capturetest.Store{}, &shaky{bed: bed{&fakeSource{beat: time.Second}, rows}}
		r, err := New(Config{Tables: []*Spec{testSpec}, Scope: Scope{Station: here}}, source, store, &capturetest.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		stop := begin(t, r)
		defer func() { stop() }()
		time.Sleep(time.Minute)
		source.fails.Store(3)
		r.Compare()
		r.Compare() // is the same wish
		time.Sleep(5 * time.Minute)
		var said []string
		for _, rec := range store.Records() {
			if rec.Collection == Gaps {
				said = append(said, string(rec.Payload))
			}
		}
		if len(said) != 1 || !strings.Contains(said[0], "a person wanted") {
			t.Errorf("%d records of a comparison: %q", len(said), said)
		}
	})
}
