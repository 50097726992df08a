package capture

import (
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

// After the store lost records the rows are read, whether the position is good or not; what stands here is reported even
// if the Shadow knows it, for the Shadow may know it from a lost record. One record says why, once.
func TestLostRecordsAreMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, store := &fakeSource{}, &capturetest.Store{}
		table := map[string][]any{}
		rows := &fakeRows{station: here, rows: func() map[string][]any { return table }}
		runner, _ := newRunner(t, here, nil, source, store, rows)
		stop := begin(t, runner)
		for _, id := range []string{"gone", "known", "changed"} {
			table[id] = image(id, here, "")
			source.commit(time.Now(), RowChange{Op: record.Insert, After: table[id]})
		}
		time.Sleep(time.Minute)
		stop()
		delete(table, "gone")
		table["changed"] = image("changed", here, "PKG")
		source.commit(time.Now())
		p, err := store.Position()
		if err != nil {
			t.Fatal(err)
		}
		store.Salvage(p, "records/1.db can't be read")
		tries := 0
		store.Fail = func(record.Group) error { // a crash before it is stored changes nothing
			if tries++; tries == 1 {
				return record.Stop(capturetest.ErrKilled)
			}
			return nil
		}
		runner, _ = newRunner(t, here, nil, source, store, rows)
		if err := runner.Run(t.Context()); !errors.Is(err, capturetest.ErrKilled) {
			t.Fatal(err)
		}
		runner, cond := newRunner(t, here, nil, source, store, rows)
		through(t, runner, source, store)
		runner, _ = newRunner(t, here, nil, source, store, rows)
		through(t, runner, source, store)

		records := store.Records()[3:]
		want := []string{"s:run-2/buylo_products/changed", "s:run-2/buylo_products/known", "s:run-2/buylo_products/gone", "s:run-2/station_agent_gaps/run-2"}
		if got := keysOf(records); !slices.Equal(got, want) {
			t.Fatalf("got %q", got)
		}
		if gap := string(records[3].Payload); !strings.Contains(gap, `"reason":"changes were missed: the store lost records: records/1.db can't be read"`) {
			t.Errorf("the gap is %s", gap)
		}
		if records[2].Op != record.Delete {
			t.Errorf("%s is said of what is gone", records[2].Op)
		}
		if lost, _ := cond.Said(); len(lost) != 1 || !strings.Contains(lost[0], "records/1.db") {
			t.Errorf("said %q", lost)
		}
		if reason, _ := store.Missed(); reason != "" {
			t.Errorf("still missed: %s", reason)
		}
		versionsRise(t, store.Records())
	})
}

// A first start that finds a damaged store says so too.
func TestLostRecordsWithoutAPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, store := &fakeSource{}, &capturetest.Store{}
		store.Salvage(record.Position{}, "no file can be read")
		runner, _ := newRunner(t, here, nil, source, store, nil)
		begin(t, runner)()
		if records := store.Records(); len(records) != 1 || records[0].Collection != Gaps {
			t.Errorf("%s", records)
		}
	})
}

// A store that stands at an older place after a start gives the same records again, and the rest as if nothing had been.
// If its Shadow is newer than its position, keys and content are the same still, and versions go on rising.
func TestAnOlderPositionGivesTheSameKeys(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 17))
			source := &fakeSource{}
			for range 3 * groupRecords {
				id := string(rune('a' + r.IntN(20)))
				source.commit(time.Now(), RowChange{Op: record.Update, Before: image(id, here, ""), After: image(id, here, fmt.Sprint("PKG-", r.Uint32()))})
				time.Sleep(time.Millisecond)
			}
			first := &capturetest.Store{}
			if err := first.Put(record.Group{Position: place(0, time.Now())}); err != nil {
				t.Fatal(err)
			}
			runner, _ := newRunner(t, here, nil, source, first, nil)
			through(t, runner, source, first)
			want, groups := first.Records(), first.Groups()
			back := 1 + r.IntN(len(groups)-2)

			older := &capturetest.Store{}
			for _, g := range groups[:back] {
				if err := older.Put(g); err != nil {
					t.Fatal(err)
				}
			}
			runner, _ = newRunner(t, here, nil, source, older, nil)
			through(t, runner, source, older)
			if !slices.EqualFunc(older.Records(), want, func(a, b record.Record) bool { return a.Key == b.Key && a.Version == b.Version }) {
				t.Error("with its Shadow of then, a store at an older place gave other records")
			}

			first.Salvage(groups[back-1].Position, "")
			runner, _ = newRunner(t, here, nil, source, first, nil)
			through(t, runner, source, first)
			again := first.Records()[len(want):]
			rest := want[len(want)-len(again):]
			if len(again) == 0 || !slices.EqualFunc(again, rest, func(a, b record.Record) bool {
				return a.Key == b.Key && a.Op == b.Op && string(a.Payload) == string(b.Payload)
			}) {
				t.Errorf("%d records were read again, not as they were", len(again))
			}
			versionsRise(t, first.Records())
		})
	}
}
