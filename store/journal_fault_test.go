package store

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"station-agent/store/record"
)

// working is what a script of the bench was told.
type working struct {
	acknowledged []uint64
	open         map[uint64]bool // intents of acknowledged scans, not settled yet
	broken       error           // the first error of class Stop
	refused      int             // scans that may be tried again
}

// script makes, uses and closes a journal: scans, outcomes, rotations, the reserve. Errors don't stop it, as they might
// not stop a caller who doesn't look.
func script(t *testing.T, d *disk) (w working, opened bool) {
	c := journalConfig(filepath.Join(t.TempDir(), journalFolder))
	c.SegmentBytes, c.Reserve = 16<<10, 16<<10
	d.dir = filepath.Join(c.Dir, journalFolder)
	w.open = map[uint64]bool{}
	j, losses, err := openJournal(c, testID, false, d.open)
	if err != nil || len(losses) > 0 {
		return w, false
	}
	j.reserve.free = func(string) (int64, error) { return 1 << 30, nil }
	for n := range 14 {
		e, err := j.Append(entryOf(n, 4<<10))
		w.note(t, err)
		if err != nil {
			continue
		}
		w.acknowledged = append(w.acknowledged, e.Seq)
		w.open[e.Intents[0].ID] = true
		if n%3 == 0 {
			err := j.Settle(record.Outcome{Intent: e.Intents[0].ID, Result: record.Settled})
			w.note(t, err)
			delete(w.open, e.Intents[0].ID)
		}
		if n%5 == 4 {
			w.note(t, j.tend())
		}
	}
	w.note(t, j.Close())
	return w, true
}

// note holds that a journal that has failed once for good goes on failing.
func (w *working) note(t *testing.T, err error) {
	t.Helper()
	switch {
	case w.broken != nil && err == nil:
		t.Fatalf("success behind %v", w.broken)
	case record.ClassOf(err) == record.StopHere && w.broken == nil:
		w.broken = err
	case err != nil && record.ClassOf(err) == record.Again:
		w.refused++
	}
}

// holds opens what a card may hold: all that was written, or only what was flushed.
func (w *working) holds(t *testing.T, d *disk, what string, opened, everything bool) {
	t.Helper()
	c := journalConfig(folder(t, d.power(t, everything)))
	defer os.RemoveAll(c.Dir)
	j, losses, err := openJournal(c, testID, opened, (&disk{}).open)
	if err != nil || len(losses) > 0 {
		t.Fatalf("%s: %v, %+v", what, err, losses)
	}
	defer j.Close()
	found := scansOf(t, c.Dir)
	for _, seq := range w.acknowledged {
		if _, ok := found[seq]; !ok {
			t.Fatalf("%s: acknowledged scan %d is gone (unflushed writes kept: %v)", what, seq, everything)
		}
	}
	open := map[uint64]bool{}
	for _, i := range j.Open() {
		open[i.ID] = true
	}
	for id := range w.open {
		if !open[id] {
			t.Fatalf("%s: intent %d isn't open any more", what, id)
		}
	}
	mustAppend(t, j, scanEntry("next"))
}

// TestEveryOperationFails breaks each single open, write and flush of the script in each way.
func TestEveryOperationFails(t *testing.T) {
	count := &disk{watch: true}
	if w, opened := script(t, count); !opened || len(w.acknowledged) != 14 || w.broken != nil {
		t.Fatalf("%+v", w)
	}
	stopped, refused := 0, 0
	for n := range count.ops {
		for _, fault := range []error{syscall.EIO, syscall.ENOSPC, io.ErrShortWrite, errSilent} {
			what := fmt.Sprintf("%v at operation %d, %s", fault, n, count.ops[n])
			d := &disk{watch: true}
			d.hook = func(op, _ string) error {
				switch {
				case len(d.ops) != n+1, op != "write" && (fault == io.ErrShortWrite || fault == errSilent):
					return nil
				}
				return fault
			}
			w, opened := script(t, d)
			if w.broken != nil {
				stopped++
			}
			refused += w.refused
			if w.refused > 1 || w.refused > 0 && !errors.Is(fault, syscall.ENOSPC) {
				t.Fatalf("%s: %d scans are to be tried again", what, w.refused)
			}
			for _, everything := range []bool{true, false} {
				w.holds(t, d, what, opened && (everything || len(d.names) > 0), everything)
			}
		}
	}
	if len(count.ops) < 60 || stopped < 100 || refused == 0 {
		t.Fatal("not enough happened:", len(count.ops), "operations,", stopped, "stops,", refused, "refused")
	}
}

// TestAFormat1JournalIsRead: a store of the first release, with five scans.
func TestAFormat1JournalIsRead(t *testing.T) {
	dir := unpackFixture(t, "testdata/format1.tar.gz")
	var c card
	ok(t, json.Unmarshal(read(t, filepath.Join(dir, identityFile)), &c))
	old := contents(t, filepath.Join(dir, journalFolder))
	config := journalConfig(filepath.Join(dir, journalFolder))
	for round := range 2 {
		if n := len(scansOf(t, dir)); n != 5+round {
			t.Fatal(n, "scans")
		}
		j, losses, err := openJournal(config, c.ID, true, openFile)
		if err != nil || len(losses) > 0 {
			t.Fatal(err, losses)
		}
		st := j.State()
		if len(st.Open) != 3+round || len(st.Parked) != 1 || st.Session.Package != "P" || st.Results[record.Settled] != 1 {
			t.Fatalf("%+v", st)
		}
		if i := st.Open[0]; j.ScanOf(i.Hash, i.Package) != i.Scan {
			t.Fatalf("the scan of %+v isn't known", i)
		}
		mustAppend(t, j, scanEntry("next"))
		for path, data := range old { // an older program doesn't find what it can't understand in its own file
			if string(read(t, path)) != data {
				t.Fatal(path, "was changed")
			}
		}
		ok(t, j.Close())
	}
}

func unpackFixture(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	ok(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	ok(t, err)
	dir := t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return dir
		}
		ok(t, err)
		to := filepath.Join(dir, h.Name)
		if strings.HasSuffix(h.Name, "/") {
			ok(t, os.MkdirAll(to, 0o700))
			continue
		}
		b, err := io.ReadAll(r)
		ok(t, err)
		ok(t, os.WriteFile(to, b, 0o600))
	}
}
