package binlog

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// However many rows the stream touches beside a sweep, and however long their keys are, what is kept of them is bounded; and what
// was forgotten is known to be.
func TestTouchedRowsAreBounded(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var list touched
	began := time.Now()
	now, long := began, strings.Repeat("k", 200)
	for i := range 10 * touchedMost {
		now = now.Add(100 * time.Microsecond)
		list.note(catalog, fmt.Sprint(long, i), now, began)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if held := int(after.HeapAlloc) - int(before.HeapAlloc); held > 16<<20 {
		t.Errorf("%d bytes are held", held)
	}
	if list.knows(began) {
		t.Error("it says that it knows them all")
	}
	if !list.has(catalog, fmt.Sprint(long, 10*touchedMost-1)) || list.has(catalog, "another") {
		t.Error("the last one isn't known, or one that never was")
	}

	calm := now.Add(time.Second)
	for i := range touchedMost / 2 {
		list.note(catalog, fmt.Sprint(i), calm, calm)
	}
	if !list.knows(calm) {
		t.Error("after it calmed down it still says that some are forgotten")
	}
	for i := range touchedMost / 2 {
		if !list.has(catalog, fmt.Sprint(i)) {
			t.Fatalf("%d is not known", i)
		}
	}
	list.prune(calm.Add(time.Second))
	if len(list.at) > 0 {
		t.Errorf("%d rows stay", len(list.at))
	}
}

// A chunk is not given out when it can't be told any more which of its rows the stream touched.
func TestAChunkThatCantBeJudgedIsReadAgain(t *testing.T) {
	began, end := time.Now(), record.Position{File: "b.000001", Pos: 10}
	var given []capture.Tx
	w := &sweeper{swept: map[*capture.Spec]bool{catalog: true}, todo: capture.Sweeps{"products": {Run: "r"}}, st: &stream{
		here: place{"b.000001", 10}, sink: func(tx capture.Tx) error { given = append(given, tx); return nil }}}
	w.touched.note(catalog, "touched", began, began)
	w.touched.lost = began
	give := func() error {
		found := []capture.State{{ID: "touched"}, {ID: "rests"}}
		_, err := w.give(catalog, end, began, capture.Progress{}, found, []string{"touched", "gone"}, capture.Progress{Missing: true}, false)
		return err
	}
	if err := give(); err != errForgotten || len(given) > 0 || w.todo["products"].Missing {
		t.Errorf("%v, given %v", err, given)
	}
	w.touched.lost = time.Time{}
	if err := give(); err != nil || len(given) != 1 || len(given[0].Found) != 1 || given[0].Found[0].ID != "rests" ||
		len(given[0].Missing) != 1 || given[0].Missing[0].ID != "gone" {
		t.Errorf("%v, given %+v", err, given)
	}
}
