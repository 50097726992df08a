package check

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

// good are the facts of a server that fits, as an account by the contract sees it.
func good(version string) *Facts {
	no := false
	f := &Facts{
		Server: newServer(version), User: "station", Host: "10.%", Rows: 20, Zone: "UTC", Replica: &no, Logged: &Logged{},
		Unread: map[string]string{}, spec: Buylo("external"),
		Vars: map[string]string{
			"log_bin": "ON", "server_id": "3", "binlog_format": "ROW", "binlog_row_image": "FULL", "binlog_row_metadata": "MINIMAL", "time_zone": "UTC",
			"log_slave_updates": "ON", "binlog_expire_logs_seconds": "864000",
		},
		Columns: []Column{
			{Name: "hash", Type: "char(32)", Length: 32},
			{Name: "buylo_active_packing_station_uuid", Type: "char(36)", Length: 36, Null: true},
			{Name: "external_package_id", Type: "varchar(64)", Length: 64, Null: true, Define: " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"},
			{Name: "updated_at", Type: "timestamp", Extra: "on update current_timestamp()"},
		},
		Indexes: []Index{{"PRIMARY", []string{"hash"}, false, true}, {"s", []string{"buylo_active_packing_station_uuid", "hash"}, false, false}, {"t", []string{"updated_at"}, true, false}, {"u", []string{"updated_at"}, false, false}},
	}
	if !f.Server.MariaDB {
		f.Vars["gtid_mode"], f.Vars["enforce_gtid_consistency"] = "ON", "ON"
	}
	for _, text := range []string{
		"GRANT REPLICATION SLAVE, " + f.Server.replicationClient() + " ON *.* TO `station`@`10.%`",
		"GRANT SELECT, UPDATE (`external_package_id`) ON `external`.`buylo_products` TO `station`@`10.%`",
	} {
		l, _ := parseGrant(text)
		f.Rights = append(f.Rights, l.rights...)
	}
	return f
}

const (
	mysql57   = "5.7.44-log"
	mysql80   = "8.0.36"
	mysql97   = "9.7.4-2"
	maria103  = "10.3.39-MariaDB-0ubuntu"
	maria1011 = "5.5.5-10.11.19-MariaDB-0+deb12u1-log"
)

func TestAServerThatFits(t *testing.T) {
	for _, version := range []string{mysql57, mysql80, mysql97, maria103, maria1011} {
		list := Judge(good(version), everyWay)
		for _, f := range list {
			if f.State != OK || f.Fact == "" || len(f.Fix)+len(f.Config) > 0 || !strings.HasPrefix(f.Code, string(f.Way)+".") {
				t.Errorf("%s: %+v", version, f)
			}
		}
		if len(list) < 25 {
			t.Errorf("%s: only %d findings", version, len(list))
		}
	}
}

