package check

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/build/servers"
)

// open is the database as an account sees it, on one connection after another, so that roles and settings are new each time.
func open(t *testing.T, db *servers.Database, user, password string) *sql.DB {
	t.Helper()
	pool := db.Open(t, user, password)
	pool.SetMaxIdleConns(0)
	return pool
}

// desk looks and judges as one account, again and again.
type desk struct {
	t    *testing.T
	db   *servers.Database
	pool *sql.DB
}

func (d desk) look(w Wanted) []Finding {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 20*time.Second)
	defer cancel()
	f, err := Look(ctx, d.pool, Buylo("external"))
	if err != nil {
		d.t.Fatal(err)
	}
	for what, why := range f.Unread {
		if what != "logged" && what != "replica" { // which want a right
			d.t.Errorf("%s was not answered: %s", what, why)
		}
	}
	return Judge(f, w)
}

var everyWay = Wanted{Ways: []Way{Packing, Binlog, Polling}, Serves: []Way{Packing, Binlog, Polling}, Outage: 72 * time.Hour, ByGTID: true}

// state is that of all findings with the code, the worst one.
func (d desk) state(list []Finding, code string) (State, Finding) {
	d.t.Helper()
	i := slices.IndexFunc(list, func(f Finding) bool { return f.Code == code })
	if i < 0 {
		d.t.Fatalf("nothing is found about %s", code)
	}
	return list[i].State, list[i]
}

// mended breaks the server, wants the finding, runs what the finding says as the administrator, and wants it to be gone.
func (d desk) mended(code string, bad State, breaks ...string) {
	d.t.Helper()
	d.db.Exec(d.t, breaks...)
	is, f := d.state(d.look(everyWay), code)
	if is != bad || f.Fact == "" || f.Why == "" || len(f.Fix) == 0 || f.Who != Administrator {
		d.t.Errorf("%s: %+v, want %s", code, f, bad)
	}
	d.db.Exec(d.t, f.Fix...)
	if is, f := d.state(d.look(everyWay), code); is != OK {
		d.t.Errorf("%s was not mended by %q: %+v", code, f.Fix, f)
	}
}

// TestMended breaks each precondition on real servers. The statements that a finding prints mend it.
func TestMended(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		d := desk{t, db, open(t, db, servers.CaptureUser, servers.CapturePassword)}
		for _, f := range d.look(everyWay) {
			if f.State == Fault || f.State == Unknown || f.State == Warning && !strings.HasSuffix(f.Code, "_index") {
				t.Errorf("an account by the contract: %+v", f)
			}
		}
		d.settings()
		d.rights()
		d.layout()
		if db.Flavor == "mysql" {
			d.onlyMySQL()
		} else {
			d.onlyMariaDB()
		}
	})
}

func (d desk) settings() {
	d.mended("binlog.row_format", Fault, "SET GLOBAL binlog_format = 'MIXED'")
	d.mended("binlog.row_image", Fault, "SET GLOBAL binlog_row_image = 'MINIMAL'")
	d.mended("binlog.retention", Fault, "SET GLOBAL binlog_expire_logs_seconds = 259199")
	d.mended("packing.read_only", Fault, "SET GLOBAL read_only = ON")
}

func (d desk) rights() {
	who, products := fmt.Sprintf("'%s'@'%%'", servers.CaptureUser), "`external`.buylo_products"
	d.mended("binlog.grant_slave", Fault, "REVOKE REPLICATION SLAVE ON *.* FROM "+who)
	d.mended("binlog.grant_client", Fault, "REVOKE REPLICATION CLIENT ON *.* FROM "+who)
	d.mended("packing.update", Fault, "REVOKE UPDATE (external_package_id) ON "+products+" FROM "+who)
	d.mended("polling.select", Fault, "REVOKE SELECT ON "+products+" FROM "+who)
	for _, right := range []string{
		"INSERT, DELETE, ALTER ON " + products, "UPDATE (buylo_name), SELECT (hash) ON " + products, "UPDATE ON " + products, "SELECT ON `external`.*",
		"ALL PRIVILEGES ON `ext%`.*", "SUPER ON *.*", "ALL PRIVILEGES ON *.*", "SELECT ON mysql.*", "SELECT ON `external`.buylo_sync_outbox",
	} {
		d.mended("packing.excess", Warning, "GRANT "+right+" TO "+who)
		d.mended("packing.excess", Warning, "GRANT "+right+" TO "+who+" WITH GRANT OPTION")
		for _, f := range d.look(everyWay) {
			if f.State == Fault {
				d.t.Errorf("after %s was taken: %+v", right, f)
			}
		}
	}
	d.mended("packing.excess", Warning, "CREATE ROLE packer", "GRANT INSERT, SELECT ON "+products+" TO packer", "GRANT packer TO "+who,
		map[bool]string{true: "SET DEFAULT ROLE packer TO ", false: "SET DEFAULT ROLE packer FOR "}[d.db.Flavor == "mysql"]+who)
}

