package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// sights are those of one tag at one place: how often it was seen with which strength, 0 where the reader didn't tell.
type sights struct {
	code     string
	strength map[int]int
}

// reads counts them.
func (s sights) reads() (n int) {
	for _, c := range s.strength {
		n += c
	}
	return n
}

// below gives the strength below which that share of the sights lies, in per cent.
func (s sights) below(percent int) int {
	want := s.reads() * percent / 100
	for _, v := range slices.Sorted(maps.Keys(s.strength)) {
		if want -= s.strength[v]; want < 0 {
			return v
		}
	}
	return slices.Max(append(slices.Collect(maps.Keys(s.strength)), -1<<30))
}

// spread is the distribution for a person.
func (s sights) spread() string {
	if _, untold := s.strength[0]; untold && len(s.strength) == 1 {
		return "strength not told"
	}
	return fmt.Sprintf("weakest %d, 10 %% below %d, median %d, strongest %d", s.below(0), s.below(10), s.below(50), s.below(100))
}

// tuning is what was seen on the mat and with the tags at the neighbour's.
type tuning struct {
	Mat, Neighbour []sights
	Power          *float64 // dBm, at both places; nil if nobody set it
	Least          bool     // with less, not every tag of the mat was seen
}

// proposal is what to write into the configuration, and why; or what to do if there is nothing to write.
type proposal struct {
	Apart bool // the two can be told apart
	Lines []string
	Text  string
}

// margin is by how much strengths have to differ to be told apart: they change by as much when somebody walks by.
const margin = 4

// propose is a function of what was seen. Come and stay lie between the strongest sight from the neighbour and the level that nine
// in ten sights of the weakest tag on the mat reach; stay is the lower one, so that a tag at the edge doesn't flicker.
func (t tuning) propose() (p proposal) {
	switch {
	case len(t.Mat) == 0:
		p.Text = "no tag was seen on the mat: raise power_dbm, see that the antenna is connected, and try again with station-agent listen"
		return p
	case len(t.Neighbour) == 0:
		p.Apart, p.Text = true, "nothing was seen at the neighbour's: no limit is needed"
		p.Lines = t.power("rssi = []")
		return p
	}
	weakest := slices.MinFunc(t.Mat, func(a, b sights) int { return cmp.Compare(a.below(10), b.below(10)) })
	strongest := slices.MaxFunc(t.Neighbour, func(a, b sights) int { return cmp.Compare(a.below(100), b.below(100)) })
	low, high := strongest.below(100), weakest.below(10)
	remedy := "lower power_dbm and tune again, or let --step-power find the least that does"
	if t.Least {
		remedy = "the mat needs this power: put metal or absorbing foil between the tables, turn the antenna away or move it"
	}
	switch {
	case untold(t.Mat) || untold(t.Neighbour):
		p.Text = "the reader sees tags at the neighbour's and doesn't tell how strong, so no limit can keep them out: " + remedy
	case high-low < margin:
		p.Text = fmt.Sprintf("they can't be told apart: on the mat nine in ten sights of %s reach %d, and %s is seen with %d at the neighbour's; at least %d between them are needed: %s",
			weakest.code, high, strongest.code, low, margin, remedy)
	default:
		come, stay := low+(high-low)*2/3, low+max(1, (high-low)/3)
		p.Apart = true
		p.Lines = t.power(fmt.Sprintf(`rssi = ["%d/%d"]`, come, stay))
		p.Text = fmt.Sprintf("on the mat nine in ten sights of %s, the weakest, reach %d; at the neighbour's the strongest is %d", weakest.code, high, low)
		return p
	}
	return p
}

// power adds the power to the lines: strengths depend on it, and so do limits.
func (t tuning) power(line string) []string {
	if t.Power == nil {
		return []string{line}
	}
	return []string{fmt.Sprintf("power_dbm = %g", *t.Power), line}
}

func untold(list []sights) bool {
	return slices.ContainsFunc(list, func(s sights) bool { return s.strength[0] > 0 })
}
