package store

import (
	"fmt"
	"testing"

	"station-agent/store/record"
)

func TestTheScanOfAPackage(t *testing.T) {
	dir := t.TempDir() + "/journal"
	j := smallSegments(t, dir, nil)
	put := func(hash string, pkg record.Value, result record.Result) uint64 {
		e := mustAppend(t, j, record.Entry{Scan: &record.Scan{Hash: hash}, Intents: []record.Intent{{Hash: hash, Package: pkg}}})
		if result != "" {
			ok(t, j.Settle(record.Outcome{Intent: e.Intents[0].ID, Result: result}))
		}
		return e.Seq
	}
	p, q := record.Package("P"), record.Package("Q")
	open := put("open", p, "")
	settled := put("a", p, record.Settled)
	same := put("b", p, record.SameValue)
	put("a", q, record.Dismissed)
	put("b", p, record.OtherValue)
	cleared := put("a", nil, record.Settled)
	again := put("c", p, record.Settled)
	again = put("c", p, record.Settled)
	check := func(when string) {
		t.Helper()
		for _, c := range []struct {
			hash string
			pkg  record.Value
			want uint64
		}{{"open", p, open}, {"a", p, settled}, {"a", q, 0}, {"b", p, same}, {"a", nil, cleared}, {"c", p, again}, {"c", nil, 0}, {"d", p, 0}} {
			if got := j.ScanOf(c.hash, record.Package("P")); record.Same(c.pkg, p) && got != c.want {
				t.Errorf("%s: %s in P: %d, want %d", when, c.hash, got, c.want)
			}
			if got := j.ScanOf(c.hash, c.pkg); got != c.want {
				t.Errorf("%s: %s: %d, want %d", when, c.hash, got, c.want)
			}
		}
	}
	check("at once")
	for n := range 9 { // into the next segment
		mustAppend(t, j, record.Entry{Scan: entryOf(n, 5<<10).Scan})
	}
	ok(t, j.Close())
	j = smallSegments(t, dir, nil)
	if firsts, _ := segments(dir); len(firsts) != 2 {
		t.Fatal(firsts)
	}
	check("opened again")
	for n := range 40 {
		mustAppend(t, j, record.Entry{Scan: entryOf(n, 5<<10).Scan})
	}
	ok(t, j.Close())
	j = smallSegments(t, dir, nil)
	if j.ScanOf("open", p) != open || j.ScanOf("a", p) != 0 {
		t.Error("long ago: an open intent is known, a settled one forgotten")
	}
	for n := range 3 * keepOrigins {
		j.origins.note(record.Entry{Intents: []record.Intent{{ID: uint64(100 + n), Hash: fmt.Sprint(n), Scan: 7}}})
	}
	if rows := len(j.origins.of); rows != len(j.origins.list) || j.hasOrigin("0") || !j.hasOrigin(fmt.Sprint(2*keepOrigins+1)) {
		t.Errorf("%d rows of %d origins", rows, len(j.origins.list))
	}
	if n := len(j.origins.list); n < keepOrigins || n > 2*keepOrigins || j.ScanOf(fmt.Sprint(2*keepOrigins+1), nil) != 7 {
		t.Error(n, "intents are kept")
	}
}
