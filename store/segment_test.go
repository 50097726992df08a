package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station-agent/store/record"
)

// journalOf makes a journal of n scans and gives its only segment and the offset of the last entry.
func journalOf(t testing.TB, n int) (name string, data []byte, last int) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "journal")
	j := openJournalTest(t, dir, nil)
	for i := range n {
		last = int(j.end)
		mustAppend(t, j, scanEntry(fmt.Sprint(i)))
	}
	j.Close()
	name = segmentName(1)
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return name, data, last
}

func reopen(t testing.TB, name string, data []byte) (*Journal, error) {
	t.Helper()
	dir := folder(t, map[string][]byte{name: data})
	t.Cleanup(func() { os.RemoveAll(dir) })
	return openJournal(dir, testID, false, testNow, (&disk{}).open)
}

func TestATornTailIsCutAtEveryByte(t *testing.T) {
	name, whole, last := journalOf(t, 3)
	end := last + len(tail(whole, last))
	for at := last; at <= end; at++ {
		data := bytes.Clone(whole)
		clear(data[at:])
		j, err := reopen(t, name, data)
		if err != nil {
			t.Fatalf("torn at byte %d: %v", at, err)
		}
		want := 2
		if at == end {
			want = 3
		}
		got := codes(t, j.Replay)
		if len(got) != want || (j.Torn() > 0) != (at > last && at < end) {
			t.Fatalf("torn at byte %d of %d..%d: %v, %d bytes cut", at, last, end, got, j.Torn())
		}
		mustAppend(t, j, scanEntry("next"))
		j.Close()
		if got := codes(t, func(f func(record.Entry) error) error { return replay(j.dir, 1<<62, f) }); len(got) != want+1 {
			t.Fatalf("torn at byte %d: afterwards %v", at, got)
		}
	}
}

func TestBitFlipsInTheLastEntryAreATornTail(t *testing.T) {
	name, whole, last := journalOf(t, 3)
	for at := last; at < last+len(tail(whole, last)); at += 2 {
		data := bytes.Clone(whole)
		data[at] ^= 1 << (at % 8)
		j, err := reopen(t, name, data)
		if err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
		if got := codes(t, j.Replay); len(got) != 2 {
			t.Fatalf("byte %d: %v", at, got)
		}
		j.Close()
	}
}

