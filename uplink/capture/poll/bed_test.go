package poll

import (
	"database/sql"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
	"station-agent/uplink/capture/sourcetest"
)

const (
	stationA = "0a000000-0000-4000-8000-00000000000a"
	stationB = "0b000000-0000-4000-8000-00000000000b"
)

// openDB is the database as an account sees it that may only read.
func openDB(t testing.TB, db *servers.Database) *sql.DB {
	t.Helper()
	pool := db.Open(t, servers.AgentUser, servers.AgentPassword)
	pool.SetMaxOpenConns(1)
	return pool
}

// rig is a table that is polled into a store.
type rig struct {
	*sourcetest.Rig
	db     *servers.Database
	notice capturetest.Condition
}

func newRig(t testing.TB, db *servers.Database, spec *capture.Spec) *rig {
	t.Helper()
	r := &rig{Rig: &sourcetest.Rig{TB: t, Root: db.Root(), Table: spec, Station: stationA}, db: db}
	r.Source = func() (capture.Source, error) {
		return New(Config{
			DB: openDB(t, db), Table: spec, Station: stationA, Shadow: &r.Store, Notice: &r.notice, Every: 50 * time.Millisecond, Chunk: 100,
		})
	}
	r.Start()
	return r
}

// restart stops polling, does something meanwhile and goes on.
func (r *rig) restart(meanwhile ...string) {
	r.Helper()
	r.Stop()
	r.db.Exec(r, meanwhile...)
	r.Start()
}
