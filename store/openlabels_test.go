package store

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"station-agent/store/record"
	"strings"
	"testing"
)

// TestAUsedLabelIsKnownAfterACrash kills a store whose labels.db was brought up at different moments, or never, or is gone or
// damaged.
func TestAUsedLabelIsKnownAfterACrash(t *testing.T) {
	spoil := map[string]func(t *testing.T, path string){
		"as it is": func(*testing.T, string) {},
		"missing":  func(t *testing.T, path string) { ok(t, os.Remove(path)) },
		"damaged": func(t *testing.T, path string) {
			bendFile(t, path, func(b []byte) []byte { clear(b[2*pageSize:]); return b })
		},
		"no file of ours": func(t *testing.T, path string) { ok(t, os.WriteFile(path, []byte("text"), 0o600)) },
		"another value of folded": func(t *testing.T, path string) {
			bendFile(t, path, func(b []byte) []byte { return []byte(strings.ReplaceAll(string(b), foldedKey, "folden")) })
		},
	}
	for name, spoil := range spoil {
		t.Run(name, func(t *testing.T) {
			for foldAt := range 5 {
				dir := t.TempDir()
				c := testConfig(dir, here)
				c.SegmentBytes, c.Probe = 16<<10, probeInChild
				s, err := Open(c)
				ok(t, err)
				for n := range 4 {
					if n == foldAt {
						ok(t, s.labels.fold())
					}
					pack(t, s.Journal, fmt.Sprint("P", n), fmt.Sprint("a", n), fmt.Sprint("b", n))
					mustAppend(t, s.Journal, record.Entry{Scan: bigEntry(n).Scan}) // the journal turns
				}
				copied := filepath.Join(t.TempDir(), "store")
				ok(t, os.CopyFS(copied, os.DirFS(dir)))
				ok(t, s.Close())
				spoil(t, filepath.Join(copied, labelsName))
				c.Dir = copied
				s, err = Open(c)
				ok(t, err)
				for n := range 4 {
					if got := hashesOf(s, fmt.Sprint("P", n)); !slices.Equal(got, []string{fmt.Sprint("a", n), fmt.Sprint("b", n)}) {
						t.Errorf("folded before package %d: P%d holds %v", foldAt, n, got)
					}
				}
				told := len(s.Losses()) > 0
				if told != (name != "as it is" && name != "missing") || told && !exists(s.Losses()[0].File) {
					t.Errorf("%+v", s.Losses())
				}
				ok(t, s.Close())
			}
		})
	}
}

// TestLabelsAreReadFromFewSegments: opening reads the segments that labels.db lacks, and no more.
func TestLabelsAreReadFromFewSegments(t *testing.T) {
	dir := t.TempDir()
	c := testConfig(dir, here)
	c.SegmentBytes = 16 << 10
	s, err := Open(c)
	ok(t, err)
	for n := range 20 {
		pack(t, s.Journal, fmt.Sprint("P", n))
		mustAppend(t, s.Journal, record.Entry{Scan: bigEntry(n).Scan})
	}
	from := s.Journal.State().Seq - 3
	var read []uint64
	ok(t, eachSegmentFrom(s.Journal.dir, s.ID(), from, func(g, _ *segment, _ bool) error {
		read = append(read, g.first)
		return nil
	}))
	firsts, err := segments(s.Journal.dir)
	ok(t, err)
	if len(read) == 0 || len(read) > 2 || read[0] > from || len(firsts) < 8 {
		t.Fatalf("from %d on: %v of %v", from, read, firsts)
	}
	ok(t, s.Close())
	s, err = Open(c)
	ok(t, err)
	if n, _ := s.Journal.labelLag(); n > 0 || s.labels.file.folded != s.Journal.State().Seq {
		t.Fatalf("after a close %d changes of entries up to %d are behind %d", n, s.Journal.State().Seq, s.labels.file.folded)
	}
	ok(t, s.Close())
}

// TestLabelsThatHaveSeenMore: a card that forgot the end of the journal, and not labels.db.
func TestLabelsThatHaveSeenMore(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	pack(t, s.Journal, "P", "a")
	path := s.Journal.path(segmentName(1))
	before := read(t, path)
	pack(t, s.Journal, "P", "b")
	pack(t, s.Journal, "Q", "c")
	ok(t, s.Close())
	ok(t, os.WriteFile(path, before, 0o600))
	for range 2 {
		s = openTest(t, dir)
		if got := s.labels.file.folded; got > s.Journal.State().Seq {
			t.Fatalf("folded %d of %d", got, s.Journal.State().Seq)
		}
		pack(t, s.Journal, "P", "d")
		copied := filepath.Join(t.TempDir(), "store")
		ok(t, os.CopyFS(copied, os.DirFS(dir)))
		c := openTest(t, copied)
		for _, s := range []*Store{s, c} {
			if got := hashesOf(s, "P"); !slices.Equal(got, []string{"a", "b", "d"}) { // b is known, if not why
				t.Fatal(got)
			}
			if _, known := s.Use("Q"); !known {
				t.Fatal("Q is not known any more")
			}
		}
		ok(t, s.Close())
	}
}

// TestLabelsGoBeyondAGap: segments went, on a full card, that labels.db had not seen.
func TestLabelsGoBeyondAGap(t *testing.T) {
	dir := t.TempDir()
	c := testConfig(dir, here)
	c.SegmentBytes = 16 << 10
	s, err := Open(c)
	ok(t, err)
	pack(t, s.Journal, "P")
	ok(t, s.labels.fold())
	for n := range 9 {
		pack(t, s.Journal, fmt.Sprint("Q", n))
		mustAppend(t, s.Journal, record.Entry{Scan: bigEntry(n).Scan})
	}
	s.Journal.removeOver(2)
	copied := filepath.Join(t.TempDir(), "store")
	ok(t, os.CopyFS(copied, os.DirFS(dir)))
	ok(t, s.Close())
	c.Dir = copied
	s, err = Open(c)
	ok(t, err)
	if l := s.Losses(); len(l) != 1 || l[0].Count != -1 || !strings.Contains(l[0].What, "taken for new") {
		t.Fatalf("%+v", l)
	}
	for _, label := range []string{"P", "Q8"} {
		if _, known := s.Use(label); !known {
			t.Fatal(label, "is not known")
		}
	}
	ok(t, s.Acknowledge())
	again := filepath.Join(t.TempDir(), "store") // killed before anything was folded
	ok(t, os.CopyFS(again, os.DirFS(copied)))
	ok(t, s.Close())
	c.Dir = again
	s, err = Open(c)
	ok(t, err)
	if l := s.Losses(); len(l) != 0 {
		t.Fatalf("said twice: %+v", l)
	}
	ok(t, s.Close())
}

// TestLabelsOfOlderStores: a store of a release that had no labels.db.
func TestLabelsOfOlderStores(t *testing.T) {
	for _, fixture := range []string{"testdata/format1.tar.gz", "testdata/format2.tar.gz"} {
		s := openTest(t, unpackFixture(t, fixture))
		if u, known := s.Use("P"); !known || len(u.Items) == 0 || len(s.Losses()) > 0 {
			t.Errorf("%s: %+v %v", fixture, u, s.Losses())
		}
	}
}
