package binlog

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
)

var catalog = &capture.Spec{Schema: "product_catalog", Name: "products", Key: []string{"shop", "id"}}

func makeCatalog(t *testing.T, db *servers.Database, n int) {
	var values []string
	for i := range n {
		values = append(values, fmt.Sprintf("('s%d', %d, 'n%d')", i%3, i, i))
	}
	run(t, db, "DROP DATABASE IF EXISTS product_catalog", "CREATE DATABASE product_catalog CHARACTER SET utf8mb4",
		"CREATE TABLE product_catalog.products (shop VARCHAR(20), id INT UNSIGNED, name VARCHAR(100), PRIMARY KEY (shop, id))",
		"INSERT INTO product_catalog.products VALUES "+strings.Join(values, ", "),
		"GRANT SELECT ON product_catalog.* TO '"+servers.CaptureUser+"'@'%'")
}

func catalogWork(ctx context.Context, r *rand.Rand, db *servers.Database) error {
	tx, err := db.Root().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for range 1 + r.IntN(4) {
		id := r.IntN(4100)
		switch r.IntN(5) {
		case 0:
			_, err = tx.ExecContext(ctx, "DELETE FROM product_catalog.products WHERE id BETWEEN ? AND ?", id, id+2)
		case 1:
			_, err = tx.ExecContext(ctx, "INSERT IGNORE INTO product_catalog.products VALUES (?, ?, 'new')", fmt.Sprintf("s%d", id%3), id)
		case 2:
			_, err = tx.ExecContext(ctx, "UPDATE product_catalog.products SET id = id + 5000 WHERE shop = ? AND id = ?", fmt.Sprintf("s%d", id%3), id)
		default:
			_, err = tx.ExecContext(ctx, "UPDATE product_catalog.products SET name = ? WHERE id BETWEEN ? AND ?", fmt.Sprint("v", r.IntN(1e6)), id, id+r.IntN(50))
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

// told is what the records say of each row in the end; their order within a row is that of their versions.
func told(t *testing.T, records []record.Record) map[string]string {
	t.Helper()
	state, keys, versions := make(map[string]string), make(map[string]bool), make(map[string]string)
	for _, rec := range records {
		if keys[rec.Key] {
			t.Errorf("the key %s twice", rec.Key)
		}
		keys[rec.Key] = true
		if was := versions[rec.ID]; len(was) > len(rec.Version) || len(was) == len(rec.Version) && was >= rec.Version {
			t.Errorf("%s: version %s after %s", rec.ID, rec.Version, was)
		}
		versions[rec.ID] = rec.Version
		if state[rec.ID] = string(rec.Payload); rec.Op == record.Delete {
			delete(state, rec.ID)
		}
	}
	return state
}

// A table of any size is read beside its changes, also while the agent is restarted and after a gap: in the end the records
// tell what the table holds.
func TestATableIsSweptBesideItsChanges(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		for _, mode := range []Mode{ByGTID, ByPosition} {
			t.Run(string(mode), func(t *testing.T) {
				makeCatalog(t, db, 4000)
				store := &capturetest.Store{}
				begin := func() (cond *capturetest.Condition, stop func()) {
					s := source(t, db, mode, catalog)
					s.cfg.Known = store.ShadowIDs
					return startOn(t, s, store, catalog)
				}
				seed := uint64(time.Now().UnixNano())
				t.Logf("seed %d", seed)
				var busy sync.WaitGroup
				for n := range 2 {
					r := rand.New(rand.NewPCG(seed, uint64(n)))
					busy.Go(func() {
						for range 60 {
							_ = catalogWork(t.Context(), r, db) // a transaction that fails is none
						}
					})
				}
				_, stop := begin()
				for range 3 {
					time.Sleep(300 * time.Millisecond) // a part of the work
					stop()
					_, stop = begin()
				}
				busy.Wait()
				run(t, db, "INSERT INTO product_catalog.products VALUES ('end', 1, 'end')")
				swept(t, db, store)
				stop()

				run(t, db, "UPDATE product_catalog.products SET name = 'unseen' WHERE id < 30", "DELETE FROM product_catalog.products WHERE shop = 'end'")
				store.Salvage(record.Position{Flavor: "mysql", Server: "another", File: "gone.000001", Pos: 4, Tables: "products"}, "")
				_, stop = begin()
				swept(t, db, store)
				stop()
				gaps := 0
				for _, rec := range store.Records() {
					if rec.Collection == capture.Gaps {
						gaps++
					}
				}
				if gaps != 1 {
					t.Errorf("%d gaps were recorded", gaps)
				}
			})
		}
	})
}

// swept waits until the records tell what the table holds.
func swept(t *testing.T, db *servers.Database, store *capturetest.Store) {
	t.Helper()
	table, err := capture.ReadTable(t.Context(), db.Root(), catalog)
	if err != nil {
		t.Fatal(err)
	}
	sweep := capture.Sweep{Read: capture.Snapshot{DB: db.Root(), Table: catalog}, Chunk: 10_000}
	there, _, _, _, err := sweep.Next(t.Context(), table, capture.Progress{})
	if err != nil {
		t.Fatal(err)
	}
	differs := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		var rows []record.Record
		for _, rec := range store.Records() {
			if rec.Collection != capture.Gaps {
				rows = append(rows, rec)
			}
		}
		state := told(t, rows)
		if differs = ""; len(there) != len(state) {
			differs = fmt.Sprintf("%d rows, %d told", len(there), len(state))
		}
		for _, s := range there {
			if state[s.ID] != string(s.Payload) {
				differs = fmt.Sprintf("%s is %s and was told to be %s", s.ID, s.Payload, state[s.ID])
			}
		}
		if differs == "" {
			return
		}
	}
	t.Fatal(differs)
}

func TestPassed(t *testing.T) {
	for _, c := range []struct {
		read gtids
		at   record.Position
		end  record.Position
		want bool
	}{
		{nil, record.Position{File: "b.000009", Pos: 10}, record.Position{File: "b.000009", Pos: 10}, true},
		{nil, record.Position{File: "b.000009", Pos: 9}, record.Position{File: "b.000009", Pos: 10}, false},
		{nil, record.Position{File: "b.000010", Pos: 4}, record.Position{File: "b.000009", Pos: 10}, true},
		{nil, record.Position{File: "b.999999", Pos: 4}, record.Position{File: "b.1000000", Pos: 4}, false},
		{mustParse(t, "mariadb", "0-1-5,1-1-7"), record.Position{}, record.Position{GTID: "0-1-5"}, true},
		{mustParse(t, "mariadb", "0-1-5,1-1-7"), record.Position{}, record.Position{GTID: "0-2-6"}, false},
		{mustParse(t, "mariadb", "0-1-5"), record.Position{}, record.Position{GTID: "0-1-5,1-1-1"}, false},
		{mustParse(t, "mysql", stationA+":1-5:7"), record.Position{}, record.Position{GTID: stationA + ":1-3:7"}, true},
		{mustParse(t, "mysql", stationA+":1-5:7"), record.Position{}, record.Position{GTID: stationA + ":1-6"}, false},
		{mustParse(t, "mysql", stationA+":1-5"), record.Position{}, record.Position{GTID: stationA + ":1-5," + stationB + ":1"}, false},
	} {
		s := &stream{read: c.read, here: place{c.at.File, c.at.Pos}}
		if got := s.past(c.end); got != c.want {
			t.Errorf("%v %v has passed %v: %v", c.read, c.at, c.end, got)
		}
	}
}

func mustParse(t *testing.T, flavor, text string) gtids {
	t.Helper()
	g, err := parseGTIDs(flavor, text)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
