package e2e

import (
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// scraped asks an address as Prometheus does until the answer has each of want.
func (s *site) scraped(address string, want ...string) string {
	s.t.Helper()
	text := ""
	for s.ctx.Err() == nil {
		if res, err := http.Get("http://" + address + "/metrics"); err == nil {
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			text = string(body)
			missing := false
			for _, w := range want {
				missing = missing || !strings.Contains(text, w)
			}
			if !missing {
				return text
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Fatalf("waited in vain for %q:\n%s", want, text)
	return ""
}

// TestPrometheusSeesTheWork asks the agent itself and the exporter of the fleet: both tell the same by the same names, of trouble and
// of its end, and of an agent that was killed only the fleet can tell.
func TestPrometheusSeesTheWork(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	s.Config.Metrics = freeAddress(t)
	exported := freeAddress(t)
	access := []string{"fleet", "--broker", "tcp://" + s.Options.Broker.Addr, "--environment", "test", "--notes", t.TempDir() + "/notes.json"}
	export := exec.CommandContext(s.ctx, binary, append(access, "export", "--listen", exported)...)
	s.must(export.Start())
	t.Cleanup(func() { _ = export.Process.Signal(syscall.SIGTERM); _ = export.Wait() })
	s.started()

	ready := `station_agent_standing{environment="test",station="` + bed.Station + `",standing="ready"} 1`
	both := func(want ...string) (own, fleet string) {
		t.Helper()
		return s.scraped(s.Config.Metrics, want...), s.scraped(exported, want...)
	}
	both(ready)
	s.Certyo.Cut()
	s.pack("PKG-2026-0001", s.stock(1, 2)...)
	alarm := regexp.MustCompile(`station_agent_alarm\{[^}]*thing="certyo"[^}]*\} 1`)
	own, _ := both(`standing="alert"} 1`, `thing="certyo"`, `station_agent_scans_total{environment="test",station="`+bed.Station+`"} 4`)
	names := regexp.MustCompile(`(?m)^# TYPE \w+ `).FindAllString(own, -1)
	if len(names) < 30 {
		t.Errorf("the agent tells only %d metrics", len(names))
	}
	fleet := s.scraped(exported, append(names, `standing="alert"} 1`)...) // whose health is older
	if alarm.FindString(own) == "" || alarm.FindString(fleet) == "" {
		t.Errorf("no alarm of certyo:\n%s\n%s", own, fleet)
	}
	for who, text := range map[string]string{"agent": own, "fleet": fleet} {
		check := servers.Promtool(t, "check", "metrics")
		check.Stdin = strings.NewReader(text)
		if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("metrics of the %s: %v\n%s", who, err, out)
		}
	}

	out, _, code, err := s.Agent.Command(s.ctx, append(access, "watch", "--json")...)
	if s.must(err); code != 0 || strings.Count(out, "\n") != 1 || !strings.Contains(out, `"standing":"alert"`) {
		t.Errorf("watch: %d %s", code, out)
	}
	s.Certyo.Restore()
	both(ready)
	s.Agent.Kill()
	s.scraped(exported, `standing="lost"} 1`)
	out, _, code, err = s.Agent.Command(s.ctx, append(access, "show", "bench 1", "--wait", "0s")...)
	if s.must(err); code != 0 || !strings.Contains(out, "lost") || !strings.Contains(out, bed.Station) {
		t.Errorf("show: %d %s", code, out)
	}
	out, _, code, err = s.Agent.Command(s.ctx, append(access, "remove", bed.Station, "--yes")...)
	if s.must(err); code != 0 {
		t.Errorf("remove: %d %s", code, out)
	}
	s.until("the exporter has heard of it", func() bool { return !strings.Contains(s.scraped(exported), bed.Station) })
	s.started()
	s.clean()
}
