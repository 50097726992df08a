// Package sourcetest is what the tests of the sources have in common: a Runner over the source that is tested, what its records
// say beside what the table holds, and random work on a table for it to follow. It stands beside capturetest, which the tests of
// package capture itself use and which therefore can't import it.
package sourcetest

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
)

const (
	armedWithin = 30 * time.Second
	endedWithin = 3 * time.Second
)

// Start runs a Runner until stop is called or the test ends, and returns once it is armed.
func Start(t testing.TB, s capture.Source, store capture.Store, station string, tables ...*capture.Spec) (cond *capturetest.Condition, stop func()) {
	t.Helper()
	cond = &capturetest.Condition{}
	runner, err := capture.New(capture.Config{Tables: tables, Scope: capture.Scope{Station: station}}, s, store, cond)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		began := time.Now()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > endedWithin {
			t.Errorf("it took %v to stop", took)
		}
	}
	t.Cleanup(stop)
	select {
	case <-runner.Armed():
	case <-time.After(armedWithin):
		lost, _ := cond.Said()
		t.Fatalf("not armed: %q", lost)
	}
	return cond, stop
}

// Rig is a table that one source after another captures into the same store.
type Rig struct {
	testing.TB
	Root    *sql.DB // the administrator's
	Table   *capture.Spec
	Station string
	Source  func() (capture.Source, error) // for a start
	Store   capturetest.Store

	cond *capturetest.Condition
	stop func()
}

// Start starts it.
func (r *Rig) Start() {
	r.Helper()
	s, err := r.Source()
	if err != nil {
		r.Fatal(err)
	}
	r.cond, r.stop = Start(r, s, &r.Store, r.Station, r.Table)
}

// Stop stops it.
func (r *Rig) Stop() {
	r.Helper()
	r.stop()
}

// Until waits until f says ok.
func (r *Rig) Until(f func() (what string, ok bool)) {
	r.Helper()
	capturetest.Until(r, func() (string, bool) {
		what, ok := f()
		lost, _ := r.cond.Said()
		return fmt.Sprintf("%s\nsaid %q", what, lost), ok
	})
}

// Count waits until there are n records.
func (r *Rig) Count(n int) {
	r.Helper()
	r.Until(func() (string, bool) {
		got := len(r.Store.Records())
		return fmt.Sprintf("%d records, want %d", got, n), got == n
	})
}

// Swept waits until no sweep is under way.
func (r *Rig) Swept() {
	r.Helper()
	Swept(r, &r.Store)
}

// Swept waits until no sweep is under way.
func Swept(t testing.TB, store *capturetest.Store) {
	t.Helper()
	capturetest.Until(t, func() (string, bool) {
		p, err := store.Position()
		return fmt.Sprintf("it sweeps: %+v, %v; %d records", p, err, len(store.Records())), err == nil && !p.Zero() && p.Sweep == ""
	})
}

// Want waits until the records are these, as Lines writes them.
func (r *Rig) Want(column string, lines ...string) {
	r.Helper()
	r.Until(func() (string, bool) {
		got := r.Lines(column)
		return fmt.Sprintf("records\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n")), slices.Equal(got, lines)
	})
}

// Lines are the records as operation, id and one column; "gap" for one that names a gap. They are as Told wants them.
func (r *Rig) Lines(column string) (lines []string) {
	r.Helper()
	r.Told()
	for _, rec := range r.Store.Records() {
		if rec.Collection == capture.Gaps {
			lines = append(lines, "gap")
			continue
		}
		_, value, _ := strings.Cut(string(rec.Payload), `"`+column+`":`)
		value, _, _ = strings.Cut(strings.TrimRight(value, "}"), ",")
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", rec.Op, rec.ID, strings.Trim(value, `"`))))
	}
	return lines
}

// Of counts the records of one operation.
func (r *Rig) Of(op record.Op) (n int) {
	for _, rec := range r.Store.Records() {
		if rec.Op == op {
			n++
		}
	}
	return n
}

// Agrees waits until the records tell what the table holds.
func (r *Rig) Agrees() {
	r.Helper()
	Agrees(r, r.Root, r.Table, &r.Store)
}

// Agrees waits until the records tell what the table holds. Their keys differ and the versions of each row rise.
func Agrees(t testing.TB, root *sql.DB, table *capture.Spec, store *capturetest.Store) {
	t.Helper()
	there := read(t, root, table)
	capturetest.Until(t, func() (string, bool) {
		told := Told(t, store.Records(), table.Collection())
		if len(told) != len(there) {
			return fmt.Sprintf("the table has %d rows and the records tell of %d", len(there), len(told)), false
		}
		for id, payload := range there {
			if told[id] != payload {
				return fmt.Sprintf("%s is %s, and was told to be %s", id, payload, told[id]), false
			}
		}
		return "", true
	})
}

// Told is what the records say of each row in the end. No key comes twice, and the versions of each row rise.
func (r *Rig) Told() map[string]string {
	r.Helper()
	return Told(r, r.Store.Records(), r.Table.Collection())
}

// read reads the table as a snapshot does.
func read(t testing.TB, root *sql.DB, table *capture.Spec) map[string]string {
	t.Helper()
	conn, err := root.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "SET time_zone = '+00:00'"); err != nil {
		t.Fatal(err)
	}
	layout, err := capture.ReadTable(t.Context(), conn, table)
	if err != nil {
		t.Fatal(err)
	}
	sweep, rows := capture.Sweep{Read: capture.Snapshot{DB: conn, Table: table}, Chunk: 1000}, make(map[string]string)
	for p := (capture.Progress{}); !p.Missing; {
		found, _, next, _, err := sweep.Next(t.Context(), layout, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range found {
			rows[s.ID] = string(s.Payload)
		}
		p = next
	}
	return rows
}

// Told is the same of the records of one collection.
func Told(t testing.TB, records []record.Record, collection string) map[string]string {
	t.Helper()
	state, keys, versions := make(map[string]string), make(map[string]bool), make(map[string]string)
	for _, rec := range records {
		if keys[rec.Key] {
			t.Fatalf("the key %s twice", rec.Key)
		}
		keys[rec.Key] = true
		if rec.Collection != collection {
			continue
		}
		if was := versions[rec.ID]; len(was) > len(rec.Version) || len(was) == len(rec.Version) && was >= rec.Version {
			t.Fatalf("%s: version %s after %s", rec.ID, rec.Version, was)
		}
		versions[rec.ID] = rec.Version
		if state[rec.ID] = string(rec.Payload); rec.Op == record.Delete {
			delete(state, rec.ID)
		}
	}
	return state
}
