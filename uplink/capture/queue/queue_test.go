package queue

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
	"station-agent/uplink/capture/sourcetest"
)

const station = "0a000000-0000-4000-8000-00000000000a"

var products = &capture.Spec{Schema: "product_catalog", Name: "products", Key: []string{"shop", "id"}}

func openDB(t testing.TB, db *servers.Database) *sql.DB {
	t.Helper()
	pool := db.Open(t, servers.AgentUser, servers.AgentPassword)
	pool.SetMaxOpenConns(1)
	return pool
}

const agent = "'" + servers.AgentUser + "'@'%'"

// install makes a table with its queue, by the statements that are printed.
func install(t testing.TB, db *servers.Database, spec *capture.Spec) {
	t.Helper()
	db.Exec(t, "GRANT SELECT ON `"+spec.Schema+"`.`"+spec.Name+"` TO "+agent)
	table, err := capture.ReadTable(t.Context(), db.Root(), spec)
	if err != nil {
		t.Fatal(err)
	}
	list, err := Statements(table, DefaultName(spec), agent)
	if err != nil {
		t.Fatal(err)
	}
	db.Exec(t, list...)
}

func catalog(t testing.TB, db *servers.Database) {
	t.Helper()
	db.Exec(t, sourcetest.Catalog("")...)
	install(t, db, products)
}

// newRig is a queue that is read into a store.
func newRig(t testing.TB, db *servers.Database, spec *capture.Spec) *sourcetest.Rig {
	t.Helper()
	r := &sourcetest.Rig{TB: t, Root: db.Root(), Table: spec, Station: station}
	r.Source = func() (capture.Source, error) {
		return New(Config{DB: openDB(t, db), Table: spec, Queue: DefaultName(spec), Station: station, Known: r.Store.ShadowIDs,
			Stored: r.Store.Position, Every: 50 * time.Millisecond, Chunk: 50})
	}
	r.Start()
	return r
}

func TestEachChangeIsOneRecord(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		catalog(t, db)
		db.Exec(t, sourcetest.Rows(2))
		r := newRig(t, db, products)
		want := []string{"upsert s%2F0/0 n0", "upsert s%2F1/1 n1"} // what the entries from before led to
		r.Want("name", want...)
		db.Exec(t, "INSERT INTO product_catalog.products VALUES ('s0', 9, 'new')",
			"UPDATE product_catalog.products SET name = 'NEW' WHERE id = 9", // the same text to most collations
			"UPDATE product_catalog.products SET name = 'NEW' WHERE id = 9", // no change
			"UPDATE product_catalog.products SET id = 10 WHERE id = 9",
			"BEGIN", "DELETE FROM product_catalog.products", "ROLLBACK",
			"DELETE FROM product_catalog.products WHERE id = 10")
		want = append(want, "insert s0/9 new", "update s0/9 NEW", "delete s0/9 NEW", "insert s0/10 NEW", "delete s0/10 NEW")
		r.Want("name", want...)
		r.Stop()
		db.Exec(t, "UPDATE product_catalog.products SET name = 'x' WHERE id = 1")
		r.Start()
		r.Want("name", append(want, "update s%2F1/1 x")...)
	})
}

// An agent that is killed between the store and the mark takes nothing twice: the position names what it took.
func TestWhatIsStoredAndNotMarkedIsMarkedFirst(t *testing.T) {
	db := servers.MariaDB(t)
	catalog(t, db)
	r := newRig(t, db, products)
	r.Swept() // else the next chunk stores a position behind the marks
	db.Exec(t, "INSERT INTO product_catalog.products VALUES ('a', 1, 'x'), ('a', 2, 'y')")
	r.Want("name", "insert a/1 x", "insert a/2 y")
	r.Stop()
	db.Exec(t, "UPDATE product_catalog.station_agent_queue_products SET taken = NULL") // the marks are lost
	p, err := r.Store.Position()
	if err != nil || p.Taken == "" {
		t.Fatalf("position %+v, %v", p, err)
	}
	r.Start()
	db.Exec(t, "INSERT INTO product_catalog.products VALUES ('a', 3, 'z')")
	r.Want("name", "insert a/1 x", "insert a/2 y", "insert a/3 z")
}

