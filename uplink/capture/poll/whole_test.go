package poll

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
)

var products = &capture.Spec{Schema: "product_catalog", Name: "products", Key: []string{"shop", "id"}, Updated: "updated_at"}

// catalog makes a table of a customer's own, with n rows.
func catalog(t testing.TB, db *servers.Database, n int, updated string) {
	run(t, db, "DROP DATABASE IF EXISTS product_catalog", "CREATE DATABASE product_catalog CHARACTER SET utf8mb4",
		"CREATE TABLE product_catalog.products (shop VARCHAR(20), id INT UNSIGNED, name VARCHAR(100), updated_at "+updated+
			" NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, PRIMARY KEY (shop, id), KEY (updated_at))",
		"GRANT SELECT ON product_catalog.* TO '"+servers.AgentUser+"'@'%'")
	if n == 0 {
		return
	}
	var values []string
	for i := range n {
		values = append(values, fmt.Sprintf("('s/%d', %d, 'n%d', '2026-01-01 00:00:00')", i%3, i, i))
	}
	run(t, db, "INSERT INTO product_catalog.products VALUES "+strings.Join(values, ", "))
}

// state is what the records say of each row, and false where they differ from the table.
func (r *rig) agrees() (string, bool) {
	told := make(map[string]string)
	for _, rec := range r.store.Records() {
		if rec.Collection != "products" {
			continue
		}
		if told[rec.ID] = string(rec.Payload); rec.Op == record.Delete {
			delete(told, rec.ID)
		}
	}
	table, err := capture.ReadTable(r.Context(), r.db.Root(), r.spec)
	if err != nil {
		return err.Error(), false
	}
	conn, err := r.db.Root().Conn(r.Context())
	if err != nil {
		return err.Error(), false
	}
	defer conn.Close()
	if _, err := conn.ExecContext(r.Context(), "SET time_zone = '+00:00'"); err != nil {
		return err.Error(), false
	}
	sweep := capture.Sweep{Read: capture.Snapshot{DB: conn, Table: r.spec}, Chunk: 10_000}
	there, _, _, _, err := sweep.Next(r.Context(), table, capture.Progress{})
	if err != nil {
		return err.Error(), false
	}
	if len(there) != len(told) {
		return fmt.Sprintf("the table has %d rows and the records tell of %d", len(there), len(told)), false
	}
	for _, s := range there {
		if told[s.ID] != string(s.Payload) {
			return fmt.Sprintf("%s is %s, and was told to be %s", s.ID, s.Payload, told[s.ID]), false
		}
	}
	return "", true
}

func TestAWholeTableIsReadOnceAndThenItsChanges(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		for _, updated := range []string{"TIMESTAMP", "DATETIME"} {
			t.Run(updated, func(t *testing.T) {
				catalog(t, db, 1234, updated)
				r := newRig(t, db, products)
				r.until(r.agrees)
				if n := len(r.records(record.Upsert)); n != 1234 {
					t.Errorf("%d upserts", n)
				}
				run(t, db, "UPDATE product_catalog.products SET name = 'x' WHERE id = 7", "INSERT INTO product_catalog.products (shop, id) VALUES ('s%', 1)")
				r.until(func() (string, bool) {
					n := len(r.store.Records())
					return fmt.Sprintf("%d records", n), n == 1236
				})
				// one second, more rows than a page
				run(t, db, "UPDATE product_catalog.products SET name = 'bulk' WHERE id < 1000")
				r.until(r.agrees)
				// a time that was set by hand, deletes, and a key that changes
				run(t, db, "UPDATE product_catalog.products SET name = 'old', updated_at = '2020-01-01 00:00:00' WHERE id = 9",
					"DELETE FROM product_catalog.products WHERE id IN (10, 11)", "UPDATE product_catalog.products SET id = 5000 WHERE id = 12")
				r.until(r.agrees)
				if n := len(r.records(record.Delete)); n != 3 {
					t.Errorf("%d deletes", n)
				}
				r.lines("name") // its keys differ
				versions(t, r.store.Records())
				r.stop()
			})
		}
	})
}

// What stands there when capture begins is not reported if nobody wants it; what changes is.
func TestAQuietBeginning(t *testing.T) {
	db := servers.MySQL(t)
	catalog(t, db, 250, "TIMESTAMP")
	quiet := *products
	quiet.Quiet = true
	r := &rig{TB: t, db: db, spec: &quiet, store: newStore()}
	r.start()
	defer func() { r.stop() }()
	r.until(func() (string, bool) {
		ids, _ := r.store.ShadowIDs("products", "", 1000)
		return fmt.Sprintf("%d rows are known", len(ids)), len(ids) == 250
	})
	run(t, db, "UPDATE product_catalog.products SET name = 'x' WHERE id = 7")
	r.want("name", "update s%2F1/7 x")
}

// A transaction that is committed long after its statements ran is found all the same, and the look goes back further then.
func TestALateCommit(t *testing.T) {
	db := servers.MariaDB(t)
	catalog(t, db, 10, "TIMESTAMP")
	r := newRig(t, db, products)
	r.until(r.agrees)
	tx, err := db.Root().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(t.Context(), "UPDATE product_catalog.products SET name = 'late' WHERE id = 3"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(overlapLeast + 3*time.Second) // it must be later than any look that goes back by the least overlap
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	r.until(r.agrees)
}

// Over a random workload with long transactions, rollbacks, deletes and restarts, what was recorded ends as the table is.
func TestRandomWorkOnAWholeTable(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		catalog(t, db, 300, "TIMESTAMP")
		r := newRig(t, db, products)
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		var workers sync.WaitGroup
		for n := range 3 {
			rnd := rand.New(rand.NewPCG(seed, uint64(n)))
			workers.Go(func() {
				for range 40 {
					_ = work(t.Context(), rnd, db) // a transaction that fails is none
				}
			})
		}
		for range 4 {
			time.Sleep(300 * time.Millisecond) // a part of the work
			r.restart()
		}
		workers.Wait()
		r.until(r.agrees)
		r.lines("name")
		versions(t, r.store.Records())
	})
}

func work(ctx context.Context, r *rand.Rand, db *servers.Database) error {
	tx, err := db.Root().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for range 1 + r.IntN(5) {
		id := r.IntN(320)
		switch r.IntN(6) {
		case 0:
			_, err = tx.ExecContext(ctx, "DELETE FROM product_catalog.products WHERE id = ?", id)
		case 1:
			_, err = tx.ExecContext(ctx, "INSERT IGNORE INTO product_catalog.products (shop, id, name) VALUES (?, ?, 'new')", fmt.Sprintf("s/%d", id%3), id)
		case 2:
			_, err = tx.ExecContext(ctx, "UPDATE product_catalog.products SET name = ? WHERE id BETWEEN ? AND ?", fmt.Sprint("w", r.IntN(1e6)), id, id+30)
		default:
			_, err = tx.ExecContext(ctx, "UPDATE product_catalog.products SET name = ? WHERE id = ?", fmt.Sprint("v", r.IntN(1e6)), id)
		}
		if err != nil {
			return err
		}
	}
	if r.IntN(5) == 0 {
		time.Sleep(time.Duration(r.IntN(400)) * time.Millisecond) // a long transaction
	}
	if r.IntN(6) == 0 {
		return tx.Rollback()
	}
	return tx.Commit()
}
