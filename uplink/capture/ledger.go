package capture

import (
	"slices"
	"time"

	"station-agent/store/record"
)

// entry is what one commit of the store will take in: the ledgers of the tables write their records into it, in order.
type entry struct {
	scope   *Scope
	records []record.Record
	books   []*ledger
}

// book gives the ledger of a table.
func (e *entry) book(spec *Spec) *ledger {
	for _, l := range e.books {
		if l.spec == spec {
			return l
		}
	}
	scope := *e.scope
	scope.all = spec.Station == ""
	l := &ledger{entry: e, scope: &scope, spec: spec}
	e.books = append(e.books, l)
	return l
}

// room is memory for what a group becomes, used again for the next one.
type room struct {
	records []record.Record
	rows    []record.ShadowRow
}

// clear lets go of what the room held, and of the room itself if it is large.
func (r *room) clear() {
	if cap(r.records) > 2*groupRecords {
		*r = room{}
	}
	clear(r.records)
	clear(r.rows)
}

// rows appends the Shadow rows that changed, once each.
func (e *entry) rows(rows []record.ShadowRow) []record.ShadowRow {
	for _, l := range e.books {
		slices.Sort(l.touched)
		l.touched = slices.Compact(l.touched)
		rows = slices.Grow(rows, len(l.touched))
		for _, id := range l.touched {
			rows = append(rows, l.shadow[id])
		}
	}
	return rows
}

// ledger applies changes to one table's Shadow as it was stored, and keeps what came of them.
type ledger struct {
	*entry
	scope *Scope
	spec  *Spec
	doubt bool // the Shadow may know changes whose records were lost: what stands is reported, whatever it says
	quiet bool // what stands is noted, not reported

	shadow  map[string]record.ShadowRow // as of the last change applied; Gone rows keep their version
	touched []string                    // ids whose row changed
	moved   []string                    // ids of rows that came to the station or left it
}

func (l *ledger) held(id string) *record.ShadowRow {
	if row, ok := l.shadow[id]; ok && !row.Gone {
		return &row
	}
	return nil
}

// last is the row as the Shadow knows it, gone or not, nil if it doesn't.
func (l *ledger) last(id string) *record.ShadowRow {
	if row, ok := l.shadow[id]; ok {
		return &row
	}
	return nil
}

// apply makes the records of one change, if it is ours.
func (l *ledger) apply(c *change) {
	switch {
	case c.found:
		l.observe(c)
		return
	case c.missing:
		l.absent(c)
		return
	}
	owned := c.id
	if c.was != "" {
		owned = c.was
	}
	if c.before != c.after && (c.before == l.scope.Station || c.after == l.scope.Station) {
		l.moved = append(l.moved, c.id)
	}
	f := l.scope.decide(c.before, c.after, l.held(owned), c.at)
	switch {
	case f.forget:
		l.forget(owned)
		l.forget(c.id)
	case c.was != "":
		l.report(c, record.Delete, c.was, c.old, "a", fate{})
		l.report(c, record.Insert, c.id, c.payload, "b", f)
	case c.silent:
		if held := l.held(c.id); held != nil {
			l.note(c.id, held.Version, c.payload, f)
		}
	default:
		l.report(c, c.op, c.id, c.payload, "", f)
	}
}

func (l *ledger) report(c *change, op record.Op, id string, payload []byte, part string, f fate) {
	last := l.last(id)
	key := c.key(part)
	switch {
	case c.run != "" && c.missing:
		key = missingKey(c.run, l.spec.Collection(), id)
	case c.run != "":
		key = foundKey(c.run, l.spec.Collection(), id)
	case c.found || c.missing:
		key = polledKey(l.spec.Collection(), id, c.at, payload, last)
	}
	l.write(op, key, id, nextVersion(last, c.tick), c.at, payload, f)
}

// write makes one record and lets the Shadow follow it.
func (l *ledger) write(op record.Op, key, id, version string, at time.Time, payload []byte, f fate) {
	l.records = append(l.records, record.Record{
		Database: l.spec.database(), Collection: l.spec.Collection(), ID: id, Version: version, Op: op, At: at,
		Key: key, Payload: payload,
	})
	l.set(record.ShadowRow{
		Collection: l.spec.Collection(), ID: id, Version: version, Payload: payload, Left: f.left, Gone: op == record.Delete,
	})
}

// note lets the Shadow follow without a record.
func (l *ledger) note(id, version string, payload []byte, f fate) {
	l.set(record.ShadowRow{Collection: l.spec.Collection(), ID: id, Version: version, Payload: payload, Left: f.left})
}

func (l *ledger) forget(id string) {
	if row, ok := l.shadow[id]; ok && !row.Gone {
		row.Gone = true
		l.set(row)
	}
}

func (l *ledger) set(row record.ShadowRow) {
	if l.shadow == nil {
		l.shadow = make(map[string]record.ShadowRow)
	}
	l.touched = append(l.touched, row.ID)
	l.shadow[row.ID] = row
}
