package benchstore

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"station-agent/build/worker"
)

// tracer is the command line that strace stands in front of another.
type tracer []string

var errNoTracer = errors.New("strace can't be had")

// tracer finds strace on this host, or takes it from Debian's packages. A host that has none, or doesn't let one process
// trace another, skips what needs it; with REQUIRE_SERVERS=1 that is a failure.
func (s *book) tracer() tracer {
	s.Helper()
	argv, err := findTracer()
	if err == nil {
		if out, tried := exec.Command(argv[0], append(argv[1:], "-f", "-o", os.DevNull, "true")...).CombinedOutput(); tried != nil {
			err = fmt.Errorf("%w: %w: %s", errNoTracer, tried, out)
		}
	}
	if err != nil && os.Getenv("REQUIRE_SERVERS") == "1" {
		s.Fatal(err)
	} else if err != nil {
		s.Skip("skipped: ", err)
	}
	return append(argv, "-f", "--seccomp-bpf", "-qq", "-e", "signal=none")
}

func findTracer() (tracer, error) {
	if path, err := exec.LookPath("strace"); err == nil {
		return tracer{path}, nil
	}
	out, err := exec.Command("bash", "../packages.sh", "strace", "bookworm", "strace").Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoTracer, err)
	}
	root := filepath.Join(strings.TrimSpace(string(out)), "root")
	loaders, _ := filepath.Glob(filepath.Join(root, "lib*/*-linux-gnu*/ld-linux*.so.*"))
	libraries, _ := filepath.Glob(filepath.Join(root, "*/*-linux-gnu*"))
	deeper, _ := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*"))
	if len(loaders) == 0 {
		return nil, fmt.Errorf("%w: no loader in %s", errNoTracer, root)
	}
	return tracer{loaders[0], "--inhibit-cache", "--library-path", strings.Join(append(libraries, deeper...), ":"),
		filepath.Join(root, "usr/bin/strace")}, nil
}

// attempts is how often a child is started over: strace 6.1 sometimes gives up on a process of many threads.
const attempts = 4

// count has a child do k and counts what it wrote below k.Dir.
func (s *book) count(k task) (tally, error) {
	argv := append(s.tracer(), "-y", "-s", "0", "-e", "trace="+strings.Join(traced, ","))
	for n := 1; ; n++ {
		k.Dir = s.folder()
		trace := k.Dir + ".trace"
		_, err := worker.Run(k, append(argv, "-o", trace)...)
		if err == nil {
			return readTrace(trace, k.Dir)
		}
		if n == attempts || strings.Contains(err.Error(), "--- FAIL") {
			return nil, err
		}
	}
}

// slowed has a child do k on a card whose flushes all take longer by delay.
func (s *book) slowed(k task, delay time.Duration) (worker.Answer, error) {
	argv := append(s.tracer(), "-o", os.DevNull, "-e", "trace=fsync,fdatasync",
		"-e", fmt.Sprintf("inject=fsync,fdatasync:delay_exit=%d", delay.Microseconds()))
	for n := 1; ; n++ {
		k.Dir = s.folder()
		a, err := worker.Run(k, argv...)
		if err == nil || n == attempts || strings.Contains(err.Error(), "--- FAIL") {
			return a, err
		}
	}
}

// inMemory tells whether dir lies in a file system without a disk.
func inMemory(dir string) bool {
	const tmpfs, ramfs = 0x01021994, 0x858458f6
	var fs syscall.Statfs_t
	return syscall.Statfs(dir, &fs) == nil && (uint32(fs.Type) == tmpfs || uint32(fs.Type) == ramfs)
}

// writtenBytes are what the block device below dir says it wrote since the start, for the whole machine.
func writtenBytes(dir string) (float64, bool) {
	var at syscall.Stat_t
	if syscall.Stat(dir, &at) != nil {
		return 0, false
	}
	major, minor := at.Dev>>8&0xfff, at.Dev&0xff|at.Dev>>12&0xfff00
	text, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", major, minor))
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 7 {
		return 0, false
	}
	var sectors float64
	_, err = fmt.Sscan(fields[6], &sectors)
	return sectors * 512, err == nil
}
