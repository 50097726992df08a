package store

import (
	"fmt"
	"slices"
	"station-agent/store/record"
	"testing"
	"time"
)

// TestOldLabelsAreForgotten, and judged only by a clock that is trusted.
func TestOldLabelsAreForgotten(t *testing.T) {
	c := testConfig(t.TempDir(), here)
	now := testNow()
	c.Now = func() record.Stamp { return now }
	s, err := Open(c)
	ok(t, err)
	defer s.Close()
	use := func(labels ...string) {
		for _, label := range labels {
			pack(t, s.Journal, label)
		}
	}
	later := func(days int, boot string, trusted bool) {
		now.Boot, now.Trusted = boot, trusted
		now.Wall, now.Mono = now.Wall.AddDate(0, 0, days), now.Mono+time.Duration(days)*dayLength
	}
	later(0, "one", true)
	use("old", "used again", "noted again")
	later(0, "two", false)
	use("without a time")
	later(0, "three", true)
	use("dated before it")
	later(20, "four", false)
	use("without a time, later")
	later(0, "five", true)
	use("used again")
	ok(t, s.labels.fold())
	later(11, "one", false) // whatever it says
	use("noted again")
	known := func(when string, want ...string) {
		t.Helper()
		for _, label := range []string{"old", "used again", "noted again", "without a time", "dated before it", "without a time, later"} {
			if _, is := s.Use(label); is != slices.Contains(want, label) {
				t.Errorf("%s: %s: %v", when, label, is)
			}
		}
	}
	all := []string{"old", "used again", "noted again", "without a time", "dated before it", "without a time, later"}
	ok(t, s.labels.prune())
	known("untrusted", all...)
	later(0, "six", true)
	ok(t, s.labels.prune())
	known("trusted", "used again", "noted again", "without a time, later")
	if s.labels.file.count != 3 {
		t.Errorf("%d are counted", s.labels.file.count)
	}
}

// TestTooManyLabels: the oldest go.
func TestTooManyLabels(t *testing.T) {
	s := openTest(t, t.TempDir())
	changes := map[string][]labelChange{}
	for n := range mostLabels {
		label := fmt.Sprintf("label %06d", n*7919%mostLabels)
		changes[label] = []labelChange{{label: label, seq: uint64(n + 1), at: testNow(), act: used}}
	}
	s.labels.file.bolt.NoSync = true
	ok(t, s.labels.file.fold(mostLabels, changes, record.Stamp{}))
	s.Journal.state.Seq = mostLabels
	pack(t, s.Journal, "one more")
	ok(t, s.labels.fold())
	if n := s.labels.file.count; n != fewerLabels {
		t.Fatal(n, "are left")
	}
	for _, n := range []int{0, mostLabels - fewerLabels} {
		if _, known := s.Use(fmt.Sprintf("label %06d", n*7919%mostLabels)); known {
			t.Errorf("label %d is known", n)
		}
	}
	for _, n := range []int{mostLabels - fewerLabels + 1, mostLabels - 1} {
		if _, known := s.Use(fmt.Sprintf("label %06d", n*7919%mostLabels)); !known {
			t.Errorf("label %d is not known", n)
		}
	}
	n := 0
	ok(t, s.labels.each(func(string, use) bool { n++; return true }))
	if _, known := s.Use("one more"); n != fewerLabels || !known {
		t.Fatal(n, known)
	}
}

// TestLabelsAreDatedLater: by a stamp of the same boot that is trusted.
func TestLabelsAreDatedLater(t *testing.T) {
	c := testConfig(t.TempDir(), here)
	now := testNow()
	now.Trusted = false
	c.Now = func() record.Stamp { return now }
	s, err := Open(c)
	ok(t, err)
	defer s.Close()
	pack(t, s.Journal, "P")
	pack(t, s.Journal, "Q")
	now.Trusted, now.Mono, now.Wall = true, now.Mono+time.Hour, now.Wall.AddDate(1, 0, 0)
	ok(t, s.Journal.date())
	ok(t, s.Journal.Flush())
	want := now.Wall.Add(-time.Hour)
	for range 2 {
		if u, _ := s.Use("P"); !u.At.Filled || !u.At.Wall.Equal(want) {
			t.Fatalf("%+v", u)
		}
		ok(t, s.labels.fold())
	}
	if u, err := s.labels.file.get("Q"); err != nil || !u.at.Wall.Equal(want) {
		t.Fatal(u, err)
	}
}
