package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"station-agent/store/record"
)

// TestFollowGivesEachEntryOnce, over segments, from anywhere, with the state that all before it add up to.
func TestFollowGivesEachEntryOnce(t *testing.T) {
	c := testConfig(t.TempDir(), here)
	c.SegmentBytes = 16 << 10
	s, err := Open(c)
	ok(t, err)
	t.Cleanup(func() { s.Close() })
	j := s.Journal
	var want []string
	var states []record.State
	add := func() {
		states = append(states, j.State())
		e := mustAppend(t, j, record.Entry{Scan: &record.Scan{Step: record.Added, Hash: fmt.Sprint(len(want))}, Intents: []record.Intent{{Hash: fmt.Sprint(len(want))}},
			Session: &record.Session{Package: fmt.Sprint(len(want) / 10), Items: slices.Repeat([]record.Packed{{Hash: "x"}}, len(want)%10)}})
		want = append(want, fmt.Sprintf("%d %s", e.Seq, e.Scan.Hash))
	}
	follow := func(s *record.State, after uint64, most int) (got []string) {
		t.Helper()
		err := j.Follow(s, after, func(e record.Entry, before *record.State) error {
			if len(got) == most {
				return errFirst
			}
			got = append(got, fmt.Sprintf("%d %s", e.Seq, e.Scan.Hash))
			if n := slices.Index(want, got[len(got)-1]); n < 0 || before.Session.Package != states[n].Session.Package ||
				len(before.Session.Items) != len(states[n].Session.Items) || len(before.Open) != len(states[n].Open) {
				t.Fatalf("before %s: %+v, %d open", got[len(got)-1], before.Session, len(before.Open))
			}
			return nil
		})
		if err != nil && !errors.Is(err, errFirst) {
			t.Fatal(err)
		}
		return got
	}
	for range 300 {
		add()
	}
	if paths, err := segmentPaths(filepath.Join(c.Dir, journalFolder)); err != nil || len(paths) < 3 {
		t.Fatalf("%d segments: the test shows nothing (%v)", len(paths), err)
	}
	var st record.State
	got := follow(&st, 0, 100)
	got = append(got, follow(&st, 0, 1000)...)
	add()
	got = append(got, follow(&st, 0, 1000)...)
	if !slices.Equal(got, want) || follow(&st, 0, 10) != nil {
		t.Errorf("%d entries %v", len(got), got[:min(5, len(got))])
	}
	var late record.State
	if from := len(want) - 20; !slices.Equal(follow(&late, seqOf(want[from-1]), 1000), want[from:]) {
		t.Error("from the middle on")
	}
}

var errFirst = errors.New("enough for a test")

func seqOf(text string) (seq uint64) {
	_, _ = fmt.Sscan(text, &seq)
	return seq
}

// TestFollowGivesNothingThatCanBeLost: an outcome that isn't flushed may go with the power, and its sequence be used again.
func TestFollowGivesNothingThatCanBeLost(t *testing.T) {
	s := openTest(t, t.TempDir())
	e := mustAppend(t, s.Journal, scanEntry("a"))
	ok(t, s.Journal.Settle(record.Outcome{Intent: e.Intents[0].ID, Result: record.Settled}))
	count := func() (n int) {
		var st record.State
		ok(t, s.Journal.Follow(&st, 0, func(record.Entry, *record.State) error { n++; return nil }))
		return n
	}
	if n := count(); n != 1 {
		t.Errorf("%d entries before the flush", n)
	}
	ok(t, s.Journal.Flush())
	if n := count(); n != 2 {
		t.Errorf("%d entries after it", n)
	}
}
