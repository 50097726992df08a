package mysql

import (
	"strings"
	"testing"

	"station-agent/build/servers"
	"station-agent/store/record"
)

func TestGrant(t *testing.T) {
	const general = "SELECT on the table and UPDATE (external_package_id)"
	for message, want := range map[string]string{
		"INSERT command denied to user 'u'@'h' for table 'buylo_products'":                               "INSERT on buylo_products",
		"INSERT command denied to user 'u'@'h' for table `external`.`buylo_products`":                    "INSERT on external.buylo_products",
		"UPDATE command denied to user 'u'@'h' for table `external`.`buylo_products`":                    "UPDATE (external_package_id) on external.buylo_products",
		"UPDATE command denied to user 'u'@'h' for column 'buylo_ean' in table 'buylo_products'":         "UPDATE (buylo_ean) on buylo_products",
		"UPDATE command denied to user 'u'@'h' for table 'own'":                                          "UPDATE on own",
		"SELECT, INSERT command denied to user ' for table 'x''@'h' for table 'y'":                       "SELECT, INSERT on y",
		"SELECT with locking clause command denied to user 'u'@'h' for table 'buylo_products'":           general,
		"SELECT Befehl nicht erlaubt für Benutzer 'u'@'h' auf Tabelle `external`.`buylo_products`":       general,
		"SELECT command denied to user 'u'@'h' for table 'a\x1b[2J'":                                     general,
		"SELECT command denied to user 'u'@'h' for table '" + strings.Repeat("a", 65) + "'":              general,
		"SELECT command denied to user 'u'@'h' for table 'a'; call me":                                   general,
		"UPDATE command denied to user 'u'@'h' for column 'x' in table 'buylo_products'\nand then there": general,
		"": general,
	} {
		if got := grant(message); got != want {
			t.Errorf("%q: %q, want %q", message, got, want)
		}
	}
}

// TestMissingGrant: what each server says when it refuses an action names the right, with exactly the grants of the
// contract.
func TestMissingGrant(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		root(t, db,
			"CREATE USER 'reader'@'%' IDENTIFIED BY 'reader-password'", "GRANT SELECT ON `external`.buylo_products TO 'reader'@'%'",
			"CREATE USER 'narrow'@'%' IDENTIFIED BY 'narrow-password'", "GRANT SELECT (hash) ON `external`.buylo_products TO 'narrow'@'%'")
		schema := map[string]string{"mariadb": "external."}[db.Flavor]
		for _, c := range []struct{ user, statement, right string }{
			{servers.AgentUser, "UPDATE buylo_products SET buylo_name = 'x'", "UPDATE (buylo_name) on buylo_products"},
			{servers.AgentUser, "INSERT INTO buylo_products (hash) VALUES ('x')", "INSERT on " + schema + "buylo_products"},
			{servers.AgentUser, "DELETE FROM buylo_products", "DELETE on " + schema + "buylo_products"},
			{servers.AgentUser, "SELECT * FROM buylo_sync_outbox", "SELECT on " + schema + "buylo_sync_outbox"},
			{servers.AgentUser, "CREATE TRIGGER t AFTER UPDATE ON buylo_products FOR EACH ROW SET @x = 1", "TRIGGER on " + schema + "buylo_products"},
			{servers.AgentUser, "ALTER TABLE buylo_products ADD x INT", "ALTER on " + schema + "buylo_products"},
			{"reader", "UPDATE buylo_products SET external_package_id = 'x'", "UPDATE (external_package_id) on " + schema + "buylo_products"},
			{"narrow", "SELECT buylo_ean FROM buylo_products", "SELECT (buylo_ean) on buylo_products"},
		} {
			pool := open(t, db, func(cfg *Config) {
				cfg.User, cfg.Password = c.user, func() (string, error) { return c.user + "-password", nil }
			})
			_, err := pool.Exec(c.statement)
			if err == nil {
				t.Errorf("%s: %s was done", c.user, c.statement)
				continue
			}
			got := ask(t, err)
			if record.ClassOf(Explain(err)) != record.ThisOne || !got.NotDone() || got.Unknown() || !strings.HasSuffix(got.Error(), "ask Buylo operations for "+c.right) {
				t.Errorf("%s: %v", c.statement, got)
			}
		}
	})
}
