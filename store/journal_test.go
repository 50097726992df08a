package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"station-agent/store/record"
)

func TestAppendNumbersEntriesAndIntents(t *testing.T) {
	j := openJournalTest(t, t.TempDir()+"/journal", nil)
	mine := scanEntry("a")
	mine.Intents = append(mine.Intents, record.Intent{Hash: "b"})
	e := mustAppend(t, j, mine)
	if e.Seq != 2 || e.Intents[0].ID != 1 || e.Intents[1].ID != 2 || e.Intents[1].Scan != 2 || e.At != testNow() {
		t.Fatalf("%+v", e)
	}
	if mine.Intents[0].ID != 0 {
		t.Fatal("the caller's intents were written to")
	}
	if e = mustAppend(t, j, scanEntry("c")); e.Seq != 3 || e.Intents[0].ID != 3 {
		t.Fatalf("%+v", e)
	}
	select {
	case <-j.Changed():
	default:
		t.Fatal("no signal")
	}
	if _, err := j.Append(record.Entry{State: &record.State{}}); err == nil {
		t.Fatal("a checkpoint of a stranger was taken")
	}
}

func TestTheSessionOfTheCallerIsCopied(t *testing.T) {
	j := openJournalTest(t, t.TempDir()+"/journal", nil)
	s := &record.Session{Package: "P", Items: []record.Packed{{Hash: "a"}}}
	mustAppend(t, j, record.Entry{Session: s})
	s.Items[0].Hash = "changed"
	if got := j.State().Session.Items[0].Hash; got != "a" {
		t.Fatal(got)
	}
}

func TestAFailedFlushBreaksTheJournal(t *testing.T) {
	for _, failing := range []string{"write", "datasync"} {
		t.Run(failing, func(t *testing.T) {
			d := &disk{}
			dir := t.TempDir() + "/journal"
			j := openJournalTest(t, dir, d)
			mustAppend(t, j, scanEntry("a"))
			before := j.State()
			d.hook = func(op, _ string) error {
				if op == failing {
					return syscall.EIO
				}
				return nil
			}
			_, err := j.Append(scanEntry("b"))
			if record.ClassOf(err) != record.StopHere || !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), dir) {
				t.Fatalf("error %v", err)
			}
			d.hook = nil
			ops := len(d.ops)
			_, again := j.Append(scanEntry("b"))
			if again == nil || j.Settle(record.Outcome{Intent: 1, Result: record.Settled}) == nil || j.Flush() == nil {
				t.Fatal("it went on as if nothing had happened")
			}
			if len(d.ops) != ops {
				t.Fatal("the card was touched again:", d.ops[ops:])
			}
			if !reflect.DeepEqual(before, j.State()) {
				t.Fatal("the state went on")
			}
		})
	}
}

func TestAFullCardLeavesTheJournalWhole(t *testing.T) {
	d := &disk{}
	j := openJournalTest(t, t.TempDir()+"/journal", d)
	opened := false
	d.hook = func(op, path string) error {
		opened = opened || op == "open"
		if opened && op == "write" && strings.HasSuffix(path, nextName) {
			return syscall.ENOSPC
		}
		return nil
	}
	var n int
	var err error
	for ; err == nil && n < 100; n++ {
		_, err = j.Append(bigEntry(n))
	}
	if record.ClassOf(err) != record.Again || !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	before := j.State().Seq
	d.hook = nil
	if e := mustAppend(t, j, bigEntry(n)); e.Seq != before+2 { // the checkpoint lies between
		t.Fatal(e.Seq, before)
	}
}

func bigEntry(n int) record.Entry { return entryOf(n, 100<<10) }

func entryOf(n, size int) record.Entry {
	e := scanEntry(fmt.Sprint(n))
	e.Scan.Text = noise(n, size)
	return e
}

func TestAnEntryThatIsTooLargeIsRefused(t *testing.T) {
	j := openJournalTest(t, t.TempDir()+"/journal", nil)
	e := scanEntry("a")
	e.Scan.Text = noise(0, maxEntry)
	if _, err := j.Append(e); record.ClassOf(err) != record.ThisOne {
		t.Fatal(err)
	}
	mustAppend(t, j, scanEntry("b"))
}

