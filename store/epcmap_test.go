package store

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"station-agent/store/record"
)

func hashOf(n int) string { return fmt.Sprintf("%032x", n*7777777) }

func lines(list ...MapLine) iter.Seq2[MapLine, error] {
	return func(yield func(MapLine, error) bool) {
		for _, l := range list {
			if !yield(l, nil) {
				return
			}
		}
	}
}

func sameEPCs(t *testing.T, s *Store, hash string, want ...string) {
	t.Helper()
	if got := s.EPCsOf(hash); !slices.Equal(got, want) {
		t.Fatalf("%s: %v, want %v", hash, got, want)
	}
}

func TestAMapOfTags(t *testing.T) {
	dir := t.TempDir()
	c := testConfig(dir, here)
	now := testNow()
	c.Now = func() record.Stamp { return now }
	s, err := Open(c)
	ok(t, err)
	if stats, at := s.Map(); stats != (MapStats{}) || !at.IsZero() {
		t.Fatal(stats, at)
	}
	sameEPCs(t, s, hashOf(1))
	text := strings.Repeat("h", hashLength)
	wide := strings.Repeat("h", hashLength/2) + strings.Repeat("ž", hashLength/2)
	long := strings.Repeat("E", longestEPC)
	first := lines(
		MapLine{"3034B", hashOf(2)}, MapLine{"3034A", hashOf(2)}, MapLine{"3034A", hashOf(1)}, MapLine{"3034A", hashOf(1)},
		MapLine{"urn:\x00x", text}, MapLine{"3034", text}, MapLine{long, hashOf(3)}, MapLine{"3034A", text},
		MapLine{"A", wide}, MapLine{"B", wide}, MapLine{"C", strings.Repeat("😀", hashLength)},
	)
	want := MapStats{EPCs: 8, Hashes: 6, Shared: 1}
	got, err := s.ImportMap(first)
	if err != nil || got != want {
		t.Fatal(got, err)
	}
	check := func() {
		t.Helper()
		sameEPCs(t, s, hashOf(1), "3034A")
		sameEPCs(t, s, hashOf(2), "3034A", "3034B")
		sameEPCs(t, s, hashOf(3), long)
		sameEPCs(t, s, text, "3034", "3034A", "urn:\x00x")
		sameEPCs(t, s, wide, "A", "B")
		sameEPCs(t, s, strings.Repeat("😀", hashLength), "C")
		sameEPCs(t, s, hashOf(4))
		sameEPCs(t, s, "")
		sameEPCs(t, s, text[:5])
		if stats, at := s.Map(); stats != want || !at.Equal(now.Wall) {
			t.Fatal(stats, at)
		}
		if left := names(t, dir); slices.ContainsFunc(left, func(n string) bool { return strings.Contains(n, "map") && n != mapName }) {
			t.Fatal(left)
		}
		for _, name := range []string{mapName, labelsName} {
			if i, err := os.Stat(filepath.Join(dir, name)); err != nil || i.Mode() != 0o600 {
				t.Fatal(name, i.Mode(), err)
			}
		}
	}
	check()
	ok(t, s.Close())
	s, err = Open(c)
	ok(t, err)
	check()
	for what, bad := range map[string]iter.Seq2[MapLine, error]{
		"the file ends": func(yield func(MapLine, error) bool) {
			_ = yield(MapLine{"1", hashOf(9)}, nil) && yield(MapLine{}, errors.New("the file ends"))
		},
		"it has no lines":              lines(),
		"line 2: the EPC":              lines(MapLine{"1", hashOf(9)}, MapLine{long + "E", hashOf(9)}),
		"line 1: the EPC":              lines(MapLine{"", hashOf(9)}),
		"line 1: the hash \"h\" has 1": lines(MapLine{"1", "h"}),
	} {
		if _, err := s.ImportMap(bad); err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), s.tags.path) {
			t.Errorf("%s: %v", what, err)
		}
		check()
	}
	now.Wall = now.Wall.AddDate(0, 0, 1)
	got, err = s.ImportMap(lines(MapLine{"3034C", hashOf(4)}))
	if err != nil || got != (MapStats{1, 1, 0}) {
		t.Fatal(got, err)
	}
	sameEPCs(t, s, hashOf(1))
	sameEPCs(t, s, hashOf(4), "3034C")
	ok(t, s.Close())
	if losses, err := Check(dir, true, Probe); err != nil || len(losses) > 0 {
		t.Fatal(losses, err)
	}
}

