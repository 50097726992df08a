package bed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/uplinktest"
)

// Report compares what was promised with what happened.
type Report struct {
	Scans    int // item scans that were answered green, by the journal
	Assigned int // of these, how many the database shows as settled
	Changes  int // committed row changes that this station owes a record for, by the database's triggers
	Records  int // records at the stand-in, by distinct key
	Anchored int // of these, anchored and proven to the agent, with the payload that it sent
	Lost     int // changes without a record
	Doubled  int // records without a change of their own
	Faults   []string
	Detail   []string // of a few rows whose records are not their changes
}

// Clean tells whether everything that was promised has happened.
func (r Report) Clean() bool {
	return len(r.Faults) == 0 && r.Scans == r.Assigned && r.Changes == r.Records && r.Records == r.Anchored && r.Lost == 0 && r.Doubled == 0
}

// String is one line in the form that the demo ends with.
func (r Report) String() string {
	return fmt.Sprintf("scans=%d assigned=%d changes=%d records=%d anchored=%d lost=%d doubled=%d",
		r.Scans, r.Assigned, r.Changes, r.Records, r.Anchored, r.Lost, r.Doubled)
}

// WaitClean checks until everything is clean; the error says what is not.
func (b *Bed) WaitClean(ctx context.Context) (Report, error) {
	for {
		r, err := b.Check(ctx)
		if err == nil && r.Clean() {
			return r, nil
		}
		select {
		case <-ctx.Done():
			return r, errors.Join(fmt.Errorf("not clean in time: %s %q\n%s", r, r.Faults, strings.Join(r.Detail, "\n")), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Check compares rows, records and journal as they are now.
func (b *Bed) Check(ctx context.Context) (Report, error) {
	var r Report
	changes, err := b.Audit.Changes(ctx)
	if err != nil {
		return r, err
	}
	b.checkRecords(&r, ExpectedOf(changes, Station))
	return r, b.checkScans(&r, changes)
}

func (r *Report) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

// checkRecords compares row by row, in order: the n-th change of a row must be the n-th record of its id.
func (b *Bed) checkRecords(r *Report, owed map[string][]Expected) {
	got := map[string][]Expected{}
	for _, rec := range b.Cloud.Records() {
		got[rec.ID] = append(got[rec.ID], received(rec))
		r.Records++
		if !rec.ProvenAt.IsZero() {
			r.Anchored++
		}
	}
	for hash, list := range owed {
		r.Changes += len(list)
		if !slices.Equal(list, got[hash]) {
			lost, doubled := difference(list, got[hash]), difference(got[hash], list)
			r.Lost += len(lost)
			r.Doubled += len(doubled)
			switch {
			case len(lost)+len(doubled) == 0:
				r.fault("row %s: records in another order than its changes", hash)
			case len(r.Detail) < 5:
				r.Detail = append(r.Detail, fmt.Sprintf("row %s: lost %.600q, doubled %.600q", hash, fmt.Sprint(lost), fmt.Sprint(doubled)))
			}
		}
	}
	for hash, list := range got {
		if owed[hash] == nil {
			r.Doubled += len(list)
		}
	}
	r.Faults = append(r.Faults, b.Cloud.Violations()...)
}

// received puts a record at the stand-in into the form of an expected one.
func received(rec uplinktest.Received) Expected {
	var row map[string]any
	if err := json.Unmarshal(rec.Payload, &row); err != nil {
		return Expected{Op: "payload: " + err.Error()}
	}
	text := func(column string) string {
		if s, ok := row[column].(string); ok {
			return s
		}
		return "NULL"
	}
	return Expected{text("hash"), string(rec.Op), text("buylo_active_packing_station_uuid"), text("external_package_id"), text("buylo_name")}
}

// difference gives what a has more of than b.
func difference(a, b []Expected) []Expected {
	count := map[Expected]int{}
	for _, e := range b {
		count[e]++
	}
	var more []Expected
	for _, e := range a {
		if count[e]--; count[e] < 0 {
			more = append(more, e)
		}
	}
	return more
}

// checkScans holds that every green scan was settled exactly once: what the agent wrote into a row is what its intents for
// that row asked for, each in its turn, none twice; a step may be missing only where a newer one took its place.
func (b *Bed) checkScans(r *Report, changes []Change) error {
	wrote := map[string][]string{}
	for _, c := range changes {
		if c.ByAgent {
			wrote[*c.after.hash] = append(wrote[*c.after.hash], show(c.after.pkg))
		}
	}
	wanted := map[string][]step{}
	outcomes := map[uint64]record.Result{}
	err := store.ReplayDir(b.path("store"), func(e record.Entry) error {
		green := e.Scan != nil && e.Scan.Verdict.Green() && e.Scan.Step == record.Added
		if green {
			r.Scans++
		}
		for _, i := range e.Intents {
			wanted[i.Hash] = append(wanted[i.Hash], step{show(i.Package), i.ID, green})
		}
		if e.Outcome != nil {
			outcomes[e.Outcome.Intent] = e.Outcome.Result
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	for hash, steps := range wanted {
		if !follows(wrote[hash], steps, outcomes) {
			r.fault("row %s: wrote %v for %v with outcomes %v", hash, wrote[hash], steps, outcomes)
		}
		for _, s := range steps {
			if res := outcomes[s.intent]; s.green && (res == record.Settled || res == record.SameValue || res == record.Superseded) {
				r.Assigned++
			}
		}
		delete(wrote, hash)
	}
	for hash, list := range wrote {
		r.fault("row %s: the agent wrote %v that nobody asked for", hash, list)
	}
	return nil
}

// step is one intent of a row.
type step struct {
	pkg    string
	intent uint64
	green  bool
}

func show(v record.Value) string {
	if v == nil {
		return "NULL"
	}
	return *v
}

// follows tells whether the writes are the steps in order. A settled step must have its write; one that found the value
// already, or was superseded, may have one (the agent died between the row and the journal); others must not.
func follows(writes []string, steps []step, outcomes map[uint64]record.Result) bool {
	if len(steps) == 0 {
		return len(writes) == 0
	}
	s, res := steps[0], outcomes[steps[0].intent]
	if res != record.Settled && follows(writes, steps[1:], outcomes) {
		return true
	}
	may := res == record.Settled || res == record.SameValue || res == record.Superseded || res == ""
	return may && len(writes) > 0 && writes[0] == s.pkg && follows(writes[1:], steps[1:], outcomes)
}
