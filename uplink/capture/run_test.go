package capture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture/capturetest"
)

func newRunner(t testing.TB, station string, agents []string, source log, store Store, rows *fakeRows) (*Runner, *capturetest.Condition) {
	t.Helper()
	cond := &capturetest.Condition{}
	if rows == nil {
		rows = &fakeRows{station: station, rows: func() map[string][]any { return nil }}
	}
	r, err := New(Config{Tables: []*Spec{testSpec}, Scope: Scope{Station: station, Agents: agents}}, bed{source, rows}, store, cond)
	if err != nil {
		t.Fatal(err)
	}
	return r, cond
}

// through runs a runner until it has stored the whole log, and wants it to end well or, if it was killed, with the kill.
func through(t testing.TB, r *Runner, source *fakeSource, store *capturetest.Store) (killed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	for {
		changed := store.Changed()
		if p, _ := store.Position(); p.Pos == uint64(len(source.txs)) && !p.Zero() {
			time.Sleep(time.Millisecond) // what is said of it comes behind it
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			return false
		}
		select {
		case <-changed:
		case err := <-done:
			if !errors.Is(err, capturetest.ErrKilled) {
				t.Fatalf("the runner ended: %v", err)
			}
			return true
		}
	}
}

// killing makes a store that fails at random, with an error that kills the runner or one that is to be tried again.
func killing(seed uint64, p record.Position) *capturetest.Store {
	r := rand.New(rand.NewPCG(seed, 11))
	s := &capturetest.Store{}
	if err := s.Put(record.Group{Position: p}); err != nil {
		panic(err)
	}
	s.Fail = func(record.Group) error {
		switch r.IntN(8) {
		case 0:
			return record.Stop(capturetest.ErrKilled)
		case 1:
			return errors.New("no room now")
		}
		return nil
	}
	return s
}

func keysOf(records []record.Record) []string {
	var keys []string
	for _, r := range records {
		keys = append(keys, r.Key)
	}
	return keys
}

// Over random histories, random groups, kills and lost connections: every change of a row that was with an agent becomes a
// record at exactly the station that owns it, every key is given once, and each station's records are, to the byte, those
// of a run that nothing disturbed.
func TestOneChangeOneKeyOneOwner(t *testing.T) {
	agents := []string{here, there, "cccccccc-0000-4000-8000-000000000003"}
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			h := newHistory(r, 150, append([]string{"", "", agentless}, agents...), agents)
			got := make(map[string]string)
			for _, station := range agents {
				h.source.cut = nil
				calm := &capturetest.Store{}
				if err := calm.Put(record.Group{Position: place(0, time.Time{}.Add(1))}); err != nil {
					t.Fatal(err)
				}
				runner, _ := newRunner(t, station, agents, &h.source, calm, nil)
				through(t, runner, &h.source, calm)

				h.source.cut = func(from, i int) error {
					if r.IntN(20) == 0 {
						return errors.New("connection lost")
					}
					if i%16 == 15 {
						time.Sleep(time.Duration(r.Int64N(int64(300 * time.Millisecond))))
					}
					return nil
				}
				store := killing(seed, place(0, time.Time{}.Add(1)))
				for {
					runner, _ := newRunner(t, station, agents, &h.source, store, nil)
					if !through(t, runner, &h.source, store) {
						break
					}
				}
				want, have := calm.Records(), store.Records()
				if fmt.Sprintf("%s", want) != fmt.Sprintf("%s", have) {
					t.Fatalf("seed %d, station %s: disturbed %d records, undisturbed %d", seed, station, len(have), len(want))
				}
				versionsRise(t, have)
				shadowShowsRows(t, store, h)
				for _, key := range keysOf(have) {
					if owner, ok := got[key]; ok {
						t.Fatalf("seed %d: %s is reported by %s and %s", seed, key, owner, station)
					}
					got[key] = station
				}
			}
			for i, key := range h.keys {
				owners := []string{got[key], got[key+"a"], got[key+"b"]}
				owners = slices.DeleteFunc(owners, func(o string) bool { return o == "" })
				if h.owners[i] == "" && len(owners) > 0 || h.owners[i] != "" && (len(owners) == 0 || owners[0] != h.owners[i]) {
					t.Fatalf("seed %d: change %s is reported by %v, its owner is %q", seed, key, owners, h.owners[i])
				}
			}
		})
	}
}

