package store

import (
	"os"
	"path/filepath"
	"testing"

	"station-agent/store/record"
)

// swapped pages in a batch that was never flushed
func TestRepairScattered(t *testing.T) {
	base := filepath.Join(t.TempDir(), journalFolder)
	c := journalConfig(base)
	j := openConfigured(t, c, nil)
	var outs []record.Outcome
	for n := range 300 {
		outs = append(outs, record.Outcome{Intent: uint64(n + 1), Result: record.Settled, Text: noise(n, 60)})
	}
	if err := j.Settle(outs...); err != nil {
		t.Fatal(err)
	}
	firsts, _ := segments(j.dir)
	path := j.path(segmentName(firsts[0]))
	data := read(t, path)
	ok(t, j.Close())
	pages := len(tail(data, 0)) / 4096
	t.Log("pages", pages)
	for a := 1; a < pages; a++ {
		for b := 1; b < pages; b++ {
			if a == b {
				continue
			}
			func() {
				defer func() {
					if r := recover(); r != nil {
						t.Errorf("copy page %d over %d: panic %v", a, b, r)
					}
				}()
				d := append([]byte(nil), data...)
				copy(d[b*4096:], data[a*4096:(a+1)*4096])
				dir := folder(t, map[string][]byte{filepath.Base(path): d})
				c := journalConfig(dir)
				j, _, err := openJournal(c, testID, true, openFile)
				if err != nil {
					t.Error(err)
					return
				}
				seq := j.State().Seq
				j.Close()
				j, losses, err := openJournal(c, testID, true, openFile)
				if err != nil {
					t.Error(err)
					return
				}
				if j.State().Seq != seq || len(losses) > 0 {
					t.Errorf("copy %d over %d: seq %d then %d, %v", a, b, seq, j.State().Seq, losses)
				}
				j.Close()
				os.RemoveAll(dir)
			}()
		}
	}
}

// the reserve is made with the real freeSpace
func TestReserveIsMade(t *testing.T) {
	c := journalConfig(filepath.Join(t.TempDir(), journalFolder))
	c.Reserve = 1 << 20
	j := openConfigured(t, c, nil)
	ok(t, j.tend())
	if !exists(filepath.Join(c.Dir, reserveName)) || j.Short() {
		t.Fatal("no reserve; short:", j.Short())
	}
}

// one rotten byte in an old segment ends every export of evidence
func TestOldRotStopsExport(t *testing.T) {
	dir := t.TempDir()
	c := testConfig(dir, here)
	c.SegmentBytes, c.ExportDir, c.Reserve = 32<<10, t.TempDir(), -1
	s, err := Open(c)
	ok(t, err)
	defer s.Close()
	for n := range 60 {
		mustAppend(t, s.Journal, entryOf(n, 3000))
	}
	firsts, _ := segments(s.Journal.dir)
	t.Log(len(firsts), "segments")
	path := s.Journal.path(segmentName(firsts[1]))
	b := read(t, path)
	b[9000] ^= 1
	ok(t, os.WriteFile(path, b, 0o600))
	ok(t, s.DB.scans(map[uint64]*record.Entry{50: nil}))
}

func TestCheckMissesRecords(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	ok(t, s.DB.Put(record.Group{Position: record.Position{GTID: "0-1-1"}, Records: []record.Record{{ID: "a", Key: "k", Payload: []byte("{}")}}}))
	ok(t, s.Close())
	ok(t, os.RemoveAll(filepath.Join(dir, recordsFolder)))
	ok(t, os.Remove(filepath.Join(dir, rowsName)))
	if l, err := Check(dir, true, Probe); err != nil || len(l) == 0 {
		t.Fatal("sound:", l, err)
	}
}
