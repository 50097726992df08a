package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bendFile changes a file of the store.
func bendFile(t *testing.T, path string, f func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	ok(t, err)
	ok(t, os.WriteFile(path, f(b), 0o600))
}

// entryAt gives the place of one entry in a segment.
func entryAt(t *testing.T, b []byte, seq uint64) (start, end int) {
	t.Helper()
	for off := headerSize; off < len(b); {
		f, whole := frameAt(b, off, 1, 1<<40)
		if !whole {
			break
		}
		if f.seq == seq {
			return off, f.end
		}
		off = f.end
	}
	t.Fatalf("no entry %d", seq)
	return 0, 0
}

// TestCheckCountsWhatIsLost breaks one thing at a time and wants its file, what is wrong and how much is lost, with not a
// byte changed.
func TestCheckCountsWhatIsLost(t *testing.T) {
	segment := filepath.Join(journalFolder, segmentName(1))
	for name, c := range map[string]struct {
		file   string
		change func(t *testing.T, b []byte) []byte
		what   string // "" if nothing is lost
		count  int
	}{
		"nothing": {segment, func(_ *testing.T, b []byte) []byte { return b }, "", 0},
		"three entries": {segment, func(t *testing.T, b []byte) []byte {
			start, _ := entryAt(t, b, 10)
			_, end := entryAt(t, b, 12)
			clear(b[start:end])
			return b
		}, "up to 3 scans", 3},
		"a bit of one entry": {segment, func(t *testing.T, b []byte) []byte {
			start, _ := entryAt(t, b, 20)
			b[start+frameHead+3] ^= 1
			return b
		}, "up to 1 scans", 1},
		"a torn tail": {segment, func(t *testing.T, b []byte) []byte {
			_, end := entryAt(t, b, 55)
			copy(b[end:], "half an entry")
			return b
		}, "", 0},
		"a whole entry behind a torn one, never promised": {segment, func(t *testing.T, b []byte) []byte {
			_, end := entryAt(t, b, 55)
			copy(b[end:], "half an entry")
			copy(b[end+100:], appendFrame(nil, 57, 55, []byte(`{"seq":57}`)))
			return b
		}, "", 0},
		"cut off":  {segment, func(_ *testing.T, b []byte) []byte { return b[:segmentSize/2] }, "cut off at byte 524288", 0},
		"a header": {segment, func(_ *testing.T, b []byte) []byte { b[3] ^= 1; return b }, "its header", 0},
		"identity": {identityFile, func(_ *testing.T, b []byte) []byte { return b[:10] }, "identity", 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			movable(t, dir)
			bendFile(t, filepath.Join(dir, c.file), func(b []byte) []byte { return c.change(t, b) })
			losses := checkUnharmed(t, dir, true)
			switch {
			case c.what == "" && len(losses) > 0:
				t.Fatalf("%+v", losses)
			case c.what == "":
			case len(losses) != 1 || !strings.Contains(losses[0].What, c.what) || losses[0].Count != c.count || losses[0].File != filepath.Join(dir, c.file):
				t.Fatalf("%+v", losses)
			}
		})
	}
}

func checkUnharmed(t *testing.T, dir string, deep bool) []Loss {
	t.Helper()
	before := contents(t, dir)
	losses, err := Check(dir, deep, probeInChild)
	ok(t, err)
	for path, want := range before {
		if b, _ := os.ReadFile(path); string(b) != want {
			t.Fatalf("%s was changed", path)
		}
	}
	for _, l := range losses {
		if strings.Contains(l.What, "\n") {
			t.Errorf("more than one line: %q", l.What)
		}
	}
	return losses
}

// TestCheckFindsDamagedRecords bends every page of every file of records: none is passed over by a deep check that opening
// and reading would meet, and nothing ends the program.
func TestCheckFindsDamagedRecords(t *testing.T) {
	dir := t.TempDir()
	movable(t, dir)
	var files []string
	for path := range contents(t, dir) {
		if strings.HasSuffix(path, ".db") {
			files = append(files, path)
		}
	}
	if len(files) == 0 {
		t.Fatal("no file of records")
	}
	for _, path := range files {
		found := 0
		whole, err := os.ReadFile(path)
		ok(t, err)
		for page := 0; page < len(whole); page += pageSize {
			bent := append([]byte(nil), whole...)
			for i := page; i < min(page+pageSize, len(whole)); i += 16 {
				bent[i] ^= 0x55
			}
			ok(t, os.WriteFile(path, bent, 0o600))
			for _, l := range checkUnharmed(t, dir, true) {
				if l.File != path {
					t.Errorf("%+v", l)
				}
				found++
			}
		}
		ok(t, os.WriteFile(path, whole, 0o600))
		if found == 0 {
			t.Errorf("%s: no damage was found", path)
		}
		t.Logf("%s: found in %d of %d pages", filepath.Base(path), found, len(whole)/pageSize)
	}
}

// TestCheckTellsDamageFromTrouble holds that a file which could not be looked at is not called damaged.
func TestCheckTellsDamageFromTrouble(t *testing.T) {
	dir := t.TempDir()
	movable(t, dir)
	away := errors.New("no process can be started")
	if losses, err := Check(dir, false, func(string) error { return away }); !errors.Is(err, away) || losses != nil {
		t.Error(losses, err)
	}
	if _, err := Check(t.TempDir(), false, Probe); err == nil {
		t.Error("an empty folder was checked")
	}
}
