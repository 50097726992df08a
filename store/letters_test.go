package store

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

// lettersOf reads all dead letters as "seq×tries".
func lettersOf(t *testing.T, d *DB) (got []string, list []DeadLetter) {
	t.Helper()
	ok(t, d.DeadLetters(func(l DeadLetter) error {
		got, list = append(got, fmt.Sprintf("%d×%d", l.Seq, l.Tries)), append(list, l)
		return nil
	}))
	return got, list
}

func refuse(t *testing.T, d *DB, text string, seqs ...uint64) {
	t.Helper()
	for _, seq := range seqs {
		ok(t, d.Settle([]record.Delivery{{Seq: seq, Refusal: text}}))
	}
}

// clockedStore is a store whose clock the test sets.
type clockedStore struct {
	*Store
	t   *testing.T
	cfg Config
	now record.Stamp
}

func openClocked(t *testing.T, change func(*Config)) *clockedStore {
	c := &clockedStore{t: t, now: testNow()}
	c.cfg = testConfig(t.TempDir(), here)
	c.cfg.Now = func() record.Stamp { return c.now }
	change(&c.cfg)
	c.open()
	t.Cleanup(func() { c.Close() })
	return c
}

func (c *clockedStore) open() {
	s, err := Open(c.cfg)
	ok(c.t, err)
	c.Store = s
}

func (c *clockedStore) reopen() {
	ok(c.t, c.Close())
	c.open()
}

// turn begins the next file of records, which begins with the state.
func (c *clockedStore) turn() {
	c.DB.log.turnNext = true
	ok(c.t, c.DB.commit(func(*commit) error { return nil }))
}

func (c *clockedStore) pass(d time.Duration) {
	c.now.Mono, c.now.Wall = c.now.Mono+d, c.now.Wall.Add(d)
}

func TestTriesAreCountedOverRetriesAndRestarts(t *testing.T) {
	s := openClocked(t, func(*Config) {})
	ok(t, s.DB.Put(group(0, 3)))
	began := s.now.Wall
	refuse(t, s.DB, "first", 1, 2, 3)
	for n := range 2 {
		s.reopen()
		s.pass(time.Hour)
		if n, err := s.DB.Retry(1, 2); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		s.turn()
		s.reopen()
		s.pass(time.Hour)
		refuse(t, s.DB, fmt.Sprint("again ", n), 1, 2)
	}
	ok(t, s.DB.Flush())
	s.turn()
	s.reopen()
	got, list := lettersOf(t, s.DB)
	if want := []string{"1×3", "2×3", "3×1"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	l := list[0]
	if l.Refusal != "again 1" || !l.First.Equal(began) || !l.At.Equal(began.Add(4*time.Hour)) || !list[2].First.Equal(list[2].At) {
		t.Errorf("%+v", list)
	}
	if st := s.DB.Stats(); !st.OldestRefused.Equal(began) || st.DeadLetterBytes != int64(3*len(rec(0).Payload)) {
		t.Errorf("%+v", st)
	}
}

// What was accepted or dropped in the end leaves no memory of its refusals.
func TestRefusalsOfWhatWentAreForgotten(t *testing.T) {
	s := openClocked(t, func(*Config) {})
	ok(t, s.DB.Put(group(0, 3)))
	refuse(t, s.DB, "no", 1, 2, 3)
	_, err := s.DB.Retry(1, 2, 3)
	ok(t, err)
	ok(t, s.DB.Settle([]record.Delivery{{Seq: 1, Receipt: &record.Receipt{}}}))
	_, err = s.DB.Drop(2)
	ok(t, err)
	if a := s.DB.state.Again; len(a) != 1 || a[0].Seq != 3 {
		t.Errorf("%+v", a)
	}
}

func TestDeadLettersAreBounded(t *testing.T) {
	size := int64(len(rec(0).Payload))
	for name, limit := range map[string]func(*Config){
		"by number": func(c *Config) { c.MaxRefused = 4 },
		"by bytes":  func(c *Config) { c.RefusedBytes = 4*size + size/2 },
	} {
		t.Run(name, func(t *testing.T) {
			s := openClocked(t, limit)
			ok(t, s.DB.Put(group(0, 9)))
			refuse(t, s.DB, "no", 5, 6, 7, 8, 1, 2)
			ok(t, s.DB.keepHouse())
			s.reopen()
			if got, _ := lettersOf(t, s.DB); !slices.Equal(got, []string{"1×1", "2×1", "7×1", "8×1"}) {
				t.Errorf("%v are left, want the four that were refused last", got)
			}
			ok(t, s.DB.keepHouse())
			if st := s.DB.Stats(); st.LettersSpilled != 2 || st.NewlySpilled != 2 || st.QueueRecords != 3 || st.Trouble != "" {
				t.Errorf("%+v", st)
			}
			ok(t, s.Acknowledge())
			s.reopen()
			if st := s.DB.Stats(); st.LettersSpilled != 2 || st.NewlySpilled != 0 {
				t.Errorf("acknowledged: %+v", st)
			}
		})
	}
}

// linesOf reads the exported dead letters of a folder.
func linesOf(t *testing.T, dir string) (lines []letterLine) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "refused-*.ndjson.gz"))
	ok(t, err)
	for _, path := range paths {
		f, err := os.Open(path)
		ok(t, err)
		defer f.Close()
		zip, err := gzip.NewReader(f)
		ok(t, err)
		for dec := json.NewDecoder(zip); dec.More(); {
			var l letterLine
			ok(t, dec.Decode(&l))
			lines = append(lines, l)
		}
	}
	return lines
}

func TestDeadLettersGoToTheExportFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "stick")
	s := openClocked(t, func(c *Config) { c.MaxRefused, c.ExportDir = 2, dir })
	ok(t, s.DB.Put(group(0, 9)))
	refuse(t, s.DB, "no", 1, 2, 3)
	ok(t, s.DB.keepHouse()) // the stick isn't there
	if st := s.DB.Stats(); st.DeadLetters != 3 || st.LettersSpilled != 0 || st.Trouble == "" {
		t.Errorf("%d dead letters, %d dropped, trouble %q: want all kept and said", st.DeadLetters, st.LettersSpilled, st.Trouble)
	}
	refuse(t, s.DB, "no", 4, 5, 6)
	ok(t, s.DB.keepHouse())
	if st := s.DB.Stats(); st.DeadLetters != 4 || st.LettersSpilled != 2 {
		t.Errorf("%d dead letters, %d dropped: want twice the bound kept", st.DeadLetters, st.LettersSpilled)
	}
	ok(t, os.Mkdir(dir, 0o700))
	ok(t, s.DB.keepHouse())
	if st := s.DB.Stats(); st.DeadLetters != 2 || st.LettersSpilled != 2 || st.LettersExported != 2 || st.Trouble != "" {
		t.Errorf("%+v", st)
	}
	b, err := json.Marshal(letterLine{Payload: []byte{}})
	ok(t, err)
	var fields map[string]any
	ok(t, json.Unmarshal(b, &fields))
	const want = "at bytes collection database first_refused_at id key op payload refusal refused_at seq tries version" // as of `outbox export`
	if got := strings.Join(slices.Sorted(maps.Keys(fields)), " "); got != want {
		t.Errorf("the fields are %s, want %s", got, want)
	}
	var seqs []uint64
	for _, l := range linesOf(t, dir) {
		seqs = append(seqs, l.Seq)
		if r := rec(int(l.Seq) - 1); string(l.Payload) != string(r.Payload) || l.Key != r.Key || l.Refusal != "no" || l.Tries != 1 {
			t.Errorf("%+v", l)
		}
	}
	if !slices.Equal(seqs, []uint64{3, 4}) {
		t.Errorf("%v were exported", seqs)
	}
	if got, _ := lettersOf(t, s.DB); !slices.Equal(got, []string{"5×1", "6×1"}) {
		t.Errorf("%v are left", got)
	}
}

// A state that an older program wrote has letters without tries, sizes and first times.
func TestLettersOfAnOlderProgram(t *testing.T) {
	var s state
	ok(t, json.Unmarshal([]byte(`{"refused":[{"seq":7,"text":"no","at":{"boot":"b","mono":1,"wall":"2025-03-01T12:00:00Z","trusted":true}}]}`), &s))
	if l := s.Refused[0]; l.tries() != 1 || l.first() != l.At || l.Bytes != 0 {
		t.Errorf("%+v", l)
	}
	b, err := json.Marshal(&s)
	ok(t, err)
	var older struct { // what that program reads
		Refused []struct {
			Seq  uint64       `json:"seq"`
			Text string       `json:"text"`
			At   record.Stamp `json:"at"`
		} `json:"refused"`
	}
	if err := json.Unmarshal(b, &older); err != nil || older.Refused[0].Seq != 7 || older.Refused[0].Text != "no" {
		t.Errorf("%v %+v", err, older)
	}
}

// What is remembered of records that wait once more is small, whatever Certyo said of them.
func TestWhatWaitsOnceMoreTakesLittleMemory(t *testing.T) {
	s := openClocked(t, func(*Config) {})
	ok(t, s.DB.Put(group(0, 50)))
	text := strings.Repeat("x", 1<<10)
	for seq := uint64(1); seq <= 50; seq++ {
		refuse(t, s.DB, text, seq)
	}
	var seqs []uint64
	for seq := uint64(1); seq <= 50; seq++ {
		seqs = append(seqs, seq)
	}
	_, err := s.DB.Retry(seqs...)
	ok(t, err)
	s.turn()
	s.reopen()
	again, err := json.Marshal(s.DB.state.Again)
	if err != nil || len(s.DB.state.Again) != 50 || len(again) > 50*300 {
		t.Errorf("%d letters take %d bytes: %v", len(s.DB.state.Again), len(again), err)
	}
	refuse(t, s.DB, "once more", 1)
	got, list := lettersOf(t, s.DB)
	if len(got) != 1 || got[0] != "1×2" || list[0].Refusal != "once more" {
		t.Errorf("%v %+v", got, list)
	}
}
