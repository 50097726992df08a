package faultfs

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"station-agent/store/record"
)

// kinds are the ways in which a card fails in the middle of its work. A full card refuses what needs more room and nothing
// else: on ext4 a write in place can't meet it, and here the kernel would show such a write in the mapped file all the same.
func kinds() map[string]Fault {
	flushes := []Op{Flush, DataFlush}
	return map[string]Fault{
		"no room once":               {Grows: true, Err: syscall.ENOSPC, Once: true},
		"no room from here on":       {Grows: true, Err: syscall.ENOSPC},
		"unreadable once":            {Err: syscall.EIO, Once: true},
		"unreadable from here on":    {Err: syscall.EIO},
		"short write":                {On: []Op{Write}, Short: true, Once: true},
		"short write, then no room":  {On: []Op{Write}, Grows: true, Short: true, Err: syscall.ENOSPC},
		"flush fails and loses once": {On: flushes, Err: syscall.EIO, Once: true, Loses: true},
		"flushes fail and lose":      {On: flushes, Err: syscall.EIO, Loses: true},
	}
}

// TestAWholeCardKeepsEverything is the same work without a fault: what the tests below look for is there to be found.
func TestAWholeCardKeepsEverything(t *testing.T) {
	c := mount(t)
	done, found := lifeAndLook(t, c)
	if len(done.Failures) > 0 || len(found.Failures) > 0 || len(found.Losses) > 0 {
		t.Fatalf("%+v %+v %+v", done.Failures, found.Failures, found.Losses)
	}
	check(t, done, found)
	places := map[string]int{}
	for _, p := range found.Records {
		places[p[0]]++
	}
	if done.Put < 300 || len(done.Scans) < 30 || places["waiting"] < 50 || places["ledger"] < 50 || places["evidence"] < 50 || places["refused"] < 10 {
		t.Fatalf("too little was done: %d records, %v, %d scans", done.Put, places, len(done.Scans))
	}
	if found.Map != 2 {
		t.Fatalf("map %d of the tags", found.Map)
	}
	if found.Rows == 0 || found.Shadow == 0 {
		t.Fatalf("%d rows of the picture, %d of the shadow", found.Rows, found.Shadow)
	}
	segments := 0
	for path := range c.Counts() {
		if strings.Contains(path, "journal/0") {
			segments++
		}
	}
	if segments < 2 {
		t.Fatalf("the journal never rotated: %v", c.Counts())
	}
}

// TestNoFaultLosesWhatWasAcknowledged breaks the work at each operation that changes the card, in each way.
func TestNoFaultLosesWhatWasAcknowledged(t *testing.T) {
	for name, fault := range kinds() {
		for _, n := range some(operations(t, fault), 12) {
			t.Run(fmt.Sprint(name, "/", n), func(t *testing.T) {
				t.Parallel()
				c := mount(t)
				fault.From = n
				c.Set(fault)
				done, found := lifeAndLook(t, c)
				check(t, done, found)
				checkGoingOn(t, c.store, filepath.Join(c.backing, "store"), done.notes, found)
				if t.Failed() {
					t.Logf("failed %v, errors %+v", done.met, done.Failures)
				}
			})
		}
	}
}

// operations counts those of a life that a fault could strike.
func operations(t *testing.T, f Fault) int {
	t.Helper()
	c := mount(t)
	f.From = math.MaxInt
	c.Set(f)
	_, err := run[notes]("work", orders{Dir: c.store})
	ok(t, err)
	return c.Seen()[0]
}

// some picks from 1 to n: all of them for the full run, else about few, the first and the last among them.
func some(n, few int) (picked []int) {
	stride := 1.0
	if !full() {
		stride = max(1, float64(n-1)/float64(few-1))
	}
	for at := 1.0; at < float64(n)+0.5; at += stride {
		picked = append(picked, int(at+0.5))
	}
	return slices.Compact(picked)
}

// life is what children did on a card, and which operations failed under them.
type life struct {
	notes
	met []string
}

// lifeAndLook lets a child work, starts it again if it had to stop, mends the card, and lets another look.
func lifeAndLook(t *testing.T, c *card) (life, found) {
	t.Helper()
	done, err := run[notes]("work", orders{Dir: c.store})
	if ok(t, err); done.Stopped {
		done, err = run[notes]("work", orders{Dir: c.store, Done: done})
		ok(t, err)
	}
	l := life{done, c.Met()}
	beside, scanFailed := 0, false
	for _, f := range done.Failures {
		scanFailed = scanFailed || f.Step == "scan"
	}
	for _, what := range c.Retried() {
		if strings.HasSuffix(what, ".tmp") { // given up, whatever comes of it
			continue
		}
		// A scan that was written while outcomes were being flushed fails with that flush: one write, one flush.
		if strings.Contains(what, "/journal/") && scanFailed && beside < 2 {
			beside++
			continue
		}
		t.Errorf("after a failed flush of the same open file: %s", what)
	}
	c.Set()
	f, err := run[found]("look", orders{Dir: c.store, Done: done})
	ok(t, err)
	return l, f
}

