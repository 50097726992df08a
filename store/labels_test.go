package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
)

// pack opens a package and puts items into it.
func pack(t testing.TB, j *Journal, label string, hashes ...string) {
	t.Helper()
	s := opened(label)
	mustAppend(t, j, record.Entry{Scan: &record.Scan{Step: record.Opened, Package: label}, Session: s})
	for _, h := range hashes {
		s.Items = append(s.Items, item(h))
		mustAppend(t, j, record.Entry{Scan: &record.Scan{Step: record.Added, Package: label, Hash: h}, Session: s, Intents: []record.Intent{into(label, h)}})
	}
}

// hashesOf lists what is known to be in a label.
func hashesOf(s *Store, label string) (hashes []string) {
	u, _ := s.Use(label)
	for _, i := range u.Items {
		hashes = append(hashes, i.Hash)
	}
	return hashes
}

// TestOnlyWhatIsOnTheCardIsFolded: an outcome that was not flushed may be lost, and its sequence used again.
func TestOnlyWhatIsOnTheCardIsFolded(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	pack(t, s.Journal, "P", "a")
	ok(t, s.Journal.Settle(record.Outcome{Intent: 1, Result: record.NoSuchRow}))
	ok(t, s.labels.fold())
	if s.labels.file.folded != s.Journal.durable || s.Journal.durable == s.Journal.written {
		t.Fatalf("folded %d, durable %d, written %d", s.labels.file.folded, s.Journal.durable, s.Journal.written)
	}
	if u, err := s.labels.file.get("P"); err != nil || len(u.items) != 1 || len(hashesOf(s, "P")) != 0 {
		t.Fatalf("%+v %v %v", u, err, hashesOf(s, "P"))
	}
}