// Entries that were read together may enter the store in several groups. An agent that is killed between two of them takes
// nothing twice: the position of each names what lies before it.
func TestWhatIsStoredInPartIsTakenOnce(t *testing.T) {
	db := servers.MariaDB(t)
	db.Exec(t, sourcetest.Catalog("picture TEXT")...)
	install(t, db, products)
	r := &sourcetest.Rig{TB: t, Root: db.Root(), Table: products, Station: station}
	r.Source = func() (capture.Source, error) {
		return New(Config{DB: openDB(t, db), Table: products, Queue: DefaultName(products), Station: station, Known: r.Store.ShadowIDs,
			Stored: r.Store.Position, Every: 50 * time.Millisecond})
	}
	groups := 0
	r.Store.Fail = func(g record.Group) error { // it takes one group of them and no more
		if len(g.Records) == 0 {
			return nil
		}
		if groups++; groups > 1 {
			return capturetest.ErrKilled
		}
		return nil
	}
	r.Start()
	r.Swept()
	var values []string
	for i := range 60 {
		values = append(values, fmt.Sprintf("('a', %d, 'x', REPEAT('x', 20000))", i))
	}
	db.Exec(t, "INSERT INTO product_catalog.products VALUES "+strings.Join(values, ", "))
	r.Until(func() (string, bool) { n := len(r.Store.Records()); return fmt.Sprint(n, " records"), n > 0 })
	r.Stop()
	if n := len(r.Store.Records()); n == 60 {
		t.Fatal("all of them were one group")
	}
	r.Store.Fail = nil
	r.Start()
	r.Count(60)
	r.Agrees()
}

// A table that is altered and gets a new queue between two looks is read with the columns that it has then.
func TestAColumnThatIsAddedIsRead(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		catalog(t, db)
		r := &sourcetest.Rig{TB: t, Root: db.Root(), Table: products, Station: station}
		r.Source = func() (capture.Source, error) {
			return New(Config{DB: openDB(t, db), Table: products, Queue: DefaultName(products), Station: station, Known: r.Store.ShadowIDs,
				Stored: r.Store.Position, Every: 3 * time.Second}) // longer than the renewal takes
		}
		r.Start()
		r.Swept()
		db.Exec(t, "INSERT INTO product_catalog.products VALUES ('a', 1, 'x')")
		r.Want("name", "insert a/1 x")
		db.Exec(t, "ALTER TABLE product_catalog.products ADD COLUMN note VARCHAR(20)", "DROP TABLE product_catalog."+DefaultName(products).Table)
		for _, op := range []string{"insert", "update", "delete"} {
			db.Exec(t, "DROP TRIGGER product_catalog.station_agent_products_"+op)
		}
		install(t, db, products)
		db.Exec(t, "INSERT INTO product_catalog.products VALUES ('a', 2, 'y', 'seen')")
		r.Count(2)
		if got := string(r.Store.Records()[1].Payload); !strings.Contains(got, `"note":"seen"`) {
			t.Error(got)
		}
	})
}

// An entry whose transaction is committed late is found though its number is older.
func TestALateCommitIsFound(t *testing.T) {
	db := servers.MySQL(t)
	catalog(t, db)
	r := newRig(t, db, products)
	late, err := db.Root().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Rollback()
	if _, err := late.ExecContext(t.Context(), "INSERT INTO product_catalog.products VALUES ('late', 1, 'x')"); err != nil {
		t.Fatal(err)
	}
	db.Exec(t, "INSERT INTO product_catalog.products VALUES ('soon', 1, 'y')")
	r.Want("name", "insert soon/1 y")
	if err := late.Commit(); err != nil {
		t.Fatal(err)
	}
	r.Want("name", "insert soon/1 y", "insert late/1 x")
}

