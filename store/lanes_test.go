package store

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"station-agent/store/record"
)

// state makes a record of a row that was found, version v of row n.
func foundState(n, v int) record.Record {
	r := rec(n)
	r.Key, r.Version, r.Op = fmt.Sprintf("s:run/%d/%d", n, v), fmt.Sprint(v), record.Upsert
	return r
}

func change(n, v int) record.Record {
	r := rec(n)
	r.Key, r.Version = fmt.Sprintf("b:%d/%d", n, v), fmt.Sprint(v)
	return r
}

func seqsOf(q []record.Queued) (seqs []uint64) {
	for _, r := range q {
		seqs = append(seqs, r.Seq)
	}
	return seqs
}

func same(t *testing.T, what string, got []record.Queued, want ...uint64) {
	t.Helper()
	if !slices.Equal(seqsOf(got), want) {
		t.Fatalf("%s: %v, want %v", what, seqsOf(got), want)
	}
}

func TestChangesGoBeforeWhatWasFound(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	ok(t, s.DB.Put(record.Group{Records: []record.Record{foundState(1, 1), foundState(2, 1), change(9, 1), foundState(3, 1)}}))
	ok(t, s.DB.Put(record.Group{Records: []record.Record{change(2, 2), change(9, 2)}}))
	gone := change(3, 2)
	gone.Op = record.Delete
	ok(t, s.DB.Put(record.Group{Records: []record.Record{gone}}))
	check := func(when string) {
		t.Helper()
		same(t, when, head(t, s.DB), 3, 5, 6, 7, 1)
		if q := s.DB.Stats(); q.QueueRecords != 5 || q.QueueHistory != 1 || q.Passed != 2 {
			t.Fatalf("%s: %+v", when, q)
		}
	}
	check("at first")
	ok(t, s.Close())
	s = openTest(t, dir)
	check("after a restart")
	q, err := s.DB.Pick(nil, 2, 1<<20, func(q *record.Queued) bool { return q.ID == rec(9).ID })
	ok(t, err)
	same(t, "without a row", q, 5, 7)
	ok(t, s.DB.Settle([]record.Delivery{{Seq: 3, Receipt: &record.Receipt{}}, {Seq: 5, Receipt: &record.Receipt{}}, {Seq: 6, Receipt: &record.Receipt{}}, {Seq: 7, Refusal: "no"}}))
	ok(t, s.DB.Put(record.Group{Records: []record.Record{change(1, 2)}})) // while it is known what is ahead
	same(t, "once a newer change came", head(t, s.DB), 8)
	if q := s.DB.Stats(); q.QueueBytes != int64(len(rec(1).Payload)) {
		t.Fatalf("%+v", q)
	}
}

// A change that Certyo refused doesn't stand for its row: what was found before is sent.
func TestARefusedChangeLetsNothingBePassed(t *testing.T) {
	s := openTest(t, t.TempDir())
	ok(t, s.DB.Put(record.Group{Records: []record.Record{foundState(1, 1), change(1, 2), foundState(2, 1), change(2, 2), change(2, 3)}}))
	ok(t, s.DB.Settle([]record.Delivery{{Seq: 2, Refusal: "no"}, {Seq: 4, Receipt: &record.Receipt{}}, {Seq: 5, Refusal: "no"}}))
	same(t, "outbox", head(t, s.DB), 1) // the other row has one that was accepted
}

// A change that was carried on counts as well.
func TestWhatWasCarriedOnIsKnownAhead(t *testing.T) {
	cfg := testConfig(t.TempDir(), here)
	cfg.FileBytes = 1
	s, err := Open(cfg)
	ok(t, err)
	defer func() { ok(t, s.Close()) }()
	ok(t, s.DB.Put(record.Group{Records: []record.Record{foundState(1, 1), foundState(2, 1)}}))
	ok(t, s.DB.Put(record.Group{Records: []record.Record{change(1, 2)}}))
	ok(t, s.DB.Put(record.Group{Records: []record.Record{change(7, 1)}}))
	for range 3 {
		_, err := s.DB.sacrifice()
		ok(t, err)
	}
	if len(s.DB.state.Carried) == 0 {
		t.Fatal("nothing was carried on")
	}
	same(t, "outbox", head(t, s.DB), 3, 4, 2)
}

// The state doesn't grow with each change beside a sweep.
func TestASweepBesideChangesIsBounded(t *testing.T) {
	s := openTest(t, t.TempDir())
	var g record.Group
	for n := range 2 * laneRuns {
		g.Records = append(g.Records, foundState(n%1000, n), change(1000+n%1000, n))
		if len(g.Records) == 2000 {
			ok(t, s.DB.Put(g))
			g = record.Group{}
		}
	}
	if n := len(s.DB.state.Runs); n > laneRuns+2001 {
		t.Fatalf("%d runs", n)
	}
	if q := s.DB.Stats(); q.QueueRecords != 4*laneRuns {
		t.Fatalf("%+v", q)
	}
}

