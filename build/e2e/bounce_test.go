package e2e

import (
	"strings"
	"testing"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

// TestBounce lets the trigger of the scanner bounce: the same code again within the cool-down is one scan, and silent.
func TestBounce(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	s.Config.Packing.CoolDown = "" // the default
	s.started()
	items := s.stock(1, 2)
	s.scan("PKG-2026-0001", "accepted")
	s.bounce(items[0], "added")
	s.bounce(items[1], "added")
	s.bounce(bed.UndoCode, "undone") // and not twice, which would take out the other one too
	s.rows("PKG-2026-0001", items[0])
	s.rows("", items[1])
	s.bounce(bed.UndoCode, "undone")
	s.rows("", items...)
	s.clean()
	s.stop()
}

// bounce sends a code three times at once, and another one behind it, whose answer comes behind all of theirs.
func (s *site) bounce(code, step string) {
	s.t.Helper()
	mark := s.Agent.Mark()
	_, err := s.Scanner.Write([]byte(strings.Repeat(code+"\r", 3) + bed.SetAsideCode + "\r"))
	s.must(err)
	_, err = s.Agent.Wait(s.ctx, mark, func(l bed.Line) bool { return l.Step == "set aside" })
	s.must(err)
	if list := s.verdicts(mark); len(list) != 2 || list[0].Step != step {
		s.t.Errorf("%d verdicts on three bounces: %+v", len(list), list)
	}
}
