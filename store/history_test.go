package store

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"station-agent/store/record"
)

// datedSegments makes a journal with a segment or more a day.
func datedSegments(t *testing.T, days int, at func(day int) record.Stamp) (*Journal, *int) {
	t.Helper()
	day := 0
	c := journalConfig(filepath.Join(t.TempDir(), journalFolder))
	c.SegmentBytes, c.EvidenceDays = 8<<10, 10
	c.Now = func() record.Stamp { return at(day) }
	j := openConfigured(t, c, nil)
	for ; day < days; day++ {
		for n := range 2 {
			mustAppend(t, j, entryOf(day*2+n, 3000))
		}
	}
	return j, &day
}

func trustedDay(day int) record.Stamp {
	return record.Stamp{Boot: "b", Wall: testNow().Wall.AddDate(0, 0, day), Trusted: true}
}

func TestScansAreKeptForDays(t *testing.T) {
	j, day := datedSegments(t, 20, trustedDay)
	j.expire()
	kept := codes(t, j.Replay)
	if kept[len(kept)-1] != "39" || len(kept) < 20 || len(kept) > 26 {
		t.Fatal(kept)
	}
	*day = 1000
	j.expire()
	if firsts, _ := segments(j.dir); len(firsts) != 1 || len(j.Open()) != 40 {
		t.Fatal("the last segment or an intent went too:", firsts, len(j.Open()))
	}
}

// TestExpiryBesideScans: what is too old goes by its name. Segments that come meanwhile take no younger one with them.
func TestExpiryBesideScans(t *testing.T) {
	d := &disk{}
	c := journalConfig(filepath.Join(t.TempDir(), journalFolder))
	c.SegmentBytes = 8 << 10
	j := openConfigured(t, c, d)
	n := 0
	scans := func() {
		for range 5 {
			mustAppend(t, j, entryOf(n, 3000))
			n++
		}
	}
	scans()
	d.hook = func(string, string) error { // the first segment that is looked at
		d.hook = nil
		scans()
		return nil
	}
	before, _ := segments(j.dir)
	j.expire()
	if after, _ := segments(j.dir); d.hook != nil || len(after) <= len(before) || after[0] != before[0] {
		t.Fatalf("%v, then %v", before, after)
	}
}

func TestAnUntrustedClockExpiresNothing(t *testing.T) {
	for what, at := range map[string]func(day int) record.Stamp{
		"now": func(day int) record.Stamp {
			s := trustedDay(day)
			s.Trusted = day < 1000
			return s
		},
		"then": func(day int) record.Stamp {
			s := trustedDay(day)
			s.Boot, s.Trusted = fmt.Sprint(day), day >= 1000
			return s
		},
		"in 1970": func(day int) record.Stamp {
			if day >= 1000 {
				return record.Stamp{Boot: "b", Wall: time.Unix(0, 0), Trusted: true}
			}
			return trustedDay(day)
		},
	} {
		j, day := datedSegments(t, 20, at)
		*day = 1000
		j.expire()
		if kept := codes(t, j.Replay); len(kept) != 40 {
			t.Fatal(what, len(kept))
		}
	}
}

// TestTheReserveGoesBeforeHistory: a full card takes the reserve first, then history, and gives the reserve back later.
func TestTheReserveGoesBeforeHistory(t *testing.T) {
	d := &disk{}
	c := journalConfig(filepath.Join(t.TempDir(), journalFolder))
	c.SegmentBytes, c.Reserve = 32<<10, 100<<10
	j := openConfigured(t, c, d)
	free := int64(200 << 10)
	j.reserve.free = func(string) (int64, error) { return free, nil }
	path := filepath.Join(c.Dir, reserveName)
	ok(t, j.tend())
	if b := read(t, path); len(b) != 100<<10 || strings.Trim(string(b), "\x00") != "" || j.Short() {
		t.Fatal(len(b), j.Short())
	}
	room := 3 // segments
	d.hook = func(op, p string) error {
		firsts, _ := segments(j.dir)
		used := len(firsts)
		if exists(path) {
			used += 2
		}
		if op == "open" && strings.HasSuffix(p, temporary) && used >= room+2 {
			return syscall.ENOSPC
		}
		return nil
	}
	n := 0
	for ; !j.Short(); n++ {
		mustAppend(t, j, entryOf(n, 5<<10))
	}
	if firsts, _ := segments(j.dir); exists(path) || len(firsts) != room+1 {
		t.Fatal("history went before the reserve:", len(firsts))
	}
	for ; n < 60; n++ {
		mustAppend(t, j, entryOf(n, 5<<10))
	}
	if firsts, _ := segments(j.dir); len(firsts) != room+2 || len(j.Open()) != 60 {
		t.Fatal(len(firsts), len(j.Open()))
	}
	d.hook, free = nil, 200<<10-1
	if ok(t, j.tend()); !j.Short() || exists(path) {
		t.Fatal("filled without room for it twice over")
	}
	free++
	if ok(t, j.tend()); j.Short() || !exists(path) {
		t.Fatal("not filled again")
	}
}

func TestAReserveThatWasNeverMadeIsShort(t *testing.T) {
	c := journalConfig(filepath.Join(t.TempDir(), journalFolder))
	c.Reserve = 4096
	j := openConfigured(t, c, nil)
	if j.Short() {
		t.Fatal("before anybody looked")
	}
	j.reserve.free = func(string) (int64, error) { return 0, nil }
	if ok(t, j.tend()); !j.Short() {
		t.Fatal("there is no room for it, and nobody knows")
	}
	c.Reserve = -1
	ok(t, j.Close())
	j = openConfigured(t, c, nil)
	if ok(t, j.tend()); j.Short() {
		t.Fatal("none is wanted")
	}
}
