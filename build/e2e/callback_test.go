package e2e

import (
	"fmt"
	"strings"
	"testing"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

// TestCallBack packs items offline that somebody else packs meanwhile, or that don't exist: the foreign value stays, the
// operator is called back until somebody acknowledges it at the bench, and status and fleet say so until a person has
// ended it.
func TestCallBack(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		t.Parallel() // most of it is waiting
		s := newSite(t, db)
		f := s.subscribe()
		s.started()
		items := s.stock(1, 2)
		nobody := strings.Repeat("f", 32)
		s.MySQL.Cut()
		s.until("the station is offline", func() bool { return s.status()["online"] == false })
		s.scan("PKG-2026-0001", "accepted offline")
		s.scan(items[0], "accepted offline")
		s.scan(items[1], "accepted offline")
		s.scan(nobody, "accepted offline, unverified")
		s.scan(bed.CloseCode, "accepted offline")
		s.must(s.Bridge.Pack(s.ctx, items[0], "pkg-2026-0001")) // another value, though not to the table's collation
		mark := s.Agent.Mark()
		s.MySQL.Restore()
		s.calledBack(mark, items[0])
		s.calledBack(mark, nobody)
		f.state(t, "alert")
		f.problem(t, "assignments", true)
		s.rows("pkg-2026-0001", items[0])
		s.rows("PKG-2026-0001", items[1])
		s.problemSays("assignments", "person: 2")

		s.again()
		s.calledBack(s.Agent.Began(), items[0]) // until somebody has seen it
		s.step(bed.AcknowledgeCode, "acknowledged")
		s.again()
		s.scan(bed.CloseCode, "no package open") // the bench would have called by now
		for _, hash := range []string{items[0], nobody} {
			if lines := s.callBacks(s.Agent.Began(), hash); len(lines) != 0 {
				t.Errorf("called back again: %s", lines[0].Raw)
			}
		}
		s.dropAll(items[0], "pkg-2026-0001")
		s.problem("assignments", false)
		f.problem(t, "assignments", false)
		f.state(t, "ready")
		s.scan("PKG-2026-0002", "accepted")
		s.scan(items[0], "conflict")
		s.rows("pkg-2026-0001", items[0])
		s.stop()
	})
}

// again cuts the agent's power and starts it again.
func (s *site) again() {
	s.t.Helper()
	s.Agent.Kill()
	s.started()
}

// dropAll ends what is listed. The item was seen at the bench, and is still listed with the package that it is in.
func (s *site) dropAll(hash, inside string) {
	s.t.Helper()
	text := s.command(0, "intents")
	for _, want := range []string{hash, inside, "(seen at the bench)"} {
		if !strings.Contains(text, want) {
			s.t.Errorf("%q lacks %q", text, want)
		}
	}
	list := s.intents("--parked")
	if len(list) != 2 {
		s.t.Errorf("listed: %s", text)
	}
	for _, i := range list {
		s.problem("assignments", true)
		s.command(0, "intents", "drop", fmt.Sprint(i.ID))
	}
}

// problem waits until the newest health names a problem, or doesn't.
func (f *subscriber) problem(t *testing.T, name string, want bool) {
	t.Helper()
	f.wait(t, fmt.Sprintf("a health with problem %s: %v", name, want), func() bool {
		if len(f.health) == 0 {
			return false
		}
		has := false
		for _, p := range f.health[len(f.health)-1]["problems"].([]any) {
			has = has || p.(map[string]any)["name"] == name
		}
		return has == want
	})
}
