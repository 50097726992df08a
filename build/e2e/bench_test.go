package e2e

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

// BenchmarkMain measures what the main job promises: the idle resident size with all connections up, and that a black-holed
// MySQL does not delay a verdict. Two benches stand side by side, one with MySQL and one without, and are scanned in turn,
// from the first byte at the scanner to the verdict at the panel, with a breath in between: what one bench does after its
// verdict (rows, records, flushes) must not be counted against the other.
func BenchmarkMain(b *testing.B) {
	up := newSite(b, servers.MariaDB(b))
	up.started()
	up.must(up.Ready(up.ctx, "broker"))
	items := up.stock(1, 1)
	up.scan("PKG-2026-0001", "accepted")
	time.Sleep(10 * time.Second)
	fmt.Printf("bench: idle.rss_mb %.1f MB\n", residentMB(b, up.Agent.PID()))

	hole := newSite(b, servers.MariaDB(b))
	hole.started()
	hole.stock(1, 1)
	hole.scan("PKG-2026-0001", "accepted")
	hole.MySQL.BlackHole()
	time.Sleep(2 * time.Second)
	const scans, breath = 400, 40 * time.Millisecond
	var withUp, withHole []float64
	for i := range scans {
		code := items[0]
		if i%2 == 1 {
			code = bed.UndoCode
		}
		time.Sleep(breath)
		withUp = append(withUp, up.timed(code))
		time.Sleep(breath)
		withHole = append(withHole, hole.timed(code))
	}
	slices.Sort(withUp)
	slices.Sort(withHole)
	fmt.Printf("bench: verdict.p50_up_ms %.3f ms\n", withUp[scans/2])
	fmt.Printf("bench: verdict.p50_blackhole_ms %.3f ms\n", withHole[scans/2])
	fmt.Printf("bench: verdict.p50_blackhole_vs_up %.2f x\n", withHole[scans/2]/withUp[scans/2])
	fmt.Printf("bench: verdict.p99_ms %.3f ms\n", max(withUp[scans*99/100], withHole[scans*99/100]))
}

// timed scans a code that must be green and gives the milliseconds to the verdict.
func (s *site) timed(code string) float64 {
	s.t.Helper()
	began := time.Now()
	l, err := s.Scan(s.ctx, code)
	s.must(err)
	if l.Verdict != "accepted" && l.Verdict != "accepted offline" {
		s.t.Fatalf("scan %q: %s", code, l.Raw)
	}
	return float64(l.At.Sub(began).Microseconds()) / 1000
}

func residentMB(b *testing.B, pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		b.Fatal("no VmRSS")
	}
	kb, err := strconv.Atoi(string(m[1]))
	if err != nil {
		b.Fatal(err)
	}
	return float64(kb) * 1024 / 1e6
}
