package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"station-agent/build/servers"
)

// secrets is a folder with the files "current" and "next", each put there in one step or not there.
type secrets struct {
	t   *testing.T
	dir string
}

func newSecrets(t *testing.T) secrets { return secrets{t, t.TempDir()} }

func (s secrets) put(name, secret string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	err := os.WriteFile(path+".new", []byte(secret), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s secrets) remove(name string) {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
		s.t.Fatal(err)
	}
}

func (s secrets) source(name string) func() (string, error) {
	return func() (string, error) {
		b, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			return "", fmt.Errorf("read secret: %w", err)
		}
		return string(b), nil
	}
}

// both are the credentials of the same account.
func (s secrets) both(c *Config) {
	c.Password, c.Next = s.source("current"), &Credential{Password: s.source("next")}
}

// root runs statements as the administrator.
func root(t *testing.T, db *servers.Database, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Root().Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func alter(t *testing.T, db *servers.Database, password string) {
	t.Helper()
	root(t, db, "ALTER USER '"+servers.AgentUser+"'@'%' IDENTIFIED BY '"+password+"'")
}

// kill ends every connection of the agent.
func kill(t *testing.T, db *servers.Database) {
	t.Helper()
	rows, err := db.Root().Query("SELECT id FROM information_schema.processlist WHERE user = '" + servers.AgentUser + "'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Root().Exec("KILL " + strconv.FormatInt(id, 10)); err != nil && !errors.Is(err, &driver.MySQLError{Number: 1094}) {
			t.Fatal(err) // but for one that went by itself
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// load writes one number after another into a table of the workspace, each until the server acknowledged it.
type load struct {
	db *sql.DB

	mu      sync.Mutex
	acked   []int
	errs    []error
	outage  time.Duration // the longest between a first error and the next acknowledgement
	writers sync.WaitGroup
}

// run lets two writers write until ctx ends.
func (l *load) run(ctx context.Context) {
	for w := range 2 {
		l.writers.Go(func() {
			for n := w; l.write(ctx, n); n += 2 {
			}
		})
	}
}

// write tells whether n is in the table.
func (l *load) write(ctx context.Context, n int) bool {
	var broke time.Time
	for ctx.Err() == nil {
		_, err := l.db.Exec("INSERT INTO external_workspace.numbers VALUES (?)", n)
		if errors.Is(err, &driver.MySQLError{Number: 1062}) {
			err = nil // it was done, the answer was lost
		}
		l.mu.Lock()
		if err == nil {
			l.acked = append(l.acked, n)
			if !broke.IsZero() {
				l.outage = max(l.outage, time.Since(broke))
			}
			l.mu.Unlock()
			return true
		}
		l.errs = append(l.errs, Explain(err))
		l.mu.Unlock()
		if broke.IsZero() {
			broke = time.Now()
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// goesOn waits for acknowledgements of what is sent from now on.
func (l *load) goesOn(t *testing.T, when string) {
	t.Helper()
	began := time.Now()
	for want := l.count() + 100; l.count() < want; time.Sleep(time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			l.mu.Lock()
			defer l.mu.Unlock()
			t.Fatalf("%s: stands still, last error %v", when, l.errs[len(l.errs)-1])
		}
	}
}

// TestRotationUnderLoad: the old password dies while statements run, twice. The next one takes over in the same connect,
// the files are moved at leisure, nothing is lost and nobody restarts.
func TestRotationUnderLoad(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		if err := db.CreateWorkspace(t.Context()); err != nil {
			t.Fatal(err)
		}
		root(t, db, "CREATE TABLE external_workspace.numbers (n INT PRIMARY KEY)")
		files := newSecrets(t)
		files.put("current", servers.AgentPassword)
		l := &load{db: open(t, db, files.both)}
		ctx, stop := context.WithCancel(t.Context())
		l.run(ctx)
		defer l.writers.Wait()
		defer stop()
		l.goesOn(t, "before")
		for _, password := range []string{"second-password", "third-password"} {
			files.put("next", password)
			l.goesOn(t, "the next one lies ready")
			alter(t, db, password)
			l.goesOn(t, "the old one is dead, its connections live")
			kill(t, db)
			l.goesOn(t, "the old one is dead")
			files.put("current", password)
			kill(t, db)
			l.goesOn(t, "both files hold the new one")
			files.remove("next")
			kill(t, db)
			l.goesOn(t, "the next one is gone")
		}
		stop()
		l.writers.Wait()
		inTable(t, db, l.acked)
		t.Logf("%d acknowledged, %d errors, longest outage %s", len(l.acked), len(l.errs), l.outage)
		if len(l.errs) == 0 || l.outage > 5*time.Second {
			t.Errorf("%d errors, longest outage %s", len(l.errs), l.outage)
		}
		for _, err := range l.errs {
			if text := err.Error(); strings.Contains(text, "1045") || strings.Contains(text, "-password") {
				t.Errorf("told: %s", text)
			}
		}
	})
}

// inTable holds that every number is there.
func inTable(t *testing.T, db *servers.Database, numbers []int) {
	t.Helper()
	rows, err := db.Root().Query("SELECT n FROM external_workspace.numbers")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	there := map[int]bool{}
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		there[n] = true
	}
	for _, n := range numbers {
		if !there[n] {
			t.Errorf("%d was acknowledged and isn't there", n)
		}
	}
}

// failed is how many connects the server refused so far.
func failed(t *testing.T, db *servers.Database) (n int) {
	t.Helper()
	var name string
	if err := db.Root().QueryRow("SHOW GLOBAL STATUS LIKE 'Aborted_connects'").Scan(&name, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestBothRefused: the server is asked once for each password and then left alone, until one is replaced.
func TestBothRefused(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		for next, asked := range map[string]int{"worse-secret": 2, "wrong-secret": 1} {
			files := newSecrets(t)
			files.put("current", "wrong-secret")
			files.put("next", next)
			pool := open(t, db, files.both)
			before, began := failed(t, db), time.Now()
			text := Explain(pool.Ping()).Error()
			for time.Since(began) < paceLeast/4 { // half of what it may be left alone for
				if err := Explain(pool.Ping()); err == nil || err.Error() != text {
					t.Fatalf("%v after %s", err, text)
				}
			}
			if !strings.Contains(text, "mysql error 1045") || !strings.Contains(text, "wrong password or source address not allowed") ||
				strings.Contains(text, "; next credential: Error 1045") != (asked == 2) || strings.Contains(text, "-secret") {
				t.Errorf("told: %s", text)
			}
			if n := failed(t, db) - before; n != asked {
				t.Errorf("asked %d times, want %d", n, asked)
			}
			files.put("next", servers.AgentPassword)
			if err := pool.Ping(); err != nil {
				t.Errorf("after the file was replaced: %v", err)
			}
		}
	})
}

// TestAskedAgain: what heals at the server is found without a new file.
func TestAskedAgain(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		files := newSecrets(t)
		files.put("current", "later")
		pool := open(t, db, files.both)
		began := time.Now()
		if err := Explain(pool.Ping()); err == nil || !strings.Contains(err.Error(), "next credential: read secret") {
			t.Errorf("told: %v", err)
		}
		alter(t, db, "later")
		if pool.Ping() == nil && time.Since(began) < paceLeast/2 {
			t.Error("asked at once")
		}
		time.Sleep(paceLeast)
		if err := pool.Ping(); err != nil {
			t.Error(err)
		}
	})
}

