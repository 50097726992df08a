package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"station-agent/store/record"
)

var moveTime = time.Date(2025, 3, 2, 8, 0, 0, 0, time.UTC)

// movable makes a store with some of everything and closes it.
func movable(t *testing.T, dir string) {
	t.Helper()
	s := openTest(t, dir)
	for n := range 50 {
		_, err := s.Journal.Append(record.Entry{Scan: &record.Scan{Verdict: record.Accepted}, Intents: []record.Intent{{Hash: fmt.Sprint("item ", n)}}})
		ok(t, err)
	}
	ok(t, s.Journal.Settle(record.Outcome{Intent: 1, Result: record.Settled}, record.Outcome{Intent: 2, Result: record.OtherValue, Text: "elsewhere"}))
	ok(t, s.DB.Put(group(0, 30)))
	ok(t, s.DB.Settle([]record.Delivery{{Seq: 1, Receipt: &record.Receipt{Hash: "h"}}, {Seq: 2, Refusal: "no such tenant"}}))
	ok(t, s.DB.SavePicture(Picture{Rows: []record.Row{{Hash: "a"}}, At: moveTime}))
	pack(t, s.Journal, "P", "packed")
	_, err := s.ImportMap(generationLines(1))
	ok(t, errors.Join(err, s.Close()))
}

// archiveOf moves the store in dir into memory.
func archiveOf(t *testing.T, dir string) []byte {
	t.Helper()
	f, err := Lock(dir)
	ok(t, err)
	defer f.Close()
	var archive bytes.Buffer
	m, err := f.Export(&archive, moveTime)
	ok(t, err)
	if m.Lost() != 0 || m.Files[0].Name != identityFile || m.Identity != here {
		t.Fatalf("%+v", m)
	}
	ok(t, f.Moved("/mnt/stick/store", moveTime))
	return archive.Bytes()
}

// TestAMovedStoreGoesOnWhereItWas holds that a new card has the identity, the state, the unsent records under their
// numbers and keys, and the count of sessions of the old one, and that the old one is not used any more.
func TestAMovedStoreGoesOnWhereItWas(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "old"), filepath.Join(t.TempDir(), "new", "store")
	movable(t, from)
	before := contents(t, from)
	archive := archiveOf(t, from)
	refused(t, from, here, ErrMoved, "/mnt/stick/store", "2025-03-02", "store reopen")
	m, err := Import(testConfig(to, here), bytes.NewReader(archive))
	ok(t, err)
	after := contents(t, to)
	if len(after) != len(before) || len(m.Files) != len(before) {
		t.Fatalf("%d files, %d in the manifest, then %d", len(before), len(m.Files), len(after))
	}
	for path, want := range before {
		if name, _ := filepath.Rel(from, path); after[filepath.Join(to, name)] != want {
			t.Errorf("%s is not as it was", name)
		}
	}
	losses, err := Check(to, true, Probe)
	if err != nil || len(losses) != 0 {
		t.Fatal(losses, err)
	}
	s := openTest(t, to)
	if s.Session() != 2 || s.ID() != m.Store || len(s.Losses()) != 0 {
		t.Error(s.Session(), s.ID(), s.Losses())
	}
	if got := hashesOf(s, "P"); len(got) != 1 || generationOf(s, 0) != 1 {
		t.Error(got, s.EPCsOf(hashOf(0)))
	}
	head, err := s.DB.Head(nil, 100, 1<<20)
	ok(t, err)
	if state := s.Journal.State(); len(head) != 28 || head[0].Seq != 3 || head[0].Key == "" || len(state.Open) != 49 || len(state.Parked) != 1 || state.Intent != 51 {
		t.Errorf("%d records, %d open, %d parked", len(head), len(state.Open), len(state.Parked))
	}
	if q := s.DB.Stats(); q.QueueRecords != 28 || q.Unanchored != 1 || q.DeadLetters != 1 {
		t.Errorf("%+v", q)
	}
}

