package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"station-agent/store/record"
)

const smallCardSize = 48 << 20

func bigGroup(from, to int) record.Group {
	g := group(from, to)
	for i := range g.Records {
		g.Records[i].Payload = append(append([]byte{'"'}, bytes.Repeat([]byte("x"), 1000)...), '"')
	}
	return g
}

// fill puts groups of 200 until the store is full and tells how many records came in.
func fill(s *Store, from int) (next int, err error) {
	for next = from; next < 200_000; next += 200 {
		if err := s.DB.Put(bigGroup(next, next+200)); errors.Is(err, ErrFull) {
			return next, nil
		} else if err != nil {
			return next, fmt.Errorf("put at %d: %w", next, err)
		}
	}
	return next, errors.New("the store took everything")
}

// drain settles and proves what is in the outbox, in batches as delivery and verification make them.
func drain(s *Store) error {
	for {
		q, err := s.DB.Head(100, 1<<20)
		if err != nil || len(q) == 0 {
			return err
		}
		var deliveries []record.Delivery
		var looks []record.Look
		for _, r := range q {
			deliveries = append(deliveries, record.Delivery{Seq: r.Seq, Receipt: &record.Receipt{Hash: "h"}})
			looks = append(looks, record.Look{Seq: r.Seq, State: record.Anchored, Answer: []byte(`{}`)})
		}
		if err := s.DB.Settle(deliveries); err != nil {
			return err
		}
		if err := s.DB.Look(looks); err != nil {
			return err
		}
	}
}

func scans(s *Store, n int) error {
	for i := range n {
		e, err := s.Journal.Append(bigEntry(i))
		if err != nil {
			return fmt.Errorf("scan %d: %w", i, err)
		}
		if err := s.Journal.Settle(record.Outcome{Intent: e.Intents[0].ID, Result: record.Settled}); err != nil {
			return err
		}
	}
	return nil
}

// smallCard runs in a process with mounts of its own: a store on a card of 48 MiB, filled by capture and then by others.
func smallCard(dir string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", smallCardSize)); err != nil {
		return fmt.Errorf("no mount: %w", err)
	}
	s, err := Open(testConfig(filepath.Join(dir, "store"), here))
	if err != nil {
		return err
	}
	next := 0
	for range 5 { // capture fills it, scans go on, delivery empties it
		n, err := fill(s, next)
		if err == nil && n == next {
			err = errors.New("capture never went on")
		}
		if next = n; err != nil {
			return err
		}
		if err := errors.Join(scans(s, 150), drain(s)); err != nil {
			return err
		}
	}
	if _, err := fill(s, next); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "of others"), make([]byte, smallCardSize), 0o600); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the card isn't full: %w", err)
	}
	if err := errors.Join(scans(s, 150), s.Close()); err != nil {
		return fmt.Errorf("on a card that is quite full: %w", err)
	}
	return nil
}

// Promise 9: capture pauses before a scan is refused, also on a card that is smaller than the file may become.
func TestCapturePausesBeforeAScanIsRefused(t *testing.T) {
	c := child("small card", t.TempDir())
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := c.CombinedOutput()
	var failed interface{ ExitCode() int }
	switch {
	case err != nil && !errors.As(err, &failed), strings.Contains(string(out), "no mount:"):
		t.Skipf("no small card can be mounted here, the tests with a made-up one remain: %v %s", err, out)
	case err != nil:
		t.Fatalf("%v: %s", err, out)
	}
}

func TestAFullCardPausesCaptureOnly(t *testing.T) {
	s := openTest(t, t.TempDir())
	free, broken := int64(1<<40), error(nil)
	s.DB.free = func(path string) (int64, error) {
		if path != s.DB.path {
			t.Error("asked for", path)
		}
		return free, broken
	}
	ok(t, s.DB.Put(group(0, 10)))
	free = leastReserve - 1<<20
	err := s.DB.Put(group(10, 11))
	if !errors.Is(err, ErrFull) || record.ClassOf(err) != record.Again || !strings.Contains(err.Error(), "31 MiB left, 32 are kept") {
		t.Fatal(err)
	}
	ok(t, drain(s))
	free = leastReserve + 1<<20
	ok(t, s.DB.Put(group(10, 11)))
	broken = syscall.EIO
	if err := s.DB.Put(group(11, 12)); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
}

