package proof

import (
	"strings"
	"testing"

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
	if err != nil || len(r.Faults) > 0 || !strings.Contains(strings.Join(r.Open, "\n"), "of which the file has no row: 1") {
		t.Errorf("no row: %v %q", err, r)
	}
}