// A second agent stands by until the first one goes.
func TestOneReaderAtATime(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		catalog(t, db)
		first := newRig(t, db, products)
		db.Exec(t, "INSERT INTO product_catalog.products VALUES ('a', 1, 'x')")
		first.Want("name", "insert a/1 x")
		second := newRig(t, db, products)
		db.Exec(t, "INSERT INTO product_catalog.products VALUES ('a', 2, 'y')")
		first.Want("name", "insert a/1 x", "insert a/2 y")
		if got := second.Lines("name"); len(got) > 0 {
			t.Errorf("the one that stands by has %v", got)
		}
		first.Stop()
		db.Exec(t, "INSERT INTO product_catalog.products VALUES ('a', 3, 'z')")
		second.Until(func() (string, bool) {
			got := second.Lines("name")
			return fmt.Sprint(got), slices.Contains(got, "insert a/3 z")
		})
	})
}

// Over random work with late commits, rollbacks and restarts while the table is swept, the records end as the table is, and
// none comes twice.
func TestRandomWork(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		catalog(t, db)
		db.Exec(t, sourcetest.Rows(200))
		busy := sourcetest.Work(t, db.Root(), 200, 3, 40)
		r := newRig(t, db, products)
		for n := range 4 {
			busy.Did(24 * (n + 1)) // of 120
			r.Stop()
			r.Start()
		}
		busy.Wait()
		r.Agrees()
	})
}

// The golden table of types: the bytes are those of the other ways, whatever the session that wrote had set.
func TestTheSameBytesAsByOtherWays(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		spec := &capture.Spec{Schema: "product_catalog", Name: "kinds", Key: []string{"hash"}}
		columns, values, want := capturetest.Kinds(db.Flavor, station)
		db.Exec(t, "DROP DATABASE IF EXISTS product_catalog", "CREATE DATABASE product_catalog CHARACTER SET utf8mb4",
			"SET sql_mode = 'ALLOW_INVALID_DATES'", "CREATE TABLE product_catalog.kinds ("+columns+") CHARACTER SET utf8mb4")
		install(t, db, spec)
		r := newRig(t, db, spec)
		for i, session := range [][]string{
			{"SET time_zone = '+00:00'"},
			{"SET time_zone = '-05:00'", "SET NAMES latin1", "SET lc_time_names = 'cs_CZ'", "SET div_precision_increment = 0"},
		} {
			id := fmt.Sprintf("end%d", i)
			db.Exec(t, slices.Concat([]string{"SET sql_mode = 'ALLOW_INVALID_DATES'", "SET time_zone = '+00:00'",
				"INSERT INTO product_catalog.kinds VALUES (" + strings.Replace(values, "'end'", "'"+id+"'", 1) + ")"}, session,
				[]string{"UPDATE product_catalog.kinds SET station = NULL WHERE hash = '" + id + "'",
					"UPDATE product_catalog.kinds SET station = '" + station + "' WHERE hash = '" + id + "'"})...)
			r.Count(3 * (i + 1))
			got := string(r.Store.Records()[3*i+2].Payload)
			capturetest.Same(t, fmt.Sprint("session ", i), got, strings.Replace(want, `"hash":"end"`, `"hash":"`+id+`"`, 1))
		}
	})
}

func TestOldEntriesAreRemoved(t *testing.T) {
	db := servers.MariaDB(t)
	catalog(t, db)
	db.Exec(t, "INSERT INTO product_catalog.products VALUES ('a', 1, 'x'), ('a', 2, 'y')",
		"UPDATE product_catalog.station_agent_queue_products SET taken = UTC_TIMESTAMP() - INTERVAL 25 HOUR WHERE n = 1")
	r := newRig(t, db, products)
	r.Until(func() (string, bool) {
		var n, marked int
		err := db.Root().QueryRowContext(t.Context(), "SELECT COUNT(*), COUNT(taken) FROM product_catalog.station_agent_queue_products").Scan(&n, &marked)
		return fmt.Sprintf("%d entries, %d of them marked, %v", n, marked, err), n == 1 && marked == 1
	})
}

func TestTaken(t *testing.T) {
	var s taken
	for _, n := range []uint64{1, 2, 3, 7, 9, 10} {
		s.add(n, "id")
	}
	if s.String() != "id:1-3,7,9-10" {
		t.Error(s)
	}
	back, err := parseTaken(s.String())
	if err != nil || back.String() != s.String() {
		t.Error(back, err)
	}
	for _, bad := range []string{"id:x", "id:3-1", "id:1-", "id:-", "id:1,,x"} {
		if _, err := parseTaken(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