func (d desk) layout() {
	const alter = "ALTER TABLE `external`.buylo_products "
	d.mended("packing.package_column", Fault, alter+"MODIFY external_package_id VARCHAR(63) CHARACTER SET latin1")
	d.mended("packing.package_column", Fault, alter+"MODIFY external_package_id VARCHAR(80) NOT NULL")
	d.mended("packing.key", Fault, alter+"DROP PRIMARY KEY")
	d.mended("packing.key", Fault, alter+"DROP PRIMARY KEY, ADD PRIMARY KEY (hash, buylo_name)")
	d.mended("packing.station_index", Warning, alter+"ADD INDEX useless (buylo_name, buylo_active_packing_station_uuid)")
	d.mended("polling.time_index", Warning)
	d.mended("polling.time_index", Warning, alter+"ALTER INDEX station_agent_time_index "+map[bool]string{true: "INVISIBLE", false: "IGNORED"}[d.db.Flavor == "mysql"])
	d.mended("polling.timestamp", Warning, alter+"MODIFY updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP")
	d.mended("polling.timestamp", Warning, alter+"MODIFY updated_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP")
}

func (d desk) onlyMySQL() {
	d.mended("polling.time_limit", Warning, "SET GLOBAL max_execution_time = 1000")
	d.mended("binlog.partial_json", Warning, "SET GLOBAL binlog_row_value_options = 'PARTIAL_JSON'")
	if err := d.db.Restart(d.t.Context(), "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"); err != nil {
		d.t.Fatal(err)
	}
	d.mended("binlog.gtid", Fault)
	if err := d.db.Restart(d.t.Context(), "--skip-log-bin", "--binlog-do-db=other"); err != nil {
		d.t.Fatal(err)
	}
	d.off()
}

func (d desk) onlyMariaDB() {
	d.mended("binlog.row_metadata", Warning, "SET GLOBAL binlog_row_metadata = 'NO_LOG'")
	d.mended("polling.time_limit", Warning, "SET GLOBAL max_statement_time = 1")
	if err := d.db.Restart(d.t.Context(), "--skip-log-bin"); err != nil {
		d.t.Fatal(err)
	}
	d.off()
}

// off is a server without a log, which no statement mends, and then one that keeps our schema out of it.
func (d desk) off() {
	d.t.Helper()
	if is, f := d.state(d.look(everyWay), "binlog.log_bin"); is != Fault || len(f.Config) != 2 || f.Advice == "" {
		d.t.Errorf("%+v", f)
	}
	for flag, want := range map[string]State{"--binlog-do-db=other": Fault, "--binlog-ignore-db=external": Fault, "--binlog-ignore-db=other": OK} {
		if err := d.db.Restart(d.t.Context(), flag); err != nil {
			d.t.Fatal(err)
		}
		if is, f := d.state(d.look(everyWay), "binlog.filter"); is != want {
			d.t.Errorf("%s: %+v", flag, f)
		}
	}
}

// TestRoles holds that what a role gives counts, if it is active at login.
func TestRoles(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		db.Exec(t, "CREATE USER 'we`i''rd'@'127.0.%' IDENTIFIED BY 'x'", "CREATE ROLE packer",
			"GRANT SELECT, UPDATE (external_package_id) ON `external`.buylo_products TO packer", "GRANT packer TO 'we`i''rd'@'127.0.%'")
		d := desk{t, db, open(t, db, "we`i'rd", "x")}
		packing := Wanted{Ways: []Way{Packing}, Serves: []Way{Packing}}
		is, f := d.state(d.look(packing), "packing.update")
		if is != Fault || !strings.Contains(f.Fix[0], "TO `we``i'rd`@`127.0.%`") {
			t.Errorf("with a role that sleeps: %+v", f)
		}
		to := "FOR"
		if db.Flavor == "mysql" {
			to = "TO"
		}
		db.Exec(t, "SET DEFAULT ROLE packer "+to+" 'we`i''rd'@'127.0.%'")
		for _, f := range d.look(packing) {
			if f.State == Fault {
				t.Errorf("with a role: %+v", f)
			}
		}
	})
}

// TestABrokenConnection is no server that says nothing.
func TestABrokenConnection(t *testing.T) {
	db := servers.MariaDB(t)
	conn, err := open(t, db, servers.AgentUser, servers.AgentPassword).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	a := &asker{conn, &Facts{Vars: map[string]string{}, Unread: map[string]string{}, spec: Buylo("external")}}
	if err := a.whoAndWhat(t.Context()); err != nil {
		t.Fatal(err)
	}
	db.Kill()
	if err := a.rest(t.Context()); err == nil {
		t.Error("a broken connection is no error")
	}
}

func TestLookAtAServerThatIsAway(t *testing.T) {
	pool := open(t, &servers.Database{Addr: "127.0.0.1:1"}, "x", "y")
	if _, err := Look(t.Context(), pool, Buylo("external")); err == nil {
		t.Error("no error")
	}
}