// TestFixes holds the statements for servers that are not at hand, and what can't be broken on those that are.
func TestFixes(t *testing.T) {
	set := func(pairs ...string) func(*Facts) {
		return func(f *Facts) {
			for i := 0; i < len(pairs); i += 2 {
				if f.Vars[pairs[i]] = pairs[i+1]; pairs[i+1] == "-" {
					delete(f.Vars, pairs[i])
				}
			}
		}
	}
	yes := true
	for _, c := range []struct {
		version string
		spoil   func(*Facts)
		code    string
		state   State
		fix     string // and the lines of the configuration behind it
	}{
		{mysql57, set("binlog_format", "MIXED"), "binlog.row_format", Fault, "SET GLOBAL binlog_format = 'ROW' / binlog_format = ROW"},
		{mysql80, set("binlog_format", "MIXED"), "binlog.row_format", Fault, "SET PERSIST binlog_format = 'ROW' /"},
		{mysql97, set("binlog_format", "-"), "binlog.row_format", OK, "/"},
		{maria1011, set("binlog_format", "STATEMENT"), "binlog.row_format", Fault, "SET GLOBAL binlog_format = 'ROW' / binlog_format = ROW"},
		{maria1011, set("log_bin", "OFF"), "binlog.log_bin", Fault, "/ log_bin = binlog; server_id = 3"},
		{maria1011, set("server_id", "0"), "binlog.server_id", Fault, "SET GLOBAL server_id = 1 / server_id = 1"},
		{mysql57, set("binlog_expire_logs_seconds", "-", "expire_logs_days", "2"), "binlog.retention", Fault, "SET GLOBAL expire_logs_days = 3 / expire_logs_days = 3"},
		{mysql80, set("binlog_expire_logs_seconds", "3600"), "binlog.retention", Fault, "SET PERSIST binlog_expire_logs_seconds = 259200 /"},
		{maria103, set("binlog_expire_logs_seconds", "-", "expire_logs_days", "10.000000"), "binlog.retention", OK, "/"},
		{maria1011, set("max_binlog_total_size", "1073741824"), "binlog.retention_size", Warning, "SET GLOBAL max_binlog_total_size = 0 / max_binlog_total_size = 0"},
		{maria1011, set("binlog_row_metadata", "NO_LOG"), "binlog.row_metadata", Warning, "SET GLOBAL binlog_row_metadata = 'MINIMAL' / binlog_row_metadata = MINIMAL"},
		{maria103, set("binlog_row_metadata", "-"), "binlog.row_metadata", Warning, "/"},
		{mysql57, set("binlog_row_metadata", "-"), "binlog.row_metadata", OK, "/"},
		{mysql57, set("gtid_mode", "OFF_PERMISSIVE"), "binlog.gtid", Fault, "SET GLOBAL gtid_mode = 'ON_PERMISSIVE'; SET GLOBAL gtid_mode = 'ON' / gtid_mode = ON"},
		{mysql80, set("gtid_mode", "OFF", "enforce_gtid_consistency", "WARN"), "binlog.gtid", Fault, "SET PERSIST enforce_gtid_consistency = 'ON'; " +
			"SET PERSIST gtid_mode = 'OFF_PERMISSIVE'; SET PERSIST gtid_mode = 'ON_PERMISSIVE'; SET PERSIST gtid_mode = 'ON' /"},
		{maria1011, set("gtid_strict_mode", "OFF"), "binlog.gtid", OK, "/"},
		{maria1011, func(f *Facts) { f.Vars["log_slave_updates"], f.Replica = "OFF", &yes }, "binlog.replica", Fault, "/ log_slave_updates = ON"},
		{maria1011, set("log_slave_updates", "OFF"), "binlog.replica", OK, "/"},
		{mysql80, func(f *Facts) { f.Vars["log_replica_updates"], f.Replica = "OFF", nil }, "binlog.replica", Unknown, "/ log_replica_updates = ON"},
		{mysql80, func(f *Facts) {
			f.Vars["binlog_row_value_options"] = "PARTIAL_JSON"
			f.Columns = append(f.Columns, Column{Name: "j", Type: "json"})
		},
			"binlog.partial_json", Fault, "SET PERSIST binlog_row_value_options = '' /"},
		{maria103, func(f *Facts) { f.Rights = nil }, "binlog.grant_client", Fault, "GRANT REPLICATION CLIENT ON *.* TO `station`@`10.%` /"},
		{maria1011, func(f *Facts) { f.Rights = nil }, "binlog.grant_client", Fault, "GRANT BINLOG MONITOR ON *.* TO `station`@`10.%` /"},
		{mysql97, func(f *Facts) { f.Rights = nil }, "packing.update", Fault, "GRANT UPDATE (`external_package_id`) ON `external`.`buylo_products` TO `station`@`10.%` /"},
		{mysql97, func(f *Facts) { f.Unread["grants"] = "timeout" }, "packing.update", Unknown, "/"},
		{mysql97, func(f *Facts) { f.Unread["columns"] = "timeout" }, "polling.table", Unknown, "/"},
		{mysql97, func(f *Facts) { f.Unread["indexes"] = "timeout" }, "packing.key", Unknown, "/"},
		{mysql97, func(f *Facts) { f.Columns = nil }, "polling.table", Fault, "/"},
		{mysql97, func(f *Facts) { f.Columns = f.Columns[:2] }, "packing.package_column", Fault,
			"ALTER TABLE `external`.`buylo_products` ADD COLUMN `external_package_id` VARCHAR(64) CHARACTER SET utf8mb4 NULL /"},
		{mysql97, func(f *Facts) { f.Columns = f.Columns[:3] }, "polling.timestamp", Fault,
			"ALTER TABLE `external`.`buylo_products` ADD COLUMN `updated_at` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP /"},
		{mysql97, func(f *Facts) { f.Columns[3].Type, f.Zone = "datetime(6)", "Europe/Prague" }, "polling.timestamp", Fault,
			"ALTER TABLE `external`.`buylo_products` MODIFY COLUMN `updated_at` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP /"},
		{mysql97, func(f *Facts) { f.Shift = time.Hour }, "polling.time_zone", Fault, "/"},
		{mysql97, func(f *Facts) { f.Away = -time.Hour }, "polling.time_zone", Warning, "/"},
		{mysql57, func(f *Facts) { f.Limited = "no" }, "polling.time_limit", Warning, "/"},
		{mysql80, set("super_read_only", "ON", "read_only", "ON"), "packing.read_only", Fault, "SET PERSIST super_read_only = 'OFF' /"},
	} {
		f := good(c.version)
		f.Vars = maps.Clone(f.Vars)
		c.spoil(f)
		list := Judge(f, everyWay)
		found, is := false, Finding{}
		for _, is = range list {
			if found = is.Code == c.code; found {
				break
			}
		}
		got := strings.TrimSpace(fmt.Sprintf("%s / %s", strings.Join(is.Fix, "; "), strings.Join(is.Config, "; ")))
		if !found || is.State != c.state || got != c.fix {
			t.Errorf("%s: %+v\n got %s\nwant %s %s", c.version, is, got, c.state, c.fix)
		}
		if is.State != OK && is.Why == "" {
			t.Errorf("%s doesn't say why", c.code)
		}
		if c.state == Fault == Usable(list, is.Way) {
			t.Errorf("%s: usable: %v", c.code, Usable(list, is.Way))
		}
	}
}

// TestOrder holds that what has to be mended comes first.
func TestOrder(t *testing.T) {
	f := good(mysql97)
	f.Vars["binlog_row_image"], f.Indexes = "MINIMAL", f.Indexes[:1]
	last := map[Way]int{}
	for _, f := range Judge(f, everyWay) {
		if f.State.rank() < last[f.Way] {
			t.Errorf("%s, %s, comes too late", f.Code, f.State)
		}
		last[f.Way] = f.State.rank()
	}
}

func TestVersions(t *testing.T) {
	for text, want := range map[string][3]int{mysql57: {5, 7, 44}, mysql97: {9, 7, 4}, maria1011: {10, 11, 19}, maria103: {10, 3, 39}, "x": {}} {
		if s := newServer(text); s.number != want {
			t.Errorf("%s: %v", text, s.number)
		}
	}
	if s := newServer(mysql80); !s.atLeast(8, 0, 22) || s.atLeast(8, 0, 37) || s.atLeast(8, 1, 0) || !s.atLeast(5, 9, 99) {
		t.Error("versions are compared wrong")
	}
}