func TestDamageBeforeDurableEntriesIsSaid(t *testing.T) {
	name, whole, last := journalOf(t, 4)
	for at := 0; at < last; at += 3 {
		data := bytes.Clone(whole)
		data[at] ^= 1 << (at % 8)
		j, err := reopen(t, name, data)
		if err == nil {
			t.Fatalf("byte %d: opened with %v", at, codes(t, j.Replay))
		}
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
}

func TestATruncatedSegmentIsDamage(t *testing.T) {
	name, whole, last := journalOf(t, 3)
	for _, n := range []int{0, 1, headerSize, last, last + 100, len(whole) - 1} {
		if _, err := reopen(t, name, whole[:n]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

// TestUnflushedBlocksArriveInAnyOrder takes every subset of the blocks that were written since the last flush: an entry
// that is missing there is a torn tail even though a later one is whole.
func TestUnflushedBlocksArriveInAnyOrder(t *testing.T) {
	const block = 4096
	dir := filepath.Join(t.TempDir(), "journal")
	j := openJournalTest(t, dir, nil)
	for n := range 6 {
		mustAppend(t, j, scanEntry(fmt.Sprint(n)))
	}
	before, err := os.ReadFile(j.path(segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 6 { // outcomes without a flush, then an entry during whose flush the power fails
		if err := j.Settle(record.Outcome{Intent: uint64(n + 1), Result: record.OtherValue, Text: strings.Repeat("x", 3000)}); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, j, scanEntry("last"))
	after, err := os.ReadFile(j.path(segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	blocks := (int(j.end) + block - 1) / block
	gaps := 0
	for subset := range 1 << blocks {
		data := bytes.Clone(before)
		for b := range blocks {
			if subset>>b&1 == 1 {
				copy(data[b*block:(b+1)*block], after[b*block:])
			}
		}
		j, err := reopen(t, segmentName(1), data)
		if err != nil {
			t.Fatalf("blocks %b: %v", subset, err)
		}
		if got := codes(t, j.Replay); len(got) < 6 || got[5] != "5" {
			t.Fatalf("blocks %b: %v", subset, got)
		}
		if j.Torn() > block {
			gaps++
		}
		j.Close()
	}
	if gaps == 0 {
		t.Fatal("no subset had a gap")
	}
}

func TestAnUnusedNewestSegmentGoes(t *testing.T) {
	name, whole, _ := journalOf(t, 3)
	for what, newest := range map[string][]byte{
		"zeros":           make([]byte, segmentSize),
		"half a header":   append(bytes.Clone(whole[:20]), make([]byte, segmentSize-20)...),
		"no checkpoint":   append(bytes.Clone(whole[:headerSize]), make([]byte, segmentSize-headerSize)...),
		"torn checkpoint": append(bytes.Clone(whole[:headerSize+40]), make([]byte, segmentSize-headerSize-40)...),
	} {
		dir := folder(t, map[string][]byte{name: whole, segmentName(5): newest, nextName: newest})
		j := openJournalTest(t, dir, nil)
		if got := codes(t, j.Replay); len(got) != 3 {
			t.Fatalf("%s: %v", what, got)
		}
		if files, _ := os.ReadDir(dir); len(files) != 1 {
			t.Fatalf("%s: %v", what, files)
		}
		j.Close()
	}
	// One that was in use doesn't go: its entries would be lost with it.
	used := bytes.Clone(whole)
	clear(used[:headerSize+30])
	dir := folder(t, map[string][]byte{segmentName(0): whole, name: used})
	if _, err := openJournal(dir, testID, false, testNow, openFile); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
}

func TestSegmentsOfOthersAreRefused(t *testing.T) {
	name, whole, _ := journalOf(t, 2)
	foreign, _ := appendHeader(nil, strings.Repeat("ab", idSize), 1)
	if _, err := reopen(t, name, append(foreign, whole[headerSize:]...)); !errors.Is(err, ErrForeign) {
		t.Fatal(err)
	}
	newer := bytes.Clone(whole)
	binary.LittleEndian.PutUint32(newer[8:], segmentVersion+1)
	if _, err := reopen(t, name, newer); !errors.Is(err, ErrNewer) {
		t.Fatal(err)
	}
}

func TestReplaySaysDamageInOldSegments(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j := openJournalTest(t, dir, nil)
	for n := range 30 {
		mustAppend(t, j, bigEntry(n))
	}
	firsts, _ := segments(dir)
	path := j.path(segmentName(firsts[1]))
	data, _ := os.ReadFile(path)
	data[segmentSize/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := j.Replay(func(record.Entry) error { n++; return nil }); !errors.Is(err, ErrDamaged) || n == 0 || n >= 30 {
		t.Fatal(n, err)
	}
	openJournalTest(t, dir, nil) // the state needs only the last
}

func FuzzSegment(f *testing.F) {
	_, whole, last := journalOf(f, 3)
	used := whole[:last+len(tail(whole, last))]
	f.Add(used)
	f.Add(used[:last+7])
	f.Add(append(bytes.Clone(used), used[headerSize:]...))
	f.Add([]byte(segmentMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s record.State
		n := 0
		end, err := walk(data, testID, 1, func(e record.Entry) error { s.Apply(e); n++; return nil })
		if end > len(data) || (err == nil) && n == 0 {
			t.Fatal(end, n, err)
		}
		if err != nil {
			return
		}
		// What was read is read again, and goes on.
		data = appendFrame(bytes.Clone(data[:end]), s.Seq+1, s.Seq, []byte(`{}`))
		again := 0
		if _, err := walk(data, testID, 1, func(record.Entry) error { again++; return nil }); err != nil || again != n+1 {
			t.Fatal(again, n, err)
		}
	})
}

// TestWhatWasCutNeverComesBack writes, over a torn entry, another of the same length: the one behind it must be gone.
func TestWhatWasCutNeverComesBack(t *testing.T) {
	j := openJournalTest(t, filepath.Join(t.TempDir(), "journal"), nil)
	for n := range 3 {
		mustAppend(t, j, scanEntry(fmt.Sprint(n)))
	}
	torn := j.end
	ok(t, j.Settle(record.Outcome{Intent: 1, Result: record.Settled}, record.Outcome{Intent: 2, Result: record.Settled}))
	data := read(t, j.path(segmentName(1)))
	data[torn+frameHead] ^= 1
	j, err := reopen(t, segmentName(1), data)
	ok(t, err)
	ok(t, j.Settle(record.Outcome{Intent: 3, Result: record.Settled}))
	ok(t, j.Close())
	if j, err = reopen(t, segmentName(1), read(t, j.path(segmentName(1)))); err != nil {
		t.Fatal(err)
	}
	if open := j.Open(); len(open) != 2 || open[1].ID != 2 || j.Torn() != 0 {
		t.Fatal(open, j.Torn())
	}
}
