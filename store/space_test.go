package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"station-agent/store/record"
)

const smallCardSize = 64 << 20

func bigGroup(from, to int) record.Group {
	g := group(from, to)
	for i := range g.Records {
		noise := make([]byte, 500)
		rand.Read(noise)
		g.Records[i].Payload = fmt.Appendf(nil, "%q", hex.EncodeToString(noise))
	}
	return g
}

// fill puts groups of 200 until the store is full and tells how many records came in.
func fill(s *Store, from int) (next int, err error) {
	for next = from; next < 200_000; next += 200 {
		err := s.DB.Put(bigGroup(next, next+200))
		if errors.Is(err, ErrFull) { // as Run does it
			if err = s.DB.keepHouse(); err == nil {
				err = s.DB.Put(bigGroup(next, next+200))
			}
		}
		if errors.Is(err, ErrFull) {
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
		q, err := s.DB.Head(nil, 100, 1<<20)
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

// smallCard runs in a process with mounts of its own: a store on a card of 64 MiB, filled by capture and then by others.
func smallCard(dir string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", smallCardSize)); err != nil {
		return fmt.Errorf("no mount: %w", err)
	}
	c := testConfig(filepath.Join(dir, "store"), here)
	c.FileBytes = 2 << 20
	s, err := Open(c)
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
	s.DB.free = func(string) (int64, error) { return free, broken }
	ok(t, s.DB.Put(group(0, 10)))
	free = leastFree - 1<<20
	for _, g := range []record.Group{group(10, 11), {Position: record.Position{GTID: "0-1-11"}}} {
		err := s.DB.Put(g)
		if !errors.Is(err, ErrFull) || record.ClassOf(err) != record.Again || !s.DB.Stats().Paused {
			t.Fatal(err)
		}
	}
	ok(t, drain(s))
	free = leastFree + 1<<20
	if err := s.DB.Put(group(10, 11)); !errors.Is(err, ErrFull) {
		t.Fatal("it flaps:", err)
	}
	free = leastFree + leastFree/4
	ok(t, s.DB.Put(group(10, 11)))
	if s.DB.Stats().Paused {
		t.Fatal("still paused")
	}
	broken = syscall.EIO
	if err := s.DB.Put(group(11, 12)); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
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

// On a card that is quite full delivery goes on: it is what makes room.
func TestPostingOnAFullCard(t *testing.T) {
	if dir := os.Getenv("FULL_CARD"); dir != "" {
		ok(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"))
		c := testConfig(filepath.Join(dir, "store"), here)
		c.Reserve = -1
		s, err := Open(c)
		ok(t, err)
		s.DB.free = func(string) (int64, error) { return 1 << 40, nil }
		ok(t, s.DB.Put(group(0, 100)))
		_ = os.WriteFile(filepath.Join(dir, "of others"), make([]byte, 16<<20), 0o600)
		for n := uint64(1); err == nil; n++ { // as little as can be
			err = s.DB.commit(func(c *commit) error { c.Waived = n; return nil })
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		ok(t, s.DB.Posting(head(t, s.DB)[:50]))
		if q := head(t, s.DB); !q[49].Again || q[50].Again {
			t.Fatal("what was posted isn't known")
		}
		ok(t, os.Remove(filepath.Join(dir, "of others")))
		ok(t, s.Close())
		s, err = Open(c)
		ok(t, err)
		if q := head(t, s.DB); !q[49].Again || q[49].First.IsZero() {
			t.Fatal("what was posted isn't known after a restart")
		}
		ok(t, s.Close())
		return
	}
	c := exec.Command(os.Args[0], "-test.run=^TestPostingOnAFullCard$", "-test.v")
	c.Env = append(os.Environ(), "FULL_CARD="+t.TempDir())
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
