package binlog

import (
	"strings"
	"testing"

	"station-agent/build/servers"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
)

// Odd statements, harmless ones and ones that nobody understands don't stop capture, and what does no harm is no gap.
func TestOddStatementsDoNotStopCapture(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		store := &capturetest.Store{}
		cond, stop := startRunner(t, source(t, db, Auto), store)
		db.Exec(t, "USE `external`", insert("first", stationA))
		until(t, store, "first", cond)
		before, _ := cond.Said()
		statements := []string{
			"USE `external`",
			"CREATE TABLE a LIKE buylo_products", "CREATE TABLE b LIKE a", "RENAME TABLE a TO c, b TO a, c TO b",
			"CREATE TABLE `buylo_products copy` (n INT) COMMENT 'TRUNCATE buylo_products'", "TRUNCATE `buylo_products copy`",
			"CREATE TABLE child (h CHAR(32) /* buylo_products */, FOREIGN KEY (h) REFERENCES buylo_products (hash))", "DROP TABLE child",
			"CREATE DATABASE other", "CREATE TABLE other.buylo_products (n INT)", "TRUNCATE other . /* ours? */ buylo_products", "DROP DATABASE other",
			"CREATE PROCEDURE p() BEGIN IF FALSE THEN TRUNCATE buylo_products; END IF; UPDATE buylo_products SET buylo_name = 'by p' WHERE hash = 'first'; END", "CALL p()", "DROP PROCEDURE p",
			"CREATE TRIGGER tr BEFORE UPDATE ON buylo_products FOR EACH ROW SET NEW.buylo_name = CONCAT('it''s \\'', NEW.buylo_name)", "DROP TRIGGER tr",
			"CREATE VIEW v AS SELECT * FROM buylo_products", "DROP VIEW v",
			"CREATE INDEX i ON buylo_products (buylo_ean)", "DROP INDEX i ON buylo_products", "ANALYZE TABLE buylo_products", "OPTIMIZE TABLE buylo_products",
			"/* odd */ ALTER /*!50000 TABLE */ `external` . `buylo_products` -- comment\n ADD COLUMN `rename, \"to` INT", insert("odd", stationA),
		}
		db.Exec(t, statements...)
		until(t, store, "odd", cond) // a layout that is changed twice before it could be read is a gap
		statements = []string{
			"USE `external`", "ALTER TABLE buylo_products RENAME COLUMN `rename, \"to` TO `x``y`, RENAME COLUMN buylo_name TO buylo_name2", "ALTER TABLE buylo_products RENAME COLUMN buylo_name2 TO buylo_name",
			"CREATE TEMPORARY TABLE buylo_products (n INT)", "DROP TEMPORARY TABLE buylo_products",
			"ALTER TABLE buylo_products DROP COLUMN `x``y`, COMMENT 'it''s \\'odd'",
			"GRANT SELECT ON buylo_products TO '" + servers.CaptureUser + "'@'%'", "FLUSH TABLES buylo_products",
		}
		if db.Flavor == "mariadb" {
			statements = append(statements, "SET STATEMENT max_statement_time = 10 FOR ALTER TABLE buylo_products ENGINE = InnoDB", "/*M!100100 ALTER TABLE buylo_products FORCE */")
		}
		db.Exec(t, append(statements, insert("end", stationA))...)
		until(t, store, "end", cond)
		stop()
		if said, _ := cond.Said(); len(said) > len(before) {
			t.Errorf("capture stopped: %q", said[len(before):])
		}
		for _, r := range store.Records() {
			if r.Collection == capture.Gaps {
				t.Errorf("%s", r.Payload)
			}
			if r.ID == "odd" && !strings.Contains(string(r.Payload), `"rename, \"to":null`) {
				t.Errorf("%s", r.Payload)
			}
		}
	})
}
