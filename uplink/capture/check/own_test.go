package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/uplink/capture"
)

// goodOwn are the facts of a table of the customer's own that fits every way.
func goodOwn(version string) *Facts {
	f := good(version)
	f.spec = Own(&capture.Spec{Schema: "shop", Name: "goods", Key: []string{"shop", "id"}, Updated: "changed"})
	f.Engine = "InnoDB"
	f.Columns = []Column{
		{Name: "shop", Type: "varchar(20)", Length: 20, Define: " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"},
		{Name: "id", Type: "int(10) unsigned"},
		{Name: "changed", Type: "timestamp(3)", Extra: "on update current_timestamp(3)"},
	}
	f.Indexes = []Index{{"PRIMARY", []string{"shop", "id"}, false, true}, {"c", []string{"changed"}, false, false}}
	for _, text := range []string{
		"GRANT SELECT, TRIGGER ON `shop`.`goods` TO `station`@`10.%`", "GRANT SELECT, DELETE, UPDATE (`taken`) ON `shop`.`queue` TO `station`@`10.%`",
	} {
		l, _ := parseGrant(text)
		f.Rights = append(f.Rights, l.rights...)
	}
	return f
}

var ownWays = Wanted{Ways: []Way{Binlog, Queue, Polling}, Outage: 72 * time.Hour}

func TestAnOwnTableThatFits(t *testing.T) {
	for _, version := range []string{mysql57, mysql80, mysql97, maria103, maria1011} {
		list := JudgeOwn(goodOwn(version), ownWays, Asked{Queue: Table{"shop", "queue"}})
		for _, f := range list {
			if f.State != OK || f.Fact == "" || len(f.Fix)+len(f.Config) > 0 || !strings.HasPrefix(f.Code, "table.") {
				t.Errorf("%s: %+v", version, f)
			}
		}
		if len(list) < 10 {
			t.Errorf("%s: only %d findings", version, len(list))
		}
	}
}

