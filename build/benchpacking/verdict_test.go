package benchpacking

import (
	"time"

	"station-agent/build/bed"
	"station-agent/build/sheet"
)

const (
	scans  = 400 // at each bench
	breath = 40 * time.Millisecond
	answer = 2 * time.Second // of the slow database
)

// verdicts measures the time to the verdict.
func (s *figures) verdicts() {
	up, slow, hole := newBench(s, oneByOne, true), newBench(s, oneByOne, true), newBench(s, oneByOne, true)
	benches := []*bench{up, slow, hole}
	for _, b := range benches {
		b.green("PKG-2026-0001")
	}
	slow.slow.by(answer)
	hole.MySQL.BlackHole()
	time.Sleep(2 * answer) // so that each bench is in the state that it is measured in
	times := make([][]float64, len(benches))
	for n := range scans {
		for i, b := range benches {
			time.Sleep(breath)
			times[i] = append(times[i], milliseconds(b.green(b.code(n))))
		}
	}
	s.checkSlow(slow)
	for i, name := range []string{"up", "slow", "blackhole"} {
		s.Note("verdict.median_"+name+"_ms", sheet.Median(times[i]), "ms")
		s.Note("verdict.p99_"+name+"_ms", sheet.Quantile(times[i], 0.99), "ms")
	}
	s.Note("verdict.median_slow_vs_up", sheet.Median(times[1])/sheet.Median(times[0]), "x")
	s.Note("verdict.median_blackhole_vs_up", sheet.Median(times[2])/sheet.Median(times[0]), "x")
}

// code is the n-th scan: an item by its hash or by its EAN, another one each time, and the undo of it.
func (b *bench) code(n int) string {
	i := b.items[n%len(b.items)]
	switch {
	case n%2 == 1:
		return bed.UndoCode
	case n%4 == 0:
		return i.hash
	default:
		return i.ean
	}
}

// checkSlow holds that the slow bench still reads its rows, and that each read takes as long as it should.
func (s *figures) checkSlow(b *bench) {
	youngest, oldest := time.Hour.Seconds(), 0.0
	for range 50 {
		if age := b.status().RowsAgeS; age != nil {
			youngest, oldest = min(youngest, *age), max(oldest, *age)
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.Note("verdict.rows_age_slow_s", oldest, "s")
	if youngest < answer.Seconds() || youngest > 2*answer.Seconds() || oldest > 4*answer.Seconds() {
		s.Errorf("the rows of the slow bench were %.1f to %.1f s old: it is not slow, or its database is away", youngest, oldest)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
