package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
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
	q, err := d.Head(1<<20, 1<<30)
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
	size := int(s.DB.Stats().QueueBytes) / 10
	for _, c := range []struct{ max, bytes, want int }{{3, 1 << 20, 3}, {100, 1, 1}, {100, size*4 + size/2, 4}, {0, 100, 0}, {100, 1 << 30, 10}} {
		q, err := s.DB.Head(c.max, c.bytes)
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
	if err != nil || len(due) != 1 || !reflect.DeepEqual(due[0].Record, rec(0)) || due[0].Receipt.Hash != "h" || !next.Equal(due[0].Due) {
		t.Fatal(due, next, err)
	}
	answer := json.RawMessage(`{ "status": "<pending>" }`)
	later := now.Add(time.Hour)
	ok(t, s.DB.Look([]record.Look{{Seq: 1, State: record.Mismatch, Due: later, Answer: answer}, {Seq: 4, State: record.Anchored, Answer: answer}, {Seq: 4, State: record.Anchored}, {Seq: 77}}))
	want := Stats{QueueRecords: 1, OldestQueued: now, Unanchored: 1, OldestUnanchored: now, Anchored: 1, Accepted: 2, DeadLetters: 1, Mismatches: 1}
	check := func() {
		t.Helper()
		got := s.DB.Stats()
		if got.QueueBytes == 0 || got.FileBytes == 0 || got.EvidenceBytes == 0 {
			t.Fatalf("%+v", got)
		}
		got.QueueBytes, got.FileBytes, got.EvidenceBytes = 0, 0, 0
		if got != want {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	}
	check()
	ok(t, s.Close())
	s = openTest(t, dir)
	check()
	due, next, err = s.DB.Due(later, 10)
	if err != nil || len(due) != 1 || due[0].Looks != 1 || due[0].Seq != 1 || !next.IsZero() {
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
	want.Mismatches = 0
	check()
}

func TestPruneDropsOldEvidenceOnly(t *testing.T) {
	s := openTest(t, t.TempDir())
	const n = pruneStep*2 + 10
	ok(t, s.DB.Put(group(0, n)))
	var deliveries []record.Delivery
	var looks []record.Look
	for seq := uint64(1); seq <= n; seq++ {
		deliveries = append(deliveries, record.Delivery{Seq: seq, Receipt: &record.Receipt{}})
		looks = append(looks, record.Look{Seq: seq, State: record.Anchored})
	}
	ok(t, s.DB.Settle(deliveries))
	ok(t, s.DB.Look(looks[1:]))
	at := testNow().Wall
	if got, err := s.DB.Prune(at.AddDate(0, 0, 90)); got != 0 || err != nil {
		t.Fatal(got, err)
	}
	if got, err := s.DB.Prune(at.AddDate(0, 0, 91)); got != n-1 || err != nil {
		t.Fatal(got, err)
	}
	if st := s.DB.Stats(); st.Unanchored != 1 || st.EvidenceBytes != 0 {
		t.Fatalf("the ledger was pruned, or the count is wrong: %+v", st)
	}
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
	if rows, at, err := s.DB.LoadPicture(); rows != nil || !at.IsZero() || err != nil {
		t.Fatal(rows, at, err)
	}
	rows := []record.Row{{Hash: "a", Package: record.Package("P")}, {Hash: "b"}}
	ok(t, s.DB.SavePicture(rows, testNow().Wall))
	got, at, err := s.DB.LoadPicture()
	if err != nil || !at.Equal(testNow().Wall) || !reflect.DeepEqual(got, rows) {
		t.Fatal(got, at, err)
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
		if got := record.ClassOf(s.DB.uncommitted(c.err)); got != c.class {
			t.Fatalf("%v: class %v", c.err, got)
		}
		if got := record.ClassOf(s.DB.Put(group(0, 1))); got != c.class {
			t.Fatalf("%v: class %v afterwards", c.err, got)
		}
	}
}

func TestADamagedValueIsSaid(t *testing.T) {
	v, err := pack(struct{ A int }{7}, []byte("payload"), nil)
	ok(t, err)
	for n := range v {
		bad := bytes.Clone(v)
		bad[n] ^= 4
		if _, err := unpack(bad, &struct{ A int }{}); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d: %v", n, err)
		}
		if _, err := unpack(v[:n], &struct{ A int }{}); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

// TestADamagedFileNeverPanics spoils every page in three ways and uses the store: an error is fine, a panic is not.
func TestADamagedFileNeverPanics(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	ok(t, s.DB.Put(group(0, 40)))
	ok(t, s.DB.Settle([]record.Delivery{{Seq: 1, Receipt: &record.Receipt{}}}))
	ok(t, s.Close())
	whole, err := os.ReadFile(filepath.Join(dir, databaseFile))
	ok(t, err)
	var refused, worked int
	for off := 0; off < len(whole); off += pageSize {
		for _, spoil := range []func([]byte) []byte{
			func(b []byte) []byte { clear(b[off : off+pageSize]); return b },
			func(b []byte) []byte { copy(b[off:], bytes.Repeat([]byte{0xff}, pageSize)); return b },
			func(b []byte) []byte { return b[:off] },
		} {
			path := filepath.Join(t.TempDir(), databaseFile)
			ok(t, os.WriteFile(path, spoil(bytes.Clone(whole)), 0o600))
			if err := useDB(path, s.ID()); err != nil {
				refused++
			} else {
				worked++
			}
		}
	}
	if refused == 0 || worked == 0 {
		t.Fatal(refused, worked)
	}
}

func useDB(path, id string) error {
	d, err := openDB(path, id, testNow)
	if err != nil {
		return err
	}
	defer d.Close()
	_, headErr := d.Head(100, 1<<20)
	_, _, dueErr := d.Due(testNow().Wall.AddDate(1, 0, 0), 100)
	return errors.Join(headErr, dueErr, d.Put(group(40, 41)), d.Settle([]record.Delivery{{Seq: 2, Receipt: &record.Receipt{}}}))
}

func TestAFullStoreLetsOut(t *testing.T) {
	s := openTest(t, t.TempDir())
	ok(t, s.DB.Put(group(0, 10)))
	s.DB.limit = pageSize
	err := s.DB.Put(group(10, 11))
	if !errors.Is(err, ErrFull) || record.ClassOf(err) != record.Again || len(head(t, s.DB)) != 10 {
		t.Fatal(err)
	}
	if !strings.Contains(err.Error(), "MiB are in use") {
		t.Fatal(err)
	}
	ok(t, s.DB.Settle([]record.Delivery{{Seq: 1, Receipt: &record.Receipt{}}}))
	s.DB.limit = maxFile
	ok(t, s.DB.Put(group(10, 11)))
}
