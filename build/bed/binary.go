package bed

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// WithAgent runs tests with the agent under test: the one that make built (STATION_AGENT_BINARY), else one built here once. It
// gives the exit code of the tests, for TestMain of a package in a folder of build/.
func WithAgent(tests func(binary string) (code int)) (code int) {
	if binary := os.Getenv("STATION_AGENT_BINARY"); binary != "" {
		return tests(binary)
	}
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		fmt.Fprintln(os.Stderr, "build agent:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "station-agent")
	if out, err := exec.Command("go", "build", "-o", binary, "../../agent").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build agent: %v\n%s", err, out)
		return 1
	}
	return tests(binary)
}
