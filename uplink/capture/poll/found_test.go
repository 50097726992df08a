package poll

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/uplink/capture"
)

// A statement that changes more rows than one look reads, all in one second, does not keep later changes from being found.
func TestManyRowsInOneSecond(t *testing.T) {
	db := servers.MySQL(t)
	catalog(t, db, 12_000, "TIMESTAMP")
	r := newRig(t, db, products)
	r.Count(12_000)
	db.Exec(t, "UPDATE product_catalog.products SET name = 'bulk'")
	bulk := time.Now()
	r.Count(24_000)
	place := func() time.Time {
		p, err := r.Store.Position()
		if err != nil {
			t.Fatal(err)
		}
		return p.At
	}
	for n := 24_001; place().Before(bulk.Add(2 * overlapLeast)); n++ {
		if time.Since(bulk) > time.Minute {
			t.Fatalf("a minute after %s the place is %s", bulk, place())
		}
		db.Exec(t, fmt.Sprintf("UPDATE product_catalog.products SET name = 'later %d' WHERE id = 11999", n))
		r.Count(n)
	}
}

// Every row of a table is found, whatever its key.
func TestKeysOfManyTypes(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		for name, c := range map[string]struct {
			column string
			values string
		}{
			"latin1":   {"VARCHAR(20) CHARACTER SET latin1", "('a'), ('é'), ('ü')"},
			"enum":     {"ENUM('z','m','a')", "('z'), ('m'), ('a')"},
			"bigint":   {"BIGINT", "(9007199254740992), (9007199254740993), (9007199254740994), (9007199254740995)"},
			"unsigned": {"BIGINT UNSIGNED", "(18446744073709551613), (18446744073709551614), (18446744073709551615)"},
			"decimal":  {"DECIMAL(30,2)", "(90071992547409921234.01), (90071992547409921234.02), (90071992547409921234.03)"},
			"bit":      {"BIT(16)", "(48), (49), (50), (51), (300)"},
			"time":     {"TIME", "('-12:00:00'), ('09:00:00'), ('100:00:00'), ('10:00:00')"},
			"year":     {"YEAR", "(1990), (2000), (2010)"},
			"binary":   {"BINARY(4)", "('a'), ('b'), ('c')"},
			"utf16":    {"VARCHAR(20) CHARACTER SET utf16", "('a'), ('b'), ('c')"},
			"spaces":   {"VARCHAR(20) COLLATE utf8mb4_bin", "('a'), ('a a'), ('b')"},
		} {
			t.Run(name, func(t *testing.T) {
				db.Exec(t, "DROP DATABASE IF EXISTS review", "CREATE DATABASE review CHARACTER SET utf8mb4", "SET NAMES utf8mb4",
					"CREATE TABLE review.k (id "+c.column+" PRIMARY KEY, v INT)", "GRANT SELECT ON review.* TO '"+servers.AgentUser+"'@'%'",
					"INSERT INTO review.k (id) VALUES "+c.values)
				spec := &capture.Spec{Schema: "review", Name: "k", Key: []string{"id"}}
				pool := openDB(t, db)
				table, err := capture.ReadTable(t.Context(), pool, spec)
				if err != nil {
					if name == "latin1" || name == "utf16" || name == "enum" || name == "bit" {
						return // refused
					}
					t.Fatal(err)
				}
				var want int
				if err := db.Root().QueryRow("SELECT COUNT(*) FROM review.k").Scan(&want); err != nil {
					t.Fatal(err)
				}
				var ids []string
				sweep := capture.Sweep{Read: capture.Snapshot{DB: pool, Table: spec}, Chunk: 1, Known: func(_, after string, n int) (list []string, err error) {
					for _, id := range ids {
						if id > after {
							list = append(list, id)
						}
					}
					slices.Sort(list)
					return list[:min(n, len(list))], nil
				}}
				var gone []string
				p := capture.Progress{}
				for n := 0; ; n++ {
					found, missing, next, done, err := sweep.Next(t.Context(), table, p)
					if err != nil {
						t.Fatal(err)
					}
					for _, s := range found {
						if slices.Contains(ids, s.ID) {
							t.Fatalf("%q twice", s.ID)
						}
						ids = append(ids, s.ID)
					}
					gone = append(gone, missing...)
					if done {
						break
					}
					if p = next; n > 50 {
						t.Fatal("it has no end")
					}
				}
				if len(ids) != want || len(gone) > 0 {
					t.Errorf("found %q of %d rows; said to be gone though they stand there: %q", ids, want, gone)
				}
			})
		}
	})
}

// A table with a backquote in a name is polled as any other.
func TestABackquoteInAName(t *testing.T) {
	db := servers.MySQL(t)
	db.Exec(t, "DROP DATABASE IF EXISTS review", "CREATE DATABASE review", "CREATE TABLE review.`a``b` (id INT PRIMARY KEY, updated_at TIMESTAMP NULL)",
		"GRANT SELECT ON review.* TO '"+servers.AgentUser+"'@'%'", "INSERT INTO review.`a``b` VALUES (1, NULL)")
	r := newRig(t, db, &capture.Spec{Schema: "review", Name: "a`b", Key: []string{"id"}, Updated: "updated_at"})
	r.Count(1)
}