// TestUseWaitsForNobody: not for a scan or a record that is being written, nor for the file being brought up.
func TestUseWaitsForNobody(t *testing.T) {
	s := openTest(t, t.TempDir())
	pack(t, s.Journal, "P", "a")
	ok(t, s.labels.fold())
	pack(t, s.Journal, "Q", "b")
	s.Journal.writing.Lock()
	defer s.Journal.writing.Unlock()
	s.Journal.flushing.Lock()
	defer s.Journal.flushing.Unlock()
	s.DB.turns.Lock()
	defer s.DB.turns.Unlock()
	tx, err := s.labels.file.bolt.Begin(true)
	ok(t, err)
	defer tx.Rollback()
	done := make(chan string)
	go func() { done <- says(s.Use("P")) + says(s.Use("Q")) }()
	select {
	case got := <-done:
		if got != "[a]@60[b]@60" {
			t.Fatal(got)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it waits")
	}
}

// TestUseBesideFolding: nothing is seen twice or not at all while the file is brought up. For -race, too.
func TestUseBesideFolding(t *testing.T) {
	s := openTest(t, t.TempDir())
	var g sync.WaitGroup
	stop := make(chan bool)
	g.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := s.labels.fold(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	var want []string
	for n := range 150 {
		h := fmt.Sprint("item ", n)
		mustAppend(t, s.Journal, record.Entry{Scan: &record.Scan{Step: record.Added, Package: "P"}, Intents: []record.Intent{into("P", h)}})
		if want = append(want, h); n%3 == 2 {
			mustAppend(t, s.Journal, record.Entry{Scan: &record.Scan{Step: record.Removed, Package: "P"}, Intents: []record.Intent{out(want[0], "P")}})
			want = want[1:]
		}
		for range 5 {
			if got := hashesOf(s, "P"); !slices.Equal(got, want) {
				t.Fatalf("after %d: %v, want %v", n, got, want)
			}
		}
	}
	close(stop)
	g.Wait()
}

// TestNothingIsMissedWhileFolding: what is folded between two looks, one into the memory and one into the file, is in both.
func TestNothingIsMissedWhileFolding(t *testing.T) {
	s := openTest(t, t.TempDir())
	s.labels.file.bolt.NoSync = true
	j := s.Journal
	var g sync.WaitGroup
	done := make(chan bool)
	g.Go(func() {
		defer close(done)
		for n := range 3000 {
			e := record.Entry{Seq: uint64(n + 2), At: testNow(), Intents: []record.Intent{into("P", fmt.Sprint(n%50))}}
			if n >= 50 {
				e.Scan = &record.Scan{Step: record.Added, Package: "P"}
			}
			e.Intents = append(e.Intents, out(fmt.Sprint((n+2)%3), "Q"), into("Q", fmt.Sprint(n%3)))
			j.reading.Lock()
			j.labels.note(e, &j.state)
			j.reading.Unlock()
			j.writing.Lock()
			j.durable = e.Seq
			j.writing.Unlock()
			if err := s.labels.fold(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for last := 0; ; {
		select {
		case <-done:
			g.Wait()
			if last != 50 {
				t.Fatal(last)
			}
			return
		default:
		}
		u := s.labels.get("P")
		if len(u.items) < last || u.seq != 0 && len(u.items) < 50 && len(u.items) != int(u.seq-1) {
			t.Fatalf("%d items by entry %d, %d before", len(u.items), u.seq, last)
		}
		last = len(u.items)
		if u = s.labels.get("Q"); u.seq > 0 && (len(u.items) != 1 || u.items[0].Hash != fmt.Sprint((u.seq-2)%3)) {
			t.Fatalf("%v by entry %d", u.items, u.seq)
		}
	}
}

// TestLabelsAreBroughtUpSeldom: when the journal turned or much was noted, and never within half a minute.
func TestLabelsAreBroughtUpSeldom(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(dir, here)
		c.SegmentBytes = 64 << 10
		s, err := Open(c)
		ok(t, err)
		ok(t, s.labels.fold())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		folded := func() bool {
			synctest.Wait()
			n, _ := s.Journal.labelLag()
			return n == 0
		}
		for n := range 25 {
			pack(t, s.Journal, fmt.Sprint("P", n), "a", "b")
		}
		time.Sleep(time.Hour)
		if folded() {
			t.Error("for a little")
		}
		for n := 0; len(names(t, s.Journal.dir)) < 2; n++ {
			mustAppend(t, s.Journal, record.Entry{Scan: bigEntry(n).Scan})
		}
		if folded() {
			t.Error("at once")
		}
		if time.Sleep(foldEvery); !folded() {
			t.Error("not after the journal turned")
		}
		var intents []record.Intent
		for n := range foldChanges / 10 {
			intents = append(intents, into("Q", fmt.Sprintf("%032x", n)))
		}
		for range 11 {
			mustAppend(t, s.Journal, record.Entry{Intents: intents})
		}
		if time.Sleep(foldEvery); !folded() {
			t.Error("not when much was noted")
		}
		cancel()
		ok(t, <-done)
		ok(t, s.Close())
	})
}

// TestAFullCardKeepsLabelsInMemory and tries again.
func TestAFullCardKeepsLabelsInMemory(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	pack(t, s.Journal, "P", "a")
	s.labels.file.bolt.MaxSize = 1
	for n := range 300 { // more than its free pages hold
		pack(t, s.Journal, fmt.Sprint("label ", n), noise(n, 200))
	}
	if err := s.labels.fold(); err == nil || record.ClassOf(err) != record.Again || !strings.Contains(err.Error(), s.labels.path) {
		t.Fatal(err)
	}
	if !slices.Equal(hashesOf(s, "P"), []string{"a"}) || !slices.Equal(hashesOf(s, "label 299"), []string{noise(299, 200)}) {
		t.Fatal("not known any more")
	}
	s.labels.file.bolt.MaxSize = 0
	ok(t, s.labels.fold())
	if n, _ := s.Journal.labelLag(); n != 0 || !slices.Equal(hashesOf(s, "P"), []string{"a"}) {
		t.Fatal(n, hashesOf(s, "P"))
	}
}

// TestADamagedLabelEndsTheAgent: the next start makes the file again. Until then the label counts as used.
func TestADamagedLabelEndsTheAgent(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	pack(t, s.Journal, "P", "a")
	ok(t, s.labels.fold())
	b, err := s.labels.file.bolt.Begin(true)
	ok(t, err)
	for _, label := range []string{"P", "Q"} {
		ok(t, b.Bucket([]byte(labelBucket)).Put([]byte(label), []byte("what isn't ours")))
	}
	ok(t, b.Commit())
	pack(t, s.Journal, "P", "b")
	if got := says(s.Use("P")) + says(s.Use("Q")); got != "[b]@60[]@0" {
		t.Fatal(got)
	}
	if err := s.labels.relieve(); record.ClassOf(err) != record.StopHere || !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), s.labels.path) {
		t.Fatal(err)
	}
	ok(t, s.Close())
	s = openTest(t, dir)
	if got := says(s.Use("P")); got != "[a b]@60" || len(s.Losses()) != 1 {
		t.Fatal(got, s.Losses())
	}
}
