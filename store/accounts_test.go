package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"testing"
	"time"

	"station-agent/store/record"
)

// accounts are all that are known, by sequence.
func accounts(t *testing.T, d *DB) map[uint64]record.Account {
	t.Helper()
	all := map[uint64]record.Account{}
	take := func(a *record.Account) error {
		if _, twice := all[a.Seq]; twice {
			t.Errorf("record %d is told twice", a.Seq)
		}
		all[a.Seq] = *a
		return nil
	}
	every := func(*record.Record) bool { return true }
	behind, err := d.ExportedAccounts(every, take)
	ok(t, errors.Join(err, d.Accounts(behind, every, take)))
	return all
}

// Each fate of a record is told, at once and after a restart, with its bytes, its receipt, the last answer and the times.
func TestAccountsTellEveryFate(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	ok(t, s.DB.Put(group(0, 13)))
	accept(t, s.DB, 1, 8)
	fates := []record.Fate{"pending", "superseded", "mismatch", "missing", "unclear", "anchored", "retired", "unverified", record.Waits, record.DeadLetter, record.Waits, record.Dropped, record.Dropped}
	var looks []record.Look
	for i, fate := range fates[:8] {
		looks = append(looks, record.Look{Seq: uint64(i + 1), State: record.Anchoring(fate), Answer: fmt.Appendf(nil, `{"says": "%s of h%d"}`, fate, i+1), Due: testNow().Wall.Add(time.Hour)})
	}
	ok(t, s.DB.Look(looks))
	ok(t, s.DB.Settle([]record.Delivery{{Seq: 10, Refusal: "no such tenant"}, {Seq: 11, Refusal: "for a while"}, {Seq: 12, Refusal: "no"}}))
	_, err := s.DB.Retry(11)
	ok(t, err)
	_, err = s.DB.Drop(12, 13)
	ok(t, err)
	at := record.Moment{At: testNow().Wall.UTC(), Clock: "trusted"}
	check := func(when string) {
		t.Helper()
		all := accounts(t, s.DB)
		if len(all) != len(fates) {
			t.Fatalf("%s: %d accounts", when, len(all))
		}
		for i, fate := range fates {
			seq := uint64(i + 1)
			a := all[seq]
			if a.Fate != fate || !reflect.DeepEqual(a.Record, rec(i)) || a.Stored != at {
				t.Errorf("%s: record %d: %+v", when, seq, a)
			}
			if accepted := i < 8; accepted != (a.Receipt != nil) || accepted && (a.Receipt.Hash != fmt.Sprint("h", seq) || a.Accepted != at) {
				t.Errorf("%s: record %d: receipt %+v, accepted %v", when, seq, a.Receipt, a.Accepted)
			}
			want := ""
			if i > 0 && i < 8 { // what merely pends isn't kept
				want = fmt.Sprintf(`{"says": "%s of h%d"}`, fate, seq)
			}
			if string(a.Answer) != want || want != "" && a.Answered != at {
				t.Errorf("%s: record %d: answer %q", when, seq, a.Answer)
			}
			if refused := fate == record.DeadLetter; refused != (a.Refusal == "no such tenant") || refused && a.Refused != at || !refused && a.Refusal != "" {
				t.Errorf("%s: record %d: refusal %q at %v", when, seq, a.Refusal, a.Refused)
			}
		}
	}
	check("at once")
	ok(t, s.Close())
	s = openTest(t, dir)
	check("after a restart")
	nextFile(t, s.DB)
	ok(t, s.Close())
	s = openTest(t, dir)
	defer s.Close()
	check("behind a summary")
}