// Pages that went free in the file are room: a file that filled its card once never gives the room back to it.
func TestFreedPagesAreRoom(t *testing.T) {
	for _, c := range []struct {
		s       space
		limit   int64
		most    int64
		refuses bool
		what    string
	}{
		{space{size: 400 << 20, used: 10 << 20, free: 0}, maxFile, 350 << 20, false, "an empty file on a full card"},
		{space{size: 400 << 20, used: 351 << 20, free: 0}, maxFile, 350 << 20, true, "a full file on a full card"},
		{space{size: 400 << 20, used: 400 << 20, free: 60 << 20}, maxFile, 410 << 20, false, "just enough"},
		{space{size: 10 << 20, used: 1 << 20, free: 1 << 20}, maxFile, -21 << 20, true, "others filled the card"},
		{space{size: 900 << 20, used: 901 << 20, free: 1 << 40}, 900 << 20, 900 << 20, true, "a full file"},
	} {
		if got := c.s.most(c.limit); got != c.most || c.s.used > got != c.refuses {
			t.Errorf("%s: may hold %d MiB", c.what, got>>20)
		}
	}
}

func TestEvidenceIsBoundedByBytes(t *testing.T) {
	s := openTest(t, t.TempDir())
	s.DB.limit = 1 << 20
	last := 0
	for last < 3000 {
		ok(t, s.DB.Put(bigGroup(last, last+50)))
		ok(t, drain(s))
		last += 50
	}
	var kept, bytes int64
	var first, newest uint64
	ok(t, s.DB.Evidence(func(e Evidence) error {
		if first == 0 {
			first = e.Seq
		}
		kept, bytes, newest = kept+1, bytes+int64(len(e.Record.Payload)), e.Seq
		return nil
	}))
	if st := s.DB.Stats(); st.EvidenceBytes > s.DB.limit/2 || st.EvidenceBytes < bytes || bytes < s.DB.limit/3 || st.Anchored != 3000 {
		t.Fatalf("%d bytes of payload, %+v", bytes, st)
	}
	if newest != 3000 || first != newest-uint64(kept)+1 {
		t.Fatalf("kept %d from %d to %d: not the newest", kept, first, newest)
	}
}

// One look drops a few hundred pieces at most, however much there is too much.
func TestTrimmingTakesSmallSteps(t *testing.T) {
	s := openTest(t, t.TempDir())
	ok(t, s.DB.Put(group(0, 1000)))
	ok(t, drain(s))
	s.DB.limit = 2
	ok(t, s.DB.Look(nil))
	n := 0
	ok(t, s.DB.Evidence(func(Evidence) error { n++; return nil }))
	if n != 1000-pruneStep {
		t.Fatal(n)
	}
}

func TestHistoryMakesRoomForScans(t *testing.T) {
	d := &disk{}
	dir := t.TempDir() + "/journal"
	j := openJournalTest(t, dir, d)
	full := 0
	d.hook = func(op, path string) error { // a card with room for three segments
		if firsts, _ := segments(dir); op == "open" && strings.HasSuffix(path, nextName) && len(firsts) > 2 {
			full++
			return syscall.ENOSPC
		}
		return nil
	}
	for n := range 60 {
		mustAppend(t, j, bigEntry(n))
	}
	if firsts, _ := segments(dir); full == 0 || len(firsts) != 3 {
		t.Fatal(full, firsts)
	}
	got := codes(t, j.Replay)
	if len(got) < 20 || got[len(got)-1] != "59" {
		t.Fatal(got)
	}
	j.Close()
	if open := openJournalTest(t, dir, d).Open(); len(open) != 60 {
		t.Fatal(len(open))
	}
}