// check holds what was found on a mended card against what had been acknowledged.
func check(t *testing.T, done life, f found) {
	t.Helper()
	for _, w := range append(done.Wrong, f.Invented...) {
		t.Error(w)
	}
	if !f.Opened || len(f.Failures) > 0 {
		t.Fatalf("a mended card still fails: %+v", f.Failures)
	}
	if lost := f.lostScans(done.notes); len(lost) > 0 {
		t.Errorf("acknowledged scans are gone: %v", lost)
	}
	if lost := f.lostIntents(done.notes); len(lost) > 0 {
		t.Errorf("open intents are gone: %v", lost)
	}
	if f.Accepted < uint64(len(done.Scans)) || f.Accepted > uint64(done.Tried) {
		t.Errorf("the state counts %d scans, %d were acknowledged, %d tried", f.Accepted, len(done.Scans), done.Tried)
	}
	if lost := f.lostItems(done.notes); len(lost) > 0 {
		t.Errorf("the label doesn't know the items of scans %v", lost)
	}
	if f.Map < done.Map || f.Map > done.TriedMap {
		t.Errorf("map %d of the tags, %d was acknowledged, %d tried", f.Map, done.Map, done.TriedMap)
	}
	if lost := f.lostRecords(done.notes); len(lost) > 0 {
		t.Errorf("acknowledged records are gone: %v", lost)
	}
	checkPosition(t, done, f)
}

// checkGoingOn holds that the store at dir, in which f was found, can be worked with, and that below, where the card itself
// can be seen without the kernel's cache, there is what was done.
func checkGoingOn(t *testing.T, dir, below string, done notes, f found) {
	t.Helper()
	after, err := run[notes]("go on", orders{Dir: dir, Done: from(done, f)})
	ok(t, err)
	again, err := run[found]("look", orders{Dir: below})
	ok(t, err)
	if f.Position < done.Put { // what the source gave once more is there twice, under the same key
		again.Invented = slices.DeleteFunc(again.Invented, func(s string) bool { return strings.HasSuffix(s, "twice") })
	}
	again.Failures = slices.DeleteFunc(again.Failures, func(g failure) bool { // known before
		return slices.ContainsFunc(f.Failures, func(f failure) bool { return f.Step == g.Step })
	})
	if len(after.Failures)+len(after.Wrong)+len(again.Failures)+len(again.Invented) > 0 {
		t.Errorf("it can't be worked with: %+v %v %+v %v", after.Failures, after.Wrong, again.Failures, again.Invented)
	}
	if lost := again.lostScans(after); len(lost) > 0 || after.Put != f.Position+2 || again.Position != after.Put {
		t.Errorf("what was done afterwards is not there: scans %v, position %d, then %d of %d", lost, f.Position, again.Position, after.Put)
	}
	if lost := again.lostScans(done); f.Opened && len(lost) > len(f.lostScans(done)) {
		t.Errorf("the scans %v were there and are gone", lost)
	}
}

// from is where somebody begins who finds a store like this.
func from(done notes, f found) notes {
	return notes{Scans: map[int]uint64{}, Closed: map[int]bool{}, Tried: done.Tried, Put: f.Position, TriedPut: f.Position}
}

// checkPosition holds that the position stands behind the records that are there, and nowhere else.
func checkPosition(t *testing.T, done life, f found) {
	t.Helper()
	if f.Position < done.Put || f.Position > done.TriedPut {
		t.Errorf("position %d, acknowledged %d, tried %d", f.Position, done.Put, done.TriedPut)
	}
	for n := range f.Position {
		if len(f.Records[n]) == 0 {
			t.Errorf("the position %d has passed record %d", f.Position, n)
		}
	}
	for n, places := range f.Records {
		if n >= f.Position || len(places) != 1 {
			t.Errorf("record %d lies in %v, the position is %d", n, places, f.Position)
		}
	}
}

// TestErrorsHaveAClass says which: a flush that failed ends the agent, a full card is tried again.
func TestErrorsHaveAClass(t *testing.T) {
	for _, c := range []struct {
		fault Fault
		class record.Class
	}{
		{Fault{On: []Op{DataFlush}, In: "journal/0", Err: syscall.EIO, Once: true}, record.StopHere},
		{Fault{On: []Op{Flush, DataFlush}, In: "records", Err: syscall.EIO, Once: true}, record.StopHere},
		{Fault{Grows: true, In: "records", Err: syscall.ENOSPC}, record.Again},
	} {
		t.Run(fmt.Sprint(c.fault.In, c.fault.Err), func(t *testing.T) {
			c.fault.From = operations(t, c.fault) / 2
			card := mount(t)
			card.Set(c.fault)
			done, _ := lifeAndLook(t, card)
			if len(done.Failures) == 0 || done.Failures[0].Class != c.class {
				t.Fatalf("%v: %+v", done.met, done.Failures)
			}
		})
	}
}
