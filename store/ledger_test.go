package store

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"station-agent/store/record"
)

// accept settles the records first..last with a receipt each.
func accept(t *testing.T, d *DB, first, last uint64) {
	t.Helper()
	var list []record.Delivery
	for seq := first; seq <= last; seq++ {
		list = append(list, record.Delivery{Seq: seq, Receipt: &record.Receipt{Hash: fmt.Sprint("h", seq)}})
	}
	ok(t, d.Settle(list))
}

// Each state is kept apart from the others, before and after a restart, and stands in the next file's summary.
func TestTheStatesOfTheLedgerAreKeptApart(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	ok(t, s.DB.Put(group(0, 8)))
	accept(t, s.DB, 1, 8)
	later := testNow().Wall.Add(time.Hour)
	states := []record.Anchoring{record.Pending, record.Overtaken, record.Mismatch, record.Missing, record.Unclear, record.Anchored, record.Retired, record.GivenUp}
	var looks []record.Look
	for i, state := range states {
		l := record.Look{Seq: uint64(i + 1), State: state, Answer: fmt.Appendf(nil, `"%s"`, state)}
		if !state.Ends() {
			l.Due = later
		}
		looks = append(looks, l)
	}
	ok(t, s.DB.Look(looks))
	check := func(when string) {
		t.Helper()
		want := record.Tally{Pending: 1, Superseded: 1, Mismatch: 1, Missing: 1, Unclear: 1}
		if got := s.DB.Tally(); got != want || got.All() != 5 {
			t.Fatalf("%s: %+v", when, got)
		}
		st := s.DB.Stats()
		if st.Ledger != want || st.Mismatches != 1 || st.Unanchored != 5 || st.Anchored != 1 || st.Retired != 1 || st.Unverified != 1 || st.NewlyUnverified != 1 {
			t.Fatalf("%s: %+v", when, st)
		}
		due, _, err := s.DB.Due(later.Add(time.Hour), 100)
		ok(t, err)
		for _, u := range due {
			if u.State != states[u.Seq-1] {
				t.Fatalf("%s: record %d is %s", when, u.Seq, u.State)
			}
		}
		ends := map[uint64]record.Anchoring{}
		ok(t, s.DB.Evidence(func(e Evidence) error {
			ends[e.Seq] = e.State
			if string(e.Answer) != fmt.Sprintf("%q", e.State) || string(e.Record.Payload) != string(rec(int(e.Seq-1)).Payload) {
				t.Fatalf("%s: %+v", when, e)
			}
			return nil
		}))
		if len(due) != 5 || !reflect.DeepEqual(ends, map[uint64]record.Anchoring{6: record.Anchored, 7: record.Retired, 8: record.GivenUp}) {
			t.Fatalf("%s: %d due, evidence %v", when, len(due), ends)
		}
	}
	check("at once")
	ok(t, s.Close())
	s = openTest(t, dir)
	check("after a restart")
	s.DB.log.turnNext = true
	ok(t, s.DB.commit(func(*commit) error { return nil }))
	ok(t, s.Close())
	s = openTest(t, dir)
	check("behind a summary")
}

// What exceeds the ledger's bound is given up, the superseded and the oldest first; it is counted, and told until a person knows of
// it. What needs a person stays.
func TestWhatExceedsTheLedgerIsUnverifiedAndCounted(t *testing.T) {
	cfg := testConfig(t.TempDir(), here)
	cfg.MaxUnproven = 10
	s, err := Open(cfg)
	ok(t, err)
	defer func() { s.Close() }()
	ok(t, s.DB.Put(group(0, 40)))
	accept(t, s.DB, 1, 10)
	later := testNow().Wall.Add(time.Hour)
	ok(t, s.DB.Look([]record.Look{{Seq: 1, State: record.Mismatch, Due: later}, {Seq: 2, State: record.Missing, Due: later}, {Seq: 5, State: record.Overtaken, Due: later}, {Seq: 6, State: record.Pending, Due: later}}))
	if st := s.DB.Stats(); st.Unverified != 0 || st.Retired != 0 || st.Unanchored != 10 {
		t.Fatalf("within the bound: %+v", st)
	}
	accept(t, s.DB, 11, 16)
	check := func(newly uint64) {
		t.Helper()
		st := s.DB.Stats()
		if st.Unverified != 5 || st.NewlyUnverified != newly || st.Retired != 1 || st.Unanchored != 10 || st.Mismatches != 1 || st.Ledger.Missing != 1 {
			t.Fatalf("%+v", st)
		}
		for seq, want := range map[uint64]bool{1: true, 2: true, 3: false, 4: false, 5: false, 6: false, 7: false, 8: false, 9: true, 16: true} {
			if s.DB.Holds(seq) != want {
				t.Fatalf("record %d in the ledger: %t", seq, !want)
			}
		}
	}
	check(5)
	ended := map[uint64]record.Anchoring{}
	ok(t, s.DB.Evidence(func(e Evidence) error {
		ended[e.Seq] = e.State
		b, err := json.Marshal(e)
		if err != nil || e.Receipt.Hash != fmt.Sprint("h", e.Seq) {
			t.Errorf("%s, %v", b, err)
		}
		return nil
	}))
	if len(ended) != 6 || ended[5] != record.Retired || ended[3] != record.GivenUp {
		t.Fatal(ended)
	}
	again := func() {
		t.Helper()
		ok(t, s.Close())
		s, err = Open(cfg)
		ok(t, err)
	}
	again()
	check(5)
	ok(t, s.Acknowledge())
	check(0)
	again()
	check(0)
	accept(t, s.DB, 17, 40)
	if st := s.DB.Stats(); st.NewlyUnverified != 24 || st.Unanchored != 10 {
		t.Fatalf("%+v", st)
	}
}