// TestNextCredential: when the next one is asked, and which one speaks when neither does.
func TestNextCredential(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		root(t, db, "CREATE USER 'heir'@'%' IDENTIFIED BY 'heir-password'", "GRANT SELECT ON `external`.* TO 'heir'@'%'")
		if db.Flavor == "mariadb" {
			root(t, db, "SET GLOBAL disconnect_on_expired_password = ON") // MySQL's default
		}
		account := "ALTER USER '" + servers.AgentUser + "'@'%' "
		for what, c := range map[string]struct{ current, next, account, fault string }{
			"no next one":           {servers.AgentPassword, "", "", ""},
			"no current one":        {"", "heir-password", "", ""},
			"wrong current one":     {"wrong", "heir-password", "", ""},
			"locked":                {servers.AgentPassword, "heir-password", "ACCOUNT LOCK", ""},
			"locked, no next one":   {servers.AgentPassword, "", "ACCOUNT LOCK", "renew it"},
			"expired":               {servers.AgentPassword, "heir-password", "PASSWORD EXPIRE", ""},
			"expired, no next one":  {servers.AgentPassword, "", "PASSWORD EXPIRE", "renew it"},
			"neither":               {"", "", "", "read secret"},
			"no current one, wrong": {"", "wrong", "", "; next credential: Error 1045"},
		} {
			files := newSecrets(t)
			for name, secret := range map[string]string{"current": c.current, "next": c.next} {
				if secret != "" {
					files.put(name, secret)
				}
			}
			root(t, db, account+"IDENTIFIED BY '"+servers.AgentPassword+"' ACCOUNT UNLOCK")
			if c.account != "" {
				root(t, db, account+c.account)
			}
			err := Explain(open(t, db, func(cfg *Config) { files.both(cfg); cfg.Next.User = "heir" }).Ping())
			if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s: %v, want %q", what, err, c.fault)
			}
		}
	})
}

// TestLastThatWorked: after a rotation the server isn't asked for the old password at each connect.
func TestLastThatWorked(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		files := newSecrets(t)
		files.put("current", "old")
		files.put("next", servers.AgentPassword)
		pool := open(t, db, files.both)
		pool.SetMaxIdleConns(-1)
		before := failed(t, db)
		for range 5 {
			if err := pool.Ping(); err != nil {
				t.Fatal(err)
			}
		}
		if n := failed(t, db) - before; n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// TestConnectsSideBySide: connects of one pool share what they learn.
func TestConnectsSideBySide(t *testing.T) {
	db := servers.MariaDB(t)
	files := newSecrets(t)
	files.put("current", "old")
	files.put("next", servers.AgentPassword)
	pool := open(t, db, func(c *Config) { files.both(c); c.MaxConns = 8 })
	pool.SetMaxIdleConns(-1)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				if err := pool.Ping(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
