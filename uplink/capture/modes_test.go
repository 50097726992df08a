package capture

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture/capturetest"
)

// stocked is a source with rows on the station, and what was wanted of it.
type stocked struct {
	*fakeSource
	rows map[string]string
	want []Want
}

func (s *stocked) Snapshot(ctx context.Context, want []Want, _ string) (p record.Position, found []State, err error) {
	s.want = want
	for id, pack := range s.rows {
		row := image(id, here, pack)
		payload, err := testTable.AppendPayload(nil, row)
		if err != nil {
			return p, nil, err
		}
		found = append(found, State{Table: want[0].Table, ID: id, Place: here, Payload: payload})
	}
	p, err = s.Start(ctx)
	return p, found, err
}

// What a Spec says of the beginning and of gaps holds, and beneath it the promise: what a gap hid is recorded, and that there was
// one. The same is wanted of a sweep.
func TestWhatIsReportedOfABeginningAndOfAGap(t *testing.T) {
	for _, c := range []struct {
		name           string
		quiet, restate bool
		first, gap     string
	}{
		{"none", true, false, "", "delete gone, upsert changed, upsert new"},
		{"initial", false, false, "upsert changed, upsert gone, upsert same", "delete gone, upsert changed, upsert new"},
		{"when needed", false, true, "upsert changed, upsert gone, upsert same", "delete gone, upsert changed, upsert new, upsert same"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bench, orders := *testSpec, *foundSpec
			bench.Quiet, bench.Restate, orders.Quiet, orders.Restate = c.quiet, c.restate, c.quiet, c.restate
			source := &stocked{fakeSource: &fakeSource{}, rows: map[string]string{"same": "P-1", "changed": "P-1", "gone": "P-1"}}
			source.commit(time.Now())
			store := &capturetest.Store{}
			r, err := New(Config{Tables: []*Spec{&bench, &orders}, Scope: Scope{Station: here}}, source, store, &capturetest.Condition{})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.once(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, _ := said(store.Records()); got != c.first || source.want[1].Quiet != c.quiet || source.want[1].All {
				t.Errorf("at the beginning: %s, want %s; of a sweep %+v", got, c.first, source.want[1])
			}
			before := len(store.Records())
			source.purged = 9
			source.rows = map[string]string{"same": "P-1", "changed": "P-2", "new": "P-1"}
			if err := r.once(t.Context()); !errors.Is(err, ErrGap) {
				t.Fatal(err)
			}
			if got, gaps := said(store.Records()[before:]); got != c.gap || gaps != 1 || source.want[1].Quiet || source.want[1].All != c.restate {
				t.Errorf("after a gap: %s, want %s; %d gaps; of a sweep %+v", got, c.gap, gaps, source.want[1])
			}
		})
	}
}

// said are the operations of records and the rows they tell of, and how many name a gap.
func said(records []record.Record) (text string, gaps int) {
	var lines []string
	for _, r := range records {
		if r.Collection == Gaps {
			gaps++
			continue
		}
		lines = append(lines, string(r.Op)+" "+r.ID)
	}
	slices.Sort(lines)
	return strings.Join(lines, ", "), gaps
}
