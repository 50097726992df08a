package benchstore

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

// limits are the figures that the store must reach, in the order of the table.
var limits = []limit{
	{"scan.flushes", 1},
	{"scan.card_bytes", 4900},
	{"scan.p50_vs_flush", 1.15},
	{"scan.p50_vs_flush_30ms", 1.15},
	{"scan.p99_catchup_vs_idle", 2},
	{"outbox.card_bytes_per_record", 60},
	{"ledger.card_bytes_per_record", 60},
	{"store.card_bytes_per_s", 20_000},
	{"open.cold_ms", 100},
	{"open.rss_mb", 25},
	{"drained.file_mb", 4},
}

type limit struct {
	name string
	most float64
}

// sheet collects figures and judges them.
type sheet struct {
	testing.TB
	dir    string
	values map[string]float64
}

func newSheet(t testing.TB) *sheet {
	dir, err := os.MkdirTemp(os.Getenv("BENCH_DIR"), "benchstore-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if inMemory(dir) {
		fmt.Printf("bench: %s lies in memory: the times say nothing of a disk, set BENCH_DIR\n", dir)
	}
	return &sheet{TB: t, dir: dir, values: map[string]float64{}}
}

// folder makes an empty folder for one child.
func (s *sheet) folder() string {
	dir, err := os.MkdirTemp(s.dir, "")
	if err != nil {
		s.Fatal(err)
	}
	return dir
}

func (s *sheet) note(name string, value float64, unit string) {
	s.values[name] = value
	fmt.Printf("bench: %s %.*f %s\n", name, digits(value), value, unit)
}

// digits are enough to judge a figure by.
func digits(v float64) int {
	switch {
	case v >= 1000:
		return 0
	case v >= 10:
		return 1
	}
	return 3
}

// measure goes on with the other figures when f fails: those of f are then missed.
func (s *sheet) measure(f func() error) {
	if err := f(); err != nil {
		s.Errorf("measure: %v", err)
	}
}

// conclude judges the named figures, all if none is named.
func (s *sheet) conclude(names ...string) {
	fmt.Printf("\n%-32s %12s %10s\n", "figure", "value", "limit")
	for _, l := range limits {
		if len(names) > 0 && !slices.Contains(names, l.name) {
			continue
		}
		v, there := s.values[l.name]
		verdict := "ok"
		// Nothing that is measured here costs nothing, and a scan that isn't flushed is no scan.
		if !there || v > l.most || v <= 0 || l.name == "scan.flushes" && v != l.most {
			verdict = "MISSED"
			s.Fail()
		}
		value := "none"
		if there {
			value = fmt.Sprintf("%.*f", digits(v), v)
		}
		fmt.Printf("%-32s %12s %10g %s\n", l.name, value, l.most, verdict)
	}
}

func median(list []float64) float64 { return quantile(list, 0.5) }

// quantile gives the smallest value that the part q of the list does not exceed.
func quantile(list []float64, q float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// ratio is the median of the rounds' ratios.
func ratio(a, b []float64) float64 {
	var list []float64
	for i := range min(len(a), len(b)) {
		list = append(list, a[i]/b[i])
	}
	return median(list)
}