// shadowShowsRows holds that the Shadow has rows that exist, as they are.
func shadowShowsRows(t testing.TB, store *capturetest.Store, h *history) {
	t.Helper()
	err := store.ShadowAll("buylo_products", func(row record.ShadowRow) error {
		image, ok := h.rows[row.ID]
		if !ok {
			return fmt.Errorf("row %s is in the Shadow only", row.ID)
		}
		payload, err := testTable.AppendPayload(nil, image)
		if string(payload) != string(row.Payload) {
			err = fmt.Errorf("row %s is %s, in the Shadow %s", row.ID, payload, row.Payload)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// versionsRise holds that the versions of each row rise. A deleted row that comes back begins anew.
func versionsRise(t testing.TB, records []record.Record) {
	t.Helper()
	last := make(map[string]string)
	for _, r := range records {
		if v := last[r.ID]; v != "" && (len(v) > len(r.Version) || len(v) == len(r.Version) && v >= r.Version) {
			t.Fatalf("%s: version %s follows %s", r.ID, r.Version, v)
		}
		last[r.ID] = r.Version
		if r.Op == record.Delete {
			delete(last, r.ID)
		}
	}
}

// At no put is there a change before the stored position that is not in the store, nor one in the store behind it.
func TestThePositionNeverPassesAChange(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			agents := []string{here, there}
			h := newHistory(r, 120, []string{"", here, there}, agents)
			var want []string // keys of ours, by transaction
			upto := make([]int, len(h.source.txs)+1)
			n := 0
			for i, tx := range h.source.txs {
				for range tx.Rows {
					if h.owners[n] == here {
						want = append(want, h.keys[n])
					}
					n++
				}
				upto[i+1] = len(want)
			}
			store := killing(seed, place(0, time.Time{}.Add(1)))
			kill := store.Fail
			var stored []string
			store.Fail = func(g record.Group) error {
				if err := kill(g); err != nil {
					return err
				}
				for _, key := range keysOf(g.Records) {
					if !strings.HasSuffix(key, "b") {
						stored = append(stored, strings.TrimSuffix(key, "a"))
					}
				}
				if !slices.Equal(stored, want[:upto[g.Position.Pos]]) {
					t.Errorf("seed %d: at position %d the store holds %d changes, not %d", seed, g.Position.Pos, len(stored), upto[g.Position.Pos])
				}
				return nil
			}
			h.source.cut = func(int, int) error {
				if r.IntN(30) == 0 {
					return errors.New("connection lost")
				}
				return nil
			}
			for {
				runner, _ := newRunner(t, here, agents, &h.source, store, nil)
				if !through(t, runner, &h.source, store) {
					break
				}
			}
		})
	}
}

// What the agent itself writes, wherever it may, becomes no record; and its tables can't be configured to be captured.
func TestOwnBookkeepingIsNeverCaptured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own, err := NewTable(&Spec{Schema: "external_workspace", Name: "station_agent_anchors", Key: []string{"hash"}, Station: "station"}, testTable.Columns)
		if err != nil {
			t.Fatal(err)
		}
		source := &fakeSource{}
		now := time.Now()
		source.commit(now, RowChange{Table: own, Op: record.Insert, After: image("a", here, "anchored")},
			RowChange{Op: record.Insert, After: image("a", here, "")})
		source.commit(now, RowChange{Table: own, Op: record.Update, Before: image("a", here, "anchored"), After: image("a", here, "again")})
		store := &capturetest.Store{}
		if err := store.Put(record.Group{Position: place(0, now)}); err != nil {
			t.Fatal(err)
		}
		deaf := &keepsAll{source}
		runner, _ := newRunner(t, here, nil, deaf, store, nil)
		through(t, runner, source, store)
		if records := store.Records(); len(records) != 1 || records[0].Collection != "buylo_products" || !strings.HasSuffix(records[0].Key, "/1") {
			t.Fatalf("%s", records)
		}
		if _, err := New(Config{Tables: []*Spec{own.Spec}, Scope: Scope{Station: here}}, bed{source, nil}, store, nil); err == nil {
			t.Error("an own table was accepted")
		}
	})
}

// keepsAll is a source that doesn't listen to what is wanted.
type keepsAll struct{ *fakeSource }

