package capture

import "bytes"

// mapper maps transactions beside the goroutine that stores them: what waits between the two is only what will be stored.
type mapper struct {
	spec    Spec
	scratch []byte
	last    string // the station where the last row was
}

// mappedTx is a transaction without its rows.
type mappedTx struct {
	Tx
	changes []change
	err     error // why they could not be mapped; there are none then
}

// tx maps the rows of one transaction.
func (m *mapper) tx(tx Tx) mappedTx {
	t := mappedTx{Tx: tx}
	t.Rows = nil
	for i := range tx.Rows {
		if tx.Rows[i].Table.Spec != m.spec {
			continue // nobody asked for it
		}
		c, err := m.change(&tx, &tx.Rows[i])
		if err != nil {
			return mappedTx{Tx: t.Tx, err: Gap("the layout is unknown: %v", err)}
		}
		if t.changes == nil {
			t.changes = make([]change, 0, len(tx.Rows))
		}
		t.changes = append(t.changes, c)
	}
	return t
}

// change maps one row of tx.
func (m *mapper) change(tx *Tx, row *RowChange) (change, error) {
	c := change{op: row.Op, tx: tx.ID, at: tx.At, tick: tx.Tick, ordinal: row.Ordinal}
	image := row.After
	if image == nil {
		image = row.Before
	}
	c.id = row.Table.ID(image)
	c.before, c.after = m.place(row.Table, row.Before), m.place(row.Table, row.After)
	var err error
	if row.Before != nil && plain(row.Before, row.Table.key) != c.id {
		c.was = row.Table.ID(row.Before)
		if c.old, err = m.payload(row.Table, row.Before); err != nil {
			return c, err
		}
	}
	c.payload, err = m.payload(row.Table, image)
	return c, err
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

// payload is the canonical JSON of an image, in a slice of just its length.
func (m *mapper) payload(t *Table, image []any) (_ []byte, err error) {
	m.scratch, err = t.AppendPayload(m.scratch[:0], image)
	return bytes.Clone(m.scratch), err
}
