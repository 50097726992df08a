// Package benchcapture measures how changes get from the table to Certyo: make bench-capture.
//
//	capture.*   catching up with 200,000 changes, half of them one a transaction and half a hundred: the agent's own parts,
//	            from the binary log over a durable store to the last record accepted, each in a child process of its own
//	            (package race), in rounds beside the library alone, which reads the same log and does nothing with it. The sink
//	            in Certyo's place counts, and checks that each change came once under a key of its own.
//	steady.*    100 changes a second at the real agent, beside the poller of Certyo's MySQL guide, which reads the same
//	            table: what arrives, and when.
//
// Every figure is a line "bench: name value unit"; those with a limit stand in a table at the end, and the run fails if one
// is missed. The times are medians over the rounds. Server and sink share the machine with what is measured.
//
// The stores lie in BENCH_DIR or else the temporary folder. That must lie on a disk: a file system in memory has no flushes
// to speak of. With SHORT=1 there are less of everything; the limits are the same.
package benchcapture

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/benchcapture/race"
	"station-agent/build/servers"
	"station-agent/build/sheet"
	"station-agent/build/worker"
)

// extent is how much is measured.
type extent struct {
	changes, rounds int
	steady          time.Duration
}

func newExtent() extent {
	if os.Getenv("SHORT") != "" {
		return extent{20_000, 2, 10 * time.Second}
	}
	return extent{200_000, 5, time.Minute}
}

// figures is what is measured.
type figures struct {
	*sheet.Sheet
	extent
}

// BenchmarkCapture measures everything.
func BenchmarkCapture(b *testing.B) {
	f := &figures{sheet.New(b,
		sheet.Limit{Name: "capture.wall_vs_parse", Most: 2},
		sheet.Limit{Name: "capture.peak_rss_mb", Most: 40},
		sheet.Limit{Name: "steady.lost", Most: 0, Exact: true},
	), newExtent()}
	f.Measure(f.catchUp)
	bed.WithAgent(func(binary string) int {
		f.Measure(func() error { return f.steady(binary) })
		return 0
	})
	f.Conclude()
}

// catchUp notes how long the same log takes the library, and us.
func (f *figures) catchUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	r, err := f.newHeat(ctx)
	if err != nil {
		return err
	}
	defer r.sink.close()
	var bare, ours, told worker.Answer = worker.Answer{}, worker.Answer{}, worker.Answer{}
	for n := range f.rounds {
		for _, c := range []struct {
			name string
			run  func() (worker.Answer, error)
			all  worker.Answer
		}{
			{"library", r.library, bare},
			{"agent with receipts", func() (worker.Answer, error) { return r.agent(true) }, told},
			{"agent", func() (worker.Answer, error) { return r.agent(false) }, ours},
		} {
			a, err := c.run()
			if err != nil {
				return fmt.Errorf("%s, round %d: %w", c.name, n+1, err)
			}
			for name, list := range a {
				c.all[name] = append(c.all[name], list...)
			}
			fmt.Printf("bench: round %d %s %.3f s, %.1f us of CPU a change, at most %.1f MB, at the end %.1f MB of files and %.1f MB else\n",
				n+1, c.name, a["s"][0], a["cpu_us"][0], a["peak"][0]/1e6, a["file"][0]/1e6, a["anon"][0]/1e6)
		}
	}
	f.noteHeat(bare, ours, told)
	return nil
}

func (f *figures) noteHeat(bare, ours, told worker.Answer) {
	wall := sheet.Median(ours["s"])
	f.Note("capture.parse_s", sheet.Median(bare["s"]), "s")
	f.Note("capture.wall_s", wall, "s")
	f.Note("capture.changes_per_s", float64(f.changes)/wall, "changes/s")
	f.Note("capture.cpu_us_per_change", sheet.Median(ours["cpu_us"]), "us")
	f.Note("capture.cpu_us_per_change_parse", sheet.Median(bare["cpu_us"]), "us")
	f.Note("capture.allocs_per_change", sheet.Median(ours["allocs"]), "allocs")
	f.Note("capture.allocs_per_change_parse", sheet.Median(bare["allocs"]), "allocs")
	f.Note("capture.peak_rss_mb", sheet.Median(ours["peak"])/1e6, "MB")
	f.Note("capture.peak_rss_mb_parse", sheet.Median(bare["peak"])/1e6, "MB")
	f.Note("capture.peak_rss_mb_receipts", sheet.Median(told["peak"])/1e6, "MB")
	f.Note("capture.wall_vs_parse_receipts", sheet.Median(told["s"])/sheet.Median(bare["s"]), "x")
	f.Note("capture.wall_vs_parse", wall/sheet.Median(bare["s"]), "x")
}

// heat is the log that everybody reads.
type heat struct {
	changes int
	table   *table
	from    position
	sink    *sink
	dir     string // with the store as it was before the changes
	program string // of the children
}

func (f *figures) newHeat(ctx context.Context) (*heat, error) {
	s, err := newSink()
	if err != nil {
		return nil, err
	}
	r := &heat{f.changes, newTable(ctx, f, servers.MariaDB(f), rows), position{}, s, folder(f), filepath.Join(folder(f), "race")}
	if out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", r.program, "./race/run").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the children's program: %w\n%s", err, out)
	}
	r.table.prepare()
	if _, err := r.run(race.Task{Work: race.Agent, Dir: filepath.Join(r.dir, "begun"), N: rows}); err != nil {
		return nil, fmt.Errorf("record the rows as they are: %w", err)
	}
	r.table.exec("FLUSH BINARY LOGS") // so that the agent begins at the head of a file, as the library does: to look for its GTID is the server's work
	r.from = r.table.position()
	began := time.Now()
	r.table.change(f.changes)
	fmt.Printf("bench: %d changes made in %.1f s\n", f.changes, time.Since(began).Seconds())
	return r, nil
}

// library has the library read the log alone.
func (r *heat) library() (worker.Answer, error) {
	return r.run(race.Task{Work: race.Library, File: r.from.File, Pos: r.from.Pos, N: r.changes})
}

// run has a child do a task.
func (r *heat) run(k race.Task) (worker.Answer, error) {
	k.Database, k.User, k.Password, k.Sink = r.table.Addr, servers.CaptureUser, servers.CapturePassword, r.sink.url()
	k.Station, k.Tenant, k.Key = bed.Station, bed.Tenant, bed.CertyoKey
	return worker.RunProgram(r.program, k)
}

// agent has a child catch up, from the store as it was before the changes.
func (r *heat) agent(receipts bool) (worker.Answer, error) {
	dir := filepath.Join(r.dir, "catch-up")
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(r.dir, "begun"))); err != nil {
		return nil, err
	}
	r.sink.reset(receipts, r.changes)
	a, err := r.run(race.Task{Work: race.Agent, Dir: dir, N: r.changes})
	if err != nil {
		return nil, err
	}
	return a, r.sink.check(r.changes)
}
