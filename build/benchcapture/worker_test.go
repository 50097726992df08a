package benchcapture

import (
	"os"
	"testing"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// folder makes an empty folder on the disk that is measured.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv("BENCH_DIR"), "benchcapture-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
