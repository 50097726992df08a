package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestParseGrant reads what the servers print: MariaDB 10.11 and MySQL 9.7 as seen, MySQL 5.7 and MariaDB 10.3 by their manuals.
func TestParseGrant(t *testing.T) {
	for text, want := range map[string]string{
		"GRANT USAGE ON *.* TO `we``i'rd`@`10.%` IDENTIFIED BY PASSWORD '*B69027D44F6E5EDC07F1AEAD1477967B16F28227'": "USAGE on *.*",
		"GRANT SELECT, CREATE ROUTINE ON `ext\\_%`.* TO `a`@`%` WITH GRANT OPTION":                                   "SELECT on `ext\\_%`.*; CREATE ROUTINE on `ext\\_%`.*; GRANT OPTION on `ext\\_%`.*",
		"GRANT SELECT (`a`), INSERT (`a`), UPDATE (`d``)`, `b c`) ON `external`.`odd``name, x` TO `a`@`%`": "SELECT (a) on `external`.`odd``name, x`; INSERT (a) on `external`.`odd``name, x`; " +
			"UPDATE (d`)) on `external`.`odd``name, x`; UPDATE (b c) on `external`.`odd``name, x`",
		"GRANT SELECT, UPDATE (external_package_id) ON `external`.`buylo_products` TO 'station'@'%'":             "SELECT on `external`.`buylo_products`; UPDATE (external_package_id) on `external`.`buylo_products`",
		"GRANT FILE, SUPER, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO `dba`@`%` IDENTIFIED BY PASSWORD '*A B'": "FILE on *.*; SUPER on *.*; REPLICATION SLAVE on *.*; BINLOG MONITOR on *.*",
		"GRANT BINLOG_ADMIN,SYSTEM_VARIABLES_ADMIN ON *.* TO `dba`@`%`":                                          "BINLOG_ADMIN on *.*; SYSTEM_VARIABLES_ADMIN on *.*",
		"GRANT ALL PRIVILEGES ON *.* TO `god`@`%` REQUIRE SSL WITH GRANT OPTION MAX_QUERIES_PER_HOUR 5":          "ALL PRIVILEGES on *.*; GRANT OPTION on *.*",
		"GRANT ALL PRIVILEGES ON *.* TO `TO`@`WITH` REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 5":                     "ALL PRIVILEGES on *.*",
		"GRANT EXECUTE ON FUNCTION `external`.`f` TO `dba`@`%`":                                                  "EXECUTE on FUNCTION `external`.`f`",
		"GRANT PROXY ON `god`@`%` TO `dba`@`%`":                                                                  "PROXY on `god`@`%`",
		"REVOKE INSERT ON `mysql`.* FROM `a`@`%`":                                                                "no INSERT on `mysql`.*",
		"GRANT `packer` TO `we``i'rd`@`10.%`":                                                                    "role `packer`",
		"GRANT `a`@`%`,`b`@`h` TO `c`@`%` WITH ADMIN OPTION":                                                     "role `a`@`%`; role `b`@`h`",
		"GRANT packer TO 'c'@'%'":                                                                                "role `packer`",
		"SET DEFAULT ROLE `packer` FOR `we``i'rd`@`10.%`":                                                        "",
		"GRANT SELECT ON `external`.* TO PUBLIC":                                                                 "SELECT on `external`.*",
	} {
		l, ok := parseGrant(text)
		var got []string
		for _, r := range l.rights {
			column, no := "", ""
			if r.Column != "" {
				column = " (" + r.Column + ")"
			}
			if r.Taken {
				no = "no "
			}
			got = append(got, fmt.Sprintf("%s%s%s on %s", no, r.Name, column, r.On))
		}
		for _, r := range l.roles {
			got = append(got, "role "+r)
		}
		if joined := strings.Join(got, "; "); !ok || joined != want {
			t.Errorf("%s\n got %s\nwant %s", text, joined, want)
		}
	}
	for _, text := range []string{"", "GRANT", "GRANT SELECT ON", "GRANT SELECT ON `a`.*", "HELLO TO WORLD", "GRANT ON x TO y", "REVOKE SELECT ON a.* TO b", "GRANT `x` ON a.* TO b", "GRANT (`x`) ON a.* TO b"} {
		if l, ok := parseGrant(text); ok {
			t.Errorf("%q is read as %+v", text, l)
		}
	}
}

