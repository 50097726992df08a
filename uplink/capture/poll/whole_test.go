package poll

import (
	"fmt"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/sourcetest"
)

var products = &capture.Spec{Schema: "product_catalog", Name: "products", Key: []string{"shop", "id"}, Updated: "updated_at"}

// catalog makes a table of a customer's own, with n rows that are old.
func catalog(t testing.TB, db *servers.Database, n int, updated string) {
	t.Helper()
	db.Exec(t, sourcetest.Catalog("updated_at "+updated+" NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, KEY (updated_at)")...)
	db.Exec(t, "GRANT SELECT ON product_catalog.* TO '"+servers.AgentUser+"'@'%'", sourcetest.Rows(n), "UPDATE product_catalog.products SET updated_at = '2026-01-01 00:00:00'")
}

func TestAWholeTableIsReadOnceAndThenItsChanges(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		for _, updated := range []string{"TIMESTAMP", "DATETIME"} {
			t.Run(updated, func(t *testing.T) {
				catalog(t, db, 1234, updated)
				r := newRig(t, db, products)
				r.Agrees()
				if n := r.Of(record.Upsert); n != 1234 {
					t.Errorf("%d upserts", n)
				}
				db.Exec(t, "UPDATE product_catalog.products SET name = 'x' WHERE id = 7", "INSERT INTO product_catalog.products (shop, id) VALUES ('s%', 1)")
				r.Count(1236)
				// one second, more rows than a page
				db.Exec(t, "UPDATE product_catalog.products SET name = 'bulk' WHERE id < 1000")
				r.Agrees()
				// a time that was set by hand, deletes, and a key that changes
				db.Exec(t, "UPDATE product_catalog.products SET name = 'old', updated_at = '2020-01-01 00:00:00' WHERE id = 9",
					"DELETE FROM product_catalog.products WHERE id IN (10, 11)", "UPDATE product_catalog.products SET id = 5000 WHERE id = 12")
				r.Agrees()
				if n := r.Of(record.Delete); n != 3 {
					t.Errorf("%d deletes", n)
				}
				r.Stop()
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
	r := newRig(t, db, &quiet)
	r.Until(func() (string, bool) {
		ids, _ := r.Store.ShadowIDs("products", "", 1000)
		return fmt.Sprintf("%d rows are known", len(ids)), len(ids) == 250
	})
	db.Exec(t, "UPDATE product_catalog.products SET name = 'x' WHERE id = 7")
	r.Want("name", "update s%2F1/7 x")
}

// A row that went to another state by a time that was set by hand, or was gone, and then is as it was seen not long ago is found
// again: what was seen doesn't hide it.
func TestARowThatIsAsItWasSeenBeforeIsFound(t *testing.T) {
	db := servers.MariaDB(t)
	catalog(t, db, 10, "TIMESTAMP")
	r := newRig(t, db, products)
	r.Agrees()
	db.Exec(t, "UPDATE product_catalog.products SET name = 'a' WHERE id IN (3, 4)", "CREATE TABLE product_catalog.was AS SELECT * FROM product_catalog.products WHERE id IN (3, 4)")
	r.Agrees()
	db.Exec(t, "UPDATE product_catalog.products SET name = 'b', updated_at = '2026-01-01 00:00:00' WHERE id = 3", "DELETE FROM product_catalog.products WHERE id = 4")
	r.Agrees()
	db.Exec(t, "REPLACE INTO product_catalog.products SELECT * FROM product_catalog.was")
	r.Agrees()
}

// A transaction that is committed long after its statements ran is found all the same, and the look goes back further then.
func TestALateCommit(t *testing.T) {
	db := servers.MariaDB(t)
	catalog(t, db, 10, "TIMESTAMP")
	r := newRig(t, db, products)
	r.Agrees()
	tx, err := db.Root().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(t.Context(), "UPDATE product_catalog.products SET name = 'late' WHERE id = 3"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(overlapLeast + 3*time.Second) // nothing tells how far looks go back: it must be later than any by the least overlap
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	r.Agrees()
}

// Over a random workload with long transactions, rollbacks, deletes and restarts, what was recorded ends as the table is.
func TestRandomWorkOnAWholeTable(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		catalog(t, db, 300, "TIMESTAMP")
		r := newRig(t, db, products)
		busy := sourcetest.Work(t, db.Root(), 300, 3, 40)
		for n := range 4 {
			busy.Did(24 * (n + 1)) // of 120
			r.restart()
		}
		busy.Wait()
		r.Agrees()
	})
}
