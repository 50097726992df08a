package bed

import (
	"testing"

	"station-agent/store/record"
)

// TestFollows holds that the oracle can fail: what it lets pass and what not.
func TestFollows(t *testing.T) {
	text := func(s string) *string { return &s }
	insert := Change{Op: "insert", after: image{hash: text("h")}}
	write := func(byAgent bool, from, to *string) Change {
		return Change{Op: "update", ByAgent: byAgent, before: image{hash: text("h"), pkg: from}, after: image{hash: text("h"), pkg: to}}
	}
	p, q := text("P"), text("Q")
	const settled, same, superseded, conflict = record.Settled, record.SameValue, record.Superseded, record.OtherValue
	for name, c := range map[string]struct {
		changes []Change
		steps   []step
		want    bool
	}{
		"settled":                       {[]Change{insert, write(true, nil, p)}, []step{{pkg: "P", result: settled}}, true},
		"settled without a write":       {[]Change{insert}, []step{{pkg: "P", result: settled}}, false},
		"written twice":                 {[]Change{insert, write(true, nil, p), write(true, p, p)}, []step{{pkg: "P", result: settled}}, false},
		"another value":                 {[]Change{insert, write(true, nil, q)}, []step{{pkg: "P", result: settled}}, false},
		"found after a crash":           {[]Change{insert, write(true, nil, p)}, []step{{pkg: "P", result: same}}, true},
		"found where it never was":      {[]Change{insert}, []step{{pkg: "P", result: same}}, false},
		"superseded by nothing":         {[]Change{insert}, []step{{pkg: "P", result: superseded}}, false},
		"superseded":                    {[]Change{insert}, []step{{pkg: "P", result: superseded}, {pkg: "NULL", result: same}}, true},
		"superseded, yet written":       {[]Change{insert, write(true, nil, p), write(true, p, nil)}, []step{{pkg: "P", result: superseded}, {pkg: "NULL", result: settled}}, true},
		"undone, and written late":      {[]Change{insert, write(true, nil, p)}, []step{{pkg: "P", result: superseded}, {pkg: "NULL", result: same}}, false},
		"out of order":                  {[]Change{insert, write(true, nil, q), write(true, q, p)}, []step{{pkg: "P", result: settled}, {pkg: "Q", result: settled}}, false},
		"conflict":                      {[]Change{insert, write(false, nil, q)}, []step{{pkg: "P", result: conflict}}, true},
		"conflict that was overwritten": {[]Change{insert, write(false, nil, q), write(true, q, p)}, []step{{pkg: "P", result: conflict}}, false},
		"open":                          {[]Change{insert}, []step{{pkg: "P"}}, true},
	} {
		row := rowsOf(c.changes)["h"]
		if got := row.follows(row.wrote, c.steps) && row.shows(c.steps); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