// What was exported and let go is told too, and what was carried on is told once, with its receipt.
func TestAccountsTellWhatWasCarriedAndExported(t *testing.T) {
	cfg := testConfig(t.TempDir(), here)
	cfg.ExportDir = t.TempDir()
	s, err := Open(cfg)
	ok(t, err)
	defer s.Close()
	d := s.DB
	ok(t, d.Put(group(0, 10)))
	anchorAll(t, d, 5, 6)
	ok(t, d.Settle([]record.Delivery{{Seq: 6, Receipt: &record.Receipt{Hash: "h6"}}}))
	ok(t, d.Flush())
	nextFile(t, d)
	ok(t, d.Put(group(10, 12)))
	_, next := d.oldest()
	d.turns.Lock()
	err = d.carry(d.liveBefore(next)) // a crash here leaves them in both files
	d.turns.Unlock()
	ok(t, err)
	if before := accounts(t, d); len(before) != 12 {
		t.Fatalf("%d accounts before", len(before))
	}
	behind := d.firstKept()
	_, err = d.sacrifice()
	ok(t, err)
	none := func(*record.Record) bool { return false }
	if err := d.Accounts(behind, none, nil); !errors.Is(err, errTurned) {
		t.Errorf("what went between the two readings is told by none of them: %v", err)
	}
	if _, err := d.log.holding(1); err == nil {
		t.Fatal("the first file is still there: this tests nothing")
	}
	all := accounts(t, d)
	for seq := uint64(1); seq <= 12; seq++ {
		a, want := all[seq], record.Fate("anchored")
		switch {
		case seq == 5 || seq > 10:
			want = record.Waits
		case seq == 6:
			want = "pending"
		}
		var payload, sent any
		_ = json.Unmarshal(a.Record.Payload, &payload)
		_ = json.Unmarshal(rec(int(seq-1)).Payload, &sent)
		if a.Fate != want || a.Record.Key != rec(int(seq-1)).Key || !reflect.DeepEqual(payload, sent) {
			t.Errorf("record %d: %+v, want %s", seq, a, want)
		}
		if want == "anchored" && (a.Receipt == nil || string(a.Answer) != `{"x":1}`) {
			t.Errorf("record %d: %+v", seq, a)
		}
	}
	if a := all[6]; a.Receipt == nil || a.Receipt.Hash != "h6" || a.Accepted.Clock != "trusted" {
		t.Errorf("carried on: %+v", a)
	}
}

// What becomes of a record while it is told is told, or is for the next time: it is never lost.
func TestAccountsOfRecordsThatAreOnTheirWay(t *testing.T) {
	s := openTest(t, t.TempDir())
	defer s.Close()
	ok(t, s.DB.Put(group(0, 3)))
	ok(t, s.DB.Accounts(0, func(r *record.Record) bool {
		if r.ID == rec(1).ID {
			accept(t, s.DB, 1, 2)
			ok(t, s.DB.Look([]record.Look{{Seq: 1, State: record.Anchored, Answer: []byte(`{}`)}}))
		}
		return true
	}, func(a *record.Account) error {
		if want := []record.Fate{"anchored", "pending", record.Waits}[a.Seq-1]; a.Fate != want {
			t.Errorf("record %d is %s, want %s", a.Seq, a.Fate, want)
		}
		return nil
	}))
}

// A hundred thousand records are told within some tens of megabytes.
func TestAccountsTakeLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes some seconds")
	}
	s := openTest(t, t.TempDir())
	defer s.Close()
	const all = 100_000
	for n := 0; n < all; n += 1000 {
		ok(t, s.DB.Put(group(n, n+1000)))
		anchorAll(t, s.DB)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, most, n := m.HeapAlloc, uint64(0), 0
	ok(t, s.DB.Accounts(0, func(*record.Record) bool { return true }, func(a *record.Account) error {
		if n++; n%5000 == 1 {
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
		if a.Fate != "anchored" {
			t.Fatalf("%+v", a)
		}
		return nil
	}))
	if more := int64(most) - int64(before); n != all || more > 40<<20 {
		t.Errorf("%d records, %d MiB more", n, more>>20)
	} else {
		t.Logf("%d records, %d MiB more", n, more>>20)
	}
}
