package capture

import (
	"slices"
	"time"

	"station-agent/store/record"
)

// change is one RowChange that may be ours, mapped and free of the source's buffers.
type change struct {
	op            record.Op
	id            string
	was           string // the id before, if the primary key changed
	before, after string // the stations in the images
	payload       []byte // the row as it is; for a delete, as it was
	old           []byte // the row as it was, if the primary key changed

	tx      string
	at      time.Time
	tick    int64
	ordinal int
}

// group collects whole transactions until they enter the store together.
type group struct {
	position record.Position // behind the last one
	changes  []change
	bytes    int
	moved    bool // position is not the stored one
}

// The rule of latency: between two commits of the store lies this much time at least, and nothing waits for its commit
// longer than that. After a calm a change is stored at once; with a backlog at hand groups are full and follow at once.
const (
	groupRecords = 1000
	groupBytes   = 512 << 10
	groupEvery   = time.Second     // with changes
	moveEvery    = 5 * time.Second // of a position that nothing of ours lies before
)

// add takes one transaction in, all of it or nothing.
func (g *group) add(tx *mappedTx) error {
	if tx.err != nil {
		return tx.err
	}
	g.changes = append(g.changes, tx.changes...)
	for i := range tx.changes {
		g.bytes += len(tx.changes[i].payload) + len(tx.changes[i].old)
	}
	if !tx.Position.Zero() {
		g.position, g.moved = tx.Position, true
	}
	return nil
}

func (g *group) full() bool { return len(g.changes) >= groupRecords || g.bytes >= groupBytes }

func (g *group) empty() bool { return !g.moved && len(g.changes) == 0 }

// every is how much time lies between two commits.
func (g *group) every() time.Duration {
	if len(g.changes) > 0 {
		return groupEvery
	}
	return moveEvery
}

// wait is how long the group may wait for more, given the time since the last commit.
func (g *group) wait(since time.Duration) time.Duration {
	if rest := g.every() - since; rest > 0 {
		return rest
	}
	return g.every()
}

// ripe tells whether the group is to be stored now that nothing more is at hand.
func (g *group) ripe(since time.Duration) bool { return !g.empty() && since >= g.every() }

// ids lists the rows that the group concerns, once each.
func (g *group) ids() []string {
	ids := make([]string, 0, len(g.changes))
	for _, c := range g.changes {
		ids = append(ids, c.id)
		if c.was != "" {
			ids = append(ids, c.was)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// ledger applies changes to the Shadow as it was stored, and keeps what came of them.
type ledger struct {
	scope    *Scope
	database string
	spec     Spec
	doubt    bool // the Shadow may know changes whose records were lost: what stands is reported, whatever it says

	shadow  map[string]record.ShadowRow // as of the last change applied; Gone rows keep their version
	touched []string                    // ids whose row changed, in order, once each
	records []record.Record
}

func (l *ledger) held(id string) *record.ShadowRow {
	if row, ok := l.shadow[id]; ok && !row.Gone {
		return &row
	}
	return nil
}

// apply makes the records of one change, if it is ours.
func (l *ledger) apply(c *change) {
	owned := c.id
	if c.was != "" {
		owned = c.was
	}
	f := l.scope.decide(c.before, c.after, l.held(owned), c.at)
	if f.forget {
		l.forget(owned)
		l.forget(c.id)
		return
	}
	if c.was != "" {
		l.report(c, record.Delete, c.was, c.old, "a", fate{})
		l.report(c, record.Insert, c.id, c.payload, "b", f)
		return
	}
	l.report(c, c.op, c.id, c.payload, "", f)
}

func (l *ledger) report(c *change, op record.Op, id string, payload []byte, part string, f fate) {
	var before *record.ShadowRow
	if row, ok := l.shadow[id]; ok {
		before = &row
	}
	version := nextVersion(before, c.tick)
	l.records = append(l.records, record.Record{
		Database: l.database, Collection: l.spec.Collection(), ID: id, Version: version, Op: op, At: c.at,
		Key: changeKey(c.tx, c.at, c.ordinal, part), Payload: payload,
	})
	l.set(record.ShadowRow{
		Collection: l.spec.Collection(), ID: id, Version: version, Payload: payload, Left: f.left, Gone: op == record.Delete,
	})
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

// rows lists the Shadow rows that changed, once each.
func (l *ledger) rows() []record.ShadowRow {
	seen := make(map[string]struct{}, len(l.touched))
	rows := make([]record.ShadowRow, 0, len(l.touched))
	for _, id := range l.touched {
		if _, twice := seen[id]; !twice {
			seen[id] = struct{}{}
			rows = append(rows, l.shadow[id])
		}
	}
	return rows
}
