package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

// TestRefusedStart holds that what can't work ends at once, with one line and the right exit code.
func TestRefusedStart(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	s.started()
	config := filepath.Join(s.Dir, "agent.toml")
	other := filepath.Join(s.Dir, "other.toml")
	text, err := os.ReadFile(config)
	s.must(err)
	refused := func(name, old, new string, code int, want ...string) {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(string(text), old, new, 1)
			if changed == string(text) && old != new {
				t.Fatal("nothing to replace")
			}
			s.must(os.WriteFile(other, []byte(changed), 0o600))
			_, errs, got, err := s.Agent.Command(s.ctx, "run", "--config", other)
			s.must(err)
			errs = strings.TrimSpace(errs)
			if got != code || strings.Contains(errs, "\n") {
				t.Errorf("exit %d, want %d, and one line: %s", got, code, errs)
			}
			for _, w := range want {
				if !strings.Contains(errs, w) {
					t.Errorf("%q lacks %q", errs, w)
				}
			}
		})
	}
	refused("second agent", "", "", 1, filepath.Join(s.Dir, "store"), "another agent")
	refused("unknown key", "[log]", "[log]\ncolour = 1", 78, "other.toml:", "log.colour")
	refused("bad value", `refresh = "250ms"`, `refresh = "fast"`, 78, "mysql.refresh", "other.toml:")
	s.stop()
	refused("other environment", `environment = "test"`, `environment = "production"`, 1, "test", "production")
	refused("other database", `user = "`, "schema = \"other\"\nuser = \"", 1, "/external", "/other")
	refused("other station", bed.Station, bed.OtherStation, 1, bed.Station)
	refused("no folder", s.Dir+"/store", "/proc/store", 1, "/proc/store")
	s.started()
	s.stop()
}

// TestTroubles goes through what may be wrong from the first minute on: each is named, with what to do, in log and status;
// the rest works on; and it heals without a restart.
func TestTroubles(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	secret := func(name, value string) {
		s.Config.Secrets[name] = value
		s.must(s.WriteConfig())
	}
	secret("mysql-password", "wrong")
	secret("capture-password", "wrong")
	secret("certyo-key", "certyo_sk_test_wrong")
	s.Scanner.Unplug()
	s.Bed.Broker.Cut()
	s.start()

	for name, want := range map[string][]string{
		"mysql":          {"1045", servers.AgentUser, "password"},
		"capture":        {servers.CaptureUser, "password"},
		"reader scanner": {s.Scanner.Path(), "no such file"},
		"broker":         {s.Bed.Broker.Addr()},
	} {
		text := s.problem(name, true)
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %q lacks %q", name, text, w)
			}
		}
	}
	s.must(s.Scanner.Plug())
	if text := s.problem("reader scanner", true); !strings.Contains(text, "no such file") && !strings.Contains(text, "scan any code") {
		t.Errorf("reader: %q", text)
	}
	s.scan("PKG-2026-0001", "accepted offline")
	s.problem("reader scanner", false) // a code shows that it reads
	secret("mysql-password", servers.AgentPassword)
	s.problem("mysql", false)
	secret("capture-password", servers.CapturePassword)
	s.problem("capture", false)
	items := s.stock(1, 2)
	s.scan(items[0], "accepted")
	if text := s.problem("certyo", true); !strings.Contains(text, "key") || strings.Contains(text, "certyo_sk_test_wrong") {
		t.Errorf("certyo: %q", text)
	}
	secret("certyo-key", bed.CertyoKey)
	s.problem("certyo", false)
	s.Bed.Broker.Restore()
	s.problem("broker", false)
	s.clean()
	for _, l := range s.Agent.Lines(nil) {
		for _, value := range []string{"certyo_sk", servers.AgentPassword, servers.CapturePassword} {
			if strings.Contains(l.Raw, value) {
				t.Errorf("a secret in the log: %s", l.Raw)
			}
		}
	}
	s.stop()
}

// TestBinlogOff starts against a server without binary log: packing works, capture says what is missing, and once the
// server writes a log the state of the rows is recorded.
func TestBinlogOff(t *testing.T) {
	db := servers.MariaDB(t, "--skip-log-bin")
	s := newSite(t, db)
	s.start()
	s.must(s.Ready(s.ctx, "reader scanner", "mysql"))
	if text := s.problem("capture", true); !strings.Contains(text, "log_bin") && !strings.Contains(text, "log-bin") {
		t.Errorf("capture: %q", text)
	}
	items := s.stock(1, 2)
	s.pack("PKG-2026-0001", items...)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		p, err := s.Bridge.Package(s.ctx, items[1])
		s.must(err)
		if p != nil && *p == "PKG-2026-0001" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("packing waits for the binary log")
		}
	}
	s.must(db.Restart(s.ctx, "--log-bin=binlog"))
	s.problem("capture", false)
	s.must(s.Bridge.Leave(s.ctx, items[0]))
	deadline := time.Now().Add(30 * time.Second)
	for {
		last := map[string]string{}
		for _, r := range s.Cloud.Records() {
			if !r.ProvenAt.IsZero() {
				last[r.ID] = string(r.Payload)
			}
		}
		if strings.Contains(last[items[0]], "PKG-2026-0001") && strings.Contains(last[items[1]], "PKG-2026-0001") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the rows' state is not anchored: %v", last)
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.stop()
}
