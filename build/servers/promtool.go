package servers

import (
	"os/exec"
	"testing"
)

const prometheus = "prometheus"

// Promtool runs Prometheus' own checker with arguments, by the loader and the libraries that came with it. It is fetched as a
// server is: what can't be had skips the test, or fails it where servers are required.
func Promtool(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	tree, err := fetch(t.Context(), prometheus)
	if err != nil {
		unavailable(t, prometheus, err)
	}
	argv := tree.command("usr/bin/promtool", args...)
	return exec.CommandContext(t.Context(), argv[0], argv[1:]...)
}
