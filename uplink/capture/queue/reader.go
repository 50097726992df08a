package queue

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"strings"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// reader is one Run of a Source, on one connection.
type reader struct {
	*Source
	conn  *sql.Conn
	read  capture.Snapshot
	table *capture.Table
	query string
	rows  int // entries to ask for: fewer than a chunk has where they are large
	keep  func(*capture.RowChange) bool
	sink  func(capture.Tx) error

	taken  taken // in the store, or on the way there, and not marked
	sweeps capture.Sweeps
	at     time.Time

	cleaned, counted time.Time
}

// entry is one line of the queue table.
type entry struct {
	n  uint64
	id string
	tx capture.Tx
}

// entries is the question for entries that are not marked, in order.
func entries(table *capture.Table, name Name) string {
	columns := []string{"n", "id", "op", "CAST(made AS CHAR)"}
	for _, prefix := range []string{before, after} {
		for i, c := range table.Columns {
			if table.Needs(i) {
				columns = append(columns, capture.Quote(prefix+c.Name))
			} else {
				columns = append(columns, "NULL")
			}
		}
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + name.quoted() + " WHERE taken IS NULL ORDER BY n LIMIT ?"
}

// look marks what is in the store, reads what came, gives it out and waits until that is in the store too. With nothing to
// read it reads a part of the table, if that is to be swept, or rests.
func (r *reader) look(ctx context.Context) error {
	if err := r.mark(ctx); err != nil {
		return err
	}
	var list []entry
	var chunk *capture.Tx
	var next capture.Sweeps
	err := r.consistent(ctx, func() (err error) {
		var more bool
		if list, more, err = r.entries(ctx); err != nil || more || len(r.sweeps) == 0 {
			return err
		}
		chunk, next, err = r.chunk(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if len(list) > 0 {
		if same, err := r.layout(ctx); err != nil || !same {
			return err
		}
	}
	if err := r.give(list, chunk, next); err != nil {
		return err
	}
	if len(list) > 0 || chunk != nil {
		return r.await(ctx)
	}
	if err := r.keepHouse(ctx); err != nil {
		return err
	}
	if err := r.sink(capture.Tx{Idle: true}); err != nil {
		return err
	}
	return rest(ctx, r.cfg.Every)
}

// layout tells whether the table is as it was when reading began. Else what was read may lack a column that was added: it is to
// be read once more, as the table is now.
func (r *reader) layout(ctx context.Context) (same bool, err error) {
	table, err := r.read.Layout(ctx)
	if err != nil || reflect.DeepEqual(table.Columns, r.table.Columns) {
		return err == nil, err
	}
	r.table, r.query = table, entries(table, r.cfg.Queue)
	return false, nil
}

// consistent reads in one snapshot of the server.
func (r *reader) consistent(ctx context.Context, do func() error) error {
	for _, s := range []string{"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT"} {
		if _, err := r.conn.ExecContext(ctx, s); err != nil {
			return r.explain(err)
		}
	}
	err := do()
	if _, end := r.conn.ExecContext(ctx, "COMMIT"); err == nil {
		err = r.explain(end)
	}
	return err
}

func (r *reader) now(ctx context.Context) (time.Time, error) {
	var text string
	if err := r.conn.QueryRowContext(ctx, "SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)").Scan(&text); err != nil {
		return time.Time{}, r.explain(err)
	}
	return time.Parse(time.DateTime, text)
}

// entries reads the next entries, until there are enough or they hold enough; more says that others may be behind them.
func (r *reader) entries(ctx context.Context) (list []entry, more bool, err error) {
	rows, err := r.conn.QueryContext(ctx, r.query, r.rows)
	if err != nil {
		return nil, false, r.explain(err)
	}
	defer rows.Close()
	n := len(r.table.Columns)
	cells := make([]sql.RawBytes, 4+2*n)
	into := make([]any, len(cells))
	for i := range cells {
		into[i] = &cells[i]
	}
	var number uint64
	into[0] = &number
	bytes := 0
	for bytes < capture.PageBytes && rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, false, r.explain(err)
		}
		for _, c := range cells {
			bytes += len(c)
		}
		id := string(cells[1])
		tx, err := r.change(id, record.Op(cells[2]), string(cells[3]), cells[4:4+n], cells[4+n:])
		if err != nil {
			return nil, false, fmt.Errorf("read entry %d of %s: %w", number, r.cfg.Queue, err)
		}
		list = append(list, entry{number, id, tx})
	}
	more = bytes >= capture.PageBytes || len(list) == r.rows
	r.rows = capture.NextPage(r.cfg.Chunk, r.rows, len(list), bytes)
	return list, more, r.explain(rows.Err())
}

// change maps one entry; a row that nobody keeps leaves an empty transaction.
func (r *reader) change(id string, op record.Op, made string, was, is []sql.RawBytes) (tx capture.Tx, err error) {
	tx = capture.Tx{ID: Way}
	if tx.At, err = time.Parse(time.DateTime, made); err != nil {
		return tx, err
	}
	tx.Tick = tx.At.UnixMicro()
	c := capture.RowChange{Table: r.table, Op: op, Key: "q:" + id}
	if op != record.Insert {
		if c.Before, err = r.row(was); err != nil {
			return tx, err
		}
	}
	if op != record.Delete {
		if c.After, err = r.row(is); err != nil {
			return tx, err
		}
	}
	if r.keep == nil || r.keep(&c) {
		tx.Rows = []capture.RowChange{c}
	}
	return tx, nil
}

// row copies the cells, which are the driver's until the next row, and maps them.
func (r *reader) row(cells []sql.RawBytes) ([]any, error) {
	own := make([]sql.RawBytes, len(cells))
	for i, c := range cells {
		if c != nil {
			own[i] = append(sql.RawBytes{}, c...)
		}
	}
	return r.table.Row(own)
}

// chunk reads the next part of the table that is to be swept. It shows what the entries that were read with it led to.
func (r *reader) chunk(ctx context.Context) (*capture.Tx, capture.Sweeps, error) {
	name := r.table.Collection()
	progress, due := r.sweeps[name]
	if !due {
		return nil, nil, nil
	}
	now, err := r.now(ctx)
	if err != nil {
		return nil, nil, err
	}
	sweep := capture.Sweep{Read: r.read, Known: r.cfg.Known, Chunk: r.cfg.Chunk}
	found, missing, next, done, err := sweep.Next(ctx, r.table, progress)
	if err != nil {
		return nil, nil, err
	}
	tx := &capture.Tx{ID: Way, At: now, Tick: now.UnixMicro(), Found: found, Run: progress.Run, Quiet: progress.Quiet, All: progress.All}
	for _, id := range missing {
		tx.Missing = append(tx.Missing, capture.Absence{Table: r.cfg.Table, ID: id, To: now})
	}
	if done {
		return tx, nil, nil
	}
	return tx, capture.Sweeps{name: next}, nil
}

// give gives out entries and then the chunk, each with the position behind it: they may enter the store in several groups.
func (r *reader) give(list []entry, chunk *capture.Tx, next capture.Sweeps) error {
	for _, e := range list {
		r.taken.add(e.n, e.id)
		r.at = e.tx.At
		e.tx.Position = r.position()
		if err := r.sink(e.tx); err != nil {
			return err
		}
	}
	if chunk == nil {
		return nil
	}
	r.sweeps = next
	chunk.Position = r.position()
	return r.sink(*chunk)
}

func (r *reader) position() record.Position {
	return record.Position{Way: Way, At: r.at, Taken: r.taken.String(), Sweep: r.sweeps.String()}
}

// await waits until the store has the position that was given last.
func (r *reader) await(ctx context.Context) error {
	want := r.position()
	for {
		p, err := r.cfg.Stored()
		if err != nil {
			return err
		}
		if p.Taken == want.Taken && p.Sweep == want.Sweep {
			return nil
		}
		if err := rest(ctx, storedLook); err != nil {
			return err
		}
	}
}
