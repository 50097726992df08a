package servers

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

func dial(t *testing.T, db *Database, user, password, schema string) *sql.DB {
	t.Helper()
	pool, err := sql.Open("mysql", fmt.Sprintf("%s:%s@tcp(%s)/%s", user, password, db.Addr, schema))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	return pool
}

// number is the server's error number, 0 for none.
func number(t *testing.T, err error) uint16 {
	t.Helper()
	if err == nil {
		return 0
	}
	var refused *driver.MySQLError
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	return refused.Number
}

func TestAccountsMayWhatTheContractSays(t *testing.T) {
	Databases(t, func(t *testing.T, db *Database) {
		do(t, db.Root(), "INSERT INTO `external`.buylo_products (hash, buylo_name) VALUES ('h1', 'Čaj 🍵')")
		for user, password := range map[string]string{AgentUser: AgentPassword, CaptureUser: CapturePassword} {
			pool := dial(t, db, user, password, "external")
			replication := uint16(1227)
			if user == CaptureUser {
				replication = 0
			}
			for _, c := range []struct {
				statement string
				want      uint16
			}{
				{"SELECT * FROM buylo_products", 0},
				{"UPDATE buylo_products SET external_package_id = 'P-1' WHERE hash = 'h1'", 0},
				{"UPDATE buylo_products SET external_package_id = NULL", 0},
				{"UPDATE buylo_products SET buylo_name = 'x' WHERE hash = 'h1'", 1143},
				{"UPDATE buylo_products SET updated_at = NOW()", 1143},
				{"INSERT INTO buylo_products (hash) VALUES ('h2')", 1142},
				{"DELETE FROM buylo_products", 1142},
				{"ALTER TABLE buylo_products ADD COLUMN x INT", 1142},
				{"DROP TABLE buylo_products", 1142},
				{"CREATE INDEX i ON buylo_products (updated_at)", 1142},
				{"CREATE TRIGGER t AFTER UPDATE ON buylo_products FOR EACH ROW SET @x = 1", 1142},
				{"CREATE TABLE own (x INT)", 1142},
				{"SELECT * FROM buylo_sync_outbox", 1142},
				{"SELECT * FROM mysql.user", 1142},
				{"CREATE DATABASE external_workspace", 1044},
				{"SHOW BINARY LOGS", replication},
			} {
				_, err := pool.ExecContext(t.Context(), c.statement)
				if got := number(t, err); got != c.want {
					t.Errorf("%s: %s: error %d (%v), want %d", user, c.statement, got, err, c.want)
				}
			}
		}
	})
}

func TestWorkspaceBelongsToTheAgent(t *testing.T) {
	Databases(t, func(t *testing.T, db *Database) {
		if err := db.CreateWorkspace(t.Context()); err != nil {
			t.Fatal(err)
		}
		pool := dial(t, db, AgentUser, AgentPassword, "external_workspace")
		do(t, pool, "CREATE TABLE shipments (package_id VARCHAR(64) PRIMARY KEY, weight INT)")
		do(t, pool, "CREATE TRIGGER heavy BEFORE INSERT ON shipments FOR EACH ROW SET NEW.weight = 1")
		do(t, pool, "CREATE FUNCTION one() RETURNS INT DETERMINISTIC RETURN 1")
		do(t, pool, "CREATE VIEW both_sides AS SELECT p.hash, s.weight FROM `external`.buylo_products p LEFT JOIN shipments s ON s.package_id = p.external_package_id")
		do(t, pool, "SELECT * FROM both_sides")
	})
}

func TestServerWritesWholeRowsToItsBinlog(t *testing.T) {
	Databases(t, func(t *testing.T, db *Database) {
		want := map[string]string{
			"log_bin": "1", "binlog_format": "ROW", "binlog_row_image": "FULL", "binlog_row_metadata": "MINIMAL",
			"character_set_server": "utf8mb4", "bind_address": "127.0.0.1",
		}
		if db.Flavor == mysql {
			want["gtid_mode"] = "ON"
		} else {
			want["gtid_strict_mode"] = "1"
		}
		for name, value := range want {
			if got := variable(t, db, name); got != value {
				t.Errorf("%s = %s, want %s", name, got, value)
			}
		}
	})
}

func TestKilledServerComesBackWhereItWas(t *testing.T) {
	Databases(t, func(t *testing.T, db *Database) {
		addr := db.Addr
		pool := dial(t, db, AgentUser, AgentPassword, "external")
		do(t, db.Root(), "INSERT INTO `external`.buylo_products (hash) VALUES ('h1')")
		db.Kill()
		if err := pool.PingContext(t.Context()); err == nil {
			t.Fatal("the killed server answers")
		}
		if err := db.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		var hash string
		if err := pool.QueryRowContext(t.Context(), "SELECT hash FROM buylo_products").Scan(&hash); err != nil || hash != "h1" || db.Addr != addr {
			t.Fatalf("hash %q at %s (was %s): %v", hash, db.Addr, addr, err)
		}
	})
}

