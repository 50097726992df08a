package assign

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"net"
	osexec "os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/mysql"
)

const tagMap = "external_workspace.station_agent_epc"

// makeWorkspace gives the agent's account a workspace and makes the map there, as a person would: with the server's own
// client.
func makeWorkspace(t *testing.T, db *servers.Database) {
	t.Helper()
	if err := db.CreateWorkspace(t.Context()); err != nil {
		t.Fatal(err)
	}
	runDDL(t, db)
}

func runDDL(t *testing.T, db *servers.Database) {
	t.Helper()
	ddl, err := WorkspaceDDL("external", "external_workspace")
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(db.Addr)
	if err != nil {
		t.Fatal(err)
	}
	argv := append(db.Client(), "--protocol=tcp", "--host="+host, "--port="+port, "--user="+servers.AgentUser, "--password="+servers.AgentPassword)
	cmd := osexec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(ddl)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
}

func tag(t *testing.T, db *servers.Database, epc, hash string) {
	t.Helper()
	exec(t, db, "INSERT INTO "+tagMap+" (epc, hash) VALUES (?, ?)", epc, hash)
}

// mapped starts a Watcher with the map.
func mapped(t *testing.T, db *servers.Database, change ...func(*WatcherConfig)) (p *picture, ml *lamp, read func() record.Reading) {
	t.Helper()
	ml = &lamp{}
	p, l, read := watcher(t, db, append(change, func(c *WatcherConfig) { c.MapTable, c.MapCondition = tagMap, ml })...)
	t.Cleanup(func() {
		if l.times() > 0 {
			t.Errorf("the rows were lost: %v", l.why())
		}
	})
	return p, ml, read
}

func epcs(r record.Reading) string {
	var list []string
	for _, row := range slices.Concat(r.Here, r.Away) {
		list = append(list, row.Hash+fmt.Sprint(row.EPCs))
	}
	return strings.Join(list, " ")
}

// TestTags: an item has its tags in order, however many, and whatever the collations of the two tables are.
func TestTags(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		makeWorkspace(t, db)
		for _, hash := range []string{"one", "two", "three"} {
			observe(t, db, hash, pkg(station))
		}
		observe(t, db, "off", none)
		tag(t, db, "E2", "two")
		tag(t, db, "E1", "two")
		tag(t, db, "e1", "one")
		tag(t, db, "urn:epc:tag:1", "two")
		tag(t, db, "E9", "TWO") // another item
		tag(t, db, "F1", "off")
		tag(t, db, "F2", "nowhere")
		p, l, read := mapped(t, db, func(c *WatcherConfig) { c.Asked = func() []string { return []string{"off", "gone"} } })
		const want = "one[e1] three[] two[E1 E2 urn:epc:tag:1] off[F1]"
		if got := epcs(p.last()); got != want || !p.last().Away[0].Away {
			t.Errorf("read %s", got)
		}
		for _, charset := range []string{"latin1", "ascii", "utf8mb4 COLLATE utf8mb4_bin", "utf8mb4 COLLATE utf8mb4_unicode_ci"} {
			exec(t, db, "ALTER TABLE `external`.buylo_products CONVERT TO CHARACTER SET "+charset)
			if got := epcs(read()); got != want {
				t.Errorf("with the table in %s: %s", charset, got)
			}
		}
		exec(t, db, "ALTER TABLE "+tagMap+" MODIFY hash VARCHAR(64) CHARACTER SET latin1, MODIFY epc VARCHAR(64) CHARACTER SET latin1 COLLATE latin1_bin")
		if got := epcs(read()); got != want { // a map that somebody else made
			t.Errorf("with the map in latin1: %s", got)
		}
		if l.times() > 0 {
			t.Errorf("lost: %v", l.why())
		}
	})
}

// TestMapIsNotScanned: the rows are found as without the map, and the map's lines by the index.
func TestMapIsNotScanned(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		makeWorkspace(t, db)
		exec(t, db, "CREATE INDEX station ON `external`.buylo_products (buylo_active_packing_station_uuid)")
		fill(t, db, 4096)
		w, err := NewWatcher(WatcherConfig{Table: table, Station: station, MapTable: tagMap})
		if err != nil {
			t.Fatal(err)
		}
		for _, charset := range []string{"utf8mb4", "utf8mb4 COLLATE utf8mb4_unicode_ci", "latin1"} {
			exec(t, db, "ALTER TABLE `external`.buylo_products CONVERT TO CHARACTER SET "+charset)
			exec(t, db, "ANALYZE TABLE `external`.buylo_products, "+tagMap)
			for _, c := range []struct{ text, arg, key string }{
				{w.mapped.byStation.text, station, "station"},
				{w.mapped.byHash.text, fmt.Sprintf("%032x", 7), "PRIMARY"},
			} {
				lines := plans(t, db, c.text, []any{c.arg})
				if len(lines) != 2 || lines[0]["table"] != "p" || lines[0]["key"] != c.key || lines[1]["table"] != "m" || lines[1]["key"] != "hash" ||
					lines[1]["type"] != "ref" {
					t.Errorf("with the table in %s: %s: %v", charset, c.text, lines)
				}
			}
		}
	})
}

