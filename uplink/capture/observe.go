package capture

import (
	"fmt"
	"time"

	"station-agent/store/record"
)

// observe compares a row that was found with the Shadow and makes a record of the difference: update, or upsert for a row
// that nobody here knew. Another agent's row is let go of without a word: that agent speaks for it.
func (l *ledger) observe(c *change) {
	held := l.held(c.id)
	if here := c.after == l.scope.Station; !l.scope.all && c.run == "" && here != (held != nil && held.Left.IsZero()) {
		l.moved = append(l.moved, c.id)
	}
	f := l.scope.decide("", c.after, held, c.at)
	switch {
	case f.forget:
		l.forget(c.id)
	case held == nil && c.quiet:
		l.note(c.id, nextVersion(l.last(c.id), c.tick), c.payload, f)
	case held == nil:
		l.report(c, record.Upsert, c.id, c.payload, "", f)
	case l.doubt || c.all || l.spec.moved(held.Payload, c.payload):
		op := record.Update
		if c.run != "" {
			op = record.Upsert
		}
		l.report(c, op, c.id, c.payload, "", f)
	case !held.Left.Equal(f.left) || string(held.Payload) != string(c.payload):
		l.note(c.id, held.Version, c.payload, f)
	}
}

// absent makes the records of a row that is gone: its delete, and one that says between which times it went.
func (l *ledger) absent(c *change) {
	held := l.held(c.id)
	if held == nil {
		return
	}
	if l.scope.expired(held, c.at) {
		l.forget(c.id)
		return
	}
	c.payload = held.Payload
	l.report(c, record.Delete, c.id, held.Payload, "", fate{})
	if !c.from.IsZero() {
		l.sighted(c)
	}
}

// sighted says that a row was seen to be missing, which is not the same as its delete that was seen.
func (l *ledger) sighted(c *change) {
	key := l.records[len(l.records)-1].Key
	text := fmt.Appendf(nil, `{"collection":%s,"record":%s,"reason":"observed missing","after":%q,"before":%q,"station":%q}`,
		appendString(nil, l.spec.Collection()), appendString(nil, c.id), c.from.UTC().Format(time.RFC3339Nano),
		c.at.UTC().Format(time.RFC3339Nano), l.scope.Station)
	payload, err := appendDocument(nil, text)
	if err != nil {
		return // it is JSON: it was made above
	}
	id := digest([]byte(key))
	l.records = append(l.records, record.Record{
		Database: l.spec.database(), Collection: Gaps, ID: id, Version: nextVersion(nil, c.tick), Op: record.Insert, At: c.at,
		Key: "g:" + id, Payload: payload,
	})
}
