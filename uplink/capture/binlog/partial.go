package binlog

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// partial tells why the images of one row don't show every column in full, and what mends it; nil if they do.
func partial(h *replication.EventHeader, table *capture.Table, skipped [][]int) error {
	for _, s := range skipped {
		if len(s) > 0 {
			return fmt.Errorf("row images of %s are partial, for a session has another binlog_row_image: it must not set one (as administrator, SET GLOBAL binlog_row_image = 'FULL')", table.Spec)
		}
	}
	if h.EventType != replication.PARTIAL_UPDATE_ROWS_EVENT {
		return nil
	}
	for _, c := range table.Columns {
		if c.Kind == capture.Document {
			return fmt.Errorf("updates of %s have the JSON column %s in part only, for a session has set binlog_row_value_options: it must not (as administrator, SET GLOBAL binlog_row_value_options = '')", table.Spec, c.Name)
		}
	}
	return nil
}

// looks are rows that a transaction changed without saying in full how: by table and key, in the order of the log. At the
// end of the transaction a row is known to be gone, or it is looked at.
type looks struct {
	list []look
	at   map[look]int
}

type look struct {
	table *capture.Spec
	id    string
	gone  bool
}

func (l *looks) set(table *capture.Spec, id string, gone bool) {
	if l.at == nil {
		l.at = make(map[look]int)
	}
	key := look{table: table, id: id}
	i, ok := l.at[key]
	if !ok {
		i = len(l.list)
		l.at[key] = i
		l.list = append(l.list, key)
	}
	l.list[i].gone = gone
}

// whole notes a row that came in full: if it was to be missed, it is there again.
func (l *looks) whole(row *capture.RowChange) {
	if len(l.list) == 0 || row.After == nil {
		return
	}
	if id := row.Table.ID(row.After); l.has(row.Table.Spec, id) {
		l.set(row.Table.Spec, id, false)
	}
}

func (l *looks) has(table *capture.Spec, id string) bool {
	_, ok := l.at[look{table: table, id: id}]
	return ok
}

// complete takes in a row whose images are partial: it is looked at when the transaction is over.
func (s *stream) complete(table *capture.Table, op record.Op, images [][]any, skipped [][]int, why error) error {
	s.now = capture.RowChange{Table: table, Ordinal: s.tx.ordinal, Op: op}
	s.tx.ordinal++
	for _, k := range keyOf(table) {
		if slices.Contains(skipped[0], k) {
			return capture.Gap("%w; and the key of the row is left out", why)
		}
	}
	switch op {
	case record.Insert:
		s.now.After = images[0]
	case record.Delete:
		s.now.Before = images[0]
	default: // what is left out behind is as it was before, or it was left out there too
		s.now.Before, s.now.After = images[0], slices.Clone(images[1])
		for _, c := range skipped[1] {
			s.now.After[c] = s.now.Before[c]
		}
	}
	if s.keep != nil && !s.keep(&s.now) {
		return nil
	}
	s.warn(why)
	was, is := "", ""
	if s.now.Before != nil {
		was = table.ID(s.now.Before)
		s.tx.looks.set(table.Spec, was, true)
	}
	if s.now.After != nil {
		is = table.ID(s.now.After)
		s.tx.looks.set(table.Spec, is, false)
	}
	return nil
}

// keyOf gives the places of the key's columns.
func keyOf(table *capture.Table) (at []int) {
	for i, c := range table.Columns {
		if slices.Contains(table.Key, c.Name) {
			at = append(at, i)
		}
	}
	return at
}

// find looks at the rows that the transaction changed without saying how. A row that it removed is missing. One that is not
// there any more, though the transaction left it there, was removed by a later one, which says so itself.
func (s *stream) find(tx *open) (found []capture.State, missing []capture.Absence, err error) {
	ids := make(map[*capture.Spec][]string)
	for _, l := range tx.looks.list {
		if l.gone {
			missing = append(missing, capture.Absence{Table: l.table, ID: l.id, To: tx.at})
		} else {
			ids[l.table] = append(ids[l.table], l.id)
		}
	}
	for _, spec := range s.layout.specs {
		if len(ids[spec]) == 0 {
			continue
		}
		rows, err := s.see(s.ctx, spec, ids[spec])
		if err != nil {
			return nil, nil, err
		}
		for _, row := range rows {
			if tx.looks.has(spec, row.ID) { // not one whose key is only much the same
				found = append(found, row)
			}
		}
	}
	return found, missing, nil
}

// see reads rows as a transaction left them or a later one did. A server writes a transaction to the log before it commits it
// in the engine; until then it has its rows locked, and a locking read waits for it.
func (s *Source) see(ctx context.Context, spec *capture.Spec, ids []string) ([]capture.State, error) {
	conn, err := s.cfg.DB.Conn(ctx)
	if err != nil {
		return nil, s.explain(err)
	}
	defer conn.Raw(func(any) error { return driver.ErrBadConn }) // closes it, with its settings
	err = s.begin(ctx, conn, "SET SESSION innodb_lock_wait_timeout = 5", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
	if err != nil {
		return nil, err
	}
	rows := capture.Snapshot{DB: conn, Table: spec, Station: s.cfg.Station, Explain: s.cfg.Explain, Locking: true}
	table, err := rows.Layout(ctx)
	if err != nil {
		return nil, err
	}
	return rows.Those(ctx, table, ids)
}

const warnEvery = time.Hour

// warn says what should be mended while capture goes on, now and then.
func (s *Source) warn(why error) {
	if s.cfg.Warn == nil || time.Since(s.warned[why.Error()]) < warnEvery {
		return
	}
	if s.warned == nil {
		s.warned = make(map[string]time.Time)
	}
	s.warned[why.Error()] = time.Now()
	s.cfg.Warn(s.about(fmt.Errorf("%w; meanwhile such rows are looked at one by one, and what they were in between is not seen", why)))
}
