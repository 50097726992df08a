package benchstore

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// traced are the system calls that change a file or flush it, and access, by which a child marks its phases.
var traced = []string{"faccessat", "write", "pwrite64", "writev", "pwritev", "pwritev2", "copy_file_range", "sendfile", "splice",
	"msync", "close", "fsync", "fdatasync"}

// blockSize is what a card writes at least.
const blockSize = 4096

// phase is what was counted between two marks.
type phase struct {
	bytes   int64 // of whole blocks
	flushes int
}

// tally is what was counted, by phase. Before the first mark the phase is "". What a phase did to one file or folder right
// below the counted one stands by "phase file" as well.
type tally map[string]phase

func (t tally) bytes(phases ...string) float64 {
	var sum int64
	for _, p := range phases {
		sum += t[p].bytes
	}
	return float64(sum)
}

func (t tally) add(name string, p phase) {
	t[name] = phase{t[name].bytes + p.bytes, t[name].flushes + p.flushes}
}

const markFolder = "/mark/"

// mark begins a phase in the trace of this process.
func mark(name string) { _ = syscall.Access(markFolder+name, 0) } // it is not there and needn't be

var (
	callLine = regexp.MustCompile(`^\d+ +(\w+)\((\d+)<([^>]*)>(?:\(deleted\))?(.*)`)
	markLine = regexp.MustCompile(`^\d+ +faccessat\([^"]*"` + markFolder + `([^"]*)"`)
	written  = regexp.MustCompile(`^, ""(?:\.\.\.)?, (\d+)(?:, (\d+))?`)
)

var errCall = errors.New("the trace holds a call that is not understood")

func readTrace(path, dir string) (tally, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return count(f, dir)
}

// counter follows a trace.
type counter struct {
	dir   string
	phase string
	ends  map[string]int64 // where the next plain write of an open file goes
	tally tally
}

// count reads a trace and counts what concerns files below dir. A call is counted when it begins: its arguments stand in
// that line, whatever comes between it and its end.
func count(trace io.Reader, dir string) (tally, error) {
	c := &counter{dir: dir, ends: map[string]int64{}, tally: tally{}}
	lines := bufio.NewScanner(trace)
	for lines.Scan() {
		if m := markLine.FindStringSubmatch(lines.Text()); m != nil {
			c.phase = m[1]
			continue
		}
		m := callLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		below, ours := strings.CutPrefix(m[3], dir+"/")
		if !ours {
			continue
		}
		p, err := c.call(m[1], m[2]+m[3], m[4])
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, lines.Text())
		}
		top, _, _ := strings.Cut(below, "/")
		c.tally.add(c.phase, p)
		c.tally.add(c.phase+" "+top, p)
	}
	return c.tally, lines.Err()
}

// call gives what one call did to the open file, given its name, number and all, and what stands behind it in the line.
func (c *counter) call(name, file, rest string) (p phase, err error) {
	switch name {
	case "close":
		delete(c.ends, file)
	case "fsync", "fdatasync":
		p.flushes = 1
	case "write", "pwrite64":
		m := written.FindStringSubmatch(rest)
		if m == nil || (name == "pwrite64") != (m[2] != "") {
			return p, errCall
		}
		size, _ := strconv.ParseInt(m[1], 10, 64) // digits
		at := c.ends[file]
		if name == "pwrite64" {
			at, _ = strconv.ParseInt(m[2], 10, 64)
		} else {
			c.ends[file] += size
		}
		p.bytes = rounded(at, size)
	default:
		return p, errCall
	}
	return p, nil
}

// rounded is the size of the blocks that size bytes at a place touch.
func rounded(at, size int64) int64 {
	if size == 0 {
		return 0
	}
	return ((at+size-1)/blockSize - at/blockSize + 1) * blockSize
}

func TestCount(t *testing.T) {
	const trace = `11 pwrite64(5</s/a.db>, ""..., 4096, 8192) = 4096
11 faccessat(AT_FDCWD</x>, "/mark/scan", F_OK) = -1 ENOENT (No such file or directory)
12 pwrite64(5</s/journal/1.seg>, ""..., 200, 4000 <unfinished ...>
11 write(1</elsewhere>, ""..., 99) = 99
12 <... pwrite64 resumed>) = 200
12 fdatasync(5</s/journal/1.seg>)   = 0
11 write(6</s/lock>, ""..., 4090) = 4090
11 write(6</s/lock>, ""..., 7) = 7
11 close(6</s/lock>) = 0
11 write(6</s/lock>, ""..., 7) = 7
11 fsync(7</s>) = 0
`
	got, err := count(strings.NewReader(trace), "/s")
	must(t, err)
	if want := (phase{bytes: 4096}); got[""] != want {
		t.Errorf("before the mark: %+v, want %+v", got[""], want)
	}
	if want := (phase{bytes: 2*4096 + 4096 + 2*4096 + 4096, flushes: 1}); got["scan"] != want {
		t.Errorf("behind the mark: %+v, want %+v", got["scan"], want)
	}
	if want := (phase{bytes: 4 * 4096}); got["scan lock"] != want {
		t.Errorf("of the lock: %+v, want %+v", got["scan lock"], want)
	}
	for _, line := range []string{`11 pwritev(5</s/a>, [{iov_base=""..., iov_len=5}], 1, 0) = 5`, `11 write(5</s/a>, NULL, 5) = 5`} {
		if _, err := count(strings.NewReader(line), "/s"); !errors.Is(err, errCall) {
			t.Errorf("%s: %v", line, err)
		}
	}
}
