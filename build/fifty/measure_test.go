package fifty

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"station-agent/uplink/uplinktest"
)

var back = time.Date(2026, 5, 19, 14, 0, 0, 0, time.UTC)

// call is one so many seconds behind the outage.
func call(s float64, station string, records, status int) uplinktest.Call {
	c := uplinktest.Call{At: back.Add(time.Duration(s * float64(time.Second))), Station: station, Records: records, Status: status, Path: "/api/v1/records/bulk"}
	if records == 0 {
		c.Path = "/api/v1/verify/record"
	}
	return c
}

func TestFairShares(t *testing.T) {
	for _, c := range []struct {
		wishes []int
		total  int
		want   string
	}{
		{[]int{100, 100}, 100, "[50 50]"},
		{[]int{10, 100, 100}, 110, "[10 50 50]"},
		{[]int{100, 10, 30}, 140, "[100 10 30]"},
		{[]int{60, 10, 30}, 60, "[25 10 25]"},
	} {
		if got := fmt.Sprint(fairShares(c.wishes, c.total)); got != c.want {
			t.Errorf("%d among %v: %s, want %s", c.total, c.wishes, got, c.want)
		}
	}
}

func TestJain(t *testing.T) {
	for _, c := range []struct {
		parts []float64
		want  float64
	}{{[]float64{1, 1, 1, 1}, 1}, {[]float64{7, 0, 0, 0}, 0.25}, {[]float64{2, 1}, 0.9}, {[]float64{0, 0}, 0}} {
		if got := jain(c.parts); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%v: %g, want %g", c.parts, got, c.want)
		}
	}
}

// TestFairness: the index is taken when half is delivered, and a refused request delivers nothing.
func TestFairness(t *testing.T) {
	h := &history{back: back, names: []string{"a", "b"}, due: []int{100, 300}}
	for _, c := range []struct {
		name  string
		calls []uplinktest.Call
		want  float64
		at    time.Duration
	}{
		{"equal parts", []uplinktest.Call{call(1, "a", 100, 202), call(2, "b", 300, 429), call(3, "b", 100, 202), call(4, "b", 200, 202)}, 1, 3 * time.Second},
		{"one has all", []uplinktest.Call{call(1, "a", 100, 429), call(2, "b", 200, 202), call(3, "a", 100, 202)}, 0.5, 2 * time.Second},
		{"verifications are nothing", []uplinktest.Call{call(1, "a", 0, 200), call(2, "a", 50, 202), call(3, "b", 150, 202)}, 0.8, 3 * time.Second},
	} {
		if got, at := h.fairness(c.calls); math.Abs(got-c.want) > 1e-9 || at != c.at {
			t.Errorf("%s: %g after %s, want %g after %s", c.name, got, at, c.want, c.at)
		}
	}
}

// TestRefusals: quiet hours of verification don't make up for a stampede before.
func TestRefusals(t *testing.T) {
	h := &history{back: back, names: []string{"a"}, due: []int{100}}
	calls := []uplinktest.Call{call(1, "a", 50, 202), call(1.5, "a", 50, 429), call(2, "a", 50, 429), call(3, "a", 50, 202)}
	for i := range 1000 {
		calls = append(calls, call(1000+10*float64(i), "a", 0, 200))
	}
	if got := fmt.Sprint(h.judge(calls, true)); got != "[2 of 4 requests were refused until 3s]" {
		t.Error(got)
	}
	calls[1].Status = 202 // one is allowed
	if got := h.judge(calls, true); len(got) > 0 {
		t.Error(got)
	}
}

func TestBusiest(t *testing.T) {
	calls := []uplinktest.Call{call(0, "a", 1, 202), call(1, "a", 1, 202), call(9.9, "a", 1, 202), call(10, "a", 1, 429), call(10.5, "a", 0, 200), call(30, "a", 1, 202)}
	if n, from := busiest(calls, back); n != 4 || from != time.Second {
		t.Errorf("%g from %s on, want 4 from 1s on", n, from)
	}
	if n, _ := busiest(nil, back); n != 0 {
		t.Errorf("%g of nothing", n)
	}
}

// TestPlot draws six seconds: quiet, at the limit and a little beyond, far beyond, quiet again.
func TestPlot(t *testing.T) {
	var calls []uplinktest.Call
	add := func(second, n, records, status int) {
		for range n {
			calls = append(calls, call(float64(second), "a", records, status))
		}
	}
	add(1, 4, 1, 202)
	add(1, 2, 0, 200)
	add(2, 10, 0, 200)
	add(2, 10, 0, 429)
	add(5, 1, 1, 202)
	want := `  requests a second, 1s a line, 0.28 a column: P posts, V verifications, x refused, | the limit
       0s    0.0                   |
       1s    6.0 PPPPPPPPPPPPPPPVVV|VVV
       2s   20.0 VVVVVVVVVVVVVVVVVV|VVVVVVVVVVVVVVVVVxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
       3s    0.0                   |
       4s    0.0                   |
       5s    1.0 PPPP              |
`
	if got := plot(calls, back); got != want {
		t.Errorf("plot\n%s\nwant\n%s", got, want)
	}
	for i := range 100_000 { // a day: no more lines than fit
		calls = append(calls, call(float64(i), "a", 0, 200))
	}
	if n := strings.Count(plot(calls, back), "\n"); n > lines+2 {
		t.Errorf("%d lines", n)
	}
}
