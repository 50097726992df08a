package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"

	berrors "go.etcd.io/bbolt/errors"

	"station-agent/store/record"
)

func rec(n int) record.Record {
	return record.Record{
		Database: "external", Collection: "buylo_products", ID: fmt.Sprintf("%032d", n), Version: fmt.Sprint(n), Op: record.Update,
		At: testNow().Wall, Key: fmt.Sprintf("key-%d", n), Payload: json.RawMessage(fmt.Sprintf(`{"n": %d, "html": "<&>", "sep":"\u2028"}`, n)),
	}
}

func group(from, to int) record.Group {
	g := record.Group{Position: record.Position{Flavor: "mariadb", GTID: fmt.Sprintf("0-1-%d", to)}}
	for n := from; n < to; n++ {
		g.Records = append(g.Records, rec(n))
	}
	return g
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func head(t testing.TB, d *DB) []record.Queued {
	t.Helper()
	q, err := d.Head(nil, 1<<20, 1<<30)
	ok(t, err)
	return q
}

func TestRecordsKeepOrderSequenceAndBytes(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	ok(t, s.DB.Put(group(0, 5)))
	q := head(t, s.DB)
	for n, r := range q {
		if r.Seq != uint64(n+1) || !reflect.DeepEqual(r.Record, rec(n)) {
			t.Fatalf("%+v", r)
		}
	}
	for _, r := range q {
		ok(t, s.DB.Settle([]record.Delivery{{Seq: r.Seq, Refusal: "no"}}))
	}
	ok(t, s.Close())
	s = openTest(t, dir)
	ok(t, s.DB.Put(group(5, 6)))
	if q := head(t, s.DB); len(q) != 1 || q[0].Seq != 6 {
		t.Fatalf("a sequence was used twice: %+v", q)
	}
	if p, err := s.DB.Position(); err != nil || p.GTID != "0-1-6" {
		t.Fatal(p, err)
	}
}

func TestHeadIsBounded(t *testing.T) {
	s := openTest(t, t.TempDir())
	ok(t, s.DB.Put(group(0, 10)))
	size := len(rec(0).Payload)
	for _, c := range []struct{ max, bytes, want int }{{3, 1 << 20, 3}, {100, 1, 1}, {100, size*4 + size/2, 4}, {0, 100, 0}, {100, 1 << 30, 10}} {
		q, err := s.DB.Head(nil, c.max, c.bytes)
		if err != nil || len(q) != c.want {
			t.Errorf("Head(%d, %d): %d records, %v", c.max, c.bytes, len(q), err)
		}
	}
}

func TestTheWayOfARecord(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	now := testNow().Wall
	ok(t, s.DB.Put(group(0, 4)))
	receipt := &record.Receipt{Hash: "h", AcceptedAt: now}
	ok(t, s.DB.Settle([]record.Delivery{{Seq: 1, Receipt: receipt}, {Seq: 2, Refusal: "bad field"}, {Seq: 3}, {Seq: 4, Receipt: receipt}, {Seq: 99, Receipt: receipt}, {Seq: 1, Receipt: receipt}}))
	if q := head(t, s.DB); len(q) != 1 || q[0].Seq != 3 {
		t.Fatalf("outbox %+v", q)
	}
	due, next, err := s.DB.Due(now, 10)
	if err != nil || len(due) != 0 || !next.Equal(now.Add(2*time.Minute)) {
		t.Fatal(due, next, err)
	}
	due, next, err = s.DB.Due(next, 1)
	if err != nil || len(due) != 1 || !reflect.DeepEqual(due[0].Record, rec(0)) || due[0].Receipt.Hash != "h" || next.Sub(due[0].Due) > 1 {
		t.Fatal(due, next, err)
	}
	answer := json.RawMessage(`{ "status": "<pending>" }`)
	later := now.Add(time.Hour)
	ok(t, s.DB.Look([]record.Look{{Seq: 1, State: record.Mismatch, Due: later, Answer: answer}, {Seq: 4, State: record.Anchored, Answer: answer}, {Seq: 4, State: record.Anchored}, {Seq: 77}}))
	want := Stats{QueueRecords: 1, OldestQueued: now, Unanchored: 1, OldestUnanchored: now, Anchored: 1, Accepted: 2, DeadLetters: 1, Mismatches: 1, Ledger: record.Tally{Mismatch: 1}}
	want.QueueBytes, want.DeadLetterBytes, want.OldestRefused = int64(len(rec(2).Payload)), int64(len(rec(1).Payload)), now
	check := func() {
		t.Helper()
		got := s.DB.Stats()
		if got.RecordBytes == 0 || got.RowBytes == 0 || got.LabelBytes == 0 || got.FreeBytes == 0 {
			t.Fatalf("%+v", got)
		}
		got.RecordBytes, got.RowBytes, got.LabelBytes, got.FreeBytes = 0, 0, 0, 0
		if got != want {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	}
	check()
	ok(t, s.Close())
	s = openTest(t, dir)
	check()
	due, next, err = s.DB.Due(later, 10)
	if err != nil || len(due) != 1 || due[0].Receipt.Hash != "h" || due[0].Seq != 1 || !next.IsZero() {
		t.Fatal(due, next, err)
	}
	ok(t, s.DB.DeadLetters(func(l DeadLetter) error {
		if l.Seq != 2 || l.Refusal != "bad field" || !reflect.DeepEqual(l.Record, rec(1)) || !l.At.Equal(now) {
			t.Fatalf("%+v", l)
		}
		return nil
	}))
	ok(t, s.DB.Evidence(func(e Evidence) error {
		if e.Seq != 4 || !reflect.DeepEqual(e.Record, rec(3)) || !bytes.Equal(e.Answer, answer) || e.Receipt.Hash != "h" || !e.At.Equal(now) {
			t.Fatalf("%+v", e)
		}
		return nil
	}))
	ok(t, s.DB.Look([]record.Look{{Seq: 1, State: record.Unclear, Answer: answer}}))
	if due, next, err := s.DB.Due(later.AddDate(10, 0, 0), 10); err != nil || len(due) != 0 || !next.IsZero() {
		t.Fatal("no due time means not by itself:", due, next, err)
	}
	want.Mismatches, want.Ledger = 0, record.Tally{Unclear: 1}
	check()
}

func TestShadow(t *testing.T) {
	s := openTest(t, t.TempDir())
	row := func(c, id string) record.ShadowRow {
		return record.ShadowRow{Collection: c, ID: id, Version: "1", Payload: json.RawMessage(`{"a": "<"}`)}
	}
	ok(t, s.DB.Put(record.Group{Shadow: []record.ShadowRow{row("a", ""), row("a", "1"), row("ab", "1"), row("b", "1")}}))
	gone := row("a", "1")
	gone.Gone = true
	left := row("a", "2")
	left.Left = testNow().Wall
	ok(t, s.DB.Put(record.Group{Shadow: []record.ShadowRow{gone, left, {Collection: "z", ID: "never", Gone: true}}}))
	got, err := s.DB.Shadow("a", []string{"", "1", "2", "3"})
	if err != nil || len(got) != 2 || !reflect.DeepEqual(got[""], row("a", "")) || !reflect.DeepEqual(got["2"], left) {
		t.Fatal(got, err)
	}
	var ids []string
	ok(t, s.DB.ShadowAll("a", func(r record.ShadowRow) error { ids = append(ids, r.Collection+"/"+r.ID); return nil }))
	if !slices.Equal(ids, []string{"a/", "a/2"}) {
		t.Fatal(ids)
	}
	if p, err := s.DB.Position(); err != nil || !p.Zero() {
		t.Fatal(p, err)
	}
}

func TestTheRunOfASnapshotOutlivesACrash(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	run, err := s.DB.BeginSnapshot()
	ok(t, err)
	ok(t, s.DB.Put(group(0, 1)))
	ok(t, s.Close())
	s = openTest(t, dir)
	if again, err := s.DB.BeginSnapshot(); again != run || run == "" || err != nil {
		t.Fatal(run, again, err)
	}
	ok(t, s.DB.PutSnapshot(group(1, 2)))
	if next, err := s.DB.BeginSnapshot(); next == run || err != nil {
		t.Fatal("the same run again", err)
	}
}

func TestPicture(t *testing.T) {
	s := openTest(t, t.TempDir())
	if p, err := s.DB.LoadPicture(); p.Rows != nil || !p.At.IsZero() || err != nil {
		t.Fatal(p, err)
	}
	rows := []record.Row{
		{Hash: "a", Product: "p", EAN: "859", Name: "Hrnek", Package: record.Package("P"), Created: testNow().Wall, EPCs: []string{"3034A", "urn:epc:x"}},
		{Hash: "b"}, {Hash: "c", Station: record.Package("bench-2"), Away: true},
	}
	ok(t, s.DB.SavePicture(Picture{At: testNow().Wall, Rows: rows, Seq: 7}))
	p, err := s.DB.LoadPicture()
	if err != nil || !p.At.Equal(testNow().Wall) || p.Seq != 7 || !reflect.DeepEqual(p.Rows, rows) {
		t.Fatal(p, err)
	}
}

func TestSignals(t *testing.T) {
	s := openTest(t, t.TempDir())
	ok(t, s.DB.Put(group(0, 1)))
	ok(t, s.DB.Put(group(1, 2)))
	<-s.DB.Changed()
	ok(t, s.DB.Settle([]record.Delivery{{Seq: 1, Receipt: &record.Receipt{}}}))
	<-s.DB.LedgerChanged()
	if len(s.DB.Changed()) != 0 {
		t.Fatal("more than one signal")
	}
}

func TestACommitThatFailedEndsWriting(t *testing.T) {
	for _, c := range []struct {
		err   error
		class record.Class
	}{
		{&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, record.Again},
		{berrors.ErrMaxSizeReached, record.Again},
		{syscall.ENOSPC, record.StopHere}, // from a flush: nobody knows what is on the card
		{&os.PathError{Op: "write", Path: "x", Err: syscall.EIO}, record.StopHere},
	} {
		s := openTest(t, t.TempDir())
		if got := record.ClassOf(s.DB.judge(c.err)); got != c.class {
			t.Fatalf("%v: class %v", c.err, got)
		}
		if got := record.ClassOf(s.DB.Put(group(0, 1))); got != c.class {
			t.Fatalf("%v: class %v afterwards", c.err, got)
		}
	}
}
