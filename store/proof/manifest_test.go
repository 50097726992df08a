package proof

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

// A manifest speaks for what its station put there, up to its scan: what others did, what came later and what it left open contradicts
// nothing; what a scan before it did and it doesn't say does.
func TestAManifestIsHeldAgainstTheRows(t *testing.T) {
	m := func(entry int, more string, items ...string) *record.Account {
		a := manifestOf(20, 20, entry, "P", items...)
		a.Record.Payload = []byte(strings.TrimSuffix(string(a.Record.Payload), "}") + more + "}")
		a.Receipt.Hash, a.Answer = sum(a.Record.Payload), []byte(`{"says":"anchored"}`)
		return a
	}
	for name, c := range map[string]struct {
		list []*record.Account
		want string // "" if it agrees
	}{
		"put by a scan before":              {[]*record.Account{moved(1, "a", "P", 1, 5), m(5, "", "a")}, ""},
		"put by a scan before and not said": {[]*record.Account{moved(1, "a", "P", 1, 5), m(5, "")}, "scan 5 put a into it, too"},
		"put by a scan after":               {[]*record.Account{moved(1, "a", "P", 1, 6), m(5, "")}, ""},
		"put by others":                     {[]*record.Account{moved(1, "a", "P", 1, 0), m(5, "")}, ""},
		"left open":                         {[]*record.Account{moved(1, "a", "P", 1, 5), m(5, `,"open":[{"hash":"a"}]`)}, ""},
		"left in conflict":                  {[]*record.Account{moved(1, "a", "P", 1, 5), m(5, `,"conflict":[{"hash":"a"}]`)}, ""},
		"taken out by a scan before":        {[]*record.Account{moved(1, "a", "P", 1, 4), moved(2, "a", "", 2, 5), m(5, "", "a")}, "a was taken out by scan 5 before"},
		"taken out by a scan after":         {[]*record.Account{moved(1, "a", "P", 1, 4), moved(2, "a", "", 2, 6), m(5, "", "a")}, ""},
		"taken out by others":               {[]*record.Account{moved(1, "a", "P", 1, 4), moved(2, "a", "", 2, 0), m(5, "", "a")}, ""},
		"never there":                       {[]*record.Account{moved(1, "a", "Q", 1, 0), m(5, "", "a")}, "no row ever shows a in it"},
		"an older one says less":            {[]*record.Account{moved(1, "a", "P", 1, 5), m(5, ""), manifestOf(21, 21, 6, "P", "a")}, ""},
	} {
		r, err := check(file(t, Subject{Package: "P"}, nil, nil, c.list...))
		if err != nil || (len(r.Faults) > 0) != (c.want != "") || !strings.Contains(strings.Join(r.Faults, "\n"), c.want) {
			t.Errorf("%s: %v %q, want %q", name, err, r.Faults, c.want)
		}
	}
	r, err := check(file(t, Subject{Package: "P"}, nil, nil, m(5, "", "a")))
	if err != nil || len(r.Faults) > 0 || !strings.Contains(strings.Join(r.Open, "\n"), "of which the file has no row that could tell: 1") {
		t.Errorf("no row: %v %q", err, r)
	}
}

// A file that begins or ends at a time lacks rows which would tell: a manifest whose rows came later, or were let go, contradicts nothing.
func TestAManifestBesideHalfTheRows(t *testing.T) {
	m := manifestOf(3, 2, 9, "P", "a")
	for name, c := range map[string]struct {
		subject Subject
		list    []*record.Account
	}{
		"its row came behind the time":         {Subject{Package: "P", At: noon(3)}, []*record.Account{moved(1, "a", "", 0, 0), m}},
		"taken out before, and in once more":   {Subject{Package: "P", At: noon(3)}, []*record.Account{moved(1, "a", "P", 0, 4), moved(2, "a", "", 1, 5), m}},
		"put in before, and out once more":     {Subject{Package: "P", At: noon(3)}, []*record.Account{moved(1, "b", "P", 0, 4), moved(2, "a", "P", 1, 5), m}},
		"the same of all":                      {Subject{Until: noon(3)}, []*record.Account{moved(1, "a", "", 0, 0), m}},
		"its first row is from before the day": {Subject{Since: noon(1)}, []*record.Account{m, moved(4, "a", "Q", 4, 0)}},
	} {
		text := file(t, c.subject, nil, nil, c.list...)
		if r, err := check(text); err != nil || len(r.Faults) > 0 {
			t.Errorf("%s: %v %q", name, err, r.Faults)
		}
		if !c.subject.All() && strings.Contains(tell(t, text), "DIFFERS") {
			t.Errorf("%s: %s", name, tell(t, text))
		}
	}
}

// All that a station keeps is checked in seconds, however many packages that were.
func TestManyManifests(t *testing.T) {
	var list []*record.Account
	for i := range 10_000 {
		seq, pkg, item := uint64(2*i+1), fmt.Sprint("P", i), fmt.Sprint("i", i)
		list = append(list, moved(seq, item, pkg, 1, 0), manifestOf(seq+1, 3, 0, pkg, item))
	}
	for i, a := range list { // one row each
		if i%2 == 1 {
			a.Record.ID = fmt.Sprint("P", i)
		}
	}
	text := file(t, Subject{}, nil, nil, list...)
	from := time.Now()
	if r, err := check(text); err != nil || len(r.Faults) > 0 {
		t.Error(err, r.Faults)
	}
	if took := time.Since(from); took > 8*time.Second {
		t.Errorf("it took %v", took)
	}
}
