package store

import (
	"fmt"
	"testing"

	"station-agent/store/record"
)

// TestShown: what rows showed since some entry, over segments, in order; what was superseded, refused or is still open shows
// nothing.
func TestShown(t *testing.T) {
	c := testConfig(t.TempDir(), here)
	c.SegmentBytes = 4 << 10
	s, err := Open(c)
	ok(t, err)
	defer s.Close()
	var after uint64
	var want []Shown
	for n := range 60 {
		hash, label := fmt.Sprint("item-", n%7), record.Package(fmt.Sprint("P-", n))
		e, err := s.Journal.Append(record.Entry{Scan: &record.Scan{Verdict: record.Accepted}, Intents: []record.Intent{{Hash: hash, Package: label}}})
		ok(t, err)
		if n == 20 {
			after = e.Seq // its intent is older than its outcome, which counts
		}
		results := []record.Result{record.Settled, record.SameValue, record.OtherValue, record.Superseded, record.Refused, record.NoSuchRow, ""}
		r := results[n%len(results)]
		if r == "" {
			continue
		}
		o := record.Outcome{Intent: e.Intents[0].ID, Result: r}
		if r == record.OtherValue {
			o.Found = record.Package("other")
		}
		ok(t, s.Journal.Settle(o))
		switch {
		case n < 20:
		case r == record.OtherValue:
			want = append(want, Shown{hash, record.Package("other")})
		case r == record.Settled || r == record.SameValue:
			want = append(want, Shown{hash, label})
		}
	}
	got, err := s.Journal.Shown(after)
	ok(t, err)
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%d shown, want %d", len(got), len(want))
	}
	for n := range want {
		if got[n].Hash != want[n].Hash || !record.Same(got[n].Value, want[n].Value) {
			t.Errorf("%d: %+v, want %+v", n, got[n], want[n])
		}
	}
	if got, err := s.Journal.Shown(s.Journal.State().Seq); len(got) != 0 || err != nil {
		t.Error(got, err)
	}
}

// TestNamed: the newest item that each code added, over segments.
func TestNamed(t *testing.T) {
	c := testConfig(t.TempDir(), here)
	c.SegmentBytes = 4 << 10
	s, err := Open(c)
	ok(t, err)
	defer s.Close()
	for n := range 100 {
		scan := record.Scan{Tag: record.Tag{Code: fmt.Sprint("code-", n%70)}, Verdict: record.Accepted, Step: record.Added, Hash: fmt.Sprint("item-", n)}
		if n%3 == 0 {
			scan.Verdict, scan.Step = record.Unknown, ""
		}
		mustAppend(t, s.Journal, record.Entry{Scan: &scan})
	}
	named := map[string]string{}
	for _, n := range s.Journal.Named() {
		named[n.Code] = n.Hash
	}
	if named["code-1"] != "item-71" || named["code-0"] != "item-70" || named["code-40"] != "item-40" || named["code-33"] != "" {
		t.Error(named)
	}
}
