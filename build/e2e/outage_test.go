package e2e

import (
	"fmt"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
	"station-agent/uplink/uplinktest"
)

// worlds are the outside worlds and what the agent calls them.
func (s *site) worlds() map[string]*uplinktest.Proxy {
	return map[string]*uplinktest.Proxy{"mysql": s.MySQL, "certyo": s.Certyo, "broker": s.Bed.Broker}
}

// TestEachWorldAwayAtStart starts the agent with one world away: the bench works, and when the world comes everything
// catches up.
func TestEachWorldAwayAtStart(t *testing.T) {
	for _, name := range []string{"mysql", "certyo", "broker"} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, servers.MariaDB(t))
			s.worlds()[name].Cut()
			s.start()
			s.must(s.Ready(s.ctx, "reader scanner"))
			if name != "mysql" {
				s.must(s.Ready(s.ctx, "mysql"))
			}
			s.scan("PKG-2026-0001", map[bool]string{true: "accepted offline", false: "accepted"}[name == "mysql"])
			stay := func() {}
			if nobody := "8590000000099"; name == "mysql" { // nothing is on the station, and nothing is guessed
				s.scan(nobody, "unknown")
				s.said("lost", "mysql")
				s.said("lost", "capture")
			} else {
				stay = s.lookedFor(nobody)
			}
			s.worlds()[name].Restore()
			s.must(s.Ready(s.ctx, "mysql", "capture"))
			items := s.stock(1, 3)
			s.scan(items[0], "accepted")
			s.scan(items[1], "accepted")
			s.clean()
			stay()
			s.stop()
		})
	}
}

// TestOutages takes each world away while the packer works on, and gives it back. Each loop says once that it lost and once
// that it recovered.
func TestOutages(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		s := newSite(t, db)
		s.started()
		s.must(s.Ready(s.ctx, "broker"))
		n := 1
		for name, proxy := range s.worlds() {
			for how, take := range map[string]func(*uplinktest.Proxy){"cut": (*uplinktest.Proxy).Cut, "black hole": (*uplinktest.Proxy).BlackHole} {
				items := s.stock(n, 4)
				mark := s.Agent.Mark()
				s.scan(fmt.Sprintf("PKG-2026-%04d", n), "accepted")
				s.scan(items[0], "accepted")
				take(proxy)
				for _, i := range items[1:] {
					if line, err := s.Scan(s.ctx, i); err != nil || line.Verdict != "accepted" && line.Verdict != "accepted offline" {
						t.Fatalf("%s %s: %s: %v %s", name, how, i, err, line.Raw)
					}
				}
				if how == "cut" || name != "certyo" { // a bulk request may take a minute, as in Certyo's own samples
					s.saidSince(mark, "lost", name)
				}
				proxy.Restore()
				s.problems(0)
				t.Logf("%s %s: %s", name, how, s.clean())
				s.saidOnce(mark)
				n += 4
			}
		}
		s.stop()
	})
}

// problems waits until status lists n problems.
func (s *site) problems(n int) {
	s.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		status, err := s.Agent.Status(s.ctx)
		if err == nil && len(status["problems"].([]any)) == n {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("problems: %v %v, want %d", status["problems"], err, n)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// saidOnce holds that since mark each thing was lost at most once, and recovered as often.
func (s *site) saidOnce(mark int) {
	s.t.Helper()
	lost, recovered := map[string]int{}, map[string]int{}
	s.until("all that was lost recovers", func() bool { // what stood unused may notice late
		clear(lost)
		clear(recovered)
		for _, l := range s.Agent.Lines(nil)[mark:] {
			switch l.Msg {
			case "lost":
				lost[l.What]++
			case "recovered":
				recovered[l.What]++
			}
		}
		for what := range lost {
			if recovered[what] == 0 {
				return false
			}
		}
		return true
	})
	for what, n := range lost {
		if n != 1 || recovered[what] != 1 {
			s.t.Errorf("%s: lost %d times, recovered %d times", what, n, recovered[what])
		}
	}
}

// TestOfflineAfterRestart has no MySQL at a restart: the rows are known from before, accepted offline and settled later.
func TestOfflineAfterRestart(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	s.started()
	items := s.stock(1, 3)
	s.scan("PKG-2026-0001", "accepted")
	s.scan(items[0], "accepted")
	s.stop()
	s.MySQL.Cut()
	s.start()
	s.must(s.Ready(s.ctx, "reader scanner"))
	s.scan(items[0], "question") // the package is still open, if it is still there
	s.scan("PKG-2026-0001", "accepted offline")
	s.scan(items[0], "duplicate")
	s.scan(items[1], "accepted offline")
	s.scan(bed.CloseCode, "accepted offline")
	s.Agent.Kill() // and the power fails on top
	s.start()
	s.must(s.Ready(s.ctx, "reader scanner"))
	s.scan(items[2], "no package open")
	s.MySQL.Restore()
	r := s.clean()
	if r.Scans != 2 {
		t.Errorf("%s", r)
	}
}

// TestStopInEveryState holds that SIGTERM ends the agent within five seconds, whatever hangs.
func TestStopInEveryState(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	for _, name := range []string{"mysql", "certyo", "broker"} {
		for how, take := range map[string]func(*uplinktest.Proxy){"cut": (*uplinktest.Proxy).Cut, "black hole": (*uplinktest.Proxy).BlackHole} {
			t.Run(name+" "+how, func(t *testing.T) {
				s.started()
				s.scan("PKG-2026-0001", "accepted")
				take(s.worlds()[name])
				time.Sleep(1500 * time.Millisecond)
				if line, err := s.Scan(s.ctx, bed.CloseCode); err != nil || line.Step != "closed" {
					t.Fatalf("%v %s", err, line.Raw)
				}
				s.stop()
				s.worlds()[name].Restore()
			})
		}
	}
}
