package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

// fits is what station-agent check --json prints.
type fits struct {
	Source, Way, Why string
	Fits             bool
	Ways             []struct {
		Way        string
		Used, Fits bool
		Findings   []finding
	}
	Tables []struct {
		Table, Source, Way, Why string
		Fits                    bool
		Findings                []finding
	}
}

type finding struct {
	Code, Way, State, Fact, Why, Who string
	Fix                              []string
}

// check runs the command and wants its exit code.
func (s *site) check(code int, args ...string) (f fits) {
	s.t.Helper()
	out := s.command(code, append([]string{"check", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &f); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	for _, secret := range []string{servers.AgentPassword, servers.CapturePassword, "PASSWORD '"} {
		if strings.Contains(out, secret) {
			s.t.Errorf("a secret is printed: %s", out)
		}
	}
	return f
}

// TestCheck checks a database before any agent runs, breaks it for one way after the other, and mends it by what is printed.
func TestCheck(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		s := newSite(t, db)
		if f := s.check(0); !f.Fits || f.Way != "binlog" || len(f.Ways) != 3 {
			t.Errorf("a database by the contract: %+v", f)
		}
		root := func(statements ...string) {
			for _, statement := range statements {
				_, err := db.Root().ExecContext(s.ctx, statement)
				s.must(err)
			}
		}
		root("SET GLOBAL binlog_row_image = 'MINIMAL'")
		text := s.command(1, "check")
		for _, part := range []string{"binlog_row_image is MINIMAL", "why:", "binlog_row_image = 'FULL';", "DOES NOT FIT", "polling (not used"} {
			if !strings.Contains(text, part) {
				t.Errorf("%q is not in:\n%s", part, text)
			}
		}
		if f := s.check(0, "--source", "auto"); f.Way != "polling" || !strings.Contains(f.Why, "binlog won't do: binlog_row_image") {
			t.Errorf("auto takes %s: %s", f.Way, f.Why)
		}
		if f := s.check(0, "--source", "off"); f.Way != "" {
			t.Errorf("%+v", f)
		}
		for _, w := range s.check(1).Ways {
			for _, f := range w.Findings {
				if f.State == "fault" && w.Used {
					root(f.Fix...)
				}
			}
		}
		s.check(0)
		root("SET GLOBAL binlog_expire_logs_seconds = 864000")
		s.check(0, "--outage", "10d")
		s.check(1, "--outage", "11d")
		root("GRANT INSERT ON `external`.buylo_products TO '" + servers.AgentUser + "'@'%'")
		if text := s.command(0, "check"); !strings.Contains(text, "REVOKE INSERT ON `external`.`buylo_products` FROM `station`@`%`;") {
			t.Errorf("nothing is said of a right too many:\n%s", text)
		}
		s.command(2, "check", "--source", "queue") // is for tables of the customer's own
		s.command(2, "check", "--outage", "long")
		s.MySQL.Cut()
		s.check(1)
		s.Config.Station = "nonsense"
		s.must(s.WriteConfig())
		s.command(78, "check")
	})
}

// benched is what check --bench --json prints.
type benched struct {
	Passed        bool
	Verdict, Text string
	Advice        string
	Rows          []string
	Others        []struct{ Hash, Station string }
}

// bench runs check --bench, does something when it asks for a tag, and wants an exit code.
func (s *site) bench(code int, lay func()) (b benched) {
	s.t.Helper()
	cmd := exec.CommandContext(s.ctx, binary, "check", "--bench", "--json", "--within", "4s", "--config", filepath.Join(s.Dir, "agent.toml"))
	var out bytes.Buffer
	cmd.Stdout = &out
	errs, err := cmd.StderrPipe()
	s.must(err)
	s.must(cmd.Start())
	in := bufio.NewReader(errs)
	asked, err := in.ReadString('\n')
	if !strings.Contains(asked, "ONE tag") {
		s.t.Errorf("it asks: %q %v", asked, err)
	}
	lay()
	rest, _ := io.ReadAll(in)
	_ = cmd.Wait() // its exit code tells
	if got := cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("exit %d, want %d: %s%s", got, code, asked, rest)
	}
	if err := json.Unmarshal(out.Bytes(), &b); err != nil && code < 2 {
		s.t.Fatalf("%v: %s", err, out.String())
	}
	return b
}

// TestCheckBench lays a tag on the table: the right one, one whose row goes to another station, two, and none.
func TestCheckBench(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	if _, errs, code, _ := s.Agent.Command(s.ctx, "check", "--bench", "--config", filepath.Join(s.Dir, "agent.toml")); code != 1 || !strings.Contains(errs, "is it running?") {
		t.Errorf("without an agent: exit %d, %s", code, errs)
	}
	s.must(s.AddAntenna())
	s.Config.Packing.GoneAfter = "600ms"
	s.started()
	s.must(s.Ready(s.ctx, "reader antenna"))
	s.stock(1, 2)
	for n := 3; n < 10; n++ {
		s.must(s.Bridge.Insert(s.ctx, bed.Hash(n), "Item", "8590000000003"))
	}
	s.must(s.Bridge.Arrive(s.ctx, bed.Hash(9), bed.OtherStation))
	defer s.lay(tag4)() // lies there all the time, and is none that comes
	s.until("the antenna has read it", func() bool {
		return slices.ContainsFunc(s.status()["readers"].([]any), func(r any) bool {
			one := r.(map[string]any)
			return one["name"] == "antenna" && one["last_read_s"] != nil
		})
	})
	var lift func()
	b := s.bench(0, func() { lift = s.lay(tag1); s.must(s.Bridge.Arrive(s.ctx, bed.Hash(3), bed.Station)) })
	lift()
	if !b.Passed || b.Verdict != "pass" || !slices.Equal(b.Rows, []string{bed.Hash(3)}) || !strings.Contains(b.Text, tag1) {
		t.Errorf("%+v", b)
	}
	b = s.bench(1, func() { lift = s.lay(tag2); s.must(s.Bridge.Arrive(s.ctx, bed.Hash(4), bed.OtherStation)) })
	lift()
	if b.Passed || b.Verdict != "another UUID" || len(b.Others) != 1 || b.Others[0].Hash != bed.Hash(4) || !strings.Contains(b.Advice, bed.OtherStation) {
		t.Errorf("swapped: %+v", b)
	}
	b = s.bench(1, func() {
		lift = s.lay(tag3)
		s.must(s.Bridge.Arrive(s.ctx, bed.Hash(5), bed.Station))
		s.must(s.Bridge.Arrive(s.ctx, bed.Hash(6), bed.Station))
	})
	lift()
	if b.Verdict != "more than one" || len(b.Rows) != 2 {
		t.Errorf("two rows: %+v", b)
	}
	if b = s.bench(1, func() { s.must(s.Bridge.Arrive(s.ctx, bed.Hash(7), bed.Station)) }); b.Verdict != "reader blind" {
		t.Errorf("no reader: %+v", b)
	}
	if b = s.bench(1, func() {}); b.Verdict != "nothing" || len(b.Rows)+len(b.Others) > 0 {
		t.Errorf("nobody: %+v", b)
	}
	s.scan("PKG-2026-0001", "accepted")
	s.command(1, "check", "--bench")
	s.stop()
}
