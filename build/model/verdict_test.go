package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// judge holds the rows against the answers, and the work against what was to be done.
func (s *site) judge() {
	changes, err := s.audit.changes(s.ctx)
	s.must(err)
	c := &court{changes: changes}
	for _, st := range s.stations {
		c.benches = append(c.benches, bench{account: st.user, ledger: st.ledger, broken: st.faults, parked: st.parked})
	}
	c.judge()
	for n, f := range c.faults {
		if n == 10 {
			s.t.Errorf("and %d more", len(c.faults)-n)
			break
		}
		s.t.Error(f)
	}
	s.report(c)
}

// report prints what was done, and fails if that was hardly anything.
func (s *site) report(c *court) {
	n := s.counts(c)
	names := slices.Sorted(maps.Keys(n))
	var text []string
	for _, name := range names {
		text = append(text, fmt.Sprintf("%s %d", name, n[name]))
	}
	s.t.Logf("seed %d: %s", s.seed, strings.Join(text, ", "))
	seconds := int(s.length.Seconds())
	for name, least := range map[string]int{
		"scans": 6 * seconds, "writes": 2 * seconds, "verdict accepted": 2 * seconds, "verdict conflict": 1, "step added": seconds,
		"step undone": 1, "call-backs": 1, "kills": 1, "cuts and holes": 1, "foreign": seconds,
	} {
		if n[name] < least {
			s.t.Errorf("hardly any work was done: %s %d, at least %d were to be expected", name, n[name], least)
		}
	}
}

func (s *site) counts(c *court) map[string]int {
	n := maps.Clone(s.world.counts)
	n["late writes"] = c.late
	for _, st := range s.stations {
		for what, k := range st.counts {
			n[what] += k
		}
		for what, k := range st.ledger.verdicts {
			n["verdict "+what] += k
		}
		for what, k := range st.ledger.steps {
			n["step "+what] += k
		}
		for _, list := range st.ledger.taken {
			n["others taken out"] += len(list)
		}
		n["call-backs"] += len(st.ledger.calls)
		n["parked"] += len(st.parked)
	}
	n["cuts and holes"] = n["cuts"] + n["black holes"]
	for _, list := range c.changes {
		for _, k := range list {
			if slices.ContainsFunc(s.stations, func(st *station) bool { return st.user == k.by }) {
				n["writes"]++
			}
		}
	}
	return n
}
