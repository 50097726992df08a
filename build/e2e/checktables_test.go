package e2e

import (
	"slices"
	"strings"
	"testing"

	"station-agent/build/servers"
)

const ownTable = `
[[table]]
  schema = "product_catalog"
  name = "products"
  key = ["shop", "id"]
  updated = "updated_at"
  source = "auto"
  queue = "product_catalog.station_agent_queue_products"
`

// catalog checks a table of the customer's own.
type catalog struct {
	*site
	who string
}

func newCatalog(t *testing.T, db *servers.Database) *catalog {
	s := &catalog{newSite(t, db), "'" + servers.CaptureUser + "'@'%'"}
	s.root("CREATE DATABASE product_catalog CHARACTER SET utf8mb4", "CREATE TABLE product_catalog.shops (shop VARCHAR(20) PRIMARY KEY)",
		"CREATE TABLE product_catalog.products (shop VARCHAR(20) NOT NULL, id INT UNSIGNED NOT NULL, name VARCHAR(100),"+
			" updated_at TIMESTAMP(3) NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), PRIMARY KEY (shop, id), KEY u (updated_at))",
		"GRANT SELECT, TRIGGER ON product_catalog.products TO "+s.who)
	s.Config.Tables = ownTable
	s.must(s.WriteConfig())
	s.layOut()
	return s
}

func (s *catalog) root(statements ...string) {
	s.t.Helper()
	s.DB.Exec(s.t, statements...)
}

// found is what is said with the code, the worst first. By no way is exit code 1.
func (s *catalog) found(code, way string, args ...string) finding {
	s.t.Helper()
	exit := 0
	if way == "" {
		exit = 1
	}
	f := s.check(exit, args...)
	i := slices.IndexFunc(f.Tables[0].Findings, func(f finding) bool { return f.Code == code })
	if f.Tables[0].Way != way || i < 0 {
		s.t.Fatalf("%s: by %q, want %q: %+v", code, f.Tables[0].Way, way, f.Tables)
	}
	return f.Tables[0].Findings[i]
}

// mended breaks something, wants the finding and the way that is left, runs what the finding says, and wants it to be gone.
func (s *catalog) mended(code, state, way string, breaks ...string) {
	s.t.Helper()
	s.root(breaks...)
	f := s.found(code, way)
	if f.State != state || f.Fact == "" || f.Why == "" || len(f.Fix) == 0 || f.Who != "administrator" {
		s.t.Errorf("%s: %+v, want %s", code, f, state)
	}
	s.root(f.Fix...)
	if is := s.found(code, "binlog"); is.State != "ok" {
		s.t.Errorf("%s was not mended by %q: %+v", code, f.Fix, is)
	}
}

// told breaks something that a person has to mend by what the text says.
func (s *catalog) told(code, state, way, text string, mend func(), breaks ...string) {
	s.t.Helper()
	s.root(breaks...)
	if f := s.found(code, way); f.State != state || !strings.Contains(f.Fact, text) {
		s.t.Errorf("%s: %+v, want %s: %s", code, f, state, text)
	}
	mend()
}

// TestCheckTables breaks each precondition of a table of the customer's own, and mends it by what is printed. Only what keeps
// every way from being used is exit code 1.
func TestCheckTables(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		s := newCatalog(t, db)
		f := s.check(0)
		for _, f := range slices.Concat(f.Tables[0].Findings, f.Ways[0].Findings, f.Ways[1].Findings) {
			if f.State != "ok" && !strings.HasSuffix(f.Code, "station_index") { // Buylo's table has none
				t.Errorf("as it should be: %+v", f)
			}
		}
		s.layout()
		s.foreignKey()
		s.queue()
		s.onlyOneWay()
	})
}

