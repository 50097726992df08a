// Package sheet collects the figures of a benchmark, prints each as a line
//
//	bench: name value unit
//
// and judges those that have a limit, in a table at the end. A figure that is missed, or missing, fails the benchmark; the
// others are still measured and said.
package sheet

import (
	"fmt"
	"slices"
	"testing"
)

// Limit is what a figure must not exceed, or must reach if Least is set.
type Limit struct {
	Name  string
	Most  float64
	Least float64
	Exact bool // the figure must be just Most
}

// keeps tells whether v is good. Nothing that is measured costs nothing: a figure of zero was not measured, unless it must
// be zero.
func (l Limit) keeps(v float64) bool {
	switch {
	case l.Exact:
		return v == l.Most
	case l.Least > 0:
		return v >= l.Least
	}
	return v > 0 && v <= l.Most
}

// String is how the limit stands in the table.
func (l Limit) String() string {
	if l.Least > 0 {
		return fmt.Sprintf(">= %g", l.Least)
	}
	return fmt.Sprintf("%g", l.Most)
}

// Sheet collects figures and judges them.
type Sheet struct {
	testing.TB
	limits []Limit
	values map[string]float64
}

// New makes a sheet for limits, in the order of the table.
func New(t testing.TB, limits ...Limit) *Sheet {
	return &Sheet{TB: t, limits: limits, values: map[string]float64{}}
}

// Note takes in a figure and prints it.
func (s *Sheet) Note(name string, value float64, unit string) {
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

// Measure goes on with the other figures when f fails: those of f are then missed.
func (s *Sheet) Measure(f func() error) {
	if err := f(); err != nil {
		s.Errorf("measure: %v", err)
	}
}

// Conclude judges the named figures, all if none is named.
func (s *Sheet) Conclude(names ...string) {
	fmt.Printf("\n%-32s %12s %10s\n", "figure", "value", "limit")
	for _, l := range s.limits {
		if len(names) > 0 && !slices.Contains(names, l.Name) {
			continue
		}
		v, there := s.values[l.Name]
		value, verdict := "none", "ok"
		if there {
			value = fmt.Sprintf("%.*f", digits(v), v)
		}
		if !there || !l.keeps(v) {
			verdict = "MISSED"
			s.Fail()
		}
		fmt.Printf("%-32s %12s %10s %s\n", l.Name, value, l, verdict)
	}
}

// Median is the middle of the list.
func Median(list []float64) float64 { return Quantile(list, 0.5) }

// Quantile gives the smallest value that the part q of the list does not exceed, 0 of an empty list.
func Quantile(list []float64, q float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// Ratio is the median of the rounds' ratios.
func Ratio(a, b []float64) float64 {
	var list []float64
	for i := range min(len(a), len(b)) {
		list = append(list, a[i]/b[i])
	}
	return Median(list)
}
