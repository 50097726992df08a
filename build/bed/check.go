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
	Scans      int // items that were put into a package and answered green, by the journal
	Assigned   int // of these, how many were settled: the database saw the write, or the value, or a newer step of the same item
	CalledBack int // of these, how many could not be: the station was offline or somebody else wrote or deleted the row, and the operator is called
	Changes    int // committed row changes that this station owes a record for, by the database's triggers
	Records    int // records at the stand-in, by distinct key
	Anchored   int // of these, anchored and proven to the agent, with the payload that it sent
	Lost       int // changes without a record
	Doubled    int // records without a change of their own
	Faults     []string
	Detail     []string // of a few rows whose records are not their changes
}

// Clean tells whether everything that was promised has happened.
func (r Report) Clean() bool {
	return len(r.Faults) == 0 && r.Scans == r.Assigned+r.CalledBack && r.Changes == r.Records && r.Records == r.Anchored && r.Lost == 0 && r.Doubled == 0
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
	r, changes, err := b.CheckRecords(ctx)
	if err != nil {
		return r, err
	}
	return r, b.checkScans(&r, changes)
}

// CheckRecords compares rows and records only, for an agent whose journal is elsewhere.
func (b *Bed) CheckRecords(ctx context.Context) (r Report, changes []Change, err error) {
	changes, err = b.Audit.Changes(ctx)
	if err == nil {
		b.compareRecords(&r, ExpectedOf(changes, Station))
	}
	return r, changes, err
}

func (r *Report) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

// compareRecords compares row by row, in order: the n-th change of a row must be the n-th record of its id.
func (b *Bed) compareRecords(r *Report, owed map[string][]Expected) {
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
// that row asked for, each in its turn, none twice; a step may be missing only where a newer one took its place. What takes
// an item out again (undo, remove, clear, cancel) or over from another package (override) is an intent like any other.
func (b *Bed) checkScans(r *Report, changes []Change) error {
	rows := rowsOf(changes)
	w := newWanted()
	if err := store.ReplayDir(b.path("store"), func(e record.Entry) error { w.note(e, rows); return nil }); err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	r.Scans = w.promised
	r.Faults = append(r.Faults, w.faults...)
	w.settle(rows)
	for hash, steps := range w.steps {
		row := rows[hash]
		if !row.follows(row.wrote, steps) || !row.shows(steps) {
			r.fault("row %s: wrote %v and shows %s for %v", hash, row.wrote, row.now, steps)
			continue
		}
		for _, s := range steps {
			switch {
			case s.green && s.done():
				r.Assigned++
			case s.green && (row.excuses(s) || s.result == record.Refused && w.spoilt[s.group]):
				r.CalledBack++
			}
		}
	}
	for hash, row := range rows {
		if len(row.wrote) > 0 && w.steps[hash] == nil {
			r.fault("row %s: the agent wrote %v that nobody asked for", hash, row.wrote)
		}
	}
	return nil
}

// history is what the database saw of one row's package.
type history struct {
	wrote   []string        // by the agent, in order
	held    map[string]bool // every value there ever was
	now     string
	gone    bool // deleted
	foreign bool // somebody else wrote it too
}

func rowsOf(changes []Change) map[string]*history {
	rows := map[string]*history{}
	for _, c := range changes {
		if c.after.hash == nil {
			rows[*c.before.hash].gone = true
			continue
		}
		row := rows[*c.after.hash]
		if row == nil {
			row = &history{held: map[string]bool{}}
			rows[*c.after.hash] = row
		}
		row.now, row.gone = show(c.after.pkg), false
		row.held[row.now] = true
		switch {
		case c.ByAgent:
			row.wrote = append(row.wrote, row.now)
		case c.Op == "update" && !record.Same(c.before.pkg, c.after.pkg):
			row.foreign = true
		}
	}
	return rows
}

// step is one intent of a row.
type step struct {
	pkg     string
	intent  uint64
	scan    uint64        // that led to it
	group   uint64        // the scan, if all that it wants is written together; else 0
	green   bool          // an item was put into a package
	offline bool          // and the station did not know how the row stood
	result  record.Result // "" while it is open
}

// done tells whether the step ended as it was promised.
func (s step) done() bool {
	return s.result == record.Settled || s.result == record.SameValue || s.result == record.Superseded
}

func show(v record.Value) string {
	if v == nil {
		return "NULL"
	}
	return *v
}

// follows tells whether the writes are the steps in order. A settled step has its write. One that found its value may lack
// it, if the row held that value before; one that was superseded may lack it, if a newer step follows; either may have it,
// because the agent died between the row and the journal. One that was parked or is still open has none, or at most that.
func (h *history) follows(writes []string, steps []step) bool {
	if len(steps) == 0 {
		return len(writes) == 0
	}
	s, rest := steps[0], steps[1:]
	mayLack := s.result != record.Settled
	switch s.result {
	case record.SameValue:
		mayLack = h.held[s.pkg]
	case record.Superseded:
		mayLack = len(rest) > 0
	}
	if mayLack && h.follows(writes, rest) {
		return true
	}
	return (s.done() || s.result == "") && len(writes) > 0 && writes[0] == s.pkg && h.follows(writes[1:], rest)
}

// excuses tells whether a step may have gone wrong after it was answered green: only for what this station could not know.
func (h *history) excuses(s step) bool {
	switch s.result {
	case record.OtherValue:
		return s.offline || h.foreign
	case record.NoSuchRow:
		return s.offline || h.gone
	}
	return false
}

// shows tells whether the row shows what its last settled step wanted. Where somebody else wrote too, or the row is gone,
// it can't be told.
func (h *history) shows(steps []step) bool {
	if h.gone || h.foreign {
		return true
	}
	for _, s := range slices.Backward(steps) {
		if s.result == record.Settled || s.result == record.SameValue {
			return h.now == s.pkg
		}
	}
	return true
}