func TestGrantee(t *testing.T) {
	for text, want := range map[string]grantee{
		"GRANT USAGE ON *.* TO `we``i'rd`@`10.%`": {"`we``i'rd`@`10.%`", "we`i'rd", "10.%"},
		"GRANT USAGE ON *.* TO 'o''n'@'%'":        {"`o'n`@`%`", "o'n", "%"},
		"GRANT INSERT ON `a`.`b` TO `packer`":     {"`packer`", "packer", ""},
		"GRANT INSERT ON `a`.`b` TO PUBLIC":       {"PUBLIC", "PUBLIC", ""},
	} {
		if l, _ := parseGrant(text); l.to != want {
			t.Errorf("%s: %+v", text, l.to)
		}
	}
}

func FuzzParseGrant(f *testing.F) {
	f.Add("GRANT SELECT (`a`), UPDATE ON `ext\\_%`.* TO `u`@`h` WITH GRANT OPTION")
	f.Add("GRANT `a`@`%`,`b` TO 'c'@\"d")
	f.Fuzz(func(t *testing.T, text string) {
		l, ok := parseGrant(text)
		for _, r := range l.rights {
			if ok && (r.Name == "" || !strings.Contains(text, r.On)) {
				t.Errorf("%q: %+v", text, r)
			}
		}
	})
}

// account gives the facts of an account with these grants.
func account(t *testing.T, lines ...string) *Facts {
	t.Helper()
	f := &Facts{User: "station", Host: "%", Vars: map[string]string{}, Server: newServer("9.7.4"), spec: Buylo("external")}
	for _, text := range lines {
		l, ok := parseGrant(text)
		if !ok {
			t.Fatal(text)
		}
		f.Rights = append(f.Rights, l.rights...)
	}
	return f
}

func TestMay(t *testing.T) {
	const to = " TO `station`@`%`"
	products := Table{"external", "buylo_products"}
	for _, c := range []struct {
		grants  []string
		name    string
		column  string
		want    bool
		partial bool
	}{
		{[]string{"GRANT SELECT ON *.*" + to}, "SELECT", "", true, false},
		{[]string{"GRANT SELECT ON `external`.*" + to}, "SELECT", "", true, false},
		{[]string{"GRANT ALL PRIVILEGES ON `ext%`.*" + to}, "SELECT", "", true, false},
		{[]string{"GRANT ALL PRIVILEGES ON `ext%`.*" + to}, "GRANT OPTION", "", false, false},
		{[]string{"GRANT SELECT ON `ext_rnal`.*" + to}, "SELECT", "", true, false},
		{[]string{"GRANT SELECT ON `ext\\_rnal`.*" + to}, "SELECT", "", false, false},
		{[]string{"GRANT SELECT ON `extern`.*" + to}, "SELECT", "", false, false},
		{[]string{"GRANT SELECT ON `external`.`buylo_sync_outbox`" + to}, "SELECT", "", false, false},
		{[]string{"GRANT SELECT (`hash`) ON `external`.`buylo_products`" + to}, "SELECT", "", false, false},
		{[]string{"GRANT UPDATE (`external_package_id`) ON `external`.`buylo_products`" + to}, "UPDATE", "external_package_id", true, false},
		{[]string{"GRANT UPDATE (`buylo_name`) ON `external`.`buylo_products`" + to}, "UPDATE", "external_package_id", false, false},
		{[]string{"GRANT UPDATE ON `external`.`buylo_products`" + to}, "UPDATE", "external_package_id", true, false},
		{[]string{"GRANT EXECUTE ON FUNCTION `external`.`buylo_products`" + to}, "EXECUTE", "", false, false},
		{[]string{"GRANT SELECT ON *.*" + to, "REVOKE SELECT ON `external`.* FROM `station`@`%`"}, "SELECT", "", false, true},
		{[]string{"GRANT SELECT ON *.*" + to, "REVOKE SELECT ON `other`.* FROM `station`@`%`"}, "SELECT", "", true, true},
		{[]string{"GRANT SELECT ON *.*" + to, "REVOKE SELECT ON `external`.* FROM `station`@`%`",
			"GRANT SELECT ON `external`.`buylo_products`" + to}, "SELECT", "", true, true},
		{[]string{"GRANT SELECT ON `ext%`.*" + to}, "SELECT", "", false, true},
	} {
		f := account(t, c.grants...)
		if c.partial {
			f.Vars["partial_revokes"] = "ON"
		}
		if got := f.may(c.name, products, c.column); got != c.want {
			t.Errorf("%v: %s (%s): %v", c.grants, c.name, c.column, got)
		}
	}
}