// fill makes items, one in a hundred on the station, each with a tag.
func fill(t *testing.T, db *servers.Database, n int) {
	t.Helper()
	const number = "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < ?) "
	root, err := db.Root().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	depth := "SET SESSION max_recursive_iterations = 100000"
	if db.Flavor == "mysql" {
		depth = "SET SESSION cte_max_recursion_depth = 100000"
	}
	for _, s := range []struct {
		text string
		args []any
	}{
		{depth, nil},
		{"INSERT INTO `external`.buylo_products (hash, buylo_active_packing_station_uuid) " + number +
			"SELECT LPAD(HEX(n), 32, '0'), IF(n % 100 = 0, ?, UUID()) FROM n", []any{n, station}},
		{"INSERT INTO " + tagMap + " (epc, hash) " + number + "SELECT CONCAT('E', n), LPAD(HEX(n), 32, '0') FROM n", []any{n}},
	} {
		if _, err := root.ExecContext(t.Context(), s.text, s.args...); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMapThatCannotBeRead: missing, then there, of the wrong form, forbidden, and there again. The rows are read all the
// time, with the tags that were known.
func TestMapThatCannotBeRead(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		account := "'" + servers.AgentUser + "'@'%'"
		observe(t, db, "a", pkg(station))
		ml := &lamp{}
		w, p := stepper(t, db, ml)
		step := func(what, want string, told int, why string) {
			t.Helper()
			w.tags.rest = time.Time{} // half a minute later
			r, err := w.look(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			p.seen(r)
			if got := epcs(r); got != want || ml.times() != told {
				t.Errorf("%s: %s, told %d times", what, got, ml.times())
			}
			if why != "" && (!strings.Contains(ml.why().Error(), why) || !strings.Contains(ml.why().Error(), "station-agent workspace ddl")) {
				t.Errorf("%s: told %v", what, ml.why())
			}
		}
		step("no such schema", "a[]", 1, tagMap)
		makeWorkspace(t, db)
		tag(t, db, "E1", "a")
		step("made", "a[E1]", 1, "")
		exec(t, db, "RENAME TABLE "+tagMap+" TO external_workspace.aside")
		step("renamed", "a[E1]", 2, "1146")
		exec(t, db, "CREATE TABLE "+tagMap+" (epc VARCHAR(128), item CHAR(32))")
		step("of another form", "a[E1]", 3, "1054")
		exec(t, db, "DROP TABLE "+tagMap)
		exec(t, db, "RENAME TABLE external_workspace.aside TO "+tagMap)
		exec(t, db, "REVOKE ALL PRIVILEGES ON external_workspace.* FROM "+account)
		step("forbidden", "a[E1]", 4, "1142")
		exec(t, db, "GRANT SELECT ON "+tagMap+" TO "+account)
		exec(t, db, "UPDATE "+tagMap+" SET epc = 'E2'")
		step("granted", "a[E2]", 4, "")
		exec(t, db, "DELETE FROM "+tagMap)
		step("taken off", "a[]", 4, "")
		exec(t, db, "DROP TABLE "+tagMap)
		step("gone for good", "a[]", 5, "1146")
		if got := ml.seen(); !slices.Equal(got, []string{"lost", "back", "lost", "back", "lost"}) {
			t.Errorf("condition turned %v", got)
		}
	})
}

// stepper is a Watcher that a test drives by hand.
func stepper(t *testing.T, db *servers.Database, ml *lamp) (*Watcher, *picture) {
	t.Helper()
	p := &picture{}
	w, err := NewWatcher(WatcherConfig{DB: agentDB(t, db.Addr, nil), Explain: mysql.Explain, Table: table, Station: station,
		MapTable: tagMap, MapCondition: ml})
	if err != nil {
		t.Fatal(err)
	}
	return w, p
}

// TestMapAwayCostsOneStatementARead: it is left alone for half a minute.
func TestMapAwayCostsOneStatementARead(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		_, ml, read := mapped(t, db)
		before := status(t, db, "Questions")
		for range 5 {
			read()
		}
		if n := status(t, db, "Questions") - before - 1; n != 5 || ml.times() != 1 {
			t.Errorf("%d statements for 5 reads, told %d times", n, ml.times())
		}
	})
}

