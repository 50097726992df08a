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

// TestExcuses holds that an item which was answered green may fail only for what the station could not know.
func TestExcuses(t *testing.T) {
	const conflict, gone = record.OtherValue, record.NoSuchRow
	for name, c := range map[string]struct {
		row  history
		step step
		want bool
	}{
		"online":                   {history{}, step{result: conflict}, false},
		"offline":                  {history{}, step{result: conflict, offline: true}, true},
		"a second writer":          {history{foreign: true}, step{result: conflict}, true},
		"deleted":                  {history{gone: true}, step{result: gone}, true},
		"not deleted":              {history{foreign: true}, step{result: gone}, false},
		"never there, and offline": {history{}, step{result: gone, offline: true}, true},
		"no right":                 {history{foreign: true, gone: true}, step{result: record.Refused, offline: true}, false},
		"open":                     {history{foreign: true, gone: true}, step{offline: true}, false},
	} {
		if got := c.row.excuses(c.step); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestWanted reads journals: what they promise, and what they forgot.
func TestWanted(t *testing.T) {
	in := func(hash, pkg string) record.Intent { return record.Intent{ID: 1, Hash: hash, Package: &pkg, Scan: 7} }
	entry := func(s record.Step, pkg, hash string, session record.Session, intents ...record.Intent) record.Entry {
		return record.Entry{Scan: &record.Scan{Verdict: record.Accepted, Step: s, Package: pkg, Hash: hash}, Session: &session, Intents: intents}
	}
	open := func(pkg string, hashes ...string) (s record.Session) {
		s.Package = pkg
		for _, h := range hashes {
			s.Items = append(s.Items, record.Packed{Hash: h})
		}
		return s
	}
	after := func(pkg string) record.Session { return record.Session{Undo: &record.Undoable{Package: pkg}} }
	out := func(hash string) record.Intent { return record.Intent{ID: 2, Hash: hash} }
	one := []record.Entry{entry(record.Added, "P", "a", open("P", "a"), in("a", "P"))}
	kept := open("P", "a")
	kept.Kept = 1
	two := []record.Entry{entry(record.Added, "P", "a", open("P", "a")), entry(record.Added, "P", "b", open("P", "a", "b"))}
	parked := record.Entry{Outcome: &record.Outcome{Intent: 1, Result: record.OtherValue}}
	for name, c := range map[string]struct {
		journal  []record.Entry
		promised int
		faults   int
	}{
		"at once":              {one, 1, 0},
		"closed":               {append(two[:2:2], entry(record.Closed, "P", "", after("P"), in("a", "P"), in("b", "P"))), 2, 0},
		"by another label":     {append(two[:2:2], entry(record.Opened, "Q", "", after("P"), in("a", "P"), in("b", "P"))), 2, 0},
		"forgotten":            {append(two[:2:2], entry(record.Closed, "P", "", after("P"), in("a", "P"))), 1, 1},
		"into another package": {append(two[:2:2], entry(record.Closed, "P", "", after("P"), in("a", "P"), in("b", "Q"))), 2, 1},
		"it was there already": {append(two[:1:1], entry(record.Added, "P", "there", open("P", "a", "there")), entry(record.Closed, "P", "", after("P"), in("a", "P"))), 1, 0},
		"taken out":            {append(two[:2:2], entry(record.Removed, "P", "b", open("P", "a")), entry(record.Closed, "P", "", after("P"), in("a", "P"))), 1, 0},
		"cancelled":            {append(two[:2:2], entry(record.Cancelled, "P", "", record.Session{}), entry(record.Opened, "Q", "", after(""))), 0, 0},
		"taken out at once":    {append(one[:1:1], entry(record.Removed, "P", "a", open("P"), out("a"))), 1, 0},
		"left in":              {append(one[:1:1], entry(record.Removed, "P", "a", open("P"))), 1, 1},
		"undone":               {append(one[:1:1], entry(record.Undone, "P", "a", open("P"))), 1, 1},
		"another step undone":  {append(one[:1:1], entry(record.Undone, "P", "", open("P"))), 1, 0},
		"cancelled, left in":   {append(one[:1:1], entry(record.Cancelled, "P", "", record.Session{})), 1, 1},
		"cancelled, was kept":  {append(one[:1:1], entry(record.Reopened, "P", "", kept), entry(record.Cancelled, "P", "", record.Session{})), 1, 0},
		"gathered":             {append(two[:2:2], entry(record.Assigned, "Q", "", after(""), in("a", "Q"), in("b", "Q"))), 2, 0},
		"gathered, forgotten":  {append(two[:2:2], entry(record.Assigned, "Q", "", after(""), in("b", "Q"))), 1, 1},
		"sent again":           {append(one[:1:1], parked, record.Entry{Intents: []record.Intent{{ID: 2, Hash: "a", Package: record.Package("P"), Scan: 7}}}), 1, 0},
	} {
		w := newWanted()
		for _, e := range c.journal {
			w.note(e, map[string]*history{"there": {held: map[string]bool{"P": true}}})
		}
		if w.promised != c.promised || len(w.faults) != c.faults {
			t.Errorf("%s: promised %d, faults %v", name, w.promised, w.faults)
		}
		green := 0
		for _, steps := range w.steps {
			for _, s := range steps {
				if s.green {
					green++
				}
			}
		}
		if last := w.steps["a"]; green != w.promised || name == "sent again" && !last[1].green {
			t.Errorf("%s: %d steps hold the promise: %+v", name, green, w.steps)
		}
	}
}

// TestSpoilt holds that a row which could not be written with the others is excused by the one that spoilt it.
func TestSpoilt(t *testing.T) {
	for name, foreign := range map[string]bool{"somebody else wrote the row": true, "nobody did": false} {
		w := newWanted()
		p := record.Package("P")
		w.note(record.Entry{
			Scan:    &record.Scan{Verdict: record.Accepted, Step: record.Closed, Package: "P"},
			Intents: []record.Intent{{ID: 1, Hash: "a", Package: p, Scan: 7, Together: true}, {ID: 2, Hash: "b", Package: p, Scan: 7, Together: true}},
		}, nil)
		w.note(record.Entry{Outcome: &record.Outcome{Intent: 1, Result: record.OtherValue}}, nil)
		w.note(record.Entry{Outcome: &record.Outcome{Intent: 2, Result: record.Refused}}, nil)
		w.settle(map[string]*history{"a": {foreign: foreign}})
		if s := w.steps["b"][0]; w.spoilt[s.group] != foreign || s.result != record.Refused {
			t.Errorf("%s: %+v, spoilt %v", name, s, w.spoilt)
		}
	}
}
