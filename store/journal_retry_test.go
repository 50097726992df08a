package store

import (
	"errors"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"station-agent/store/record"
)

// TestAParkedIntentIsRetried: once more with the same wish, of the same scan, durably.
func TestAParkedIntentIsRetried(t *testing.T) {
	for _, result := range []record.Result{record.OtherValue, record.NoSuchRow, record.Refused} {
		for _, pkg := range []record.Value{nil, record.Package("P")} {
			dir := t.TempDir() + "/journal"
			d := &disk{}
			j := openJournalTest(t, dir, d)
			mustAppend(t, j, scanEntry("before"))
			e := mustAppend(t, j, record.Entry{Scan: &record.Scan{Hash: "a"}, Intents: []record.Intent{
				{Hash: "a", Package: pkg, Replaces: []record.Value{nil, record.Package("X")}, Unverified: true}}})
			ok(t, j.Settle(record.Outcome{Intent: 2, Result: result}))
			for len(j.Changed()) > 0 {
				<-j.Changed()
			}
			d.ops = nil
			again, err := j.Retry(2)
			ok(t, err)
			if strings.Join(d.ops, " ") != "write datasync" || len(j.Changed()) != 1 {
				t.Fatal(d.ops, len(j.Changed()))
			}
			want := e.Intents[0]
			want.ID = 3
			if !reflect.DeepEqual(again, []record.Intent{want}) || want.Scan != e.Seq {
				t.Fatalf("%+v, want %+v", again, want)
			}
			ok(t, j.Close())
			j = openJournalTest(t, dir, nil)
			st := j.State()
			if len(st.Parked) != 0 || len(st.Open) != 2 || !reflect.DeepEqual(st.Open[1], want) || j.ScanOf("a", pkg) != e.Seq {
				t.Fatalf("%+v, scan %d", st, j.ScanOf("a", pkg))
			}
			for _, id := range []uint64{1, 2, 3, 99} { // open, retried, open, never given
				if _, err := j.Retry(id); !errors.Is(err, ErrNotParked) {
					t.Errorf("intent %d: %v", id, err)
				}
			}
			ok(t, j.Settle(record.Outcome{Intent: 3, Result: result}, record.Outcome{Intent: 3, Result: record.Dismissed}))
			if _, err := j.Retry(3); !errors.Is(err, ErrNotParked) {
				t.Errorf("dismissed: %v", err)
			}
			if record.ClassOf(err) != record.Again {
				t.Error(record.ClassOf(err))
			}
		}
	}
}

// TestWhatIsSettledTogetherIsRetriedTogether: in one entry, and still of one scan, again and again.
func TestWhatIsSettledTogetherIsRetriedTogether(t *testing.T) {
	j := openJournalTest(t, t.TempDir()+"/journal", nil)
	together := func(hash string) record.Intent {
		return record.Intent{Hash: hash, Package: record.Package("P"), Together: true}
	}
	alone := record.Intent{Hash: "alone", Package: record.Package("P")}
	e := mustAppend(t, j, record.Entry{Scan: &record.Scan{}, Intents: []record.Intent{together("a"), together("b"), alone, together("c")}})
	other := mustAppend(t, j, record.Entry{Scan: &record.Scan{}, Intents: []record.Intent{together("d")}})
	for _, i := range append(e.Intents, other.Intents...) {
		ok(t, j.Settle(record.Outcome{Intent: i.ID, Result: record.Refused}))
	}
	id := e.Intents[3].ID
	for range 2 {
		seq := j.State().Seq
		again, err := j.Retry(id)
		ok(t, err)
		if len(again) != 3 || j.State().Seq != seq+1 {
			t.Fatalf("%+v", again)
		}
		for n, hash := range []string{"a", "b", "c"} {
			if again[n].Hash != hash || again[n].Scan != e.Seq || !again[n].Together {
				t.Fatalf("%+v", again)
			}
			ok(t, j.Settle(record.Outcome{Intent: again[n].ID, Result: record.Refused}))
		}
		id = again[1].ID
	}
	if again, err := j.Retry(e.Intents[2].ID); err != nil || len(again) != 1 || again[0].Hash != "alone" {
		t.Fatal(again, err)
	}
	if st := j.State(); len(st.Parked) != 4 || len(st.Open) != 1 {
		t.Fatalf("%+v", st)
	}
}

