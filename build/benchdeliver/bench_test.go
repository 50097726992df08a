// Package benchdeliver measures how fast a full outbox gets to Certyo, and what that takes: make bench-deliver.
//
//	deliver.vs_bare_post, *.records_per_s, *.cpu_us_per_record
//	        the agent's own store, client and courier empty an outbox, in rounds beside a bare loop that posts the very same
//	        bodies, which the sink kept of a round before. Each round is a child process (package haul) on a store of its own.
//	        The time runs from the start of the delivery to the last record noted as accepted.
//	deliver.rss_mb
//	        the most that a child had in memory which opens a store with a million records, empties its outbox while it
//	        verifies some 200 accepted ones a second, and goes on verifying. backlog.rss_mb_* tell of what, and, _opened, how much
//	        it is with the process that looks at a file before it is opened.
//	deliver.first_record_s
//	        from the start of a child on that store, with nothing of it in the kernel's memory, to the first record at the sink
//
// The sink in Certyo's place is a process of its own, which reads each request, hashes each payload and accepts everything; after
// each run it is held to have each record once. The figures with _blind are of a sink that reads nothing, so that the ratio has
// all that we do beside next to nothing: to look at. Every figure is a line "bench: name value unit"; those with a limit stand in a table at the end, and the run fails
// if one is missed. All share the machine, so that the sink's work is in both sides of the ratio.
//
// The stores lie in BENCH_DIR or else the temporary folder, which must lie on a disk. With SHORT=1 there is less of everything;
// the limits are the same. BENCH_PROFILE names a file for a profile of the long drain.
package benchdeliver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"station-agent/build/bed"
	"station-agent/build/benchdeliver/haul"
	"station-agent/build/sheet"
	"station-agent/build/worker"
)

// extent is how much is measured.
type extent struct {
	records, rounds int // of the race with the bare loop
	backlog         int // of the long drain
	looks           int // verifications to wait for behind it
	firsts          int // starts
}

func newExtent() extent {
	if os.Getenv("SHORT") != "" {
		return extent{20_000, 3, 100_000, 1000, 3}
	}
	return extent{200_000, 5, 1_000_000, 5000, 5}
}

// figures is what is measured.
type figures struct {
	*sheet.Sheet
	extent
	dir     string
	program string // of the children
	sink    *sink
}

// BenchmarkDeliver measures everything.
func BenchmarkDeliver(b *testing.B) {
	f := &figures{Sheet: sheet.New(b,
		sheet.Limit{Name: "deliver.vs_bare_post", Least: 0.6},
		sheet.Limit{Name: "deliver.rss_mb", Most: 40},
		sheet.Limit{Name: "deliver.first_record_s", Most: 1},
	), extent: newExtent()}
	f.prepare()
	f.Measure(f.race)
	f.Measure(f.backlogged)
	f.Conclude()
}

// prepare builds the children's program and starts the sink.
func (f *figures) prepare() {
	f.Helper()
	var err error
	if f.dir, err = os.MkdirTemp(os.Getenv("BENCH_DIR"), "benchdeliver-"); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { os.RemoveAll(f.dir) })
	f.program = filepath.Join(f.dir, "haul")
	if out, err := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", f.program, "./haul/run").CombinedOutput(); err != nil {
		f.Fatalf("build the children's program: %v\n%s", err, out)
	}
	if f.sink, err = startSink(f.program); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(f.sink.close)
}

// run has a child do a task.
func (f *figures) run(k haul.Task) (worker.Answer, error) {
	k.Sink, k.Tenant, k.Key = f.sink.url, bed.Tenant, bed.CertyoKey
	return worker.RunProgram(f.program, k)
}

// stock is a store with a full outbox, which is copied for each run.
type stock struct {
	dir, keys string
	n         int
}

func (f *figures) fill(name string, n int) (stock, error) {
	s := stock{filepath.Join(f.dir, name), filepath.Join(f.dir, name+"-keys"), n}
	began := time.Now()
	_, err := f.run(haul.Task{Work: haul.Fill, Dir: s.dir, N: n, Keys: s.keys})
	fmt.Printf("bench: %d records put in %.1f s\n", n, time.Since(began).Seconds())
	return s, err
}

// on has a child work on a copy of s, of which nothing is left to be written when it starts, and nothing to be read in the
// kernel's memory if it is to be cold.
func (f *figures) on(s stock, k haul.Task, cold bool) (a worker.Answer, began time.Time, err error) {
	k.Dir, k.N = s.dir+"-copy", s.n
	defer os.RemoveAll(k.Dir)
	if err := os.CopyFS(k.Dir, os.DirFS(s.dir)); err != nil {
		return nil, began, err
	}
	unix.Sync()
	if cold {
		if err := chill(k.Dir); err != nil {
			return nil, began, err
		}
	}
	began = time.Now()
	a, err = f.run(k)
	return a, began, err
}

