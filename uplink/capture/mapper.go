package capture

import (
	"bytes"
	"slices"
	"sync"

	"station-agent/store/record"
)

// mapper maps transactions beside the goroutine that stores them: what waits between the two is only what will be stored.
type mapper struct {
	tables  []*Spec
	scratch []byte
	block   []byte    // where the next payloads go
	spare   []*change // memory for the next ones
	used    *recycled // where more of it comes from, nil for none
	last    string    // the station where the last row was
}

// changesAtOnce are made together, or taken from those that were stored.
const changesAtOnce = 64

// recycled are changes that were stored, to be used again: one of the stream's goroutines gives, the other takes.
type recycled struct {
	mu   sync.Mutex
	list []*change
}

// give takes changes that nobody uses any more.
func (r *recycled) give(list []*change) {
	for _, c := range list {
		*c = change{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.list) < groupRecords {
		r.list = append(r.list, list...)
	}
}

// take appends some to list, in which there is room.
func (r *recycled) take(list []*change) []*change {
	if r == nil {
		return list
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := max(0, len(r.list)-changesAtOnce)
	list = append(list, r.list[rest:]...)
	clear(r.list[rest:])
	r.list = r.list[:rest]
	return list
}

// next is an empty change.
func (m *mapper) next() (c *change) {
	if len(m.spare) == 0 {
		m.spare = m.used.take(m.spare)
	}
	if n := len(m.spare); n > 0 {
		m.spare, c = m.spare[:n-1], m.spare[n-1]
		return c
	}
	return new(change)
}

// mappedTx is a transaction without its rows.
type mappedTx struct {
	Tx
	changes []*change
	err     error // why they could not be mapped; there are none then
}

// tx maps the rows of one transaction, and what was found.
func (m *mapper) tx(tx Tx) mappedTx {
	t := mappedTx{Tx: tx}
	t.Rows, t.Found, t.Missing = nil, nil, nil
	if n := len(tx.Rows) + len(tx.Found) + len(tx.Missing); n > 0 {
		t.changes = make([]*change, 0, n)
	}
	for i := range tx.Rows {
		if !slices.Contains(m.tables, tx.Rows[i].Table.Spec) {
			continue // nobody asked for it
		}
		row := &tx.Rows[i]
		if row.mapped == nil && row.err == nil {
			m.take(row)
		}
		if row.err != nil {
			return mappedTx{Tx: t.Tx, err: Gap("the layout is unknown: %v", row.err)}
		}
		c := row.mapped
		c.name, c.tx, c.at, c.tick, c.ordinal = row.Key, tx.ID, tx.At, tx.Tick, row.Ordinal
		t.changes = append(t.changes, c)
	}
	for i := range tx.Found {
		t.changes = append(t.changes, tx.state(&tx.Found[i]))
	}
	for i := range tx.Missing {
		t.changes = append(t.changes, tx.absence(&tx.Missing[i]))
	}
	return t
}

// take maps a row while its images are at hand.
func (m *mapper) take(row *RowChange) {
	c, err := m.change(row)
	row.mapped, row.err = c, err
}

// change maps one row; of its transaction it knows nothing yet.
func (m *mapper) change(row *RowChange) (*change, error) {
	c := m.next()
	c.table, c.op = row.Table.Spec, row.Op
	image := row.After
	if image == nil {
		image = row.Before
	}
	c.id = row.Table.ID(image)
	c.before, c.after = m.place(row.Table, row.Before), m.place(row.Table, row.After)
	var err error
	if row.Before != nil && row.Table.shortID(row.Before) != c.id {
		c.was = row.Table.ID(row.Before)
		if c.old, err = m.payload(row.Table, row.Before); err != nil {
			return c, err
		}
	}
	if c.payload, err = m.payload(row.Table, image); err == nil && row.Op == record.Update && c.was == "" && row.Table.partial() {
		c.silent, err = m.silent(row, c)
	}
	return c, err
}

// silent tells whether a row changed in nothing that makes a record.
func (m *mapper) silent(row *RowChange, c *change) (bool, error) {
	old, err := m.payload(row.Table, row.Before)
	return err == nil && c.before == c.after && !row.Table.differs(old, c.payload), err
}

// state is a row that was found.
func (tx *Tx) state(s *State) *change {
	c := &change{table: s.Table, id: s.ID, after: s.Place, payload: s.Payload, at: tx.At, tick: tx.Tick, found: true, run: tx.Run, quiet: tx.Quiet, all: tx.All}
	if !s.At.IsZero() {
		c.at = s.At
	}
	return c
}

func (tx *Tx) absence(a *Absence) *change {
	return &change{table: a.Table, op: record.Delete, id: a.ID, at: a.To, from: a.From, tick: a.To.UnixMicro(), missing: true, run: tx.Run}
}

// place is Table.Place, without a new string while rows stay where they are.
func (m *mapper) place(t *Table, image []any) string {
	if image == nil {
		return ""
	}
	if at := plain(image, t.station); at != m.last {
		m.last = t.Place(image)
	}
	return m.last
}

// payloads is how many bytes of payloads are made room for at once. What keeps one of them keeps its neighbours too, so they are few.
const payloads = 8 << 10

// payload is the canonical JSON of an image, in a slice of just its length.
func (m *mapper) payload(t *Table, image []any) (_ []byte, err error) {
	if m.scratch, err = t.AppendPayload(m.scratch[:0], image); err != nil {
		return nil, err
	}
	n := len(m.scratch)
	if n > payloads/8 {
		return bytes.Clone(m.scratch), nil
	}
	if cap(m.block)-len(m.block) < n {
		m.block = make([]byte, 0, payloads)
	}
	at := len(m.block)
	m.block = append(m.block, m.scratch...)
	return m.block[at:len(m.block):len(m.block)], nil
}
