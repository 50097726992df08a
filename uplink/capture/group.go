package capture

import (
	"slices"
	"time"

	"station-agent/store/record"
)

// change is one RowChange that may be ours, mapped and free of the source's buffers; or a row that was found or missed.
type change struct {
	table         *Spec
	op            record.Op
	id            string
	was           string // the id before, if the primary key changed
	before, after string // the stations in the images
	payload       []byte // the row as it is; for a delete, as it was
	old           []byte // the row as it was, if the primary key changed

	tx      string
	name    string // in place of tx and ordinal, if the source names each change
	at      time.Time
	tick    int64
	ordinal int

	silent         bool // no column that makes a record differs
	found, missing bool
	quiet, all     bool
	run            string    // of the sweep that found it
	from           time.Time // a missing row was last seen then
}

// key is the idempotency key of a change that was seen to happen.
func (c *change) key(part string) string {
	if c.name != "" {
		return c.name + part
	}
	return changeKey(c.tx, c.at, c.ordinal, part)
}

// group collects whole transactions until they enter the store together.
type group struct {
	position record.Position // behind the last one
	changes  []*change
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
	for _, c := range tx.changes {
		g.bytes += len(c.payload) + len(c.old)
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

// ids lists the rows of a table that the group concerns, some of them more than once.
func (g *group) ids(table *Spec) []string {
	ids := make([]string, 0, len(g.changes))
	for _, c := range g.changes {
		if c.table != table {
			continue
		}
		ids = append(ids, c.id)
		if c.was != "" {
			ids = append(ids, c.was)
		}
	}
	return ids
}

// found tells whether the group has rows of the table that were found or missed, and not seen to change.
func (g *group) found(table *Spec) bool {
	return slices.ContainsFunc(g.changes, func(c *change) bool { return c.table == table && (c.found || c.missing) })
}