// TestALargeMapOfTags is compared with one in memory; importing it takes little of that.
func TestALargeMapOfTags(t *testing.T) {
	s := openTest(t, t.TempDir())
	const n = 300_000
	list := make([]MapLine, n)
	epcs, hashes := map[string][]string{}, map[string][]string{}
	for i, r := 0, rand.New(rand.NewPCG(1, 2)); i < n; i++ {
		l := MapLine{fmt.Sprintf("30340000000000%010d", r.IntN(n)), hashOf(r.IntN(n))}
		if r.IntN(100) == 0 {
			l.Hash = strings.ToUpper(l.Hash[:31]) + "x"
		}
		list[i] = l
		epcs[l.EPC], hashes[l.Hash] = append(epcs[l.EPC], l.Hash), append(hashes[l.Hash], l.EPC)
	}
	want := MapStats{EPCs: len(epcs), Hashes: len(hashes)}
	for _, of := range epcs {
		slices.Sort(of)
		want.Shared += one(len(slices.Compact(of)) > 1)
	}
	var before, m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var most uint64
	commits := 0
	s.tags.free = func(string) (int64, error) {
		if commits++; commits%10 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
		return 1 << 40, nil
	}
	got, err := s.ImportMap(lines(list...))
	if err != nil || got != want {
		t.Fatalf("%+v, want %+v, %v", got, want, err)
	}
	if mb := int64(most-before.HeapAlloc) >> 20; mb > 8 || commits < n/pairsAtOnce {
		t.Errorf("%d MiB, %d steps", mb, commits)
	}
	for hash, of := range hashes {
		slices.Sort(of)
		if got := s.EPCsOf(hash); !slices.Equal(got, slices.Compact(of)) {
			t.Fatalf("%s: %v, want %v", hash, got, of)
		}
	}
}

// TestTooLargeAMapIsRefused, before the card is full of it.
func TestTooLargeAMapIsRefused(t *testing.T) {
	if err := (MapLine{"1", hashOf(1)}).check(mostMapLines); err != nil {
		t.Error(err)
	}
	if err := (MapLine{"1", hashOf(1)}).check(mostMapLines + 1); err == nil || !strings.Contains(err.Error(), "more than 5000000 lines") {
		t.Error(err)
	}
	s := openTest(t, t.TempDir())
	_, err := s.ImportMap(lines(MapLine{"1", hashOf(1)}))
	ok(t, err)
	calls := 0
	for when := range 3 { // at each step
		s.tags.free = func(string) (int64, error) {
			if calls++; calls > when {
				return leastFree - 1, nil
			}
			return 1 << 40, nil
		}
		calls = 0
		if _, err := s.ImportMap(lines(MapLine{"2", hashOf(1)})); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "make room") {
			t.Fatal(when, err)
		}
		sameEPCs(t, s, hashOf(1), "1")
		if exists(s.tags.path + temporary) {
			t.Fatal("a half map takes room")
		}
	}
	s.tags.free = func(string) (int64, error) { return 0, syscall.EIO }
	if _, err := s.ImportMap(lines(MapLine{"2", hashOf(1)})); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
}

// TestReadersOfAMapSeeOneOrTheOther while it is replaced. For -race, too.
func TestReadersOfAMapSeeOneOrTheOther(t *testing.T) {
	s := openTest(t, t.TempDir())
	_, err := s.ImportMap(generationLines(1))
	ok(t, err)
	stop := make(chan bool)
	var g sync.WaitGroup
	for item := range 3 {
		g.Go(func() {
			last := 1
			for {
				select {
				case <-stop:
					return
				default:
				}
				if now := generationOf(s, item); now < last {
					t.Errorf("map %d after %d", now, last)
					return
				} else {
					last = now
				}
			}
		})
	}
	for generation := range 20 {
		_, err := s.ImportMap(generationLines(generation + 2))
		ok(t, err)
	}
	close(stop)
	g.Wait()
	if generationOf(s, 0) != 21 {
		t.Fatal(generationOf(s, 0))
	}
}