func (s *keepsAll) Run(ctx context.Context, from record.Position, keep func(*RowChange) bool, sink func(Tx) error) error {
	return s.fakeSource.Run(ctx, from, func(c *RowChange) bool { keep(c); return true }, sink)
}

func TestFirstStartReadsTheRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{}
		source.commit(time.Now(), RowChange{Op: record.Insert, After: image("old", here, "")})
		store := &capturetest.Store{}
		rows := &fakeRows{station: here, rows: func() map[string][]any {
			return map[string][]any{"old": image("old", here, ""), "far": image("far", there, "")}
		}}
		rows.refuse.Store(true)
		runner, cond := newRunner(t, here, nil, source, store, rows)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- runner.Run(ctx) }()
		time.Sleep(10 * time.Second)
		select {
		case <-runner.Armed():
			t.Fatal("armed without a position")
		default:
		}
		if lost, _ := cond.Said(); len(lost) < 2 || !strings.Contains(lost[0], "refused") {
			t.Errorf("said %q", lost)
		}
		rows.refuse.Store(false)
		<-runner.Armed()
		synctest.Wait()
		source.commit(time.Now(), RowChange{Op: record.Update, Before: image("old", here, ""), After: image("old", here, "PKG")})
		time.Sleep(time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		records := store.Records()
		if len(records) != 2 || records[0].Op != record.Upsert || records[0].Key != "s:run-1/buylo_products/old" ||
			records[1].Op != record.Update || string(records[1].Payload) != `{"hash":"old","package":"PKG","station":"`+here+`"}` {
			t.Fatalf("%s", records)
		}
		versionsRise(t, records)
		if g := store.Groups()[0]; g.Position.Pos != 1 || len(g.Records) != 1 || len(g.Shadow) != 1 {
			t.Errorf("the first group: %+v", g)
		}
	})
}

// After a gap the rows are compared: what differs and what is gone becomes a record, one record says that there was a gap,
// and the stream goes on.
func TestAGapIsReconciledAndSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{}
		table := map[string][]any{}
		insert := func(id, station string) {
			table[id] = image(id, station, "")
			source.commit(time.Now(), RowChange{Op: record.Insert, After: table[id]})
		}
		for _, id := range []string{"same", "gone", "packed", "taken", "left"} {
			insert(id, here)
		}
		store := &capturetest.Store{}
		if err := store.Put(record.Group{Position: place(0, time.Now())}); err != nil {
			t.Fatal(err)
		}
		rows := &fakeRows{station: here, rows: func() map[string][]any { return table }}
		runner, _ := newRunner(t, here, nil, source, store, rows)
		through(t, runner, source, store)

		for range 5 { // nobody reads this
			source.commit(time.Now())
		}
		source.purged = 9
		delete(table, "gone")
		table["packed"] = image("packed", here, "PKG")
		table["taken"] = image("taken", there, "")
		table["left"] = image("left", "", "")
		table["new"] = image("new", here, "")
		runner, cond := newRunner(t, here, nil, source, store, rows)
		through(t, runner, source, store)
		source.commit(time.Now(), RowChange{Op: record.Update, Before: image("taken", there, ""), After: image("taken", there, "X")},
			RowChange{Op: record.Update, Before: image("left", "", ""), After: image("left", "", "PKG-2")})
		through(t, runner, source, store)

		got := make(map[string]string)
		records := store.Records()
		for _, r := range records[5:] {
			got[r.Key] = fmt.Sprintf("%s %s", r.Op, r.Payload)
		}
		last := len(source.txs)
		want := map[string]string{
			"s:run-1/buylo_products/gone":                                       `delete {"hash":"gone","package":null,"station":"` + here + `"}`,
			"s:run-1/buylo_products/packed":                                     `upsert {"hash":"packed","package":"PKG","station":"` + here + `"}`,
			"s:run-1/buylo_products/left":                                       `upsert {"hash":"left","package":null,"station":null}`,
			"s:run-1/buylo_products/new":                                        `upsert {"hash":"new","package":null,"station":"` + here + `"}`,
			changeKey(fmt.Sprintf("tx-%d", last), source.txs[last-1].At, 1, ""): `update {"hash":"left","package":"PKG-2","station":null}`,
		}
		gap := "s:run-1/station_agent_gaps/run-1"
		for key, w := range want {
			if got[key] != w {
				t.Errorf("%s: %s, want %s", key, got[key], w)
			}
		}
		if len(got) != len(want)+1 || !strings.Contains(got[gap], `"reason":"changes were missed: purged"`) || !strings.Contains(got[gap], `"pos":5`) {
			t.Errorf("%d records, the gap is %s", len(got), got[gap])
		}
		if lost, back := cond.Said(); len(lost) != 1 || back == 0 || !strings.Contains(lost[0], Gaps) {
			t.Errorf("said %q and %d times back", lost, back)
		}
		versionsRise(t, records)
	})
}

