package poll

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
)

const (
	megabyte  = 1 << 20
	largeRows = 200
)

var pictures = &capture.Spec{Schema: "product_catalog", Name: "pictures", Key: []string{"id"}, Updated: "updated_at"}

// album makes a table of a megabyte a row.
func album(t testing.TB, db *servers.Database) {
	db.Exec(t, "DROP DATABASE IF EXISTS product_catalog", "CREATE DATABASE product_catalog CHARACTER SET utf8mb4",
		"CREATE TABLE product_catalog.pictures (id INT UNSIGNED PRIMARY KEY, name VARCHAR(20), data LONGBLOB,"+
			" updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, KEY (updated_at))",
		"GRANT SELECT ON product_catalog.* TO '"+servers.AgentUser+"'@'%'")
	for i := range largeRows {
		db.Exec(t, fmt.Sprintf("INSERT INTO product_catalog.pictures (id, name, data) VALUES (%d, 'n%d', REPEAT('x', %d))", i, i, megabyte))
	}
}

func held(list []capture.State) (bytes int) {
	for i := range list {
		bytes += len(list[i].Payload)
	}
	return bytes
}

// sent is how many bytes the server sent to the one connection of a pool.
func sent(t testing.TB, pool *sql.DB) (n int) {
	t.Helper()
	var name string
	if err := pool.QueryRow("SHOW SESSION STATUS LIKE 'Bytes_sent'").Scan(&name, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A page is bounded by its bytes: neither a sweep nor a look holds many rows of a megabyte at once, and each row is found all the
// same. What doesn't fit is not sent again and again.
func TestLargeRowsAreReadAFewAtATime(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		album(t, db)
		const most = 8 * megabyte // of JSON, of which a row has a third more than a megabyte
		t.Run("sweep", func(t *testing.T) {
			pool := openDB(t, db)
			s := capture.Sweep{Read: capture.Snapshot{DB: pool, Table: pictures}, Chunk: 500, Known: (&capturetest.Store{}).ShadowIDs}
			table, err := s.Read.Layout(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			seen, before, p := make(map[string]bool), sent(t, pool), capture.Progress{}
			for done := false; !done; {
				var found []capture.State
				if found, _, p, done, err = s.Next(t.Context(), table, p); err != nil {
					t.Fatal(err)
				}
				if n := held(found); n > most {
					t.Fatalf("%d rows with %d bytes in one chunk", len(found), n)
				}
				for _, row := range found {
					if seen[row.ID] {
						t.Fatalf("%s twice", row.ID)
					}
					seen[row.ID] = true
				}
			}
			if len(seen) != largeRows {
				t.Errorf("%d rows", len(seen))
			}
			if n := sent(t, pool) - before; n > 5*largeRows*megabyte/2 { // the first page is sent whole
				t.Errorf("%d bytes were sent for %d", n, largeRows*megabyte)
			}
		})
		t.Run("look", func(t *testing.T) {
			shadow := &capturetest.Store{}
			s, err := New(Config{DB: openDB(t, db), Table: pictures, Station: stationA, Shadow: shadow, Chunk: 1})
			if err != nil {
				t.Fatal(err)
			}
			o, err := s.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := o.layout(t.Context()); err != nil {
				t.Fatal(err)
			}
			w, err := newWhole(o, record.Position{Way: Way, At: time.Now().Add(-time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			seen := make(map[string]bool)
			for looks := 0; len(seen) < largeRows; looks++ {
				if looks > largeRows {
					t.Fatalf("%d rows after %d looks", len(seen), looks)
				}
				txs, err := w.look(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if n := held(txs[0].Found); n > most {
					t.Fatalf("%d rows with %d bytes in one look", len(txs[0].Found), n)
				}
				for _, row := range txs[0].Found {
					if seen[row.ID] {
						t.Fatalf("%s twice", row.ID)
					}
					seen[row.ID] = true
				}
			}
		})
	})
}

// What no record has doesn't cross the wire: columns that are left out, and all but the key where only the key is asked for.
func TestOnlyWhatIsNeededIsSent(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		album(t, db)
		lean := *pictures
		lean.Exclude = []string{"data"}
		for name, ask := range map[string]func(context.Context, *sql.DB) error{
			"an excluded column": func(ctx context.Context, pool *sql.DB) error {
				read := capture.Snapshot{DB: pool, Table: &lean}
				found, err := read.Rows(ctx, []string{"1", "2", "3"})
				if err == nil && (len(found) != 3 || found[0].Updated.IsZero()) {
					err = fmt.Errorf("found %v", found)
				}
				return err
			},
			"who is absent": func(ctx context.Context, pool *sql.DB) error {
				read := capture.Snapshot{DB: pool, Table: pictures}
				table, err := read.Layout(ctx)
				if err != nil {
					return err
				}
				absent, err := read.Absent(ctx, table, []string{"1", "2", "3", "1000"})
				if err == nil && (len(absent) != 1 || absent[0] != "1000") {
					err = fmt.Errorf("absent %q", absent)
				}
				return err
			},
		} {
			t.Run(name, func(t *testing.T) {
				pool := openDB(t, db)
				before := sent(t, pool)
				if err := ask(t.Context(), pool); err != nil {
					t.Fatal(err)
				}
				if n := sent(t, pool) - before; n > 100_000 {
					t.Errorf("%d bytes were sent", n)
				}
			})
		}
	})
}
