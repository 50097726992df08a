package servers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

// startWithin bounds the start of a server whose caller set no deadline.
const startWithin = time.Minute

// Options of a database server.
type Options struct {
	Flags []string // added to the command line; a later flag wins over an earlier one
}

// Database is a private database server. Its methods may be called from any goroutine.
type Database struct {
	Flavor  string // "mariadb" or "mysql"
	Addr    string // host:port, the same for the server's whole life
	Version string // as the server says it

	tree  tree
	home  home
	port  int
	flags []string // of Options
	root  *sql.DB

	mu    sync.Mutex
	extra []string // of the last Restart
	proc  *process // nil when killed
}

// StartMariaDB starts a MariaDB and returns when it answers. It has no schema yet: see CreateBuylo. Binlog in ROW format
// with full images, minimal row metadata and GTID are on, the character set is utf8mb4. Durability is left to the
// kernel: what was committed survives a killed server, not a killed machine. The performance schema is off; with
// --performance-schema=ON in the flags the server shows connection attributes.
func StartMariaDB(ctx context.Context, o Options) (*Database, error) {
	return startDatabase(ctx, mariadb, o)
}

// StartMySQL is like StartMariaDB.
func StartMySQL(ctx context.Context, o Options) (*Database, error) {
	return startDatabase(ctx, mysql, o)
}

func startDatabase(ctx context.Context, flavor string, o Options) (*Database, error) {
	t, err := fetch(ctx, flavor)
	if err != nil {
		return nil, err
	}
	h, err := newHome(ctx, flavor)
	if err != nil {
		return nil, fmt.Errorf("make data folder of %s: %w", flavor, err)
	}
	db := &Database{Flavor: flavor, tree: t, home: h, flags: o.Flags}
	if err := db.begin(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// begin is the first start. Between the choice of a port and its use somebody else may take it: then once more.
func (d *Database) begin(ctx context.Context) error {
	if err := os.CopyFS(d.home.data(), os.DirFS(d.tree.template())); err != nil {
		return fmt.Errorf("copy data folder: %w", err)
	}
	if err := d.home.writeClient(d.client()); err != nil {
		return err
	}
	config := driver.NewConfig()
	config.User, config.Net, config.Addr = "root", "unix", d.home.socket()
	config.ParseTime, config.Logger = true, &driver.NopLogger{}
	connector, err := driver.NewConnector(config)
	if err != nil {
		return err
	}
	d.root = sql.OpenDB(connector)
	for range 2 {
		if d.port, err = freePort(); err != nil {
			return err
		}
		d.Addr = address(d.port)
		if err = d.Start(ctx); err == nil || !strings.Contains(err.Error(), "in use") {
			break
		}
	}
	if err != nil {
		return err
	}
	return d.root.QueryRowContext(ctx, "SELECT version()").Scan(&d.Version)
}

// Root is the administrator over the unix socket: for setting up tests and for playing Buylo's bridge, never for the
// agent. It survives Kill and Start and is closed with the server.
func (d *Database) Root() *sql.DB { return d.root }

// Start starts a killed server again, with the data, the address and the flags it had, and returns when it answers. The
// context bounds the waiting only.
func (d *Database) Start(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc != nil {
		return nil
	}
	// after a kill it holds a number that may be another process's by now, and the server would refuse to start
	if err := os.RemoveAll(d.home.socket() + ".lock"); err != nil {
		return err
	}
	proc, err := launch(d.command(), d.home)
	if err != nil {
		return err
	}
	if err := d.answers(ctx, proc); err != nil {
		proc.kill()
		return fmt.Errorf("start %s: %w", d.Flavor, err)
	}
	d.proc = proc
	return nil
}

// Kill ends the server with SIGKILL, as a power cut at the server would, and waits until it is gone.
func (d *Database) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc != nil {
		d.proc.kill()
		d.proc = nil
	}
}

// Restart kills the server and starts it with extra flags, which take the place of those of an earlier Restart. To
// switch GTID off in MySQL: "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"; the binlog: "--skip-log-bin".
func (d *Database) Restart(ctx context.Context, flags ...string) error {
	d.Kill()
	d.mu.Lock()
	d.extra = flags
	d.mu.Unlock()
	return d.Start(ctx)
}

// Close kills the server and removes its data.
func (d *Database) Close() {
	d.Kill()
	if d.root != nil {
		d.root.Close()
	}
	d.home.remove()
}

// Client is the command that runs the server's own command-line client as administrator, to which arguments are added:
// a schema, -e and statements.
func (d *Database) Client() []string { return []string{"sh", d.home.client()} }

// client is the same without the script.
func (d *Database) client() []string {
	program := "usr/bin/mariadb"
	if d.Flavor == mysql {
		program = "usr/bin/mysql"
	}
	return d.tree.command(program, "--no-defaults", "--character-sets-dir="+d.tree.path("usr/share/mysql/charsets"),
		"--default-character-set=utf8mb4", "--user=root", "--socket="+d.home.socket())
}

// answers waits until the server answers over its socket; if it ends instead, the error has the end of its log.
func (d *Database) answers(ctx context.Context, proc *process) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		if d.root.PingContext(ctx) == nil {
			return nil
		}
		select {
		case <-proc.ended:
			return fmt.Errorf("it ended: %w: %s", errors.Join(proc.err, ctx.Err()), d.home.tail())
		default:
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("wait for an answer: %w: %s", err, d.home.tail())
		}
	}
}

// command is the server's command line.
func (d *Database) command() []string {
	run := []string{
		fmt.Sprintf("--port=%d", d.port), "--bind-address=127.0.0.1", "--port-open-timeout=10",
		"--socket=" + d.home.socket(), "--pid-file=" + filepath.Join(d.home.dir, "server.pid"),
		"--tmpdir=" + d.home.dir, // a server that starts removes what looks like its own in there, another server's too
		fmt.Sprintf("--server-id=%d", d.port), "--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-image=FULL",
		"--binlog-row-metadata=MINIMAL", "--log-bin-trust-function-creators=ON", "--skip-name-resolve",
		"--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0",
		"--performance-schema=OFF", "--max-connections=100",
	}
	program, base := "usr/sbin/mariadbd", d.tree.mariadbBase(d.home.data())
	if d.Flavor == mysql {
		// without --mysqlx=OFF it would listen on all addresses as well
		program, base = "usr/sbin/mysqld", d.tree.mysqlBase(d.home.data())
		run = append(run, "--mysqlx=OFF", "--gtid-mode=ON", "--enforce-gtid-consistency=ON",
			"--table-open-cache=200", "--table-definition-cache=400")
	} else {
		run = append(run, "--gtid-strict-mode=ON")
	}
	return d.tree.command(program, slices.Concat(base, run, d.flags, d.extra)...)
}