// A later change counts if it was sent or is to be, not if Certyo refused it.
func TestLater(t *testing.T) {
	s := openTest(t, t.TempDir())
	change := func(collection, id string, version int, op record.Op) record.Record {
		return record.Record{Database: "external", Collection: collection, ID: id, Version: fmt.Sprint(version), Op: op, Key: fmt.Sprint(collection, id, version), Payload: json.RawMessage(`{}`)}
	}
	put := func(r record.Record) {
		t.Helper()
		g := record.Group{Records: []record.Record{r}}
		if r.Collection == "c" {
			g.Shadow = []record.ShadowRow{{Collection: r.Collection, ID: r.ID, Version: r.Version, Payload: r.Payload, Gone: r.Op == record.Delete}}
		}
		ok(t, s.DB.Put(g))
	}
	later := func(seq uint64, want bool) {
		t.Helper()
		r, err := s.DB.record(seq)
		ok(t, err)
		got, err := s.DB.Later(record.Unproven{Seq: seq, Record: r.Record})
		if err != nil || got != want {
			t.Fatalf("a later change of record %d: %t, %v", seq, got, err)
		}
	}
	put(change("c", "a", 9, record.Update)) // 1
	later(1, false)
	put(change("c", "b", 11, record.Update)) // 2: another row
	later(1, false)
	put(change("c", "a", 10, record.Update)) // 3
	later(1, true)
	later(3, false)
	ok(t, s.DB.Settle([]record.Delivery{{Seq: 3, Refusal: "no"}}))
	later(1, false)
	put(change("c", "a", 12, record.Update)) // 4
	later(1, true)
	put(change("c", "b", 13, record.Delete)) // 5
	later(2, true)
	later(5, false)
	put(change("manifests", "PKG-1", 1, record.Insert)) // 6
	put(change("manifests", "PKG-2", 2, record.Insert)) // 7
	later(6, false)
	put(change("manifests", "PKG-1", 10, record.Update)) // 8
	later(6, true)
	later(8, false)
}

// Standings tells what became of each record once, from where its reader left off, with the receipt that came before; a reader that
// fails gets it again. What is to be written elsewhere survives a restart that way.
func TestStandings(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	mark := uint64(0)
	read := func(chunk int) (text []string) {
		t.Helper()
		for {
			next, err := s.DB.Standings(mark, chunk, func(list []record.Standing) error {
				for _, l := range list {
					text = append(text, fmt.Sprintf("%d %s %s", l.Seq, l.State, l.Receipt.Hash))
					if l.Since.IsZero() || string(l.Record.Payload) != string(rec(int(l.Seq-1)).Payload) {
						t.Fatalf("%+v", l)
					}
				}
				return nil
			})
			ok(t, err)
			if next == mark {
				return text
			}
			mark = next
		}
	}
	want := func(chunk int, lines ...string) {
		t.Helper()
		if got := read(chunk); !reflect.DeepEqual(got, lines) && len(got)+len(lines) > 0 {
			t.Fatalf("got %q, want %q", got, lines)
		}
	}
	want(10)
	ok(t, s.DB.Put(group(0, 6)))
	accept(t, s.DB, 1, 3)
	ok(t, s.DB.Flush())
	if _, err := s.DB.Standings(mark, 10, func([]record.Standing) error { return fmt.Errorf("away") }); err == nil {
		t.Fatal("a failure of the reader was swallowed")
	}
	want(2, "1 pending h1", "2 pending h2", "3 pending h3")
	want(2)
	ok(t, s.DB.Look([]record.Look{{Seq: 2, State: record.Mismatch, Due: testNow().Wall.Add(time.Hour)}}))
	accept(t, s.DB, 4, 4)
	ok(t, s.DB.Look([]record.Look{{Seq: 1, State: record.Anchored}, {Seq: 4, State: record.Anchored}}))
	ok(t, s.Close())
	s = openTest(t, dir)
	want(10, "4 anchored h4", "2 mismatch h2", "1 anchored h1")
	mark = 0
	want(1, "1 pending h1", "2 pending h2", "3 pending h3", "4 anchored h4", "2 mismatch h2", "1 anchored h1")
	mark = 1 << 40 // of another store
	want(100, "1 anchored h1", "2 mismatch h2", "3 pending h3", "4 anchored h4")
}