func TestAMovedStoreCanBeReopened(t *testing.T) {
	dir := t.TempDir()
	movable(t, dir)
	before := contents(t, dir)
	archiveOf(t, dir)
	f, err := Lock(dir)
	ok(t, err)
	if _, err := f.Export(io.Discard, moveTime); !errors.Is(err, ErrMoved) {
		t.Errorf("exported twice: %v", err)
	}
	m, err := f.Reopen()
	if err != nil || m.To != "/mnt/stick/store" || !m.At.Equal(moveTime) {
		t.Fatalf("%+v %v", m, err)
	}
	if _, err := f.Reopen(); err == nil {
		t.Error("reopened what was open")
	}
	ok(t, f.Close())
	for path, want := range contents(t, dir) {
		if before[path] != want {
			t.Errorf("%s is not as it was", path)
		}
	}
	openTest(t, dir)
}

// TestAStoreInUseIsNotMoved holds that nothing gets between the cut and the mark.
func TestAStoreInUseIsNotMoved(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	if _, err := Lock(dir); !errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
	if _, err := Check(dir, false, Probe); !errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
	f, err := s.Leave()
	ok(t, err)
	refused(t, dir, here, ErrLocked)
	ok(t, f.Close())
	if _, err := Lock(t.TempDir()); err == nil || !strings.Contains(err.Error(), "there is no store") {
		t.Fatal(err)
	}
}

// badCard gives every file with blocks that can't be read, and one that can't be opened at all.
type badCard struct {
	*os.File
	bad map[int64]bool // offsets of blocks
}

func (b badCard) ReadAt(p []byte, off int64) (int, error) {
	for block := off / blockSize * blockSize; block < off+int64(len(p)); block += blockSize {
		if b.bad[block] {
			n := max(0, block-off)
			n0, _ := b.File.ReadAt(p[:n], off)
			return n0, syscall.EIO
		}
	}
	return b.File.ReadAt(p, off)
}

// TestADyingCardIsExportedAsFarAsItReads loses just the blocks that can't be read, and says which.
func TestADyingCardIsExportedAsFarAsItReads(t *testing.T) {
	dir := t.TempDir()
	movable(t, dir)
	want, err := os.ReadFile(filepath.Join(dir, journalFolder, segmentName(1)))
	ok(t, err)
	ok(t, os.WriteFile(filepath.Join(dir, "gone.old"), []byte("twelve bytes"), 0o600))
	f, err := Lock(dir)
	ok(t, err)
	defer f.Close()
	f.open = func(path string) (source, error) {
		if filepath.Base(path) == "gone.old" {
			return nil, syscall.EIO
		}
		file, err := os.Open(path)
		bad := map[int64]bool{}
		if strings.HasSuffix(path, segmentSuffix) {
			bad = map[int64]bool{3 * blockSize: true, 4 * blockSize: true, 100 * blockSize: true}
		}
		return badCard{file, bad}, err
	}
	var archive bytes.Buffer
	m, err := f.Export(&archive, moveTime)
	ok(t, err)
	if m.Lost() != 3*blockSize+12 {
		t.Errorf("%d bytes are said to be lost", m.Lost())
	}
	for _, a := range m.Files {
		if strings.HasSuffix(a.Name, segmentSuffix) && (len(a.Lost) != 2 || a.Lost[0] != Span{3 * blockSize, 2 * blockSize} || a.Lost[1].Offset != 100*blockSize) {
			t.Errorf("%+v", a)
		}
	}
	got := map[string][]byte{}
	_, err = readArchive(&archive, func(name string, r io.Reader) (err error) { got[name], err = io.ReadAll(r); return err })
	ok(t, err)
	clear(want[3*blockSize : 5*blockSize])
	clear(want[100*blockSize : 101*blockSize])
	if !bytes.Equal(got["journal/"+segmentName(1)], want) || !bytes.Equal(got["gone.old"], make([]byte, 12)) {
		t.Error("what could be read is not what was there")
	}
}
