package store

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
)

// bootClock is the clock of a machine that comes up in 1970 and is set later.
type bootClock struct {
	mu    sync.Mutex
	boot  string
	up    time.Time
	wall  time.Time // at the start
	known bool
}

func (c *bootClock) now() record.Stamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	mono := time.Since(c.up)
	return record.Stamp{Boot: c.boot, Mono: mono, Wall: c.wall.Add(mono).UTC(), Trusted: c.known}
}

// TestWallTimesAreFilledIn: scans from before the clock was set get the time that it shows later, and keep their order.
func TestWallTimesAreFilledIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &bootClock{boot: "one", up: time.Now(), wall: time.Unix(0, 0)}
		c := journalConfig(filepath.Join(t.TempDir(), journalFolder))
		c.Now = func() record.Stamp { return clock.now() }
		j := openConfigured(t, c, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- j.Run(ctx) }()
		for n := range 3 {
			mustAppend(t, j, scanEntry(fmt.Sprint(n)))
			time.Sleep(20 * time.Second)
		}
		ok(t, j.Settle(record.Outcome{Intent: 1, Result: record.Settled}))
		before := j.State()
		if before.LastScan.Dated() || before.Undated != "one" || before.Seq != 5 {
			t.Fatalf("%+v", before)
		}
		noon := testNow().Wall
		clock.mu.Lock()
		clock.wall, clock.known = noon.Add(-time.Since(clock.up)), true // it is noon now
		clock.mu.Unlock()
		time.Sleep(10 * time.Second)
		st := j.State()
		if want := noon.Add(-20 * time.Second); !st.LastScan.Wall.Equal(want) || !st.LastScan.Filled || st.LastScan.Trusted || st.Undated != "" || st.Seq != before.Seq+1 {
			t.Fatalf("%+v, want %v", st, want)
		}
		if !st.LastDone.Wall.Equal(noon) {
			t.Fatalf("%+v", st.LastDone)
		}
		time.Sleep(time.Hour)
		if j.State().Seq != st.Seq || j.durable != st.Seq {
			t.Fatal("one clock entry, flushed, is enough")
		}
		cancel()
		ok(t, <-done)
		ok(t, j.Close())

		clock.boot, clock.wall, clock.known = "two", time.Unix(0, 0), false // and the clock isn't set any more
		j = openConfigured(t, c, nil)
		mustAppend(t, j, scanEntry("3"))
		if got := j.State(); got.LastScan.Dated() || got.Undated != "two" || !got.LastDone.Filled {
			t.Fatalf("%+v", got)
		}
		var got []record.Entry
		ok(t, ReplayDir(c.Dir, func(e record.Entry) error {
			if e.Scan != nil {
				got = append(got, e)
			}
			return nil
		}))
		for n, e := range got {
			if want := noon.Add(time.Duration(20*n-60) * time.Second); n < 3 && (!e.At.Wall.Equal(want) || !e.At.Filled || e.At.Trusted) || e.Scan.Code != fmt.Sprint(n) {
				t.Fatalf("%d: %+v, want %v", n, e.At, want)
			}
		}
		if len(got) != 4 || got[3].At.Dated() {
			t.Fatalf("%+v", got)
		}
		ok(t, j.Close())
	})
}

// TestTheWallClockOrdersNothing: whatever it does, sequences and ids go up by one, and what came later stands later.
func TestTheWallClockOrdersNothing(t *testing.T) {
	walls := []int64{1_740_000_000, 0, 1_750_000_000, 1_600_000_000, -1, 1_740_000_000, 4_000_000_000, 1}
	n := 0
	c := journalConfig(filepath.Join(t.TempDir(), journalFolder))
	c.SegmentBytes = 8 << 10
	c.Now = func() record.Stamp {
		n++
		wall := time.Unix(walls[n%len(walls)], 0).UTC()
		return record.Stamp{Boot: fmt.Sprint(n / 5), Mono: time.Duration(n), Wall: wall, Trusted: n%3 == 0}
	}
	j := openConfigured(t, c, nil)
	var seqs, ids []uint64
	for n := range 60 {
		if n%20 == 19 {
			ok(t, j.Close())
			j = openConfigured(t, c, nil)
		}
		e := mustAppend(t, j, entryOf(n, 500))
		seqs, ids = append(seqs, e.Seq), append(ids, e.Intents[0].ID)
	}
	j.expire()
	if firsts, _ := segments(j.dir); len(firsts) < 3 || !slices.IsSorted(seqs) || slices.Compact(seqs)[59] != seqs[59] || ids[59] != 60 || ids[0] != 1 {
		t.Fatal(len(firsts), seqs, ids)
	}
	open, before := j.Open(), uint64(0)
	for _, i := range open {
		if i.ID != before+1 {
			t.Fatal(open)
		}
		before = i.ID
	}
	before = 0
	ok(t, j.Replay(func(e record.Entry) error {
		if e.Seq <= before {
			t.Fatal(e.Seq, before)
		}
		before = e.Seq
		return nil
	}))
}
