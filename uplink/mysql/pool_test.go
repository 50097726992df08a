package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"strings"
	"syscall"
	"testing"
	"time"

	"station-agent/build/servers"
)

func open(t *testing.T, db *servers.Database, change func(*Config)) *sql.DB {
	t.Helper()
	cfg := Config{Address: db.Addr, Schema: "external", User: servers.AgentUser, Password: func() (string, error) { return servers.AgentPassword, nil }}
	change(&cfg)
	pool, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	return pool
}

func TestOpenNeedsToKnowWhereAndWho(t *testing.T) {
	good := Config{Address: "127.0.0.1:1", User: "u", Password: func() (string, error) { return "secret", nil }}
	for what, spoil := range map[string]func(*Config){
		"no address":  func(c *Config) { c.Address = "" },
		"no user":     func(c *Config) { c.User = "" },
		"no password": func(c *Config) { c.Password = nil },
		"no next one": func(c *Config) { c.Next = &Credential{User: "v"} },
	} {
		bad := good
		spoil(&bad)
		if _, err := Open(bad); err == nil {
			t.Error("opened with", what)
		}
	}
	db, err := Open(good) // nobody listens there: no matter of Open
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = Explain(db.Ping())
	if err == nil || !strings.Contains(err.Error(), "can't be reached") || strings.Contains(err.Error(), "secret") {
		t.Errorf("ping: %v", err)
	}
}

// TestDSN holds the switches that matter for safety; the driver's defaults may change.
func TestDSN(t *testing.T) {
	cfg := Config{Address: "db:3306", Schema: "external", User: "u", Password: func() (string, error) { return "p", nil },
		Program: "station-agent", Version: "1,2", Station: "a:b"}
	if err := cfg.fill(); err != nil {
		t.Fatal(err)
	}
	d, err := dsn(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if d.AllowAllFiles || d.AllowCleartextPasswords || d.AllowFallbackToPlaintext || d.AllowOldPasswords || d.InterpolateParams || d.MultiStatements || d.ParseTime || d.Passwd != "" {
		t.Errorf("on, and must be off: %+v", d)
	}
	if !d.ClientFoundRows || !d.AllowNativePasswords || !d.CheckConnLiveness || d.Timeout != 5*time.Second || d.ReadTimeout != 10*time.Second || d.WriteTimeout != 10*time.Second {
		t.Errorf("off, and must be on: %+v", d)
	}
	if d.ConnectionAttributes != "program_name:station-agent,program_version:1 2,station:a:b" {
		t.Error(d.ConnectionAttributes)
	}
}

// TestStationsRenewApart: two pools don't renew their connections in step.
func TestStationsRenewApart(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 100 {
		d := lifetime()
		if d < 15*time.Minute || d > 20*time.Minute {
			t.Error(d)
		}
		seen[d.Truncate(time.Second)] = true
	}
	if len(seen) < 20 {
		t.Errorf("%d different lives of 100", len(seen))
	}
}

func TestPasswordIsAskedForAtEachConnect(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		password, fault := "wrong", error(nil)
		pool := open(t, db, func(c *Config) { c.Password = func() (string, error) { return password, fault } })
		if err := Explain(pool.Ping()); err == nil || !strings.Contains(err.Error(), "1045") {
			t.Errorf("wrong password: %v", err)
		}
		for _, fault = range []error{
			errors.New("read secret /etc/x: permission denied"),
			fmt.Errorf("read secret: %w: put it there", &fs.PathError{Op: "open", Path: "/etc/x", Err: syscall.ENOENT}),
			fmt.Errorf("ask for the secret: %w", syscall.ECONNREFUSED),
			fmt.Errorf("ask for the secret: %w", context.DeadlineExceeded),
			fmt.Errorf("ask for the secret: %w", io.EOF),
		} {
			if err := Explain(pool.Ping()); !errors.Is(err, fault) || err.Error() != fault.Error() {
				t.Errorf("unreadable password: %v, want %v", err, fault)
			}
		}
		password, fault = servers.AgentPassword, nil
		if err := pool.Ping(); err != nil {
			t.Errorf("right password: %v", err)
		}
	})
}

// TestSession: what every connection is set to, whatever the server's defaults are.
func TestSession(t *testing.T) {
	for flavor, start := range map[string]func(testing.TB, ...string) *servers.Database{"mariadb": servers.MariaDB, "mysql": servers.MySQL} {
		t.Run(flavor, func(t *testing.T) {
			db := start(t, "--autocommit=OFF", "--sql-mode=", "--default-time-zone=+05:00", "--performance-schema=ON")
			pool := open(t, db, func(c *Config) { c.Program, c.Version, c.Station = "station-agent", "1.2.3", "packing-7" })
			var autocommit, lock, table int
			var zone, mode, charset string
			err := pool.QueryRow("SELECT @@autocommit, @@innodb_lock_wait_timeout, @@lock_wait_timeout, @@time_zone, @@sql_mode, @@character_set_client").
				Scan(&autocommit, &lock, &table, &zone, &mode, &charset)
			if err != nil || autocommit != 1 || lock != 5 || table != 5 || zone != "+00:00" || mode != "STRICT_ALL_TABLES" || charset != "utf8mb4" {
				t.Errorf("autocommit %d, lock wait %d and %d, zone %s, mode %s, charset %s, %v", autocommit, lock, table, zone, mode, charset, err)
			}
			foundRows(t, db, pool)
			got := attributesSeen(t, db)
			for name, want := range map[string]string{"program_name": "station-agent", "program_version": "1.2.3", "station": "packing-7"} {
				if got[name] != want {
					t.Errorf("attribute %s is %q, want %q, of %v", name, got[name], want, maps.Clone(got))
				}
			}
		})
	}
}

// foundRows: an UPDATE that changes nothing still counts the row it matched.
func foundRows(t *testing.T, db *servers.Database, pool *sql.DB) {
	t.Helper()
	if _, err := db.Root().Exec("INSERT INTO `external`.buylo_products (hash, external_package_id) VALUES ('a', 'P')"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Root().Exec("COMMIT"); err != nil { // this server's default is to wait for it
		t.Fatal(err)
	}
	res, err := pool.Exec("UPDATE buylo_products SET external_package_id = ? WHERE hash = ?", "P", "a")
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := res.RowsAffected(); n != 1 {
		t.Errorf("%d rows found", n)
	}
}

func attributesSeen(t *testing.T, db *servers.Database) map[string]string {
	t.Helper()
	rows, err := db.Root().Query("SELECT attr_name, attr_value FROM performance_schema.session_connect_attrs" +
		" WHERE processlist_id IN (SELECT id FROM information_schema.processlist WHERE user = '" + servers.AgentUser + "')")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			t.Fatal(err)
		}
		got[name] = value
	}
	return got
}

// TestLockWaitEndsBeforeTheCaller: a statement that was given up here must not stay in the queue for the lock over there.
func TestLockWaitEndsBeforeTheCaller(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		if _, err := db.Root().Exec("INSERT INTO `external`.buylo_products (hash) VALUES ('a')"); err != nil {
			t.Fatal(err)
		}
		tx, err := db.Root().Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if _, err := tx.Exec("SELECT * FROM `external`.buylo_products WHERE hash = 'a' FOR UPDATE"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err = open(t, db, func(*Config) {}).ExecContext(ctx, "UPDATE buylo_products SET external_package_id = 'P' WHERE hash = 'a'")
		if err = Explain(err); err == nil || !strings.Contains(err.Error(), "1205") {
			t.Errorf("locked row: %v", err)
		}
	})
}