// TestOwnFixes holds what is found, for which way, and the statements.
func TestOwnFixes(t *testing.T) {
	const alter = "ALTER TABLE `shop`.`goods` "
	no := func(*Facts) {}
	without := func(name string) func(*Facts) {
		return func(f *Facts) {
			f.Rights = slices.DeleteFunc(f.Rights, func(r Right) bool { return r.table == "goods" && r.Name == name })
		}
	}
	lost := Asked{Queue: Table{"shop", "queue"}, Unsure: []string{"no triggers can be seen"}}
	for _, c := range []struct {
		version string
		spoil   func(*Facts)
		asked   Asked
		code    string
		way     Way
		state   State
		fix     string
		says    string
	}{
		{mysql80, no, Asked{Unfit: errors.New("it has no column x")}, "table.read", "", Fault, "", "no column x"},
		{mysql80, without("SELECT"), Asked{}, "table.read", "", Fault, "GRANT SELECT ON `shop`.`goods` TO `station`@`10.%`", "lacks SELECT"},
		{mysql80, func(f *Facts) { f.Unread["grants"] = "timeout" }, Asked{}, "table.read", "", Unknown, "", "timeout"},
		{mysql80, func(f *Facts) { f.Unread["indexes"] = "timeout" }, Asked{}, "table.key", "", Unknown, "", "timeout"},
		{mysql80, func(f *Facts) { f.Unread["rows"] = "timeout" }, Asked{}, "table.engine", "", Unknown, "", "timeout"},
		{mysql80, func(f *Facts) { f.Indexes = f.Indexes[1:] }, Asked{}, "table.key", "", Warning, alter + "ADD PRIMARY KEY (`shop`, `id`)", "no primary key"},
		{mysql80, func(f *Facts) { f.Indexes[0].Columns = []string{"id", "shop"} }, Asked{}, "table.key", "", Warning, "", "another order"},
		{mysql80, func(f *Facts) { f.Indexes[0].Columns = []string{"id"} }, Asked{}, "table.key", "", Warning,
			alter + "ADD UNIQUE INDEX `station_agent_key` (`shop`, `id`)", `or write key = ["id"]`},
		{mysql80, func(f *Facts) { f.Indexes[0].Name = "other" }, Asked{}, "table.key", "", OK, "", "index other"},
		{mysql80, func(f *Facts) { f.Indexes[0].Name, f.Indexes[0].Unique = "other", false }, Asked{}, "table.key", "", Warning,
			alter + "ADD PRIMARY KEY (`shop`, `id`)", ""},
		{mysql80, func(f *Facts) {
			f.Indexes[0].Name, f.Columns[0].Null = "other", true
			f.Indexes = append(f.Indexes, Index{"PRIMARY", []string{"id"}, false, true})
		}, Asked{}, "table.key", "", Warning, alter + "MODIFY COLUMN `shop` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL", "may be NULL"},
		{mysql80, func(f *Facts) { f.Engine = "MyISAM" }, Asked{}, "table.engine", "", Warning, alter + "ENGINE = InnoDB", "MyISAM"},
		{mysql80, func(f *Facts) { f.Engine = "" }, Asked{}, "table.engine", Binlog, Fault, "", "is a view"},
		{mysql80, func(f *Facts) { f.Vars["log_bin"] = "OFF" }, Asked{}, "table.way", Binlog, Fault, "", "log_bin is OFF [binlog.log_bin]"},
		{mysql80, func(f *Facts) { f.Shift = time.Hour }, Asked{}, "table.way", Polling, Fault, "", "polling.time_zone"},
		{mysql80, func(f *Facts) { f.Logged.Except = "shop" }, Asked{}, "table.filter", Binlog, Fault, "", "shop are not logged"},
		{mysql80, func(f *Facts) { f.Logged.Except = "external" }, Asked{}, "table.filter", Binlog, OK, "", ""},
		{mysql80, func(f *Facts) {
			f.Vars["binlog_row_value_options"] = "PARTIAL_JSON"
			f.Columns = append(f.Columns, Column{Name: "j", Type: "json"})
		}, Asked{}, "table.partial_json", Binlog, Fault, "SET PERSIST binlog_row_value_options = ''", ""},
		{mysql80, func(f *Facts) { f.Indexes = f.Indexes[:1] }, Asked{}, "table.updated_index", Polling, Warning,
			"CREATE INDEX `station_agent_updated_index` ON `shop`.`goods` (`changed`)", "begins with changed"},
		{mysql80, func(f *Facts) { f.Columns[2].Extra, f.Columns[2].Null = "", true }, Asked{}, "table.updated", Polling, Warning,
			alter + "MODIFY COLUMN `changed` timestamp(3) NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)", "doesn't move"},
		{mysql80, func(f *Facts) { f.Columns[2].Extra, f.Columns[2].Type = "", "datetime" }, Asked{}, "table.updated", Polling, Warning,
			alter + "MODIFY COLUMN `changed` datetime NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP", "doesn't move"},
		{mysql80, func(f *Facts) { f.Columns[2].Type = "datetime(3)" }, Asked{}, "table.updated", Polling, OK, "", ""},
		{mysql80, func(f *Facts) { f.Columns[2].Type, f.Zone = "datetime(3)", "CET" }, Asked{}, "table.updated", Polling, Warning, "", "server's, CET"},
		{mysql80, func(f *Facts) { f.spec.Changed = "" }, Asked{}, "table.updated", Polling, Fault, "", `updated = "changed"`},
		{mysql80, func(f *Facts) { f.spec.Changed, f.Columns = "", f.Columns[:2] }, Asked{}, "table.updated", Polling, Fault,
			alter + "ADD COLUMN `updated_at` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP", `updated = "updated_at"`},
		{mysql80, func(f *Facts) { f.spec.Spec.Station, f.spec.Changed = "shop", "" }, Asked{}, "table.station_index", Polling, OK, "", ""},
		{mysql80, func(f *Facts) { f.spec.Spec.Station = "id" }, Asked{}, "table.station_index", Polling, Warning,
			"CREATE INDEX `station_agent_station_index` ON `shop`.`goods` (`id`)", ""},
		{mysql80, no, Asked{Queue: Table{"shop", "queue"}, Broken: []string{"a trigger is missing"}}, "table.queue", Queue, Fault, "", "is missing"},
		{mysql80, without("TRIGGER"), lost, "table.queue", Queue, Warning, "GRANT TRIGGER ON `shop`.`goods` TO `station`@`10.%`", "can be seen"},
		{mysql80, no, lost, "table.queue", Queue, Fault, "", "shop.goods has no triggers"},
		{mysql80, no, Asked{Queue: Table{"shop", "other"}}, "table.queue_grants", Queue, Fault,
			"GRANT SELECT, DELETE, UPDATE (`taken`) ON `shop`.`other` TO `station`@`10.%`", "lacks SELECT, DELETE"},
		{mysql80, no, Asked{Cascades: []string{"the key k"}}, "table.cascade", Binlog, Warning, "", "the key k"},
		{mysql97, func(f *Facts) { f.Vars["innodb_native_foreign_keys"] = "OFF" }, Asked{Cascades: []string{"the key k"}}, "table.cascade", Queue, Warning, "", "the key k"},
		{mysql97, func(f *Facts) { f.Vars["innodb_native_foreign_keys"] = "ON" }, Asked{Cascades: []string{"the key k"}}, "table.cascade", Binlog, Warning, "", ""},
	} {
		f := goodOwn(c.version)
		c.spoil(f)
		if c.asked.Queue.Name == "" {
			c.asked.Queue = Table{"shop", "queue"}
		}
		list := JudgeOwn(f, ownWays, c.asked)
		i := slices.IndexFunc(list, func(f Finding) bool { return f.Code == c.code })
		if i < 0 {
			t.Errorf("nothing is said about %s: %+v", c.code, list)
			continue
		}
		is := list[i]
		if is.State != c.state || is.Way != c.way || strings.Join(is.Fix, "; ") != c.fix || !strings.Contains(is.Fact+is.Advice, c.says) || (is.Why == "") != (is.State == OK) {
			t.Errorf("%+v\nwant %s for %q, %s: %s", is, c.state, c.way, c.fix, c.says)
		}
		if c.state == Fault == Usable(list, c.way) {
			t.Errorf("%s: usable: %v", c.code, Usable(list, c.way))
		}
	}
}

// TestCascadesMatterToSomeWays holds that polling finds what a foreign key did, and that a key is told of once.
func TestCascadesMatterToSomeWays(t *testing.T) {
	for want, ways := range map[int][]Way{0: {Polling}, 1: {Binlog, Queue, Polling}} {
		w := ownWays
		w.Ways = ways
		list := JudgeOwn(goodOwn(maria1011), w, Asked{Queue: Table{"shop", "queue"}, Cascades: []string{"the key k"}})
		list = slices.DeleteFunc(list, func(f Finding) bool { return f.Code != "table.cascade" })
		if len(list) != want {
			t.Errorf("%v: %s", ways, fmt.Sprint(list))
		}
	}
}
