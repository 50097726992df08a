package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

// history is a journal of several segments, every entry acknowledged, and what was in it.
type history struct {
	files   map[string][]byte
	entries map[uint64]record.Entry
	state   record.State
	names   []string
}

// clockwork is a clock that goes on by a second whenever it is read.
func clockwork() func() record.Stamp {
	n := 0
	return func() record.Stamp {
		n++
		return record.Stamp{Boot: "b", Mono: time.Duration(n) * time.Second, Wall: testNow().Wall.Add(time.Duration(n) * time.Second), Trusted: true}
	}
}

func historyTest(t *testing.T, scans int) history {
	t.Helper()
	dir := filepath.Join(t.TempDir(), journalFolder)
	c := journalConfig(dir)
	c.SegmentBytes, c.Now = 32<<10, clockwork()
	j := openConfigured(t, c, nil)
	h := history{files: map[string][]byte{}, entries: map[uint64]record.Entry{}}
	for n := range scans {
		e := mustAppend(t, j, entryOf(n, 700))
		h.entries[e.Seq] = e
		if n%3 == 0 {
			ok(t, j.Settle(record.Outcome{Intent: e.Intents[0].ID, Result: record.Settled}))
		}
	}
	ok(t, j.Flush())
	h.state = j.State()
	ok(t, j.Close())
	for path, data := range contents(t, dir) {
		h.files[filepath.Base(path)] = []byte(data)
		h.names = append(h.names, filepath.Base(path))
	}
	slices.Sort(h.names)
	return h
}

// with is the history with one file changed.
func (h history) with(t testing.TB, name string, data []byte) Config {
	t.Helper()
	files := map[string][]byte{}
	for n, b := range h.files {
		files[n] = b
	}
	files[name] = data
	return journalConfig(folder(t, files))
}

func salvaged(t testing.TB, c Config) (*Journal, []Loss) {
	t.Helper()
	j, losses, err := openJournal(c, testID, true, (&disk{}).open)
	if err != nil {
		t.Fatal(err)
	}
	return j, losses
}

func scansOf(t testing.TB, dir string) map[uint64]record.Entry {
	t.Helper()
	found := map[uint64]record.Entry{}
	err := ReplayDir(dir, func(e record.Entry) error {
		if e.Scan != nil {
			found[e.Seq] = e
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	return found
}

// judge opens a damaged journal. Whatever was acknowledged is there or counted, but for the last entry, which nothing
// proves; nothing is there that never was; and it goes on with numbers of its own.
func (h history) judge(t *testing.T, c Config) {
	t.Helper()
	defer os.RemoveAll(c.Dir)
	_, said, err := surveyJournal(filepath.Join(c.Dir, journalFolder), testID)
	ok(t, err)
	j, losses := salvaged(t, c)
	for _, l := range losses {
		if !strings.Contains(l.File, asideMark) || !exists(l.File) || l.What == "" || !l.Scans || strings.Contains(l.What, "\n") {
			t.Fatalf("%+v", l)
		}
	}
	found := scansOf(t, c.Dir)
	missing := 0
	for seq, want := range h.entries {
		got, ok := found[seq]
		if ok && !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		if !ok && seq != h.state.Seq {
			missing++
		}
	}
	if len(found) > len(h.entries) {
		t.Fatal("entries were invented")
	}
	if missing > 0 && !covers(said, missing) {
		t.Fatalf("%d acknowledged entries are gone: %+v", missing, said)
	}
	st := j.State()
	if missing == 0 && len(said) == 0 && len(st.Open) < len(h.state.Open)-1 {
		t.Fatal(len(st.Open), "open intents")
	}
	for _, i := range h.state.Open {
		if _, ok := found[i.Scan]; ok && !slices.ContainsFunc(st.Open, func(k record.Intent) bool { return k.ID == i.ID }) {
			t.Fatalf("intent %d reads and isn't open", i.ID)
		}
	}
	e := mustAppend(t, j, scanEntry("next"))
	if len(losses) > 0 && (e.Seq <= h.state.Seq || e.Intents[0].ID <= h.state.Intent) {
		t.Fatalf("numbers used again: %+v", e)
	}
	want := j.State()
	ok(t, j.Close())
	j, losses = salvaged(t, c)
	if len(losses) > 0 || !reflect.DeepEqual(j.State(), want) {
		t.Fatalf("the second opening: %+v", losses)
	}
	ok(t, j.Close())
}

func covers(losses []Loss, missing int) bool {
	sum := 0
	for _, l := range losses {
		if l.Count < 0 {
			return true
		}
		sum += l.Count
	}
	return sum >= missing
}

func TestABitFlippedInEveryBlock(t *testing.T) {
	h := historyTest(t, 160)
	if len(h.names) < 4 {
		t.Fatal(h.names)
	}
	for n, name := range h.names {
		for block := 0; block < len(h.files[name]); block += cardBlock {
			for _, at := range []int{0, 37, 1234, 4095} {
				data := bytes.Clone(h.files[name])
				data[block+at] ^= 1 << (n % 8)
				h.judge(t, h.with(t, name, data))
			}
		}
	}
}

func TestASegmentCutOffAtEveryBlock(t *testing.T) {
	h := historyTest(t, 100)
	for _, name := range h.names {
		for size := 0; size < len(h.files[name]); size += cardBlock {
			h.judge(t, h.with(t, name, h.files[name][:size]))
		}
	}
}

func TestABlockOfZerosAnywhere(t *testing.T) {
	h := historyTest(t, 100)
	last := h.names[len(h.names)-1]
	s, err := parseSegment("", 0, h.files[last], testID)
	ok(t, err)
	for _, name := range h.names {
		for block := 0; block < len(h.files[name]); block += cardBlock {
			if name == last && block > s.frames[len(s.frames)-1].off-2*cardBlock {
				break // nothing proves what lies behind the last entry that reads
			}
			data := bytes.Clone(h.files[name])
			clear(data[block : block+cardBlock])
			h.judge(t, h.with(t, name, data))
		}
	}
}
