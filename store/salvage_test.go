package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"station-agent/store/record"
)

// TestALossIsCountedAndDated: what is said is exactly what is gone, and when that was.
func TestALossIsCountedAndDated(t *testing.T) {
	h := historyTest(t, 30)
	name := h.names[len(h.names)-1]
	s, err := parseSegment("", 0, h.files[name], testID)
	ok(t, err)
	data := bytes.Clone(h.files[name])
	clear(data[s.frames[4].off+10 : s.frames[6].end])
	c := h.with(t, name, data)
	j, losses := salvaged(t, c)
	before, _ := s.frames[3].entry(false)
	after, _ := s.frames[7].entry(false)
	want := fmt.Sprintf("%s UTC to %s UTC", before.At.Wall.Format(time.DateTime), after.At.Wall.Format(time.DateTime))
	if len(losses) != 1 || losses[0].Count != 3 || losses[0].Moment != want {
		t.Fatalf("%+v, want 3 from %s", losses, want)
	}
	for _, words := range []string{"up to 3 scans", want, "look at what was packed then", name} {
		if !strings.Contains(losses[0].What, words) {
			t.Fatalf("%q doesn't say %q", losses[0].What, words)
		}
	}
	if got := string(read(t, losses[0].File)); got != string(data) {
		t.Fatal("the damaged segment was changed")
	}
	first := j.State().Seq
	if first < h.state.Seq+leapNumber || j.State().Intent < h.state.Intent+leapNumber {
		t.Fatal(j.State())
	}
	ok(t, j.Close())
}

func TestALastSegmentOfWhichNothingReads(t *testing.T) {
	h := historyTest(t, 60)
	for what, data := range map[string][]byte{"zeros": make([]byte, 32<<10), "nothing": {}, "noise": bytes.Repeat([]byte{0xa5, 1, 0}, 12<<10)} {
		c := h.with(t, h.names[len(h.names)-1], data)
		j, losses := salvaged(t, c)
		if len(losses) != 1 || losses[0].Count != -1 || !strings.Contains(losses[0].What, "unknown number of scans") {
			t.Fatalf("%s: %+v", what, losses)
		}
		s, err := parseSegment("", 0, h.files[h.names[len(h.names)-2]], testID)
		ok(t, err)
		var want record.State
		ok(t, s.each(func(e record.Entry) error { want.Apply(e); return nil }))
		if got := j.State(); !reflect.DeepEqual(got.Open, want.Open) || len(want.Open) == 0 {
			t.Fatalf("%s: it didn't go back to the segment before", what)
		}
		ok(t, j.Close())
	}
}

func TestAJournalOfWhichNothingReads(t *testing.T) {
	h := historyTest(t, 60)
	for name := range h.files {
		h.files[name] = make([]byte, 32<<10)
	}
	j, losses := salvaged(t, h.with(t, h.names[0], nil))
	if len(losses) != len(h.names) || losses[0].Count != -1 || j.State().Seq < leapNumber {
		t.Fatalf("%+v, %+v", losses, j.State())
	}
	mustAppend(t, j, scanEntry("a"))
}

func TestAJournalThatIsGone(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	mustAppend(t, s.Journal, scanEntry("a"))
	ok(t, s.Close())
	seen := map[uint64]bool{}
	for range 2 {
		ok(t, os.RemoveAll(filepath.Join(dir, journalFolder)))
		s = openTest(t, dir)
		if l := s.Losses(); len(l) != 1 || l[0].Count != -1 || !strings.Contains(l[0].What, "journal is gone") {
			t.Fatalf("%+v", l)
		}
		e := mustAppend(t, s.Journal, scanEntry("b"))
		if e.Seq < 1<<40 || e.Intents[0].ID < 1<<40 || seen[e.Seq] {
			t.Fatal("numbers that were used:", e.Seq, e.Intents[0].ID)
		}
		seen[e.Seq] = true
		ok(t, s.Close())
	}
	s = openTest(t, dir)
	if l := s.Losses(); len(l) != 1 {
		t.Fatalf("nobody has acknowledged it: %+v", l)
	}
	ok(t, s.Acknowledge())
	ok(t, s.Close())
	if l := openTest(t, dir).Losses(); len(l) != 0 {
		t.Fatalf("said again: %+v", l)
	}
}

// TestACrashAmidASalvage: the damaged segment keeps its name until what it held has a new place, and is said again.
func TestACrashAmidASalvage(t *testing.T) {
	h := historyTest(t, 30)
	name := h.names[len(h.names)-1]
	data := bytes.Clone(h.files[name])
	data[5000] ^= 1
	c := h.with(t, name, data)
	j, first := salvaged(t, c)
	want := j.State()
	ok(t, j.Close())
	ok(t, os.Rename(first[0].File, filepath.Join(c.Dir, journalFolder, name)))
	j, second := salvaged(t, c)
	if !reflect.DeepEqual(first, second) || !reflect.DeepEqual(j.State(), want) {
		t.Fatalf("%+v, then %+v", first, second)
	}
	ok(t, j.Close())
}

// TestABlockThatCantBeRead: a bad sector is damage like any other.
func TestABlockThatCantBeRead(t *testing.T) {
	h := historyTest(t, 30)
	name := h.names[len(h.names)-1]
	c := h.with(t, name, h.files[name])
	d := &disk{bad: func(path string, off, n int64) error {
		if filepath.Base(path) == name && off < 2*cardBlock && off+n > cardBlock {
			return syscall.EIO
		}
		return nil
	}}
	j, losses, err := openJournal(c, testID, true, d.open)
	if err != nil || len(losses) != 1 || losses[0].Count < 3 {
		t.Fatal(err, losses)
	}
	d.bad = nil
	if got := scansOf(t, c.Dir); len(got) != 30 { // it reads again
		t.Fatal(len(got))
	}
	ok(t, j.Close())
}

func TestFewDamagedSegmentsAreKept(t *testing.T) {
	c := journalConfig(filepath.Join(t.TempDir(), journalFolder))
	c.SegmentBytes = 32 << 10
	for n := range 2 * keepAside {
		j, _, err := openJournal(c, testID, n > 0, openFile)
		ok(t, err)
		e := mustAppend(t, j, scanEntry(fmt.Sprint(n)))
		mustAppend(t, j, scanEntry("behind"))
		path := j.path(segmentName(e.Seq - 1))
		ok(t, j.Close())
		data := read(t, path)
		data[headerSize+frameHead] ^= 1
		ok(t, os.WriteFile(path, data, 0o600))
	}
	aside, err := asides(filepath.Join(c.Dir, journalFolder))
	if err != nil || len(aside) != keepAside {
		t.Fatal(aside, err)
	}
}

func TestReplaySaysDamageInOldSegments(t *testing.T) {
	h := historyTest(t, 160)
	data := bytes.Clone(h.files[h.names[1]])
	data[len(data)/2] ^= 1
	c := h.with(t, h.names[1], data)
	j, losses := salvaged(t, c) // the state needs only the last
	if len(losses) != 0 {
		t.Fatal(losses)
	}
	n := 0
	err := j.Replay(func(e record.Entry) error { n++; return nil })
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), h.names[1]) || n < 100 {
		t.Fatal(n, err)
	}
	entries, losses, err := surveyJournal(j.dir, testID)
	if err != nil || entries != n || len(losses) != 1 || losses[0].Count != 1 {
		t.Fatal(entries, losses, err)
	}
	ok(t, j.Close())
}
