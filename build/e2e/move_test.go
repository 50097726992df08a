package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

// TestANewCard moves a station to another card in the middle of its work: with Certyo away, a package open and scans not
// yet in the database. The new card goes on as the old one would have, nothing is sent twice, and the old card is not taken
// any more.
func TestANewCard(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	s.started()
	items := s.stock(1, 6)
	s.pack("PKG-2026-0001", items[0])
	s.clean()
	s.Certyo.Cut()
	s.must(s.Bridge.Rename(s.ctx, items[4], "renamed while Certyo was away"))
	s.must(s.Bridge.Leave(s.ctx, items[5]))
	s.unsent(2)
	s.MySQL.Cut()
	s.problem("mysql", true)
	for _, code := range []string{"PKG-2026-0002", items[1], items[2]} {
		if line, err := s.Scan(s.ctx, code); err != nil || !strings.HasPrefix(line.Verdict, "accepted") {
			t.Fatal(line.Raw, err)
		}
	}
	before := s.status()

	file, store := filepath.Join(s.Dir, "moved.store"), filepath.Join(s.Dir, "store")
	s.command(0, "store", "export", file)
	if code := s.Agent.ExitCode(); code != 0 {
		t.Fatalf("the agent ended with %d", code)
	}
	s.start()
	if code := s.Agent.ExitCode(); code != 1 {
		t.Fatalf("the old card was taken again: %d", code)
	}
	s.must(os.Rename(store, filepath.Join(s.Dir, "old card")))
	s.command(0, "store", "import", file)
	s.command(0, "store", "check", "--deep")

	s.MySQL.Restore()
	s.started()
	s.seen()
	after := s.status()
	if after["session"].(float64) != before["session"].(float64)+1 || after["store_id"] != before["store_id"] || after["open_package"] != "PKG-2026-0002" {
		t.Errorf("before %v, after %v", before, after)
	}
	s.scan(items[3], "question") // as after every start: is it still the package at hand?
	s.step("PKG-2026-0002", "resumed")
	s.step(items[3], "added")
	s.scan(bed.CloseCode, "accepted")
	s.Certyo.Restore()
	r := s.clean()
	t.Logf("%s", r)
	if r.Scans != 4 {
		t.Errorf("%d green scans, want 4", r.Scans)
	}
	for i, want := range []string{"PKG-2026-0001", "PKG-2026-0002", "PKG-2026-0002", "PKG-2026-0002"} {
		if p, err := s.Bridge.Package(s.ctx, items[i]); err != nil || p == nil || *p != want {
			t.Errorf("row %s: %v %v, want %s", items[i], p, err, want)
		}
	}
	if n := s.Cloud.Counts().Replays; n != 0 {
		t.Errorf("%d records were sent twice", n)
	}
	s.stop()
}

// TestAnExportThatBreaksOff kills the command: the agent ends with an error, so that it is started again, and goes on.
func TestAnExportThatBreaksOff(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	s.started()
	items := s.stock(1, 2)
	s.pack("PKG-2026-0001", items[0])
	conn, err := net.Dial("unix", filepath.Join(s.Dir, "control.sock"))
	s.must(err)
	_, err = fmt.Fprint(conn, "POST /store/export?to=x HTTP/1.1\r\nHost: agent\r\nContent-Length: 0\r\n\r\n")
	s.must(err)
	_, err = conn.Read(make([]byte, 100))
	s.must(err)
	s.must(conn.Close())
	if code := s.Agent.ExitCode(); code != 1 {
		t.Errorf("the agent ended with %d", code)
	}
	s.started()
	s.seen()
	s.pack("PKG-2026-0002", items[1])
	s.clean()
	s.stop()
}

// unsent waits until n records wait.
func (s *site) unsent(n int) {
	s.t.Helper()
	for s.status()["queue_records"] != float64(n) {
		select {
		case <-s.ctx.Done():
			s.t.Fatalf("%v records wait, want %d", s.status()["queue_records"], n)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *site) status() map[string]any {
	s.t.Helper()
	status, err := s.Agent.Status(s.ctx)
	s.must(err)
	return status
}

// command runs a command of the agent with the site's configuration.
func (s *site) command(code int, args ...string) string {
	s.t.Helper()
	out, errs, got, err := s.Agent.Command(s.ctx, append(args, "--config", filepath.Join(s.Dir, "agent.toml"))...)
	s.must(err)
	if got != code {
		s.t.Fatalf("%v: exit %d, want %d: %s%s", args, got, code, out, errs)
	}
	return out
}