func (s *catalog) layout() {
	const alter = "ALTER TABLE product_catalog.products "
	s.mended("table.read", "fault", "", "REVOKE SELECT ON product_catalog.products FROM "+s.who)
	s.told("table.read", "fault", "", "no column updated_at", func() { s.root(alter + "CHANGE changed updated_at TIMESTAMP(3) NULL") },
		alter+"CHANGE updated_at changed TIMESTAMP(3) NULL")
	s.mended("table.updated", "warning", "binlog")
	s.mended("table.updated_index", "warning", "binlog", alter+"DROP INDEX u")
	s.mended("table.key", "warning", "binlog", alter+"DROP PRIMARY KEY, MODIFY shop VARCHAR(20) NULL")
	s.mended("table.key", "warning", "binlog", alter+"DROP PRIMARY KEY, MODIFY shop VARCHAR(20) NULL, ADD PRIMARY KEY (id)")
	s.told("table.key", "warning", "binlog", "another order", func() { s.root(alter + "DROP PRIMARY KEY, ADD PRIMARY KEY (shop, id)") },
		alter+"DROP INDEX station_agent_key, DROP PRIMARY KEY, ADD PRIMARY KEY (id, shop)")
	s.mended("table.engine", "warning", "binlog", alter+"ENGINE = MyISAM")
}

// foreignKey is seen by MySQL's binary log and not by MariaDB's.
func (s *catalog) foreignKey() {
	s.t.Helper()
	s.root("ALTER TABLE product_catalog.products ADD CONSTRAINT to_shop FOREIGN KEY (shop) REFERENCES product_catalog.shops (shop) ON DELETE CASCADE")
	blind := map[string]string{"mysql": "queue", "mariadb": "binlog"}[s.DB.Flavor]
	if f := s.found("table.cascade", "binlog"); f.State != "warning" || f.Way != blind || !strings.Contains(f.Fact, "to_shop") {
		s.t.Errorf("%+v, want %s", f, blind)
	}
	if f := s.found("table.queue", "binlog"); f.State != "ok" {
		s.t.Errorf("with a foreign key: %+v", f)
	}
	s.root("ALTER TABLE product_catalog.products DROP FOREIGN KEY to_shop")
}

// queue is broken, which is only listed while the binary log works.
func (s *catalog) queue() {
	s.t.Helper()
	const queue = "product_catalog.station_agent_queue_products"
	s.mended("table.queue", "warning", "binlog", "REVOKE TRIGGER ON product_catalog.products FROM "+s.who)
	s.mended("table.queue_grants", "fault", "binlog", "REVOKE DELETE, UPDATE (taken) ON "+queue+" FROM "+s.who)
	s.told("table.queue", "fault", "binlog", "has no triggers", func() {}, "DROP TRIGGER product_catalog.station_agent_products_insert",
		"DROP TRIGGER product_catalog.station_agent_products_update", "DROP TRIGGER product_catalog.station_agent_products_delete")
	s.told("table.queue", "fault", "binlog", "there is no queue table", s.layOut, "DROP TABLE "+queue)
	if f := s.found("table.queue", "binlog"); f.State != "ok" {
		s.t.Errorf("laid out: %+v", f)
	}
}

// onlyOneWay breaks one way after the other, the best first.
func (s *catalog) onlyOneWay() {
	s.t.Helper()
	s.root("SET GLOBAL binlog_row_image = 'MINIMAL'")
	if f := s.found("table.way", "queue", "--source", "polling"); f.State != "fault" || f.Way != "binlog" || len(f.Fix) == 0 {
		s.t.Errorf("%+v", f)
	}
	s.root("DROP TRIGGER product_catalog.station_agent_products_insert")
	s.found("table.queue", "polling", "--source", "polling")
	s.Config.Tables = strings.Replace(ownTable, `"auto"`, `"queue"`, 1)
	s.must(s.WriteConfig())
	s.found("table.queue", "", "--source", "polling")
	text := s.command(1, "check", "--source", "polling")
	for _, part := range []string{"table product_catalog.products by no way (fault 1", "[table.queue]", "DOES NOT FIT: ", "product_catalog.products: queue won't do: the trigger"} {
		if !strings.Contains(text, part) {
			s.t.Errorf("%q is not in:\n%s", part, text)
		}
	}
	if f := s.check(0, "--source", "off"); len(f.Tables) != 0 {
		s.t.Errorf("%+v", f.Tables)
	}
}