// TestANewerIntentIsNotRetriedAway: what was wanted of the row last stays what is wanted.
func TestANewerIntentIsNotRetriedAway(t *testing.T) {
	for _, parked := range []bool{false, true} {
		j := openJournalTest(t, t.TempDir()+"/journal", nil)
		mustAppend(t, j, record.Entry{Intents: []record.Intent{into("P", "a")}})
		mustAppend(t, j, record.Entry{Intents: []record.Intent{into("Q", "a")}})
		if parked {
			ok(t, j.Settle(record.Outcome{Intent: 2, Result: record.Refused}))
		}
		ok(t, j.Settle(record.Outcome{Intent: 1, Result: record.Refused}))
		before := j.State()
		if again, err := j.Retry(1); err == nil || errors.Is(err, ErrNotParked) || !strings.Contains(err.Error(), "intent 2 is newer") {
			t.Fatal(again, err)
		}
		if !reflect.DeepEqual(before, j.State()) {
			t.Fatal("something changed")
		}
		if parked {
			again, err := j.Retry(2)
			if err != nil || len(again) != 1 || *again[0].Package != "Q" {
				t.Fatal(again, err)
			}
		}
	}
}

// TestIntentsKnowTheirScan, also those whose entry begins a segment and gets another number than it was to have.
func TestIntentsKnowTheirScan(t *testing.T) {
	dir := t.TempDir() + "/journal"
	j := smallSegments(t, dir, nil)
	for n := range 20 {
		if e := mustAppend(t, j, entryOf(n, 6<<10)); e.Intents[0].Scan != e.Seq || j.ScanOf(e.Scan.Hash, e.Intents[0].Package) != e.Seq {
			t.Fatalf("entry %d: %+v", e.Seq, e.Intents)
		}
	}
	e := mustAppend(t, j, record.Entry{Intents: []record.Intent{{Hash: "of another scan", Scan: 7}}})
	if firsts, _ := segments(dir); len(firsts) < 3 || e.Intents[0].Scan != 7 {
		t.Fatalf("%v %+v", firsts, e.Intents)
	}
}

func TestARetryThatFailsParksOn(t *testing.T) {
	d := &disk{}
	j := openJournalTest(t, t.TempDir()+"/journal", d)
	mustAppend(t, j, scanEntry("a"))
	ok(t, j.Settle(record.Outcome{Intent: 1, Result: record.Refused}))
	ok(t, j.Flush())
	before := j.State()
	d.hook = func(op, _ string) error {
		if op == "datasync" {
			return syscall.EIO
		}
		return nil
	}
	if again, err := j.Retry(1); again != nil || record.ClassOf(err) != record.StopHere || !errors.Is(err, syscall.EIO) {
		t.Fatal(again, err)
	}
	if !reflect.DeepEqual(before, j.State()) {
		t.Fatal("the state went on")
	}
}

// TestACheckpointKeepsEverything: the state is the same before and after the journal turns and is opened again.
func TestACheckpointKeepsEverything(t *testing.T) {
	dir := t.TempDir() + "/journal"
	j := smallSegments(t, dir, nil)
	mustAppend(t, j, record.Entry{Scan: &record.Scan{Verdict: record.Accepted, Badge: &record.Badge{Pseudonym: "p", Shift: 3}},
		Session: &record.Session{
			Package: "P", Items: []record.Packed{{Hash: "a", Was: record.Package("X")}}, Kept: 1, Badge: &record.Badge{Pseudonym: "p", Shift: 3}, Shifts: 3,
			Undo: &record.Undoable{Step: record.Reopened, Package: "O", Items: []record.Packed{{Hash: "b"}}, Kept: 1, Count: 1,
				Moves: []record.Move{{Hash: "a", Was: record.Package("X"), Now: record.Package("P")}}, Badge: &record.Badge{Pseudonym: "q", Shift: 2}},
		},
		Intents: []record.Intent{{Hash: "a", Package: record.Package("P"), Replaces: []record.Value{nil, record.Package("X")}, Together: true, Unverified: true}, into("P", "b"), into("P", "c")}})
	ok(t, j.Settle(record.Outcome{Intent: 2, Result: record.OtherValue, Found: record.Package("Z"), Text: "elsewhere"}))
	mustAppend(t, j, record.Entry{Scan: &record.Scan{Step: record.Acknowledged, Verdict: record.Accepted}})
	ok(t, j.Settle(record.Outcome{Intent: 3, Result: record.Refused}))
	want := j.State()
	if len(want.Parked) != 2 || !want.Parked[0].Seen || want.Parked[1].Seen {
		t.Fatalf("%+v", want.Parked)
	}
	for n := range 8 {
		mustAppend(t, j, record.Entry{At: testNow(), Scan: &record.Scan{Text: noise(n, 6<<10)}})
	}
	if firsts, _ := segments(dir); len(firsts) < 2 {
		t.Fatal("it didn't turn")
	}
	ok(t, j.Close())
	j = smallSegments(t, dir, nil)
	got := j.State()
	want.Seq, want.Verdicts, want.LastScan, want.Clock = got.Seq, got.Verdicts, got.LastScan, got.Clock
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v\nwant %+v", got, want)
	}
}
