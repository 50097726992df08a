package main

import (
	"strings"
	"testing"
)

// seen makes sights of a tag with those strengths.
func seen(code string, strengths ...int) sights {
	s := sights{code, map[int]int{}}
	for _, v := range strengths {
		s.strength[v]++
	}
	return s
}

func TestLimitsLieBetweenMatAndNeighbour(t *testing.T) {
	dBm := 20.0
	tens := func(v int) []int { return []int{v - 20, v, v, v, v, v, v, v, v, v, v, v, v, v, v} } // one sight in fifteen is weak
	for name, c := range map[string]struct {
		t     tuning
		lines string
		text  string
		apart bool
	}{
		"far apart": {tuning{Mat: []sights{seen("A", tens(-40)...), seen("B", tens(-46)...)}, Neighbour: []sights{seen("A", -80, -61), seen("C", -70)}, Power: &dBm},
			`power_dbm = 20|rssi = ["-51/-56"]`, "on the mat nine in ten sights of B, the weakest, reach -46; at the neighbour's the strongest is -61", true},
		"just apart":         {tuning{Mat: []sights{seen("A", -50)}, Neighbour: []sights{seen("A", -54)}}, `rssi = ["-52/-53"]`, "", true},
		"a scale of its own": {tuning{Mat: []sights{seen("A", 120)}, Neighbour: []sights{seen("A", 90)}}, `rssi = ["110/100"]`, "", true},
		"too near":           {tuning{Mat: []sights{seen("A", -50)}, Neighbour: []sights{seen("B", -53)}}, "", "they can't be told apart: on the mat nine in ten sights of A reach -50, and B is seen with -53", false},
		"the wrong way":      {tuning{Mat: []sights{seen("A", -50)}, Neighbour: []sights{seen("B", -30)}, Power: &dBm, Least: true}, "", "they can't be told apart", false},
		"no strength":        {tuning{Mat: []sights{seen("A", 0, 0)}, Neighbour: []sights{seen("A", 0)}}, "", "the reader sees tags at the neighbour's and doesn't tell how strong", false},
		"neighbour unseen":   {tuning{Mat: []sights{seen("A", 0)}, Power: &dBm}, "power_dbm = 20|rssi = []", "nothing was seen at the neighbour's", true},
		"mat unseen":         {tuning{Neighbour: []sights{seen("A", -50)}}, "", "no tag was seen on the mat", false},
	} {
		p := c.t.propose()
		if got := strings.Join(p.Lines, "|"); got != c.lines || !strings.HasPrefix(p.Text, c.text) || p.Apart != c.apart {
			t.Errorf("%s: %s (%s), want %s (%s)", name, got, p.Text, c.lines, c.text)
		}
		if shield := strings.Contains(p.Text, "foil"); shield != c.t.Least {
			t.Errorf("%s: %s", name, p.Text)
		}
		for _, l := range p.Lines {
			if _, limit, ok := strings.Cut(l, `["`); ok {
				if _, _, err := rssiLimit(strings.TrimSuffix(limit, `"]`)).value(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

func TestSpreadIsThatOfTheReads(t *testing.T) {
	s := seen("A", -70, -60, -60, -60, -60, -60, -50, -50, -50, -40)
	if got := s.spread(); got != "weakest -70, 10 % below -60, median -60, strongest -40" || s.reads() != 10 {
		t.Errorf("%s of %d", got, s.reads())
	}
	if got := seen("A", 0, 0).spread(); got != "strength not told" {
		t.Error(got)
	}
}