// TestADamagedMapIsSetAside, whatever of it is damaged, and the rest of the store goes on.
func TestADamagedMapIsSetAside(t *testing.T) {
	whole := t.TempDir()
	s := openTest(t, whole)
	_, err := s.ImportMap(generationLines(1))
	ok(t, errors.Join(err, s.Close()))
	b := read(t, filepath.Join(whole, mapName))
	harms := map[string][]byte{"empty": {}, "cut off": b[:len(b)-1], "half": b[:len(b)/2], "longer": append(bytes.Clone(b), 0), "text": []byte("text")}
	for page := 0; page < len(b); page += pageSize {
		bent := bytes.Clone(b)
		bent[min(page+17, len(b)-1)] ^= 4
		harms[fmt.Sprint("page ", page/pageSize)] = bent
	}
	for what, harm := range harms {
		dir := filepath.Join(t.TempDir(), "store")
		ok(t, os.CopyFS(dir, os.DirFS(whole)))
		path := filepath.Join(dir, mapName)
		ok(t, os.WriteFile(path, harm, 0o600))
		losses, err := Check(dir, false, Probe)
		if err != nil || len(losses) != 1 || losses[0].File != path || !strings.Contains(losses[0].What, "import the map again") {
			t.Errorf("%s: check: %+v %v", what, losses, err)
		}
		s := openTest(t, dir)
		if l := s.Losses(); len(l) != 1 || l[0].File != path+damagedSuffix || !exists(l[0].File) || !strings.Contains(l[0].What, "import the map again") {
			t.Errorf("%s: %+v", what, l)
		}
		sameEPCs(t, s, hashOf(0))
		_, err = s.ImportMap(generationLines(2))
		ok(t, err)
		if generationOf(s, 0) != 2 {
			t.Errorf("%s: the map can't be imported again", what)
		}
		ok(t, s.Close())
	}
}

// TestAMapThatRotsIsGivenUp while the agent runs, and said once.
func TestAMapThatRotsIsGivenUp(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	_, err := s.ImportMap(generationLines(1))
	ok(t, err)
	bendFile(t, filepath.Join(dir, mapName), func(b []byte) []byte {
		return bytes.Replace(b, []byte("TAG-1"), []byte("TAG-7"), 1) // of the first item
	})
	if generationOf(s, 5) != 1 {
		t.Fatal("what isn't damaged is not read")
	}
	sameEPCs(t, s, fmt.Sprintf("%032x", 0))
	sameEPCs(t, s, fmt.Sprintf("%032x", 5))
	if l := s.Losses(); len(l) != 1 || !strings.Contains(l[0].What, "import the map again") {
		t.Fatalf("%+v", l)
	}
}

// TestSorting compares with what a slice does, over many runs.
func TestSorting(t *testing.T) {
	s, err := newSorter(filepath.Join(t.TempDir(), "sorted"), func() error { return nil })
	ok(t, err)
	defer s.close()
	r := rand.New(rand.NewPCG(3, 4))
	var want []string
	for range 3*sortAtOnce + 100 {
		key := noise(r.IntN(30_000), r.IntN(6))
		want = append(want, key)
		ok(t, s.add([]byte(key)))
	}
	slices.Sort(want)
	want = slices.Compact(want)
	var got []string
	ok(t, s.each(func(key []byte) error { got = append(got, string(key)); return nil }))
	if !slices.Equal(got, want) || len(s.runs) != 4 {
		t.Fatalf("%d keys in %d runs, want %d", len(got), len(s.runs), len(want))
	}
	enough := errors.New("enough")
	if err := s.each(func([]byte) error { return enough }); err != enough {
		t.Fatal(err)
	}
}