// What came whole before a gap is stored as it happened, not as it was found.
func TestWhatCameBeforeAGapIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{}
		source.commit(time.Now(), RowChange{Op: record.Insert, After: image("a", here, "")})
		source.commit(time.Now())
		source.cut = func(from, i int) error {
			if i == 1 && from == 0 {
				return Gap("here")
			}
			return nil
		}
		store := &capturetest.Store{}
		if err := store.Put(record.Group{Position: place(0, time.Now())}); err != nil {
			t.Fatal(err)
		}
		rows := &fakeRows{station: here, rows: func() map[string][]any { return map[string][]any{"a": image("a", here, "")} }}
		runner, _ := newRunner(t, here, nil, source, store, rows)
		through(t, runner, source, store)
		if records := store.Records(); len(records) != 2 || records[0].Op != record.Insert || records[1].Collection != Gaps {
			t.Errorf("%s", records)
		}
	})
}

// Rows that can't be ours never leave the source; more than those that are may.
func TestInterest(t *testing.T) {
	store := &capturetest.Store{}
	if err := store.Put(record.Group{Shadow: []record.ShadowRow{{Collection: "buylo_products", ID: "held"}}}); err != nil {
		t.Fatal(err)
	}
	runner, _ := newRunner(t, here, nil, nil, store, nil)
	keep, err := runner.interest(t.Context(), record.Position{})
	if err != nil {
		t.Fatal(err)
	}
	own, err := NewTable(&Spec{Schema: "external", Name: "another", Key: []string{"hash"}, Station: "station"}, testTable.Columns)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		row  RowChange
		want bool
	}{
		{"elsewhere", RowChange{Before: image("x", there, ""), After: image("x", "", "")}, false},
		{"held", RowChange{Before: image("held", "", ""), After: image("held", there, "")}, true},
		{"held, deleted", RowChange{Before: image("held", "", "")}, true},
		{"held, new key", RowChange{Before: image("held", "", ""), After: image("key", "", "")}, true},
		{"that key", RowChange{Before: image("key", "", ""), After: image("key", "", "P")}, true},
		{"leaves", RowChange{Before: image("l", strings.ToUpper(here), ""), After: image("l", "", "")}, true},
		{"after it left", RowChange{Before: image("l", "", ""), After: image("l", "", "P")}, true},
		{"arrives", RowChange{After: image("n", here, "")}, true},
		{"another table", RowChange{Table: own, After: image("n", here, "")}, false},
	} {
		if c.row.Table == nil {
			c.row.Table = testTable
		}
		if got := keep(&c.row); got != c.want {
			t.Errorf("%s: kept %v", c.name, got)
		}
	}
}

// A gap that comes back at once doesn't become a storm of records.
func TestGapsThatRepeatAreSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{cut: func(int, int) error { return Gap("always") }}
		store := &capturetest.Store{}
		runner, _ := newRunner(t, here, nil, source, store, nil)
		source.commit(time.Now())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := runner.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if n := len(store.Records()); n < 40 || n > 90 {
			t.Errorf("%d gaps in ten minutes", n)
		}
	})
}

func TestGroupsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{}
		for i := range 2000 {
			source.commit(time.Now(), RowChange{Op: record.Insert, After: image(fmt.Sprint(i), here, strings.Repeat("x", i))})
		}
		store := &capturetest.Store{}
		if err := store.Put(record.Group{Position: place(0, time.Now())}); err != nil {
			t.Fatal(err)
		}
		runner, _ := newRunner(t, here, nil, source, store, nil)
		through(t, runner, source, store)
		groups := store.Groups()[1:]
		for _, g := range groups {
			bytes := 0
			for _, r := range g.Records {
				bytes += len(r.Payload)
			}
			if len(g.Records) > groupRecords || bytes > groupBytes+4000 {
				t.Errorf("a group of %d records and %d bytes", len(g.Records), bytes)
			}
		}
		if len(groups) > 8 {
			t.Errorf("%d groups", len(groups))
		}

		// in steady work there is one commit a second
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- runner.Run(ctx) }()
		time.Sleep(time.Minute)
		before := len(store.Groups())
		for i := range 500 {
			source.commit(time.Now(), RowChange{Op: record.Insert, After: image(fmt.Sprint("s", i), here, "")})
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(store.Groups()) - before; n < 5 || n > 6 {
			t.Errorf("%d commits in five seconds", n)
		}
		time.Sleep(time.Minute)
		before = len(store.Groups())
		for range 600 { // of other stations: the position moves seldom
			source.commit(time.Now(), RowChange{Op: record.Insert, After: image("o", there, "")})
			time.Sleep(100 * time.Millisecond)
		}
		if n := len(store.Groups()) - before; n < 10 || n > 13 {
			t.Errorf("%d commits in a minute without a change of ours", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if p, _ := store.Position(); p.Pos != uint64(len(source.txs)) {
			t.Errorf("it ended at %d of %d", p.Pos, len(source.txs))
		}
	})
}

// After a calm a change is stored at once; one that follows waits until the last commit was a second ago.
func TestNoChangeWaitsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, store := &fakeSource{}, &capturetest.Store{}
		runner, _ := newRunner(t, here, nil, source, store, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- runner.Run(ctx) }()
		time.Sleep(time.Minute)
		began := time.Now()
		for _, step := range []struct {
			at     time.Duration
			insert bool
			stored int
		}{
			{0, true, 1},
			{300 * time.Millisecond, true, 1},
			{999 * time.Millisecond, false, 1},
			{1000 * time.Millisecond, false, 2},
			{1900 * time.Millisecond, true, 2},
			{2000 * time.Millisecond, false, 3},
			{3001 * time.Millisecond, true, 4},
		} {
			time.Sleep(time.Until(began.Add(step.at)))
			if step.insert {
				source.commit(time.Now(), RowChange{Op: record.Insert, After: image(step.at.String(), here, "")})
			}
			synctest.Wait()
			if n := len(store.Records()); n != step.stored {
				t.Errorf("%d records after %v, want %d", n, step.at, step.stored)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{}
		store := &capturetest.Store{}
		runner, _ := newRunner(t, here, nil, source, store, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- runner.Run(ctx) }()
		synctest.Wait()
		if runner.Lag() != 0 {
			t.Errorf("idle: %v", runner.Lag())
		}
		at := time.Now().Add(-time.Hour)
		source.commit(at)
		synctest.Wait()
		if runner.Lag() != 0 || !runner.LastEvent().Equal(at) {
			t.Errorf("caught up: %v, last %v", runner.Lag(), runner.LastEvent())
		}
		time.Sleep(time.Minute)
		if runner.Lag() < time.Minute {
			t.Errorf("nothing heard for a minute: %v", runner.Lag())
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// Rows that left long ago go from the Shadow when the stream is opened anew, which it is each day.
func TestRowsThatLeftLongAgoAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{}
		store := &capturetest.Store{}
		runner, _ := newRunner(t, here, nil, source, store, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 40*24*time.Hour)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- runner.Run(ctx) }()
		synctest.Wait()
		source.commit(time.Now(), RowChange{Op: record.Update, Before: image("x", here, ""), After: image("x", "", "")})
		source.commit(time.Now(), RowChange{Op: record.Insert, After: image("stays", here, "")})
		for range 40*24 - 1 {
			time.Sleep(time.Hour)
			source.commit(time.Now())
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		held, err := store.Shadow("buylo_products", []string{"x", "stays"})
		if err != nil || len(held) != 1 || held["stays"].ID == "" {
			t.Errorf("%v %v", held, err)
		}
	})
}

func TestNewChecks(t *testing.T) {
	if _, err := New(Config{Tables: []*Spec{testSpec}}, nil, nil, nil); err == nil {
		t.Error("without a station")
	}
	if _, err := New(Config{Scope: Scope{Station: here}}, nil, nil, nil); err == nil {
		t.Error("without a table")
	}
}
