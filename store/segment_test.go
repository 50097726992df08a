package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station-agent/store/record"
)

// journalOf makes a journal of n scans and gives its only segment and the offset of the last entry.
func journalOf(t testing.TB, n int) (name string, data []byte, last int) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "journal")
	j := smallSegments(t, dir, nil)
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

func reopen(t testing.TB, name string, data []byte) (*Journal, []Loss, error) {
	t.Helper()
	dir := folder(t, map[string][]byte{name: data})
	t.Cleanup(func() { os.RemoveAll(dir) })
	return openJournal(journalConfig(dir), testID, true, (&disk{}).open)
}

// reopenWhole is reopen where nothing may be lost.
func reopenWhole(t testing.TB, what any, name string, data []byte) *Journal {
	t.Helper()
	j, losses, err := reopen(t, name, data)
	if err != nil || len(losses) > 0 {
		t.Fatalf("%v: %v, losses %+v", what, err, losses)
	}
	return j
}

func TestATornTailIsCutAtEveryByte(t *testing.T) {
	name, whole, last := journalOf(t, 3)
	end := last + len(tail(whole, last))
	for at := last; at <= end; at++ {
		data := bytes.Clone(whole)
		clear(data[at:])
		j := reopenWhole(t, at, name, data)
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
		j := reopenWhole(t, at, name, data)
		if got := codes(t, j.Replay); len(got) != 2 {
			t.Fatalf("byte %d: %v", at, got)
		}
		j.Close()
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
		if err := j.Settle(record.Outcome{Intent: uint64(n + 1), Result: record.OtherValue, Text: noise(n, 3000)}); err != nil {
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
		j := reopenWhole(t, subset, segmentName(1), data)
		if got := codes(t, j.Replay); len(got) < 6 || got[5] != "5" {
			t.Fatalf("blocks %b: %v", subset, got)
		}
		got, torn := j.State(), j.Torn()
		if torn > block {
			gaps++
		}
		mustAppend(t, j, scanEntry("next"))
		ok(t, j.Close())
		again := reopenWhole(t, subset, segmentName(1), read(t, j.path(segmentName(1))))
		if again.Torn() > 0 || again.State().Seq != got.Seq+1 || again.State().Results[record.OtherValue] != got.Results[record.OtherValue] {
			t.Fatalf("blocks %b: %+v, then %+v", subset, got, again.State())
		}
		again.Close()
	}
	if gaps == 0 {
		t.Fatal("no subset had a gap")
	}
}

func TestSegmentsOfOthersAreRefused(t *testing.T) {
	name, whole, _ := journalOf(t, 2)
	foreign, _ := appendHeader(nil, strings.Repeat("ab", idSize), 1)
	newer := bytes.Clone(whole)
	binary.LittleEndian.PutUint32(newer[8:], segmentVersion+1)
	binary.LittleEndian.PutUint32(newer[headerSize-4:], checksum(newer[:headerSize-4]))
	for want, data := range map[error][]byte{ErrForeign: append(foreign, whole[headerSize:]...), ErrNewer: newer} {
		dir := folder(t, map[string][]byte{name: data, nextName: {1}})
		if _, _, err := openJournal(journalConfig(dir), testID, true, openFile); !errors.Is(err, want) {
			t.Fatal(err)
		}
		if files := contents(t, dir); len(files) != 2 || files[filepath.Join(dir, name)] != string(data) {
			t.Fatal(want, "it was changed")
		}
	}
}

// TestEntriesLieWhereTheyWereWritten: what a power cut tears has left its room behind, and an entry behind other bytes is out of place.
// Repaired as if it weren't, the segment would read without it the next time.
func TestEntriesLieWhereTheyWereWritten(t *testing.T) {
	const first = 7
	for name, c := range map[string]struct {
		seqs  []uint64 // in order of the file; 0: bytes of a frame's length that are none
		wrong bool
	}{
		"whole":                       {[]uint64{7, 8, 9}, false},
		"one is torn":                 {[]uint64{7, 0, 9}, false},
		"one lies behind other bytes": {[]uint64{7, 8, 0, 9}, true},
		"so does the first":           {[]uint64{0, 7, 8}, true},
		"two have the room of one":    {[]uint64{7, 0, 10}, true},
	} {
		data, err := appendHeader(nil, testID, first)
		ok(t, err)
		for _, seq := range c.seqs {
			at := len(data)
			if data = appendFrame(data, seq, 0, []byte(`{}`)); seq == 0 {
				clear(data[at:])
				data[len(data)-1] = 1
			}
		}
		s := segment{first: first, frames: readFrames(data, first)}
		if s.misplaced() != c.wrong {
			t.Errorf("%s: %t", name, s.misplaced())
		}
	}
}

// TestAnEntryOutOfPlaceIsKept: the last one lies behind bytes that are none. It is read, the damage is told, and a second opening finds
// the same.
func TestAnEntryOutOfPlaceIsKept(t *testing.T) {
	name, whole, last := journalOf(t, 3)
	frame := bytes.Clone(tail(whole, last))
	data := bytes.Clone(whole)
	copy(data[last:], strings.Repeat("?", 50))
	copy(data[last+50:], frame)
	j, losses, err := reopen(t, name, data)
	ok(t, err)
	want := []string{"0", "1", "2"}
	if got := codes(t, j.Replay); !slices.Equal(got, want) || len(losses) != 1 {
		t.Errorf("%v, losses %+v", got, losses)
	}
	mustAppend(t, j, scanEntry("next"))
	dir := j.dir
	ok(t, j.Close())
	again, losses, err := openJournal(journalConfig(dir), testID, true, (&disk{}).open)
	ok(t, err)
	defer again.Close()
	if got := codes(t, again.Replay); !slices.Equal(got, append(want, "next")) || len(losses) > 0 {
		t.Errorf("again: %v, losses %+v", got, losses)
	}
}

func FuzzSegment(f *testing.F) {
	_, whole, last := journalOf(f, 3)
	used := whole[:last+len(tail(whole, last))]
	f.Add(used)
	f.Add(used[:last+7])
	f.Add(append(bytes.Clone(used), used[headerSize:]...))
	f.Add([]byte(segmentMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseSegment("fuzzed", 1, data, testID)
		if err != nil || s.checkpoint == nil {
			return
		}
		if s.misplaced() {
			return // it is damaged, and nobody repairs it
		}
		end := headerSize
		for n, fr := range s.frames {
			if fr.off < end || fr.end > len(data) || n > 0 && fr.seq <= s.frames[n-1].seq {
				t.Fatal(n, fr)
			}
			end = fr.end
		}
		s.missing(0)
		s.missing(s.last() + 7)
		// What was read is read again when it was repaired, and goes on.
		f := memory{bytes.Clone(data)}
		if _, err := repair(f, s); err != nil {
			t.Fatal(err)
		}
		data = appendFrame(f.data[:s.end()], s.last()+1, s.last(), []byte(`{}`))
		again, err := parseSegment("repaired", 1, data, testID)
		if err != nil || again.last() != s.last()+1 || uint64(len(again.frames)) != again.last()-s.first+1 || again.missing(0).entries > 0 {
			t.Fatal(err, len(again.frames), again.last())
		}
	})
}

// memory is a file that is not on a card.
type memory struct{ data []byte }

func (m memory) ReadAt(b []byte, off int64) (int, error)  { return copy(b, m.data[off:]), nil }
func (m memory) WriteAt(b []byte, off int64) (int, error) { return copy(m.data[off:], b), nil }
func (m memory) Datasync() error                          { return nil }
func (m memory) Sync() error                              { return nil }
func (m memory) Close() error                             { return nil }

// TestAHoleThatNobodyWasPromisedIsFilled: what stands behind a torn entry goes on, and the torn one never comes back.
func TestAHoleThatNobodyWasPromisedIsFilled(t *testing.T) {
	j := openJournalTest(t, filepath.Join(t.TempDir(), "journal"), nil)
	for n := range 4 {
		mustAppend(t, j, scanEntry(fmt.Sprint(n)))
	}
	ok(t, j.Settle(record.Outcome{Intent: 1, Result: record.Settled}, record.Outcome{Intent: 2, Result: record.Settled}, record.Outcome{Intent: 3, Result: record.Settled}))
	data := read(t, j.path(segmentName(1)))
	for _, holes := range [][]int{{0}, {0, 1}} {
		damaged, size := bytes.Clone(data), 0
		frames := readFrames(data, 1)
		for _, n := range holes {
			f := frames[len(frames)-3+n]
			damaged[f.off+frameHead] ^= 1
			size += f.end - f.off
		}
		k := reopenWhole(t, holes, segmentName(1), damaged)
		if k.Torn() != size || len(k.Open()) != 1+len(holes) {
			t.Fatal(holes, k.Torn(), k.Open())
		}
		ok(t, k.Settle(record.Outcome{Intent: 4, Result: record.Settled}))
		ok(t, k.Close())
		again := reopenWhole(t, holes, segmentName(1), read(t, k.path(segmentName(1))))
		if open := again.Open(); len(open) != len(holes) || open[0].ID != 1 || again.Torn() != 0 || len(codes(t, again.Replay)) != 4 {
			t.Fatal(holes, open, again.Torn())
		}
		ok(t, again.Close())
	}
}
