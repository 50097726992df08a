package store

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"station-agent/store/record"
)

const testID = "00112233445566778899aabbccddeeff"

var here = Identity{Environment: "test", Station: "bench-1", Database: "127.0.0.1:3306/external"}

func testNow() record.Stamp {
	return record.Stamp{Boot: "b", Mono: time.Minute, Wall: time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC), Trusted: true}
}

func testConfig(dir string, id Identity) Config { return Config{Dir: dir, Identity: id, Now: testNow} }

func openTest(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(testConfig(dir, here))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// disk is a card that counts, fails and can lose power: it knows what was flushed of every file and of the folder.
type disk struct {
	dir     string
	mu      sync.Mutex
	ops     []string                              // "open", "write", "datasync", "sync"
	blocks  int64                                 // that writes of anything but zeros touched
	hook    func(op, path string) error           // before the operation
	bad     func(path string, off, n int64) error // before a read
	flushed map[uint64][]byte                     // inode -> content at its last flush
	names   map[string]uint64                     // at the last flush of the folder
	watch   bool                                  // keep flushed and names
	lazy    bool                                  // flushes do nothing: the negative control
	after   func(op, path string, data []byte)    // what a second handle reads after a flush
}

// errSilent makes a write short without an error.
var errSilent = errors.New("silently short")

type diskFile struct {
	file
	d    *disk
	path string
}

func (d *disk) open(path string, flag int) (file, error) {
	if err := d.do("open", path); err != nil {
		return nil, err
	}
	f, err := openFile(path, flag)
	if err != nil {
		return nil, err
	}
	return diskFile{f, d, path}, nil
}

func (d *disk) do(op, path string) error {
	d.mu.Lock()
	d.ops = append(d.ops, op)
	d.mu.Unlock()
	if d.hook != nil {
		return d.hook(op, path)
	}
	return nil
}

func (f diskFile) ReadAt(b []byte, off int64) (int, error) {
	if f.d.bad != nil {
		if err := f.d.bad(f.path, off, int64(len(b))); err != nil {
			return 0, err
		}
	}
	return f.file.ReadAt(b, off)
}

func (f diskFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.d.do("write", f.path); err == io.ErrShortWrite || err == errSilent {
		n, _ := f.file.WriteAt(b[:len(b)/2], off)
		if err == errSilent {
			err = nil
		}
		return n, err
	} else if err != nil {
		return 0, err
	}
	if len(bytes.Trim(b, "\x00")) > 0 { // the zeros of new segments are written ahead
		first, last := off/cardBlock, (off+int64(len(b))-1)/cardBlock
		f.d.blocks += last - first + 1
	}
	return f.file.WriteAt(b, off)
}

func (f diskFile) Datasync() error { return f.flush("datasync") }
func (f diskFile) Sync() error     { return f.flush("sync") }

func (f diskFile) flush(op string) error {
	if err := f.d.do(op, f.path); err != nil {
		return err
	}
	if f.d.watch && !f.d.lazy {
		f.d.remember(f.file.(cardFile).File)
	}
	if f.d.after != nil {
		data, _ := os.ReadFile(f.path)
		f.d.after(op, f.path, data)
	}
	return nil // the real flush is left out: the page cache is our card
}

func (d *disk) remember(f *os.File) {
	info, _ := f.Stat()
	if info.IsDir() {
		d.names = map[string]uint64{}
		files, _ := os.ReadDir(d.dir)
		for _, e := range files {
			i, _ := e.Info()
			d.names[e.Name()] = inode(i)
		}
		return
	}
	b := make([]byte, info.Size()) // by the handle: another file may have the name by now
	f.ReadAt(b, 0)
	if d.flushed == nil {
		d.flushed = map[uint64][]byte{}
	}
	d.flushed[inode(info)] = b
}

func inode(i os.FileInfo) uint64 { return i.Sys().(*syscall.Stat_t).Ino }

// power gives the journal folder as a power cut now would leave it: everything that was written, or only what was flushed.
func (d *disk) power(t *testing.T, everything bool) map[string][]byte {
	t.Helper()
	state := map[string][]byte{}
	if !everything {
		for name, ino := range d.names {
			state[name] = d.flushed[ino]
		}
		return state
	}
	files, err := os.ReadDir(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(d.dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		state[f.Name()] = b
	}
	return state
}

func folder(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "journal")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name := range maps.Keys(files) {
		if err := os.WriteFile(filepath.Join(dir, name), files[name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// journalConfig is for a journal in dir, which ends in the journal's name, without the reserve beside it.
func journalConfig(dir string) Config {
	return Config{Dir: filepath.Dir(dir), Now: testNow, Reserve: -1}
}

func openJournalTest(t testing.TB, dir string, d *disk) *Journal {
	t.Helper()
	return openConfigured(t, journalConfig(dir), d)
}

// smallSegments is a journal that rotates after a few entries.
func smallSegments(t testing.TB, dir string, d *disk) *Journal {
	t.Helper()
	c := journalConfig(dir)
	c.SegmentBytes = 32 << 10
	return openConfigured(t, c, d)
}

func openConfigured(t testing.TB, c Config, d *disk) *Journal {
	t.Helper()
	if d == nil {
		d = &disk{}
	}
	d.dir = filepath.Join(c.Dir, journalFolder)
	j, losses, err := openJournal(c, testID, false, d.open)
	if err != nil || len(losses) > 0 {
		t.Fatal(err, losses)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func scanEntry(code string) record.Entry {
	return record.Entry{
		Scan:    &record.Scan{Tag: record.Tag{Reader: "scanner", Code: code}, Verdict: record.Accepted, Hash: code},
		Intents: []record.Intent{{Hash: code, Package: record.Package("P"), Replaces: []record.Value{nil}}},
	}
}

func mustAppend(t testing.TB, j *Journal, e record.Entry) record.Entry {
	t.Helper()
	e, err := j.Append(e)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func codes(t testing.TB, replay func(func(record.Entry) error) error) (codes []string) {
	t.Helper()
	err := replay(func(e record.Entry) error {
		if e.Scan != nil {
			codes = append(codes, e.Scan.Code)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return codes
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// noise is text of n bytes that no compressor makes much smaller.
func noise(seed, n int) string {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	for i := range b {
		b[i] = " !#$%'()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_abcde"[r.IntN(64)]
	}
	return string(b)
}
