package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"station-agent/build/servers"
)

// way is what station-agent check network --json prints of one service.
type way struct {
	Target, As string
	Fits       bool
	Hops       []struct{ Hop, State, Text, Advice string }
}

// network runs the command with more in its environment and wants its exit code.
func (s *site) network(code int, env ...string) map[string]way {
	s.t.Helper()
	cmd := exec.CommandContext(s.ctx, binary, "check", "network", "--json", "--config", filepath.Join(s.Dir, "agent.toml"))
	cmd.Env = append(os.Environ(), env...)
	out, _ := cmd.Output() // its exit code tells
	var list []way
	if err := json.Unmarshal(out, &list); err != nil || cmd.ProcessState.ExitCode() != code {
		s.t.Fatalf("exit %d, want %d: %v: %s", cmd.ProcessState.ExitCode(), code, err, out)
	}
	ways := map[string]way{}
	for _, w := range list {
		ways[w.Target+" "+w.As] = w
	}
	return ways
}

// TestCheckNetwork walks beside a running agent, which isn't disturbed, and through a proxy that lets nothing through.
func TestCheckNetwork(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	s.started()
	s.must(s.Ready(s.ctx, "broker"))
	for name, w := range s.network(0) {
		if !w.Fits {
			t.Errorf("%s: %+v", name, w)
		}
	}
	if text := s.command(0, "check", "network"); !strings.Contains(text, "mysql "+s.MySQL.Addr()+" as "+servers.CaptureUser) {
		t.Errorf("%s", text)
	}
	if list := s.Agent.Lines(nil); strings.Contains(list[len(list)-1].Raw, "lost") || s.status()["state"] == "alert" {
		t.Errorf("the agent was disturbed: %s", list[len(list)-1].Raw)
	}
	s.stop()

	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }))
	defer refusing.Close()
	s.Config.Certyo = "https://certyo.invalid"
	s.must(s.WriteConfig())
	w := s.network(1, "HTTPS_PROXY="+strings.Replace(refusing.URL, "://", "://user:proxy-secret@", 1))["certyo tenant tovarna"]
	if len(w.Hops) != 5 || w.Hops[2].Hop != "proxy" || w.Hops[2].State != "fault" || !strings.Contains(w.Hops[2].Advice, "HTTPS_PROXY") ||
		strings.Contains(w.Hops[2].Text+w.Hops[2].Advice, "proxy-secret") {
		t.Errorf("%+v", w)
	}
	refusing.Close()
	w = s.network(1, "HTTPS_PROXY="+refusing.URL)["certyo tenant tovarna"]
	if w.Hops[1].Hop != "tcp" || w.Hops[1].State != "fault" || !strings.Contains(w.Hops[1].Advice, "the way to proxy") {
		t.Errorf("%+v", w)
	}
}
