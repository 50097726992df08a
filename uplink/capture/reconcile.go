package capture

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"station-agent/store/record"
)

// Gaps is the collection in which a gap is recorded.
const Gaps = Own + "gaps"

// State is one row as it was found.
type State struct {
	Table   *Spec
	ID      string
	Updated time.Time // what its table has for the time of the last change; zero if it has none. A DATETIME is in nobody knows which zone
	At      time.Time // the same as a time in UTC, zero if it isn't known
	Place   string    // UUID of the station where it is, in small letters; "" if it is on none
	Payload []byte    // canonical JSON
}

// reconcile compares the rows found now with the Shadow (the ledger's) and makes a record of each difference: upsert for
// a state that was not seen to come about, delete for a row that is gone. The rows show every change before at.
func (l *ledger) reconcile(run string, at record.Position, found []State) {
	sort.Slice(found, func(i, k int) bool { return found[i].ID < found[k].ID })
	exists := make(map[string]bool, len(found))
	for _, s := range found {
		if s.Table != l.spec {
			continue
		}
		exists[s.ID] = true
		l.settle(run, at, s)
	}
	var ids []string
	for id, row := range l.shadow {
		if !row.Gone && !exists[id] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		row := l.shadow[id]
		if l.scope.expired(&row, at.At) {
			l.forget(id)
			continue
		}
		l.find(run, at, record.Delete, State{ID: id, Payload: row.Payload}, fate{})
	}
}

// settle compares one row that exists. Another agent's row is let go of without a word: that agent speaks for it.
func (l *ledger) settle(run string, at record.Position, s State) {
	held := l.held(s.ID)
	f := l.scope.decide("", s.Place, held, at.At)
	switch {
	case f.forget:
		l.forget(s.ID)
	case held == nil && l.quiet:
		l.note(s.ID, nextVersion(l.last(s.ID), at.At.UnixMicro()), s.Payload, f)
	case held == nil || l.doubt || string(held.Payload) != string(s.Payload):
		l.find(run, at, record.Upsert, s, f)
	case !held.Left.Equal(f.left):
		row := *held
		row.Left = f.left
		l.set(row)
	}
}

func (l *ledger) find(run string, at record.Position, op record.Op, s State, f fate) {
	version := nextVersion(l.held(s.ID), at.At.UnixMicro())
	l.write(op, foundKey(run, l.spec.Collection(), s.ID), s.ID, version, at.At, s.Payload, f)
}

// missed makes the record that says that changes were missed between two positions.
func (e *entry) missed(run, reason string, from, to record.Position, tables []*Spec) error {
	said := map[string]any{"found_at": to.At, "from": from, "reason": reason, "station": e.scope.Station, "to": to}
	if said["collection"] = tables[0].Collection(); len(tables) > 1 {
		said["collection"] = strings.Split(names(tables), ",")
	}
	text, err := json.Marshal(said)
	if err != nil {
		return fmt.Errorf("record gap: %w", err)
	}
	payload, err := appendDocument(nil, text)
	if err != nil {
		return fmt.Errorf("record gap: %w", err)
	}
	e.records = append(e.records, record.Record{
		Database: tables[0].database(), Collection: Gaps, ID: run, Version: nextVersion(nil, to.At.UnixMicro()), Op: record.Insert, At: to.At,
		Key: foundKey(run, Gaps, run), Payload: payload,
	})
	return nil
}