// TestSlowMap: a map whose answer takes long is given up before the rows are old, and is told of when it stays so.
func TestSlowMap(t *testing.T) {
	db := servers.MariaDB(t)
	makeWorkspace(t, db)
	observe(t, db, "a", pkg(station))
	ml := &lamp{}
	w, _ := stepper(t, db, ml)
	w.mapped.limit, w.mapped.byStation.limit = 100*time.Millisecond, 100*time.Millisecond
	w.mapped.text += " JOIN (SELECT SLEEP(3) AS s) z"
	for n, told := range []int{0, 1, 1} {
		began := time.Now()
		r, err := w.look(t.Context())
		if err != nil || len(r.Here) != 1 || time.Since(began) >= 3*time.Second || ml.times() != told {
			t.Errorf("read %d after %v: %d rows, %v, told %d times: %v", n, time.Since(began), len(r.Here), err, ml.times(), ml.why())
		}
	}
}

// TestBrokenConnectionIsNotTheMapsFault: a read with the map broke, the one without found a new connection.
func TestBrokenConnectionIsNotTheMapsFault(t *testing.T) {
	now, known := time.Now(), tags{known: map[string][]string{}}
	broken := mysql.Explain(errors.New("broken"))
	if known.lose(broken, now) || !known.due(now) {
		t.Error("the first break is the map's fault")
	}
	if !known.lose(broken, now) || known.due(now.Add(mapRest-1)) || !known.due(now.Add(mapRest)) {
		t.Error("what fails twice with the map and never without is the map's fault, for half a minute")
	}
	known.learn(record.Reading{})
	if known.lose(broken, now.Add(mapRest)) {
		t.Error("a break after it worked again is the map's fault")
	}
}

// TestKnownTagsAreBounded: items come and go all day.
func TestKnownTagsAreBounded(t *testing.T) {
	known := tags{known: map[string][]string{}}
	for n := range 3 {
		var rows []record.Row
		for k := range most {
			rows = append(rows, record.Row{Hash: fmt.Sprintf("%d-%d", n, k), EPCs: []string{"E"}})
		}
		known.learn(record.Reading{Here: rows})
	}
	if n := len(known.known); n > 2*most {
		t.Errorf("%d are kept", n)
	}
	r := record.Reading{Here: []record.Row{{Hash: "2-7"}}, Away: []record.Row{{Hash: "2-8"}, {Hash: "9-9"}}}
	if known.fill(&r); epcs(r) != "2-7[E] 2-8[E] 9-9[]" {
		t.Errorf("filled %s", epcs(r))
	}
}

// TestNobodySpeaksOfTheMapWhileTheRowsAreAway: it may be as good as ever.
func TestNobodySpeaksOfTheMapWhileTheRowsAreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := sql.OpenDB(nowhere{})
		defer db.Close()
		l, ml := &lamp{}, &lamp{}
		w, _ := NewWatcher(WatcherConfig{DB: db, Explain: itself, Table: table, Station: station, Condition: l, MapTable: tagMap, MapCondition: ml})
		if _, err := w.look(t.Context()); err == nil || ml.times() > 0 || !w.tags.due(time.Now()) {
			t.Errorf("%v, told of the map %d times", err, ml.times())
		}
	})
}

// TestWorkspaceDDL: it runs as printed under the rights of the workspace, and again, and the view shows every item.
func TestWorkspaceDDL(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		makeWorkspace(t, db)
		exec(t, db, product, "a", "TV-1", "1", "x", pkg("P"), station, time.Now())
		exec(t, db, product, "b", "TV-1", "1", "x", none, none, time.Now())
		tag(t, db, "E2", "a")
		tag(t, db, "E1", "a")
		tag(t, db, "E3", "A")
		runDDL(t, db) // what is there stays
		found, err := agentDB(t, db.Addr, nil).Query("SELECT CONCAT_WS(' ', hash, epc, station, package_id, product_id) FROM external_workspace.station_agent_items ORDER BY hash, epc")
		if err != nil {
			t.Fatal(err)
		}
		defer found.Close()
		var lines []string
		for found.Next() {
			var line string
			if err := found.Scan(&line); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, line)
		}
		want := []string{"a E1 " + station + " P TV-1", "a E2 " + station + " P TV-1", "b TV-1"}
		if !slices.Equal(lines, want) || found.Err() != nil {
			t.Errorf("view %q, %v", lines, found.Err())
		}
	})
}

func TestWorkspaceNames(t *testing.T) {
	for _, c := range [][2]string{{"", "w"}, {"s", ""}, {"s.t", "w"}, {"s", "w.x"}, {"s`", "w"}, {"s", "w;"}} {
		if ddl, err := WorkspaceDDL(c[0], c[1]); err == nil {
			t.Errorf("took %q: %s", c, ddl)
		}
	}
	ddl, err := WorkspaceDDL("group", "select")
	if err != nil || !strings.Contains(ddl, "FROM `group`.`buylo_products` p") || !strings.Contains(ddl, "EXISTS `select`.`station_agent_epc`") || strings.Contains(ddl, "{") {
		t.Errorf("%v: %s", err, ddl)
	}
}
