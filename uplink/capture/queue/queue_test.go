package queue

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
)

const station = "0a000000-0000-4000-8000-00000000000a"

var products = &capture.Spec{Schema: "product_catalog", Name: "products", Key: []string{"shop", "id"}}

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

// run executes statements as the administrator in one session.
func run(t testing.TB, db *servers.Database, statements ...string) {
	t.Helper()
	conn, err := db.Root().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Raw(func(any) error { return sqldriver.ErrBadConn })
	for _, s := range statements {
		if _, err := conn.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

const agent = "'" + servers.AgentUser + "'@'%'"

// install makes a table with its queue, by the statements that are printed.
func install(t testing.TB, db *servers.Database, spec *capture.Spec) {
	t.Helper()
	run(t, db, "GRANT SELECT ON `"+spec.Schema+"`.`"+spec.Name+"` TO "+agent)
	table, err := capture.ReadTable(t.Context(), db.Root(), spec)
	if err != nil {
		t.Fatal(err)
	}
	list, err := Statements(table, DefaultName(spec), agent)
	if err != nil {
		t.Fatal(err)
	}
	run(t, db, list...)
}

func catalog(t testing.TB, db *servers.Database, rows int) {
	t.Helper()
	run(t, db, "DROP DATABASE IF EXISTS product_catalog", "CREATE DATABASE product_catalog CHARACTER SET utf8mb4",
		"CREATE TABLE product_catalog.products (shop VARCHAR(20), id INT UNSIGNED, name VARCHAR(100), PRIMARY KEY (shop, id))")
	install(t, db, products)
	for i := range rows {
		run(t, db, fmt.Sprintf("INSERT INTO product_catalog.products VALUES ('s%d', %d, 'n%d')", i%3, i, i))
	}
}

// rig is a queue that is read into a store.
type rig struct {
	testing.TB
	db    *servers.Database
	spec  *capture.Spec
	store *capturetest.Store
	cond  capturetest.Condition
	stop  func()
}

func newRig(t testing.TB, db *servers.Database, spec *capture.Spec) *rig {
	r := &rig{TB: t, db: db, spec: spec, store: &capturetest.Store{}}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *rig) source() *Source {
	r.Helper()
	s, err := New(Config{DB: openDB(r, r.db), Table: r.spec, Queue: DefaultName(r.spec), Station: station, Known: r.store.ShadowIDs,
		Stored: r.store.Position, Every: 50 * time.Millisecond, Chunk: 50})
	if err != nil {
		r.Fatal(err)
	}
	return s
}

func (r *rig) start() {
	r.Helper()
	runner, err := capture.New(capture.Config{Tables: []*capture.Spec{r.spec}, Scope: capture.Scope{Station: station}}, r.source(), r.store, &r.cond)
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

func (r *rig) until(f func() (string, bool)) {
	r.Helper()
	what := ""
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var ok bool
		if what, ok = f(); ok {
			return
		}
	}
	lost, _ := r.cond.Said()
	r.Fatalf("%s\nsaid %q", what, lost)
}

func (r *rig) lines() (lines []string) {
	keys := make(map[string]bool)
	for _, rec := range r.store.Records() {
		if keys[rec.Key] {
			r.Errorf("the key %s twice", rec.Key)
		}
		keys[rec.Key] = true
		_, name, _ := strings.Cut(string(rec.Payload), `"name":`)
		name, _, _ = strings.Cut(name, ",")
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", rec.Op, rec.ID, strings.Trim(name, `"`))))
	}
	return lines
}

func (r *rig) want(lines ...string) {
	r.Helper()
	r.until(func() (string, bool) {
		got := r.lines()
		return fmt.Sprintf("records\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n")), slices.Equal(got, lines)
	})
}

func TestEachChangeIsOneRecord(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		catalog(t, db, 2)
		r := newRig(t, db, products)
		want := []string{"upsert s0/0 n0", "upsert s1/1 n1"} // what the entries from before led to
		r.want(want...)
		run(t, db, "INSERT INTO product_catalog.products VALUES ('s0', 9, 'new')",
			"UPDATE product_catalog.products SET name = 'NEW' WHERE id = 9", // the same text to most collations
			"UPDATE product_catalog.products SET name = 'NEW' WHERE id = 9", // no change
			"UPDATE product_catalog.products SET id = 10 WHERE id = 9",
			"BEGIN", "DELETE FROM product_catalog.products", "ROLLBACK",
			"DELETE FROM product_catalog.products WHERE id = 10")
		want = append(want, "insert s0/9 new", "update s0/9 NEW", "delete s0/9 NEW", "insert s0/10 NEW", "delete s0/10 NEW")
		r.want(want...)
		r.stop()
		run(t, db, "UPDATE product_catalog.products SET name = 'x' WHERE id = 1")
		r.start()
		r.want(append(want, "update s1/1 x")...)
	})
}

// An agent that is killed between the store and the mark takes nothing twice: the position names what it took.
func TestWhatIsStoredAndNotMarkedIsMarkedFirst(t *testing.T) {
	db := servers.MariaDB(t)
	catalog(t, db, 0)
	r := newRig(t, db, products)
	r.until(func() (string, bool) { // else the next chunk of the sweep stores a position behind the marks
		p, err := r.store.Position()
		return fmt.Sprintf("it sweeps: %+v, %v", p, err), err == nil && !p.Zero() && p.Sweep == ""
	})
	run(t, db, "INSERT INTO product_catalog.products VALUES ('a', 1, 'x'), ('a', 2, 'y')")
	r.want("insert a/1 x", "insert a/2 y")
	r.stop()
	run(t, db, "UPDATE product_catalog.station_agent_queue_products SET taken = NULL") // the marks are lost
	p, err := r.store.Position()
	if err != nil || p.Taken == "" {
		t.Fatalf("position %+v, %v", p, err)
	}
	r.start()
	run(t, db, "INSERT INTO product_catalog.products VALUES ('a', 3, 'z')")
	r.want("insert a/1 x", "insert a/2 y", "insert a/3 z")
}

// An entry whose transaction is committed late is found though its number is older.
func TestALateCommitIsFound(t *testing.T) {
	db := servers.MySQL(t)
	catalog(t, db, 0)
	r := newRig(t, db, products)
	late, err := db.Root().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Rollback()
	if _, err := late.ExecContext(t.Context(), "INSERT INTO product_catalog.products VALUES ('late', 1, 'x')"); err != nil {
		t.Fatal(err)
	}
	run(t, db, "INSERT INTO product_catalog.products VALUES ('soon', 1, 'y')")
	r.want("insert soon/1 y")
	if err := late.Commit(); err != nil {
		t.Fatal(err)
	}
	r.want("insert soon/1 y", "insert late/1 x")
}

// A second agent stands by until the first one goes.
func TestOneReaderAtATime(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		catalog(t, db, 0)
		first := newRig(t, db, products)
		run(t, db, "INSERT INTO product_catalog.products VALUES ('a', 1, 'x')")
		first.want("insert a/1 x")
		second := newRig(t, db, products)
		run(t, db, "INSERT INTO product_catalog.products VALUES ('a', 2, 'y')")
		first.want("insert a/1 x", "insert a/2 y")
		if got := second.lines(); len(got) > 0 {
			t.Errorf("the one that stands by has %v", got)
		}
		first.stop()
		run(t, db, "INSERT INTO product_catalog.products VALUES ('a', 3, 'z')")
		second.until(func() (string, bool) {
			got := second.lines()
			return fmt.Sprint(got), slices.Contains(got, "insert a/3 z")
		})
	})
}

// Over random work with late commits, rollbacks and restarts while the table is swept, the records end as the table is, and
// none comes twice.
func TestRandomWork(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		catalog(t, db, 200)
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		var busy sync.WaitGroup
		for n := range 3 {
			rnd := rand.New(rand.NewPCG(seed, uint64(n)))
			busy.Go(func() {
				for range 40 {
					_ = work(t.Context(), rnd, db) // a transaction that fails is none
				}
			})
		}
		r := newRig(t, db, products)
		for range 4 {
			time.Sleep(200 * time.Millisecond) // a part of the work
			r.stop()
			r.start()
		}
		busy.Wait()
		r.until(r.agrees)
		r.lines() // its keys differ
	})
}

func work(ctx context.Context, r *rand.Rand, db *servers.Database) error {
	tx, err := db.Root().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for range 1 + r.IntN(4) {
		id := r.IntN(220)
		switch r.IntN(5) {
		case 0:
			_, err = tx.ExecContext(ctx, "DELETE FROM product_catalog.products WHERE id = ?", id)
		case 1:
			_, err = tx.ExecContext(ctx, "INSERT IGNORE INTO product_catalog.products VALUES (?, ?, 'new')", fmt.Sprintf("s%d", id%3), id)
		default:
			_, err = tx.ExecContext(ctx, "UPDATE product_catalog.products SET name = ? WHERE id BETWEEN ? AND ?", fmt.Sprint("v", r.IntN(1e6)), id, id+r.IntN(9))
		}
		if err != nil {
			return err
		}
	}
	if r.IntN(6) == 0 {
		return tx.Rollback()
	}
	return tx.Commit()
}

func (r *rig) agrees() (string, bool) {
	told := make(map[string]string)
	for _, rec := range r.store.Records() {
		if told[rec.ID] = string(rec.Payload); rec.Op == record.Delete {
			delete(told, rec.ID)
		}
	}
	table, err := capture.ReadTable(r.Context(), r.db.Root(), r.spec)
	if err != nil {
		return err.Error(), false
	}
	sweep := capture.Sweep{Read: capture.Snapshot{DB: r.db.Root(), Table: r.spec}, Chunk: 10_000}
	there, _, _, _, err := sweep.Next(r.Context(), table, capture.Progress{})
	if err != nil {
		return err.Error(), false
	}
	if len(there) != len(told) {
		return fmt.Sprintf("%d rows, %d told", len(there), len(told)), false
	}
	for _, s := range there {
		if told[s.ID] != string(s.Payload) {
			return fmt.Sprintf("%s is %s, and was told to be %s", s.ID, s.Payload, told[s.ID]), false
		}
	}
	return "", true
}

// The golden table of types: the bytes are those of the other ways, whatever the session that wrote had set.
func TestTheSameBytesAsByOtherWays(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		spec := &capture.Spec{Schema: "product_catalog", Name: "kinds", Key: []string{"hash"}}
		columns, values, want := capturetest.Kinds(db.Flavor, station)
		run(t, db, "DROP DATABASE IF EXISTS product_catalog", "CREATE DATABASE product_catalog CHARACTER SET utf8mb4",
			"SET sql_mode = 'ALLOW_INVALID_DATES'", "CREATE TABLE product_catalog.kinds ("+columns+") CHARACTER SET utf8mb4")
		install(t, db, spec)
		r := newRig(t, db, spec)
		for i, session := range [][]string{
			{"SET time_zone = '+00:00'"},
			{"SET time_zone = '-05:00'", "SET NAMES latin1", "SET lc_time_names = 'cs_CZ'", "SET div_precision_increment = 0"},
		} {
			id := fmt.Sprintf("end%d", i)
			run(t, db, slices.Concat([]string{"SET sql_mode = 'ALLOW_INVALID_DATES'", "SET time_zone = '+00:00'",
				"INSERT INTO product_catalog.kinds VALUES (" + strings.Replace(values, "'end'", "'"+id+"'", 1) + ")"}, session,
				[]string{"UPDATE product_catalog.kinds SET station = NULL WHERE hash = '" + id + "'",
					"UPDATE product_catalog.kinds SET station = '" + station + "' WHERE hash = '" + id + "'"})...)
			r.until(func() (string, bool) { n := len(r.store.Records()); return fmt.Sprint(n, " records"), n == 3*(i+1) })
			got := string(r.store.Records()[3*i+2].Payload)
			if want := strings.Replace(want, `"hash":"end"`, `"hash":"`+id+`"`, 1); got != want {
				g, w := strings.Split(got, `,"`), strings.Split(want, `,"`)
				for n := range min(len(g), len(w)) {
					if g[n] != w[n] {
						t.Errorf("session %d: got %s, want %s", i, g[n], w[n])
					}
				}
			}
		}
	})
}

func TestOldEntriesAreRemoved(t *testing.T) {
	db := servers.MariaDB(t)
	catalog(t, db, 0)
	run(t, db, "INSERT INTO product_catalog.products VALUES ('a', 1, 'x'), ('a', 2, 'y')",
		"UPDATE product_catalog.station_agent_queue_products SET taken = UTC_TIMESTAMP() - INTERVAL 25 HOUR WHERE n = 1")
	r := newRig(t, db, products)
	r.until(func() (string, bool) {
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
