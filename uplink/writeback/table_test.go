package writeback

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"station-agent/build/servers"
	"station-agent/store/record"
)

const station = "0a000000-0000-4000-8000-00000000000a"

func open(t *testing.T, db *servers.Database, user, password string) *sql.DB {
	t.Helper()
	c := driver.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr = user, password, "tcp", db.Addr
	c.Params = map[string]string{"time_zone": "'+00:00'"}
	c.Logger = &driver.NopLogger{}
	connector, err := driver.NewConnector(c)
	ok(t, err)
	pool := sql.OpenDB(connector)
	t.Cleanup(func() { pool.Close() })
	return pool
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, db *servers.Database, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Root().ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func standing(n int, state record.Anchoring, hash string) record.Standing {
	at := time.Date(2026, 3, 29, 1, 30, 0, 250e6, time.UTC)
	return record.Standing{
		Record:  record.Record{Database: "external", Collection: "buylo_products", ID: fmt.Sprint("item", n), Version: fmt.Sprint(n), Op: record.Update, Payload: []byte(`{}`)},
		Receipt: record.Receipt{Hash: hash, AcceptedAt: at.Add(time.Duration(n) * time.Second), Snapshot: "snap"}, State: state, Since: at, At: at.Add(time.Hour),
	}
}

const anchors = "external_workspace.station_agent_anchors"

// dump is the table as lines, without the accepted times.
func dump(t *testing.T, db *servers.Database) string {
	t.Helper()
	rows, err := db.Root().QueryContext(t.Context(), "SELECT CONCAT_WS(' ', database_name, collection, record_id, version, operation, COALESCE(record_hash, '-'), state, CAST(accepted_at AS CHAR), "+
		"COALESCE(CAST(anchored_at AS CHAR), '-'), station, snapshot) FROM "+anchors+" ORDER BY record_id")
	ok(t, err)
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var line string
		ok(t, rows.Scan(&line))
		b.WriteString(line + "\n")
	}
	ok(t, rows.Err())
	return b.String()
}

func newTable(t *testing.T, db *sql.DB) *Table {
	t.Helper()
	table, err := NewTable(db, anchors, station)
	ok(t, err)
	return table
}

// The table is made where the account may, brought up from an older form, and shows each record once however often it is written.
func TestTheTableIsMadeFilledAndMigrated(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		ok(t, db.CreateWorkspace(t.Context()))
		pool := open(t, db, servers.AgentUser, servers.AgentPassword)
		list := []record.Standing{standing(1, record.Pending, "sha256:1"), standing(2, record.Pending, ""), standing(3, record.Pending, "h3")}
		long := standing(4, record.Unclear, strings.Repeat("é", 400))
		long.Record.ID = "item4" + strings.Repeat("x", 3000)
		ok(t, newTable(t, pool).Write(t.Context(), append(list, long)))
		table := newTable(t, pool) // after a restart
		ok(t, table.Write(t.Context(), []record.Standing{standing(1, record.Anchored, "sha256:1"), standing(2, record.Missing, "h2")}))
		ok(t, table.Write(t.Context(), list)) // all of it once more
		got := dump(t, db)
		want := "external buylo_products item1 1 update sha256:1 anchored 2026-03-29 01:30:01.250 2026-03-29 02:30:00.250 " + station + " snap\n" +
			"external buylo_products item2 2 update h2 pending 2026-03-29 01:30:02.250 - " + station + " snap\n" +
			"external buylo_products item3 3 update h3 pending 2026-03-29 01:30:03.250 - " + station + " snap\n" +
			"external buylo_products item4xxx"
		if !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 4 {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
		run(t, db, "ALTER TABLE "+anchors+" DROP COLUMN snapshot, DROP COLUMN anchored_at, ADD COLUMN later_version INT NULL")
		ok(t, newTable(t, pool).Write(t.Context(), []record.Standing{standing(3, record.Anchored, "h3")}))
		if got := dump(t, db); !strings.Contains(got, "item3 3 update h3 anchored 2026-03-29 01:30:03.250 2026-03-29 02:30:00.250 "+station+" snap\n") {
			t.Fatal(got)
		}
		table = newTable(t, pool)
		ok(t, table.Write(t.Context(), list))
		run(t, db, "DROP TABLE "+anchors)
		if err := table.Write(t.Context(), list); err == nil {
			t.Fatal("written into nothing")
		}
		ok(t, table.Write(t.Context(), list))
	})
}

// Where the account may not make it, it is said what to do, and a table that somebody else made is used.
func TestTheTableThatOthersMake(t *testing.T) {
	db := servers.MariaDB(t)
	run(t, db, "CREATE DATABASE external_workspace")
	pool := open(t, db, servers.AgentUser, servers.AgentPassword)
	list := []record.Standing{standing(1, record.Pending, "h")}
	if err := newTable(t, pool).Write(t.Context(), list); err == nil || !strings.Contains(err.Error(), "station-agent workspace ddl") {
		t.Fatal(err)
	}
	ddl, err := DDL(anchors)
	ok(t, err)
	run(t, db, ddl, ddl, "GRANT SELECT, INSERT, UPDATE ON "+anchors+" TO '"+servers.AgentUser+"'@'%'")
	ok(t, newTable(t, pool).Write(t.Context(), list))
	if got := dump(t, db); !strings.Contains(got, "item1") {
		t.Fatal(got)
	}
}

func TestOnlyATableOfOurOwn(t *testing.T) {
	for _, name := range []string{"", "station_agent_x", "external.buylo_products", "a.anchors", "a.station_agent_x`; DROP TABLE x", ".station_agent_x"} {
		if _, err := NewTable(nil, name, station); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
}
