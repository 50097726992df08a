package queue

import (
	"fmt"
	"strings"
	"testing"

	"station-agent/build/servers"
)

func TestDriftAndCascadesAreFound(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		catalog(t, db)
		faults := func() string {
			t.Helper()
			list, err := Check(t.Context(), db.Root(), products, DefaultName(products))
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(list)
		}
		if got := faults(); got != "[]" {
			t.Errorf("as it was made: %s", got)
		}
		for _, c := range []struct{ breaks, mends, want string }{
			{"ALTER TABLE product_catalog.products ADD COLUMN extra INT", "ALTER TABLE product_catalog.products DROP COLUMN extra", "lacks the column b_extra"},
			{"ALTER TABLE product_catalog.products ADD COLUMN extra INT", "ALTER TABLE product_catalog.products DROP COLUMN extra", "is another one"},
			{"CREATE TABLE product_catalog.shops (shop VARCHAR(20) PRIMARY KEY)", "", "[]"},
			{"ALTER TABLE product_catalog.products ADD CONSTRAINT to_shop FOREIGN KEY (shop) REFERENCES product_catalog.shops (shop) ON DELETE CASCADE",
				"ALTER TABLE product_catalog.products DROP FOREIGN KEY to_shop", "the foreign key to_shop"},
			{"DROP TRIGGER product_catalog.station_agent_products_delete", "", "station_agent_products_delete of product_catalog.products is missing"},
			{"DROP TRIGGER product_catalog.station_agent_products_insert", "", "insert of product_catalog.products is missing"},
			{"DROP TRIGGER product_catalog.station_agent_products_update", "", "no triggers"},
			{"DROP TABLE product_catalog.station_agent_queue_products", "", "there is no queue table"},
		} {
			db.Exec(t, c.breaks)
			if got := faults(); !strings.Contains(got, c.want) {
				t.Errorf("%s: %s, want %q", c.breaks, got, c.want)
			}
			keys, err := Cascades(t.Context(), openDB(t, db), products) // with SELECT and no other right on the table
			if err != nil || (len(keys) == 1) != strings.Contains(c.want, "foreign key") {
				t.Errorf("%s: %v %v", c.breaks, keys, err)
			}
			if c.mends != "" {
				db.Exec(t, c.mends)
			}
		}
	})
}

// TestForeignKeys reads what both servers print. What stands in a comment or in names is no key.
func TestForeignKeys(t *testing.T) {
	const made = "CREATE TABLE `p` (\n  `a` int(11) DEFAULT NULL COMMENT 'CONSTRAINT `x` FOREIGN KEY (`a`) REFERENCES `t` (`a`) ON DELETE CASCADE',\n" +
		"  KEY `k` (`a`),\n  CONSTRAINT `c1` FOREIGN KEY (`a`) REFERENCES `t` (`a`) ON DELETE CASCADE,\n" +
		"  CONSTRAINT `c2` FOREIGN KEY (`a`, `b)`) REFERENCES `s`.`t (x)` (`a`, `b`) ON DELETE RESTRICT ON UPDATE SET NULL,\n" +
		"  CONSTRAINT `c3` FOREIGN KEY (`a`) REFERENCES `t` (`a`) ON DELETE NO ACTION ON UPDATE NO ACTION,\n" +
		"  CONSTRAINT `c4` FOREIGN KEY (`a`) REFERENCES `CASCADE` (`a`),\n  CONSTRAINT `c5` CHECK (`a` > 0)\n) ENGINE=InnoDB"
	want := "[{c1 t, ON DELETE CASCADE} {c2 s.t (x), ON DELETE RESTRICT ON UPDATE SET NULL}]"
	if got := fmt.Sprint(foreignKeys(made)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