// What may have been posted before a crash is told, with a moment before which it was not; what was not is not.
func TestWhatMayHaveBeenPostedIsKnown(t *testing.T) {
	now := testNow()
	cfg := testConfig(t.TempDir(), here)
	cfg.Now = func() record.Stamp { return now }
	open := func() *Store {
		t.Helper()
		s, err := Open(cfg)
		ok(t, err)
		t.Cleanup(func() { s.Close() })
		return s
	}
	crash := func() *Store { // the copy is what a killed agent leaves
		t.Helper()
		at := filepath.Join(t.TempDir(), "copy")
		ok(t, os.CopyFS(at, os.DirFS(cfg.Dir)))
		cfg.Dir = at
		return open()
	}
	pass := func(d time.Duration) { now.Mono, now.Wall = now.Mono+d, now.Wall.Add(d) }
	s := open()
	ok(t, s.DB.Put(group(0, 10)))
	pass(30 * time.Hour)
	posted := now.Wall
	if since := s.DB.Counts().OldestPosted; !since.IsZero() {
		t.Fatal("nothing was posted, and since", since)
	}
	ok(t, s.DB.Posting(head(t, s.DB)[:3]))
	check := func(when string, again int, first time.Time) {
		t.Helper()
		for i, q := range head(t, s.DB) {
			if q.Again != (i < again) || q.Again && !q.First.Equal(first) {
				t.Fatalf("%s: record %d: %v since %s, want %d of them since %s", when, i, q.Again, q.First, again, first)
			}
		}
		if since := s.DB.Counts().OldestPosted; !since.Equal(first) {
			t.Fatalf("%s: posted and not answered since %s, want %s", when, since, first)
		}
	}
	check("in the same run", 3, posted)
	pass(time.Hour)
	s = crash()
	check("after a crash", 10, posted) // which of them is not worth a write each
	pass(time.Hour)
	ok(t, s.DB.Put(group(10, 12)))
	last := head(t, s.DB)[11]
	if !last.Again || !last.First.Equal(now.Wall) {
		t.Fatalf("it can't have been posted before it came: %+v", last)
	}
	now.Boot, now.Mono, now.Trusted = "another boot", 0, false
	s = crash()
	check("without a clock", 12, time.Time{})
}

// One mark is written for some thousand records.
func TestPostingIsWrittenRarely(t *testing.T) {
	s := openTest(t, t.TempDir())
	commits := s.DB.state.Number
	for n := range 3000 {
		ok(t, s.DB.Posting([]record.Queued{{Seq: uint64(n + 1)}}))
		if n%1000 > 0 {
			continue
		}
		ok(t, s.DB.Put(group(n, n+1000)))
		commits++
		ok(t, s.DB.Posting(head(t, s.DB)))
	}
	if n := s.DB.state.Number - commits; n > 2 {
		t.Fatalf("%d writes", n)
	}
	for range 3 * horizonMost {
		s.DB.state.extend([]horizon{{Upto: s.DB.state.reach()[0] + 1, At: testNow()}, {Later: true, Upto: s.DB.state.reach()[1] + 1, At: testNow()}})
	}
	if n := len(s.DB.state.Horizon); n > 2*horizonMost {
		t.Fatalf("%d marks", n)
	}
}

// What lies behind all that Pick looks at isn't overtaken by history.
func TestHistoryDoesntOvertakeWhatPickDoesntReach(t *testing.T) {
	s := openTest(t, t.TempDir())
	var g record.Group
	put := func(r record.Record) {
		if g.Records = append(g.Records, r); len(g.Records) == 5000 {
			ok(t, s.DB.Put(g))
			g = record.Group{}
		}
	}
	for n := range pickReach {
		put(change(1, n))
	}
	put(change(2, 1))
	put(foundState(2, 2))
	ok(t, s.DB.Put(g))
	q, err := s.DB.Pick(nil, 100, 1<<20, func(q *record.Queued) bool { return q.ID == rec(1).ID })
	ok(t, err)
	same(t, "without a row", q)
}

// However many found states are passed over, the first that isn't goes.
func TestWhatIsPassedOverHidesNothing(t *testing.T) {
	s := openTest(t, t.TempDir())
	const many = pickReach + 10
	put := func(f func(int) record.Record) {
		for from := 0; from < many; from += 5000 {
			var g record.Group
			for n := from; n < min(from+5000, many); n++ {
				g.Records = append(g.Records, f(n))
			}
			ok(t, s.DB.Put(g))
		}
	}
	put(func(n int) record.Record { return foundState(n, 1) })
	ok(t, s.DB.Put(record.Group{Records: []record.Record{foundState(many+1, 1)}}))
	put(func(n int) record.Record { return change(n, 2) })
	var settled []record.Delivery
	for n := range many {
		settled = append(settled, record.Delivery{Seq: uint64(many + 2 + n), Receipt: &record.Receipt{}})
	}
	ok(t, s.DB.Settle(settled))
	q, err := s.DB.Pick(nil, 100, 1<<20, nil)
	ok(t, err)
	same(t, "outbox", q, many+1)
	if st := s.DB.Stats(); st.Passed != many || st.QueueRecords != 1 {
		t.Fatalf("%+v", st)
	}
}

// A commit that is in the log and doesn't count yet is no change: what it holds may have been found.
func TestWhatIsAheadWaitsForItsCommit(t *testing.T) {
	s := openTest(t, t.TempDir())
	ok(t, s.DB.Put(record.Group{Records: []record.Record{foundState(1, 1)}}))
	same(t, "outbox", head(t, s.DB), 1)
	d := s.DB
	d.mu.Lock()
	c := d.next()
	c.records, c.count, c.Later = []stored{{Record: foundState(1, 2)}}, 1, []span{{c.first, c.first}}
	d.notice(c) // as the log shows it to lookAhead before the state has it
	d.mu.Unlock()
	ok(t, s.DB.Put(record.Group{Records: []record.Record{foundState(1, 2)}}))
	same(t, "both", head(t, s.DB), 1, 2)
	ok(t, s.DB.Put(record.Group{Records: []record.Record{change(1, 3)}}))
	same(t, "a change", head(t, s.DB), 3)
}