func TestRestartTakesFlags(t *testing.T) {
	Databases(t, func(t *testing.T, db *Database) {
		restart := func(flags ...string) {
			if err := db.Restart(t.Context(), flags...); err != nil {
				t.Fatal(err)
			}
		}
		restart("--skip-log-bin", "--performance-schema=ON")
		if variable(t, db, "log_bin") != "0" || variable(t, db, "performance_schema") != "1" {
			t.Error("the flags did nothing")
		}
		if db.Flavor == mysql {
			restart("--gtid-mode=OFF", "--enforce-gtid-consistency=OFF")
			if got := variable(t, db, "gtid_mode"); got != "OFF" {
				t.Errorf("gtid_mode = %s", got)
			}
		}
		restart()
		if variable(t, db, "log_bin") != "1" {
			t.Error("the flags of an earlier Restart stayed")
		}
		db.Kill()
		err := db.Restart(t.Context(), "--no-such-flag=1")
		if err == nil || !strings.Contains(err.Error(), "no-such-flag") || errors.Is(err, ErrFetch) {
			t.Errorf("a server that ends at once says: %v", err)
		}
	})
}

func TestServersHaveTheirOwnIdentity(t *testing.T) {
	a, b := MySQL(t), MySQL(t)
	if variable(t, a, "server_uuid") == variable(t, b, "server_uuid") {
		t.Fatal("two servers, one server_uuid")
	}
}

func TestClientTalksToTheServer(t *testing.T) {
	Databases(t, func(t *testing.T, db *Database) {
		argv := append(db.Client(), "-e", "SELECT 'hello', current_user()")
		out, err := command(t, argv).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "root@localhost") {
			t.Fatalf("%v: %s", err, out)
		}
	})
}

func TestBrokerKeepsRetainedMessagesWhenKilled(t *testing.T) {
	m := Broker(t)
	t.Log(m.Addr)
	publish := append(m.tree.command("usr/bin/mosquitto_pub"), "-h", "127.0.0.1", "-p", fmt.Sprint(m.port), "-q", "1", "-r", "-t", "a", "-m", "kept")
	if out, err := command(t, publish).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for {
		if found, _ := filepath.Glob(filepath.Join(m.home.data(), "*.db")); len(found) > 0 {
			break // it saves on changes, not at once
		}
		if err := pause(t.Context(), 10*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	m.Kill()
	if _, err := net.Dial("tcp", m.Addr); err == nil {
		t.Fatal("the killed broker answers")
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, err := command(t, append(m.Client(), "-t", "a", "-C", "1", "-W", "10")).CombinedOutput()
	if err != nil || string(out) != "a kept\n" {
		t.Fatalf("%v: %q", err, out)
	}
}

func TestBrokerAsksForPasswords(t *testing.T) {
	m := Broker(t, Login{"station", "secret"})
	for login, want := range map[Login]string{{"station", "secret"}: "", {"station", "wrong"}: "not authori"} {
		argv := append(m.tree.command("usr/bin/mosquitto_pub"), "-h", "127.0.0.1", "-p", fmt.Sprint(m.port),
			"-u", login.User, "-P", login.Password, "-t", "a", "-m", "x")
		out, _ := command(t, argv).CombinedOutput()
		if (want == "") != (len(out) == 0) || !strings.Contains(string(out), want) {
			t.Errorf("%v: %q", login, out)
		}
	}
}

func TestFoldersOfDeadRunsAreRemoved(t *testing.T) {
	base := t.TempDir()
	alive, dead := filepath.Join(base, "mariadb-1"), filepath.Join(base, "mysql-2")
	for _, dir := range []string{alive, dead} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	owner, err := own(alive)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	orphan := command(t, []string{"/bin/sh", "-c", "while sleep 1; do :; done # " + dead})
	if err := orphan.Start(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dead, "pid"), fmt.Append(nil, orphan.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	sweep(base)
	if err := orphan.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the server that outlived its owner: %v", err)
	}
	if _, err := os.Stat(dead); err == nil {
		t.Error("the folder of a dead run is still there")
	}
	if _, err := os.Stat(alive); err != nil {
		t.Error("the folder of a living run is gone")
	}
}

func TestServersListenOnLoopbackOnly(t *testing.T) {
	m := Broker(t)
	Databases(t, func(t *testing.T, db *Database) {
		for _, pid := range []int{m.proc.pid, db.proc.pid} {
			for _, addr := range listening(t, pid) {
				if !strings.HasPrefix(addr, "0100007F:") {
					t.Errorf("process %d listens on %s", pid, addr)
				}
			}
		}
	})
}

// listening lists the TCP addresses a process listens on, as the kernel writes them.
func listening(t *testing.T, pid int) []string {
	t.Helper()
	sockets := map[string]bool{}
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		target, _ := os.Readlink(fd)
		sockets[strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")] = true
	}
	var addrs []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, _ := os.ReadFile(table)
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && sockets[f[9]] {
				addrs = append(addrs, f[1])
			}
		}
	}
	if len(addrs) == 0 {
		t.Fatal("found no listening socket: the test is blind")
	}
	return addrs
}

func TestClosedServerLeavesNothing(t *testing.T) {
	m := Broker(t)
	dir, pid := m.home.dir, m.proc.pid
	m.Close()
	if _, err := os.Stat(dir); err == nil {
		t.Error("data folder is still there")
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
		t.Error("process is still there")
	}
}

func do(t *testing.T, pool *sql.DB, statement string) {
	t.Helper()
	if _, err := pool.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func variable(t *testing.T, db *Database, name string) string {
	t.Helper()
	var value string
	if err := db.Root().QueryRowContext(t.Context(), "SELECT @@"+name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func command(t *testing.T, argv []string) *exec.Cmd {
	return exec.CommandContext(t.Context(), argv[0], argv[1:]...)
}
