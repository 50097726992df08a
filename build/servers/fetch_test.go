package servers

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// again runs one test of this binary in a process of its own, as go test runs another package.
func again(t *testing.T, test string, env ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

func TestUnreachableMirrorSkipsOrFails(t *testing.T) {
	loud := filepath.Join(t.TempDir(), "loud")
	nowhere := []string{"STATION_AGENT_CACHE=" + t.TempDir(), "STATION_AGENT_LOUD=" + loud, "DEBIAN_MIRROR=file:/nowhere", "REQUIRE_SERVERS="}
	required := append(nowhere, "REQUIRE_SERVERS=1")
	for _, c := range []struct {
		test string
		env  []string
		want string
	}{
		{"TestBrokerAsksForPasswords", nowhere, "--- SKIP"},
		{"TestBrokerAsksForPasswords", required, "--- FAIL"},
		{"TestServersHaveTheirOwnIdentity", nowhere, "--- SKIP"},
		{"TestServersHaveTheirOwnIdentity", required, "--- SKIP"},
	} {
		out := again(t, c.test, c.env...)
		if !strings.Contains(out, c.want) || !strings.Contains(out, ErrFetch.Error()) || !strings.Contains(out, "/nowhere") {
			t.Errorf("%s: want %s and the reason, got %s", c.test, c.want, out)
		}
	}
	said, _ := os.ReadFile(loud)
	if strings.Count(string(said), "\n") != 1 || !strings.HasPrefix(string(said), "not tested against MySQL: ") {
		t.Errorf("the loud line: %q", said)
	}
}

func TestTwoPackagesFetchOnce(t *testing.T) {
	Broker(t) // skips if there is no mirror
	cache := t.TempDir()
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			// a second download would find its target taken, and fail
			if out := again(t, "TestBrokerAsksForPasswords", "STATION_AGENT_CACHE="+cache, "REQUIRE_SERVERS=1"); !strings.Contains(out, "--- PASS") {
				t.Error(out)
			}
		})
	}
	both.Wait()
	left, _ := filepath.Glob(filepath.Join(cache, "*"))
	if len(left) != 2 {
		t.Errorf("the cache should have one folder and its lock: %v", left)
	}
}
