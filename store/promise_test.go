package store

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"station-agent/store/record"
)

// Promise 1: the entry was flushed, once, after it was written, before Append returned.
func TestGreenMeansOnDisk(t *testing.T) {
	d := &disk{}
	j := openJournalTest(t, t.TempDir()+"/journal", d)
	for n := range 50 {
		code := fmt.Sprintf("code-%d", n)
		d.ops, d.after = nil, nil
		flushed := 0
		d.after = func(_, path string, _ []byte) {
			if bytes.Contains(read(t, j.path(segmentName(1))), []byte(code)) {
				flushed++
			}
		}
		mustAppend(t, j, scanEntry(code))
		if got := strings.Join(d.ops, " "); got != "write datasync" || flushed != 1 {
			t.Fatalf("%s: %s, in the file at the flush: %d", code, got, flushed)
		}
	}
}

// Promise 2: position, records and shadow go in together or not at all.
func TestThePositionNeverPassesAChange(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	ok(t, s.DB.Put(group(0, 3)))
	before := head(t, s.DB)
	for what, g := range map[string]record.Group{
		"a group with a position that can't be stored": {Position: record.Position{GTID: "later", At: testNow().Wall.AddDate(9000, 0, 0)}, Records: []record.Record{rec(3)}},
	} {
		if err := s.DB.Put(g); err == nil {
			t.Fatal(what, "was taken")
		}
		if p, err := s.DB.Position(); err != nil || p.GTID != "0-1-3" {
			t.Fatal(what, p, err)
		}
		if got := head(t, s.DB); !reflect.DeepEqual(got, before) {
			t.Fatalf("%s: %+v %+v", what, got, s.DB.Stats())
		}
	}
	ok(t, s.DB.Put(group(3, 4)))
	ok(t, s.Close())
	s = openTest(t, dir)
	if p, _ := s.DB.Position(); p.GTID != "0-1-4" || len(head(t, s.DB)) != 4 {
		t.Fatal(p)
	}
}

// Promise 3: an intent leaves by an outcome only, a record by a receipt only.
func TestNothingIsForgottenBeforeItIsConfirmed(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	for n := range 4 {
		mustAppend(t, s.Journal, scanEntry(fmt.Sprint(n)))
	}
	ok(t, s.Journal.Settle(record.Outcome{Intent: 1, Result: record.Settled}, record.Outcome{Intent: 2, Result: record.NoSuchRow}))
	ok(t, s.DB.Put(group(0, 3)))
	ok(t, s.DB.Settle([]record.Delivery{{Seq: 1}, {Seq: 2, Refusal: "never"}}))
	for range 3 {
		ok(t, s.Close())
		s = openTest(t, dir)
		for n := range 12 { // a rotation
			mustAppend(t, s.Journal, record.Entry{Scan: bigEntry(n).Scan})
		}
		st := s.Journal.State()
		if len(st.Open) != 2 || st.Open[0].ID != 3 || len(st.Parked) != 1 || st.Parked[0].ID != 2 {
			t.Fatalf("open %+v, parked %+v", st.Open, st.Parked)
		}
		letters := 0
		ok(t, s.DB.DeadLetters(func(DeadLetter) error { letters++; return nil }))
		if q := head(t, s.DB); len(q) != 2 || q[0].Seq != 1 || q[1].Seq != 3 || letters != 1 {
			t.Fatalf("outbox %+v, %d dead letters", q, letters)
		}
	}
}
