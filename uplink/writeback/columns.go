package writeback

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"station-agent/store/record"
)

// Rows is a customer's own table, as capture reads it.
type Rows interface {
	// Lock reads the rows with these ids as canonical payloads by id, and holds them until tx ends. A row that isn't there is left
	// out.
	Lock(ctx context.Context, tx *sql.Tx, ids []string) (map[string]json.RawMessage, error)
	// Same tells whether two payloads say the same but for the time of the last change.
	Same(a, b json.RawMessage) bool
	// Update is an UPDATE of a row that Lock read, around what is set, and the parameters of its condition. It keeps the time of the
	// last change as it is: "UPDATE table SET ", ", updated_at = updated_at WHERE key = ?".
	Update(id string) (before, after string, args []any)
	// Holds tells whether r is about a row of the table.
	Holds(r *record.Record) bool
	// Latest gives the versions of the last changes of these rows, as far as they are known. A row that came back to what it was
	// before is not what an earlier change made of it.
	Latest(ids []string) (map[string]string, error)
	fmt.Stringer
}

// Columns are the three tracking columns of Certyo's MySQL guide in a customer's own table: certyo_record_hash VARCHAR(128),
// certyo_anchor_status VARCHAR(20), certyo_verified_at TIMESTAMP NULL.
type Columns struct {
	db   *sql.DB
	rows Rows
}

// NewColumns makes a target of the columns in the table of rows. The pool's sessions must be in UTC.
func NewColumns(db *sql.DB, rows Rows) *Columns { return &Columns{db, rows} }

// String names the columns.
func (c *Columns) String() string { return "the tracking columns of " + c.rows.String() }

// later tells whether a version is higher than another one.
func later(v, than string) bool {
	return cmp.Or(cmp.Compare(len(v), len(than)), cmp.Compare(v, than)) > 0
}

// lockWait is how long, in seconds, a row is waited for that somebody else holds: they come first.
const lockWait = 2

// Write implements Target, in one transaction. A row that isn't any more what was sent is left alone: its own record will come.
func (c *Columns) Write(ctx context.Context, list []record.Standing) error {
	var ids []string
	ours := make([]*record.Standing, 0, len(list))
	seen := map[string]bool{}
	for i := range list {
		r := &list[i].Record
		if !c.rows.Holds(r) || r.Op == record.Delete {
			continue
		}
		ours = append(ours, &list[i])
		if !seen[r.ID] {
			seen[r.ID] = true
			ids = append(ids, r.ID)
		}
	}
	if len(ours) == 0 {
		return nil
	}
	latest, err := c.rows.Latest(ids)
	if err != nil {
		return err
	}
	ours = slices.DeleteFunc(ours, func(s *record.Standing) bool { return later(latest[s.Record.ID], s.Record.Version) })
	if len(ours) == 0 {
		return nil
	}
	tx, err := c.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	err = c.write(ctx, tx, ids, ours)
	if err == nil {
		return tx.Commit()
	}
	_ = tx.Rollback() // what broke the transaction is told
	return err
}

func (c *Columns) write(ctx context.Context, tx *sql.Tx, ids []string, list []*record.Standing) error {
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("SET SESSION innodb_lock_wait_timeout = %d", lockWait)); err != nil {
		return err
	}
	now, err := c.rows.Lock(ctx, tx, ids)
	if err != nil {
		return err
	}
	for _, s := range list {
		payload, there := now[s.Record.ID]
		if !there || !c.rows.Same(payload, s.Record.Payload) || len(s.Receipt.Hash) > 128 {
			continue
		}
		before, after, where := c.rows.Update(s.Record.ID)
		var at any
		if t := proven(s); !t.IsZero() {
			at = t.UTC().Format("2006-01-02 15:04:05")
		}
		const set = "certyo_record_hash = ?, certyo_anchor_status = ?, certyo_verified_at = ?"
		args := append([]any{maybe(s.Receipt.Hash), status(s.State), at}, where...)
		if _, err := tx.ExecContext(ctx, before+set+after, args...); err != nil {
			return err
		}
	}
	return nil
}

// status writes a state as the guide does: Pending, Anchored.
func status(a record.Anchoring) string { return strings.ToUpper(string(a[:1])) + string(a[1:]) }
