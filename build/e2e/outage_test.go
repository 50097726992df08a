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
			s.scan(bed.Hash(1), "unknown") // nothing is on the station, and nothing is guessed
			if name == "mysql" {
				s.said("lost", "mysql")
				s.said("lost", "capture")
			}
			s.worlds()[name].Restore()
			s.must(s.Ready(s.ctx, "mysql", "capture"))
			items := s.stock(1, 3)
			s.scan(items[0], "accepted")
			s.scan(items[1], "accepted")
			s.clean()
			s.stop()
		})
	}
}

// TestOutages takes each world away while the packer works on, and gives it back.
func TestOutages(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		s := newSite(t, db)
		s.started()
		n := 1
		for _, name := range []string{"mysql", "certyo", "broker"} {
			for how, take := range map[string]func(*uplinktest.Proxy){"cut": (*uplinktest.Proxy).Cut, "black hole": (*uplinktest.Proxy).BlackHole} {
				items := s.stock(n, 4)
				label := fmt.Sprintf("PKG-2026-%04d", n)
				mark, recovered := s.Agent.Mark(), s.count("recovered", name)
				s.scan(label, "accepted")
				s.scan(items[0], "accepted")
				take(s.worlds()[name])
				for _, i := range items[1:] {
					line, err := s.Scan(s.ctx, i)
					s.must(err)
					if line.Verdict != "accepted" && line.Verdict != "accepted offline" {
						t.Fatalf("%s %s: %s is %s: %s", name, how, i, line.Verdict, line.Text)
					}
				}
				if name == "mysql" { // Certyo is asked when there is something to say; the broker each second
					s.saidSince(mark, "lost", name)
				} else if how == "cut" {
					s.saidSince(mark, "lost", name)
				}
				s.worlds()[name].Restore()
				r := s.clean()
				t.Logf("%s %s: %s", name, how, r)
				if lost := s.count("lost", name); lost > 0 && s.problem(name, false) == "" && s.count("recovered", name) > recovered+1 {
					t.Errorf("%s %s: recovered %d times", name, how, s.count("recovered", name)-recovered)
				}
				n += 4
			}
		}
		s.stop()
	})
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
	s.scan(items[0], "duplicate") // the package is still open
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
				s.scan(bed.CloseCode, map[bool]string{true: "accepted offline", false: "accepted"}[name == "mysql"])
				s.stop()
				s.worlds()[name].Restore()
			})
		}
	}
}