func TestSettleIsFlushedByTheNextWhoFlushes(t *testing.T) {
	d := &disk{}
	j := openJournalTest(t, t.TempDir()+"/journal", d)
	mustAppend(t, j, scanEntry("a"))
	mustAppend(t, j, scanEntry("b"))
	d.ops = nil
	if err := j.Settle(record.Outcome{Intent: 1, Result: record.Settled}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(d.ops, " "); got != "write" {
		t.Fatal(got)
	}
	if open := j.Open(); len(open) != 1 || open[0].ID != 2 {
		t.Fatal(open)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- j.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(d.ops, " "); got != "write datasync" {
		t.Fatal(got)
	}
	if err := errors.Join(j.Flush(), j.Close(), j.Close()); err != nil || len(d.ops) != 2 {
		t.Fatal(err, d.ops)
	}
	if _, err := j.Append(scanEntry("c")); !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
}

func TestADismissalIsFlushedAtOnce(t *testing.T) {
	d := &disk{}
	j := openJournalTest(t, t.TempDir()+"/journal", d)
	mustAppend(t, j, scanEntry("a"))
	d.ops = nil
	if err := j.Settle(record.Outcome{Intent: 1, Result: record.Dismissed}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(d.ops, " "); got != "write datasync" {
		t.Fatal(got)
	}
}

func TestRotationCarriesOpenIntentsForward(t *testing.T) {
	dir := t.TempDir() + "/journal"
	j := smallSegments(t, dir, nil)
	first := mustAppend(t, j, scanEntry("first"))
	parked := mustAppend(t, j, scanEntry("parked"))
	if err := j.Settle(record.Outcome{Intent: parked.Intents[0].ID, Result: record.OtherValue}); err != nil {
		t.Fatal(err)
	}
	for n := range 120 {
		e := mustAppend(t, j, bigEntry(n))
		if err := j.Settle(record.Outcome{Intent: e.Intents[0].ID, Result: record.Settled}); err != nil {
			t.Fatal(err)
		}
	}
	firsts, err := segments(dir)
	if err != nil || len(firsts) != mostSegments {
		t.Fatal(firsts, err)
	}
	want := j.State()
	got := codes(t, j.Replay)
	if len(got) < 60 || got[len(got)-1] != "119" || slices.Contains(got, "first") {
		t.Fatal(got)
	}
	ok(t, j.Close())
	j = openJournalTest(t, dir, nil) // also when segments are made larger from now on
	if !reflect.DeepEqual(j.State(), want) {
		t.Fatalf("got  %+v\nwant %+v", j.State(), want)
	}
	if open := j.Open(); len(open) != 1 || !reflect.DeepEqual(open[0], first.Intents[0]) || len(j.State().Parked) != 1 {
		t.Fatal(open)
	}
}

func TestACheckpointLargerThanASegment(t *testing.T) {
	dir := t.TempDir() + "/journal"
	d := &disk{}
	j := openJournalTest(t, dir, d)
	for n := range 30 { // 30 x 1000 intents that nobody settles
		e := record.Entry{}
		for i := range 1000 {
			e.Intents = append(e.Intents, record.Intent{Hash: fmt.Sprintf("%032d", n*1000+i), Replaces: []record.Value{nil}})
		}
		mustAppend(t, j, e)
	}
	j.Close()
	j = openJournalTest(t, dir, d)
	if n := len(j.Open()); n != 30000 {
		t.Fatal(n)
	}
}

func TestTheSpareSegmentIsUsed(t *testing.T) {
	dir := t.TempDir() + "/journal"
	d := &disk{}
	j := openJournalTest(t, dir, d)
	n := 0
	for ; j.end <= j.size/2; n++ {
		mustAppend(t, j, bigEntry(n))
	}
	j.prepare()
	if _, err := os.Stat(j.path(spareName)); err != nil || len(j.wake) != 1 {
		t.Fatal(err, len(j.wake))
	}
	d.ops = nil
	for firsts, _ := segments(dir); len(firsts) == 1; firsts, _ = segments(dir) {
		d.ops = nil
		mustAppend(t, j, bigEntry(n))
		n++
	}
	if got := strings.Join(d.ops, " "); got != "write datasync open sync write datasync" {
		t.Fatal(got)
	}
	if got := codes(t, j.Replay); len(got) != n {
		t.Fatal(len(got), n)
	}
}

// TestOnlyTheLastSegmentCanBeTorn: what was written lazily is flushed before the next segment begins.
func TestOnlyTheLastSegmentCanBeTorn(t *testing.T) {
	d := &disk{}
	dir := t.TempDir() + "/journal"
	j := openJournalTest(t, dir, d)
	d.ops = nil
	for n := 0; len(d.ops) <= 2 && n < 100; n++ {
		ok(t, j.Settle(record.Outcome{Intent: 1, Result: record.Settled}))
		d.ops = nil
		mustAppend(t, j, record.Entry{Scan: bigEntry(n).Scan}) // a write and a flush, and more when it rotates
	}
	if got := strings.Join(d.ops[:2], " "); got != "datasync open" {
		t.Fatal(d.ops)
	}
}

func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	var g sync.WaitGroup
	var runErr error
	g.Go(func() { runErr = s.Journal.Run(ctx) })
	g.Go(func() { // assign
		for settled := 0; settled < 100; {
			<-s.Journal.Changed()
			for _, i := range s.Journal.Open() {
				settled++
				if err := s.Journal.Settle(record.Outcome{Intent: i.ID, Result: record.Settled}); err != nil {
					t.Error(err)
				}
			}
		}
		cancel()
	})
	for n := range 100 {
		mustAppend(t, s.Journal, bigOrSmall(n))
		if n%10 == 0 && len(codes(t, s.Journal.Replay)) < n {
			t.Error("replay at", n)
		}
	}
	g.Wait()
	want := s.Journal.State()
	ok(t, errors.Join(runErr, s.Close()))
	if got := openTest(t, dir).Journal.State(); !reflect.DeepEqual(got, want) || got.Results[record.Settled] != 100 {
		t.Fatalf("%+v", got)
	}
}
