package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"station-agent/build/bed"
	"station-agent/build/servers"
	"station-agent/uplink/manifest"
)

// manifests are those that Certyo has, by package in the order of arrival. No key comes twice.
func (s *site) manifests() map[string][]manifest.Manifest {
	s.t.Helper()
	by, keys := map[string][]manifest.Manifest{}, map[string]bool{}
	for _, r := range s.Cloud.Records() {
		if r.Collection != manifest.Collection {
			continue
		}
		var m manifest.Manifest
		if err := json.Unmarshal(r.Payload, &m); err != nil || keys[r.Key] || r.Database != "external" || r.ID != m.Package+"@"+bed.Station {
			s.t.Errorf("%v: record %+v, key known: %v", err, r, keys[r.Key])
		}
		keys[r.Key] = true
		by[m.Package] = append(by[m.Package], m)
	}
	return by
}

// says waits until the last manifest of a package says so.
func (s *site) says(label string, hashes ...string) manifest.Manifest {
	s.t.Helper()
	slices.Sort(hashes)
	var last manifest.Manifest
	s.until(fmt.Sprintf("the manifest of %s says %v", label, hashes), func() bool {
		list := s.manifests()[label]
		if len(list) == 0 {
			return false
		}
		last = list[len(list)-1]
		return slices.Equal(last.Hashes, hashes) && len(last.Open) == 0
	})
	return last
}

// TestManifests kills the agent again and again right after a package was closed, with the database away at first, so that its rows
// are in the journal and no manifest in the outbox. Each closing has exactly one manifest all the same, and it says what the rows say.
func TestManifests(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	s.Config.Tables = "[manifest]\nenabled = true\nwait = \"10m\"\n"
	s.started()
	items := s.stock(1, 8)
	label := func(n int) string { return fmt.Sprintf("PKG-2026-%04d", n) }
	s.pack(label(1), items[:2]...)
	s.says(label(1), items[:2]...)

	s.MySQL.Cut()
	s.step(label(2), "opened") // offline, once the rows are old
	s.step(items[2], "added")
	s.step(bed.CloseCode, "closed")
	s.killed()
	if list := s.manifests()[label(2)]; list != nil {
		t.Errorf("the rows can't be known: %+v", list)
	}
	s.MySQL.Restore()
	s.rows(label(2), items[2])
	if m := s.says(label(2), items[2]); m.Scans[0].Seq == 0 || m.After != "closed" {
		t.Errorf("%+v", m)
	}
	for n, item := range items[3:7] {
		s.seen()
		s.pack(label(3+n), item)
		s.killed()
	}
	for n, item := range items[3:7] {
		s.says(label(3+n), item)
	}
	s.seen()
	s.scan(bed.CommandPrefix+"CLEAR", "accepted")
	s.step(label(1), "cleared")
	s.killed()
	s.says(label(1))
	s.rows("", items[:2]...)

	for pkg, list := range s.manifests() {
		if want := map[string]int{label(1): 2}[pkg]; len(list) != max(want, 1) {
			t.Errorf("package %s has %d manifests: %+v", pkg, len(list), list)
		}
	}
	s.until("all manifests are anchored", func() bool {
		status, err := s.Agent.Status(s.ctx)
		return err == nil && status["queue_records"] == 0.0 && status["unanchored"] == 0.0
	})
	s.stop()
}

// killed kills the agent and starts it.
func (s *site) killed() {
	s.t.Helper()
	s.Agent.Kill()
	s.must(s.Agent.Start())
	s.must(s.Ready(s.ctx, "reader scanner"))
}