// TestExcess holds what is too much, and that what an account needs is not.
func TestExcess(t *testing.T) {
	const to = " TO `station`@`%`"
	needed := []string{"GRANT USAGE ON *.*" + to, "GRANT SELECT, UPDATE (`external_package_id`) ON `external`.`buylo_products`" + to}
	for text, want := range map[string]string{
		"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.*" + to:                         "",
		"GRANT REPLICATION SLAVE, BINLOG MONITOR, SLAVE MONITOR ON *.*" + to:              "",
		"GRANT ALL PRIVILEGES ON `external\\_workspace`.*" + to:                           "",
		"GRANT ALL PRIVILEGES ON `external_workspace`.*" + to:                             "",
		"GRANT SELECT ON `tags`.`map`" + to:                                               "",
		"GRANT INSERT ON `external_workspace`.* TO `r`@`%`":                               "",
		"GRANT ALL PRIVILEGES ON `external%`.*" + to:                                      "REVOKE ALL PRIVILEGES ON `external%`.* FROM `station`@`%`; table",
		"GRANT ALL PRIVILEGES ON `external_workspace`.*" + to + " WITH GRANT OPTION":      "REVOKE GRANT OPTION ON `external_workspace`.* FROM `station`@`%`",
		"GRANT SELECT, DELETE, UPDATE (`taken`) ON `shop`.`queue`" + to:                   "",
		"GRANT SELECT ON `shop`.*" + to:                                                   "REVOKE SELECT ON `shop`.* FROM `station`@`%`; GRANT SELECT ON `shop`.`queue` TO `station`@`%`",
		"GRANT ALL PRIVILEGES ON `shop`.`queue`" + to:                                     "REVOKE ALL PRIVILEGES ON `shop`.`queue` FROM `station`@`%`; GRANT SELECT, DELETE, UPDATE (taken) ON `shop`.`queue` TO `station`@`%`",
		"GRANT UPDATE (`id`) ON `shop`.`queue`" + to:                                      "REVOKE UPDATE (`id`) ON `shop`.`queue` FROM `station`@`%`",
		"GRANT INSERT ON `tags`.`map`" + to:                                               "REVOKE INSERT ON `tags`.`map` FROM `station`@`%`",
		"GRANT INSERT, DELETE, UPDATE (`buylo_name`) ON `external`.`buylo_products`" + to: "REVOKE INSERT, DELETE, UPDATE (`buylo_name`) ON `external`.`buylo_products` FROM `station`@`%`; table",
		"GRANT UPDATE ON `external`.`buylo_products`" + to:                                "REVOKE UPDATE ON `external`.`buylo_products` FROM `station`@`%`; table",
		"GRANT SELECT ON `external`.*" + to:                                               "REVOKE SELECT ON `external`.* FROM `station`@`%`; table",
		"GRANT TRIGGER ON `external`.`buylo_products`" + to:                               "REVOKE TRIGGER ON `external`.`buylo_products` FROM `station`@`%`; table",
		"GRANT SUPER, FILE ON *.*" + to:                                                   "REVOKE SUPER, FILE ON *.* FROM `station`@`%`; table; log",
		"GRANT EXECUTE ON FUNCTION `external`.`f`" + to:                                   "REVOKE EXECUTE ON FUNCTION `external`.`f` FROM `station`@`%`",
		"GRANT PROXY ON `god`@`%`" + to:                                                   "REVOKE PROXY ON `god`@`%` FROM `station`@`%`",
	} {
		f := account(t, append(slices.Clone(needed), text)...)
		list := Judge(f, Wanted{Ways: []Way{Packing, Binlog}, Serves: []Way{Packing, Binlog}, Needs: []Need{{Table{"tags", "map"}, []string{"SELECT"}}, {Table{"shop", "queue"}, []string{"SELECT", "DELETE", "UPDATE (taken)"}}}, Workspaces: []string{"external_workspace"}})
		var got []string
		for _, l := range list {
			if l.Code == "packing.excess" {
				got = append(got, l.Fix...)
			}
		}
		joined := strings.NewReplacer("GRANT SELECT, UPDATE (`external_package_id`) ON `external`.`buylo_products` TO `station`@`%`", "table",
			"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `station`@`%`", "log").Replace(strings.Join(got, "; "))
		if joined != want {
			t.Errorf("%s\n got %s\nwant %s", text, joined, want)
		}
	}
}
