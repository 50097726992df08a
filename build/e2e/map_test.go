package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

// The tags of the test's items: of no GTIN, so that nothing but a map can name the item.
const (
	tag1 = "E28011606000020000000001"
	tag2 = "E28011606000020000000002"
	tag3 = "E28011606000020000000003"
	tag4 = "E28011606000020000000004"
)

// TestMap packs by RFID tags: the map is first the table that the agent's own DDL makes, and then an imported file, which
// also serves without a network. What lies on the antenna when a package opens doesn't join it.
func TestMap(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		t.Parallel() // most of it is waiting
		s := newSite(t, db)
		s.must(s.AddAntenna())
		s.Config.Packing.GoneAfter = "600ms"
		s.Config.MapTable = "external_workspace.station_agent_epc"
		s.must(s.WriteConfig())
		s.must(db.CreateWorkspace(s.ctx))
		s.runDDL()
		s.started()
		items := s.stock(1, 4)
		s.byTable(items)
		s.stop()
		s.Config.MapTable = ""
		s.started()
		s.seen()
		s.byFile(items)
		s.stop()
		s.MySQL.Cut() // and offline after a restart
		s.start()
		s.must(s.Ready(s.ctx, "reader scanner", "reader antenna"))
		s.begun()
		s.joins("PKG-2026-0003", tag4, items[3], "accepted offline")
		s.MySQL.Restore()
		s.rows("PKG-2026-0003", items[3])
		s.clean()
		s.stop()
	})
}

// runDDL makes the workspace as a customer does: the printed text through the server's own client, with no more rights than
// the account has. It may be run twice.
func (s *site) runDDL() {
	s.t.Helper()
	text := s.command(0, "workspace", "ddl")
	client := append(s.DB.Client(), "--user="+servers.AgentUser, "--password="+servers.AgentPassword)
	for range 2 {
		cmd := exec.CommandContext(s.ctx, client[0], client[1:]...)
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			s.t.Fatalf("%v: %s", err, out)
		}
	}
}

// byTable packs item 0 by its tag in the table. The tag of item 1 lies on the antenna before the label is scanned.
func (s *site) byTable(items []string) {
	s.t.Helper()
	for tag, hash := range map[string]string{tag1: items[0], tag2: items[1]} {
		_, err := s.DB.Root().ExecContext(s.ctx, "INSERT INTO external_workspace.station_agent_epc (epc, hash) VALUES (?, ?)", tag, hash)
		s.must(err)
	}
	s.until("the tags are read", func() bool { return len(s.item(items[0]).EPCs) == 1 && len(s.item(items[1]).EPCs) == 1 })
	mark := s.Agent.Mark()
	lift := s.lay(tag2)
	time.Sleep(time.Second) // longer than gone_after: what comes from now on did not lie there at the start
	if list := s.verdicts(mark); len(list) != 0 {
		s.t.Errorf("a tag did something without a package: %s", list[0].Raw)
	}
	if l := s.step("PKG-2026-0001", "opened"); l.NotEmpty != 1 {
		s.t.Errorf("the table isn't said not to be empty: %s", l.Raw)
	}
	also := s.lay(strings.ToLower(tag1))
	if l := s.radio(mark); l.Hash != items[0] || l.Step != "added" || l.Reader != "antenna" {
		s.t.Errorf("%s", l.Raw)
	}
	s.rows("PKG-2026-0001", items[0])
	also()
	time.Sleep(700 * time.Millisecond) // longer than gone_after, in which the other one lies there all the time
	s.rows("", items[1])
	lift()
	s.joins("", tag2, items[1], "accepted") // it left, and comes back
	s.rows("PKG-2026-0001", items[1])
	s.scan(bed.CloseCode, "accepted")
	if n := len(s.verdicts(mark)); n != 4 { // opened, added, added, closed
		s.t.Errorf("%d verdicts on tags that were read again and again, want 4", n)
	}
	var station, pkg string
	s.must(s.DB.Root().QueryRowContext(s.ctx, "SELECT station, package_id FROM external_workspace.station_agent_items WHERE epc = ?", tag1).Scan(&station, &pkg))
	if station != bed.Station || pkg != "PKG-2026-0001" {
		s.t.Errorf("the view shows %s %s", station, pkg)
	}
}

// byFile packs item 2 by its tag in an imported file; a wrong file changes nothing.
func (s *site) byFile(items []string) {
	s.t.Helper()
	file := filepath.Join(s.Dir, "tags.csv")
	s.must(os.WriteFile(file, fmt.Appendf(nil, "hash;epc\n%s;%s\n%s;%s\n", items[2], tag3, items[3], tag4), 0o600))
	if out := s.command(0, "map", "import", file); out != "2 tags of 2 items\n" {
		s.t.Errorf("import: %q", out)
	}
	s.must(os.WriteFile(file, []byte("epc,hash\n"+tag3+",x\n"), 0o600))
	s.command(1, "map", "import", file)
	s.until("the tags are known", func() bool { return len(s.item(items[2]).EPCs) == 1 })
	s.begun()
	s.joins("PKG-2026-0002", tag3, items[2], "accepted")
	s.rows("PKG-2026-0002", items[2])
}

// begun waits until the agent's start is over: until then, what a reader sees first lay on its antenna before.
func (s *site) begun() {
	s.t.Helper()
	s.until("the start is over", func() bool {
		status, err := s.Agent.Status(s.ctx)
		return err == nil && status["uptime_s"].(float64) > 5
	})
}

// joins opens a package, if one is named, and lays a tag on the antenna, whose item is added.
func (s *site) joins(label, tag, hash, verdict string) {
	s.t.Helper()
	if label != "" {
		s.scan(label, verdict)
	}
	time.Sleep(700 * time.Millisecond) // longer than gone_after: what was lifted is gone
	mark := s.Agent.Mark()
	defer s.lay(tag)()
	if l := s.radio(mark); l.Hash != hash || l.Step != "added" || l.Verdict != verdict {
		s.t.Errorf("%s", l.Raw)
	}
	if label != "" {
		s.scan(bed.CloseCode, verdict)
	}
}

// lay puts a tag on the antenna, which reads it again and again until it is lifted.
func (s *site) lay(tag string) (lift func()) {
	s.t.Helper()
	lies, end := context.WithCancel(s.ctx)
	var join sync.WaitGroup
	join.Go(func() {
		for ; lies.Err() == nil; pause(lies, 50*time.Millisecond) {
			if err := s.Antenna.Scan(tag); err != nil {
				s.t.Error(err)
				return
			}
		}
	})
	return func() {
		end()
		join.Wait()
	}
}

// radio waits for a verdict on a tag.
func (s *site) radio(mark int) bed.Line {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	l, err := s.Agent.Wait(ctx, mark, func(l bed.Line) bool { return l.Msg == "verdict" && l.Reader == "antenna" })
	s.must(err)
	return l
}
