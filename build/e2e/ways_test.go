package e2e

import (
	"strings"
	"testing"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

// TestItemsFirstAndSweep packs the other two ways, with the rows after each step.
func TestItemsFirstAndSweep(t *testing.T) {
	s := newSite(t, servers.MySQL(t))
	s.Config.Packing.Way, s.Config.Packing.RowsAge, s.Config.Packing.Reopen = "items first", "3s", "0s"
	s.started()
	items := s.stock(1, 8)
	s.itemsFirst(items)
	s.stop()
	s.Config.Packing.Way = "sweep"
	s.started()
	s.seen()
	s.sweep(items)
	r := s.clean()
	t.Logf("%s", r)
	if r.Scans != 2+1+3 {
		t.Errorf("%d items were promised, want 6", r.Scans)
	}
	s.stop()
}

func (s *site) itemsFirst(items []string) {
	s.t.Helper()
	s.scan("PKG-2026-0001", "no package open") // nothing is gathered for it
	s.step(items[0], "added")
	s.step(items[1], "added")
	s.scan(items[1], "duplicate")
	if l := s.step("8590000000003", "added"); l.Hash != items[2] || l.Count != 3 { // by its EAN
		s.t.Errorf("%s", l.Raw)
	}
	s.step(bed.RemoveCode, "armed")
	s.step(items[1], "removed")
	s.rows("", items[:3]...)
	s.scan(bed.CloseCode, "no package open") // only a label ends it
	if l := s.step("PKG-2026-0001", "assigned"); l.Count != 2 || !strings.Contains(l.Text, "2 items") {
		s.t.Errorf("%s", l.Raw)
	}
	s.rows("PKG-2026-0001", items[0], items[2])
	s.rows("", items[1])

	s.step(items[1], "added")
	s.scan(items[0], "conflict")
	s.step(bed.CancelCode, "cancelled") // that item is left where it is
	s.step(bed.CancelCode, "cancelled") // and what is gathered is dropped
	s.step(items[3], "added")
	s.must(s.Bridge.Pack(s.ctx, items[3], "PKG-2026-9999")) // somebody else was quicker
	s.until("the row is seen", func() bool { return s.item(items[3]).shows("PKG-2026-9999") })
	s.scan("PKG-2026-0002", "conflict")
	s.step(bed.RemoveCode, "armed")
	s.step(items[3], "removed")
	s.step(items[4], "added")
	s.step("PKG-2026-0002", "assigned")
	s.rows("PKG-2026-0002", items[4])
	s.rows("PKG-2026-9999", items[3])
	s.rows("", items[1])
}

// sweep starts with items 1, 5, 6 and 7 without a package.
func (s *site) sweep(items []string) {
	s.t.Helper()
	s.scan(items[1], "no package open") // items aren't scanned here
	l := s.step("PKG-2026-0003", "listed")
	if l.Count != 4 || !strings.Contains(l.Text, "Item 2 ") {
		s.t.Errorf("%s", l.Raw)
	}
	s.must(s.Bridge.Leave(s.ctx, items[5]))
	s.seen()
	s.scan("PKG-2026-0003", "conflict") // it isn't what was listed any more
	s.rows("", items[1], items[5], items[6], items[7])

	if l := s.step("PKG-2026-0003", "listed"); l.Count != 3 {
		s.t.Errorf("%s", l.Raw)
	}
	s.must(s.Bridge.Arrive(s.ctx, items[5], bed.Station)) // behind the list: it doesn't join
	s.seen()
	s.step("PKG-2026-0003", "assigned")
	s.rows("PKG-2026-0003", items[1], items[6], items[7])
	s.rows("", items[5])

	s.scan("PKG-2026-0001", "label used")
	s.MySQL.Cut()
	s.until("the rows are old", func() bool { age, _ := s.status()["rows_age_s"].(float64); return age > 3 })
	s.scan("PKG-2026-0004", "rows too old")
	s.MySQL.Restore()
	s.until("the rows are new", func() bool { age, _ := s.status()["rows_age_s"].(float64); return age < 1 })
	s.step("PKG-2026-0004", "listed")
	s.rows("", items[5])
}
