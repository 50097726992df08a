package benchpacking

import (
	"fmt"
	"slices"
	"testing"
)

// limits are the figures that packing must reach, in the order of the table.
var limits = []limit{
	{"verdict.median_slow_vs_up", 1.1},
	{"verdict.median_blackhole_vs_up", 1.1},
	{"drain.vs_bare_transactions", 3},
}

type limit struct {
	name string
	most float64
}

// sheet collects figures and judges them.
type sheet struct {
	testing.TB
	values map[string]float64
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
	case v >= 100:
		return 1
	}
	return 3
}

// conclude judges the figures that have a limit.
func (s *sheet) conclude() {
	fmt.Printf("\n%-32s %10s %8s\n", "figure", "value", "limit")
	for _, l := range limits {
		v, there := s.values[l.name]
		verdict := "ok"
		if !there || v > l.most || v <= 0 { // nothing that is measured here costs nothing
			verdict = "MISSED"
			s.Fail()
		}
		fmt.Printf("%-32s %10.*f %8g %s\n", l.name, digits(v), v, l.most, verdict)
	}
}

func median(list []float64) float64 { return quantile(list, 0.5) }

// quantile gives the smallest value that the part q of the list does not exceed.
func quantile(list []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