// drained has a child empty the outbox of s into a sink that is held to have it all then.
func (f *figures) drained(s stock, k haul.Task, keep string, blind bool) (worker.Answer, error) {
	if err := f.sink.reset(keep, blind); err != nil {
		return nil, err
	}
	a, _, err := f.on(s, k, false)
	if err != nil {
		return nil, err
	}
	return a, f.sink.check(s)
}

// race notes how long the same bodies take the bare loop, and us.
func (f *figures) race() error {
	s, err := f.fill("race", f.records)
	if err != nil {
		return err
	}
	bodies := filepath.Join(f.dir, "bodies")
	if err := os.Mkdir(bodies, 0o700); err != nil {
		return err
	}
	if _, err := f.drained(s, haul.Task{Work: haul.Drain}, bodies, true); err != nil {
		return err
	}
	type side struct {
		name string
		run  func(blind bool) (worker.Answer, error)
	}
	all := map[string]worker.Answer{}
	for n := range f.rounds {
		for _, blind := range []string{"", "_blind"} {
			for _, c := range []side{{"bare", func(blind bool) (worker.Answer, error) { return f.bare(s, bodies, blind) }},
				{"deliver", func(blind bool) (worker.Answer, error) { return f.drained(s, haul.Task{Work: haul.Drain}, "", blind) }}} {
				name := c.name + blind
				a, err := c.run(blind != "")
				if err != nil {
					return fmt.Errorf("%s, round %d: %w", name, n+1, err)
				}
				fmt.Printf("bench: round %d %s %.3f s, %.2f us of CPU and %.2f allocations a record\n", n+1, name, a["s"][0], a["cpu_us"][0], a["allocs"][0])
				all[name] = merge(all[name], a)
			}
		}
	}
	f.noteRace(all, "_blind")
	f.noteRace(all, "")
	return nil
}

// merge adds what b tells to a.
func merge(a, b worker.Answer) worker.Answer {
	if a == nil {
		return b
	}
	for name, list := range b {
		a[name] = append(a[name], list...)
	}
	return a
}

func (f *figures) bare(s stock, bodies string, blind bool) (worker.Answer, error) {
	if err := f.sink.reset("", blind); err != nil {
		return nil, err
	}
	a, err := f.run(haul.Task{Work: haul.Bare, Dir: bodies, N: f.records})
	if err != nil {
		return nil, err
	}
	return a, f.sink.check(s)
}

func (f *figures) noteRace(all map[string]worker.Answer, sink string) {
	bare, ours, n := all["bare"+sink], all["deliver"+sink], float64(f.records)
	f.Note("bare.records_per_s"+sink, n/sheet.Median(bare["s"]), "records/s")
	f.Note("bare.cpu_us_per_record"+sink, sheet.Median(bare["cpu_us"]), "us")
	f.Note("deliver.records_per_s"+sink, n/sheet.Median(ours["s"]), "records/s")
	f.Note("deliver.cpu_us_per_record"+sink, sheet.Median(ours["cpu_us"]), "us")
	f.Note("deliver.allocs_per_record"+sink, sheet.Median(ours["allocs"]), "allocs")
	f.Note("deliver.vs_bare_post"+sink, sheet.Ratio(bare["s"], ours["s"]), "x")
}

// backlogged notes what a long backlog takes.
func (f *figures) backlogged() error {
	s, err := f.fill("backlog", f.backlog)
	if err != nil {
		return err
	}
	f.Measure(func() error { return f.firstRecord(s) })
	a, err := f.drained(s, haul.Task{Work: haul.Drain, FirstLook: time.Second, Looks: f.looks, Profile: os.Getenv("BENCH_PROFILE")}, "", true)
	if err != nil {
		return err
	}
	f.Note("backlog.records_per_s", float64(s.n)/a["s"][0], "records/s")
	f.Note("backlog.cpu_us_per_record", a["cpu_us"][0], "us")
	f.Note("backlog.verifications", float64(f.sink.last.Verifies), "requests")
	for _, m := range []struct{ name, told string }{
		{"opened", "peak_with_child"}, {"drained", "peak"}, {"drained_file", "file"}, {"drained_anon", "anon"}, {"looked_file", "RssFile"}, {"looked_anon", "RssAnon"},
	} {
		f.Note("backlog.rss_mb_"+m.name, a[m.told][0]/1e6, "MB")
	}
	f.Note("deliver.rss_mb", a["peak_in_all"][0]/1e6, "MB")
	return nil
}

// firstRecord notes how soon after its start a child has a record at the sink.
func (f *figures) firstRecord(s stock) error {
	var waits, opened []float64
	for range f.firsts {
		if err := f.sink.reset("", true); err != nil {
			return err
		}
		a, began, err := f.on(s, haul.Task{Work: haul.First}, true)
		if err != nil {
			return err
		}
		if err := f.sink.ask(s); err != nil {
			return err
		}
		waits = append(waits, f.sink.last.First.Sub(began).Seconds())
		opened = append(opened, a["opened"][0])
	}
	f.Note("first.open_s", sheet.Median(opened), "s")
	f.Note("deliver.first_record_s", sheet.Median(waits), "s")
	return nil
}
