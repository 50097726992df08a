package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"station-agent/build/servers"
)

// TestQuiet holds what a station on which nothing happens costs the server: at most three connections, the reader of the
// binary log among them, and about one statement a second, also where changes are found by polling: the bench and polling read
// the rows together.
func TestQuiet(t *testing.T) {
	for _, way := range []string{"binlog", "polling"} {
		t.Run(way, func(t *testing.T) { quiet(t, way) })
	}
}

func quiet(t *testing.T, way string) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		t.Parallel() // nothing happens
		s := newSite(t, db)
		s.Config.Source = way
		s.Config.Refresh = "1s" // as it is by default
		s.started()
		items := s.stock(1, 5)
		s.pack("PKG-2026-0001", items[0])
		s.anchored(items[0], "PKG-2026-0001")
		time.Sleep(2 * time.Second) // after which capture gives its connection for questions back
		const window = 5 * time.Second
		before, began := s.counters(), time.Now()
		time.Sleep(window)
		after, took := s.counters(), time.Since(began).Seconds()
		statements := after["Questions"] - before["Questions"] - 1 // that of the first count itself
		t.Logf("%d statements in %.1f s: %s", statements, took, grown(before, after))
		if perSecond := float64(statements) / took; perSecond > 1.5 || perSecond < 0.5 {
			t.Errorf("%.1f statements a second, want about 1: %s", perSecond, grown(before, after))
		}
		n := len(s.connections())
		if t.Logf("%d connections", n); n > 3 || n < 1 {
			t.Errorf("want 3 at most:\n%s", s.processes())
		}
		s.stop()
	})
}

// counters are the server's own, over all connections.
func (s *site) counters() map[string]int {
	s.t.Helper()
	rows, err := s.DB.Root().QueryContext(s.ctx, "SHOW GLOBAL STATUS WHERE Variable_name = 'Questions' OR Variable_name LIKE 'Com\\_%'")
	s.must(err)
	defer rows.Close()
	list := map[string]int{}
	for rows.Next() {
		var name, value string
		s.must(rows.Scan(&name, &value))
		list[name], _ = strconv.Atoi(value) // some are words
	}
	s.must(rows.Err())
	return list
}

// grown names what was counted in between.
func grown(before, after map[string]int) (text string) {
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if n := after[name] - before[name]; n != 0 {
			text += fmt.Sprintf(" %s=%d", name, n)
		}
	}
	return text
}

// processes is the server's list of them, for a person.
func (s *site) processes() (text string) {
	s.t.Helper()
	rows, err := s.DB.Root().QueryContext(s.ctx, "SELECT ID, USER, COMMAND, TIME, COALESCE(INFO, '') FROM information_schema.PROCESSLIST")
	s.must(err)
	defer rows.Close()
	for rows.Next() {
		var id, seconds int64
		var user, command, info string
		s.must(rows.Scan(&id, &user, &command, &seconds, &info))
		text += fmt.Sprintf("%d %s %s %ds %s\n", id, user, command, seconds, info)
	}
	s.must(rows.Err())
	return text
}
