package poll

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
)

const (
	stationA = "0a000000-0000-4000-8000-00000000000a"
	stationB = "0b000000-0000-4000-8000-00000000000b"
)

// openDB is the database as an account sees it that may only read, in a session as uplink/mysql makes it.
func openDB(t testing.TB, db *servers.Database) *sql.DB {
	t.Helper()
	c := driver.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr = servers.AgentUser, servers.AgentPassword, "tcp", db.Addr
	c.Params = map[string]string{"time_zone": "'+00:00'"}
	c.Logger = &driver.NopLogger{}
	connector, err := driver.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(1)
	t.Cleanup(func() { pool.Close() })
	return pool
}

func run(t testing.TB, db *servers.Database, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Root().ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// rig is a table that is polled into a store.
type rig struct {
	testing.TB
	db     *servers.Database
	spec   *capture.Spec
	store  *capturetest.Store
	cond   capturetest.Condition
	notice capturetest.Condition
	stop   func()
}

func newStore() *capturetest.Store { return &capturetest.Store{} }

func newRig(t testing.TB, db *servers.Database, spec *capture.Spec) *rig {
	r := &rig{TB: t, db: db, spec: spec, store: newStore()}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *rig) start() {
	r.Helper()
	source, err := New(Config{
		DB: openDB(r, r.db), Table: r.spec, Station: stationA, Shadow: r.store, Notice: &r.notice, Every: 50 * time.Millisecond, Chunk: 100,
	})
	if err != nil {
		r.Fatal(err)
	}
	runner, err := capture.New(capture.Config{Tables: []*capture.Spec{r.spec}, Scope: capture.Scope{Station: stationA}},
		source, r.store, &r.cond)
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- runner.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			r.Error(err)
		}
		r.stop = func() {}
	}
	select {
	case <-runner.Armed():
	case <-time.After(20 * time.Second):
		lost, _ := r.cond.Said()
		r.Fatalf("not armed: %q", lost)
	}
}

// restart stops polling, does something meanwhile and goes on.
func (r *rig) restart(meanwhile ...string) {
	r.Helper()
	r.stop()
	run(r, r.db, meanwhile...)
	r.start()
}

// lines are the records as operation, id and one column.
func (r *rig) lines(column string) (lines []string) {
	keys := make(map[string]bool)
	for _, rec := range r.store.Records() {
		if keys[rec.Key] {
			r.Errorf("the key %s twice", rec.Key)
		}
		keys[rec.Key] = true
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

// want waits until the records are these.
func (r *rig) want(column string, lines ...string) {
	r.Helper()
	r.until(func() (string, bool) {
		got := r.lines(column)
		return fmt.Sprintf("records\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n")), slices.Equal(got, lines)
	})
}

func (r *rig) until(f func() (string, bool)) {
	r.Helper()
	limit := time.After(20 * time.Second)
	for {
		changed := r.store.Changed()
		what, ok := f()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-time.After(100 * time.Millisecond): // not everything is told by the store
		case <-limit:
			lost, _ := r.cond.Said()
			r.Fatalf("%s\nsaid %q", what, lost)
		}
	}
}

func (r *rig) records(of record.Op) (list []record.Record) {
	for _, rec := range r.store.Records() {
		if rec.Op == of {
			list = append(list, rec)
		}
	}
	return list
}
