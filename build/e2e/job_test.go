package e2e

import (
	"strings"
	"testing"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

// TestMainJob packs parcels with every kind of answer and follows each change to its anchor, on both databases.
func TestMainJob(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) { mainJob(newSite(t, db)) })
}

// TestMainJobByPosition reads the binlog by file and offset: on MySQL with GTID off, on MariaDB because it is told to.
func TestMainJobByPosition(t *testing.T) {
	t.Run("mysql", func(t *testing.T) {
		mainJob(newSite(t, servers.MySQL(t, "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF")))
	})
	t.Run("mariadb", func(t *testing.T) {
		s := newSite(t, servers.MariaDB(t))
		s.Config.CaptureMode = "position"
		mainJob(s)
	})
}

func mainJob(s *site) {
	s.t.Helper()
	s.started()
	items := s.stock(1, 5)
	items = append(items, bed.Hash(6))
	s.must(s.Bridge.Insert(s.ctx, items[5], "packed elsewhere", "8590000000006"))
	s.must(s.Bridge.Pack(s.ctx, items[5], "PKG-2026-9999"))
	s.must(s.Bridge.Arrive(s.ctx, items[5], bed.Station))
	s.must(s.Bridge.Insert(s.ctx, bed.Hash(50), "twin", "8590000000999"))
	s.must(s.Bridge.Insert(s.ctx, bed.Hash(51), "twin", "8590000000999"))
	s.must(s.Bridge.Insert(s.ctx, bed.Hash(52), "elsewhere", "8590000000888"))
	s.must(s.Bridge.Arrive(s.ctx, bed.Hash(50), bed.Station))
	s.must(s.Bridge.Arrive(s.ctx, bed.Hash(51), bed.Station))
	s.must(s.Bridge.Arrive(s.ctx, bed.Hash(52), bed.OtherStation))
	s.seen()

	s.scan(items[0], "no package open")
	s.scan("PKG-2026-0001", "accepted")
	s.scan(items[0], "accepted")
	s.scan(items[0], "duplicate")
	s.scan("8590000000002", "accepted") // the EAN of items[1]
	s.scan("8590000000999", "ambiguous")
	s.scan(items[5], "conflict")
	s.scan(items[2], "accepted")
	s.scan(bed.UndoCode, "accepted")
	stay := s.lookedFor(bed.Hash(52), strings.Repeat("f", 32), "x'); DROP TABLE buylo_products; --")
	s.scan("PKG-2026-0002", "accepted") // which ends the looking
	stay()
	s.scan(items[2], "accepted")
	s.scan(items[0], "conflict")
	s.scan(bed.CloseCode, "accepted")
	s.scan(bed.CloseCode, "no package open")
	for _, h := range items[:3] {
		s.must(s.Bridge.Leave(s.ctx, h))
	}
	s.must(s.Bridge.Rename(s.ctx, items[0], "renamed \"after\" it left\n<&>"))
	s.must(s.Bridge.Delete(s.ctx, items[4]))
	s.must(s.Bridge.Arrive(s.ctx, items[3], bed.OtherStation))
	r := s.clean()
	s.t.Logf("%s", r)
	for hash, want := range map[string]string{items[0]: "PKG-2026-0001", items[1]: "PKG-2026-0001", items[2]: "PKG-2026-0002", items[5]: "PKG-2026-9999"} {
		if p, err := s.Bridge.Package(s.ctx, hash); err != nil || p == nil || *p != want {
			s.t.Errorf("row %s: %v %v, want %s", hash, p, err, want)
		}
	}
	if r.Scans != 4 {
		s.t.Errorf("%d green scans, want 4", r.Scans)
	}
	s.stop()
}
