package benchcapture

import (
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"station-agent/build/worker"
)

// task is what a child process is asked to do.
type task struct {
	Work     string
	Database string   // host:port
	From     position // for the parser
	Dir      string   // of the store
	Sink     string   // its address
	N        int      // changes
}

// TestWorker is no test: it is the body of the child processes.
func TestWorker(t *testing.T) {
	var k task
	there, err := worker.Task(&k)
	must(t, err)
	if !there {
		return
	}
	switch k.Work {
	case "parse":
		parse(t, k)
	case "capture":
		catchUp(t, k)
	}
	worker.Done()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// meter measures this process from one moment on.
type meter struct {
	began   time.Time
	mallocs uint64
	cpu     time.Duration
}

func newMeter() meter { return meter{time.Now(), mallocs(), cpu()} }

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // can't fail: the name is valid
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// tell tells what n changes took.
func (m meter) tell(n int) {
	worker.Tell("s", time.Since(m.began).Seconds())
	worker.Tell("cpu us", float64((cpu()-m.cpu).Nanoseconds())/1e3/float64(n))
	worker.Tell("allocs", float64(mallocs()-m.mallocs)/float64(n))
	worker.Tell("peak", worker.Memory("VmHWM"))
	worker.Tell("file", worker.Memory("RssFile"))
	worker.Tell("anon", worker.Memory("RssAnon"))
}

// folder makes an empty folder on the disk that is measured.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv("BENCH_DIR"), "benchcapture-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
