package capture

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// Querier asks the server: a *sql.DB, or a *sql.Conn where the questions must be of one session.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Snapshot reads rows by SELECTs and maps them by the same type table as the log.
type Snapshot struct {
	DB      Querier
	Table   Spec
	Station string            // our UUID
	Locking bool              // wait for the transactions that have a row in hand, rather than read what was before them
	Explain func(error) error // makes an error of DB one that a person can act on; may be nil
}

const atOnce = 200 // ids in one question

// Rows reads the rows on the station and, besides, those with the given ids wherever they are; each row once.
func (s *Snapshot) Rows(ctx context.Context, ids []string) ([]State, error) {
	found, err := s.rows(ctx, ids)
	if err != nil && s.Explain != nil {
		err = s.Explain(err)
	}
	if err != nil {
		return nil, fmt.Errorf("read rows of %s: %w", s.Table, err)
	}
	return found, nil
}

func (s *Snapshot) rows(ctx context.Context, ids []string) ([]State, error) {
	table, err := ReadTable(ctx, s.DB, s.Table)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	found, err := s.query(ctx, table, seen, quote(s.Table.Station)+" = ?", []any{s.Station})
	if err != nil {
		return nil, err
	}
	for chunk := range slices.Chunk(ids, atOnce) {
		args := make([]any, len(chunk))
		for i, id := range chunk {
			args[i] = id
		}
		where := quote(s.Table.Key) + " IN (?" + strings.Repeat(",?", len(chunk)-1) + ")"
		more, err := s.query(ctx, table, seen, where, args)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

// query reads the rows that where selects and that were not seen yet.
func (s *Snapshot) query(ctx context.Context, table *Table, seen map[string]bool, where string, args []any) ([]State, error) {
	var b strings.Builder
	b.WriteString("SELECT ")
	for i := range table.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(table.Columns[i].expression())
	}
	fmt.Fprintf(&b, " FROM %s.%s WHERE %s", quote(s.Table.Schema), quote(s.Table.Name), where)
	if s.Locking {
		b.WriteString(" LOCK IN SHARE MODE")
	}
	rows, err := s.DB.QueryContext(ctx, b.String(), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []State
	cells := make([]sql.RawBytes, len(table.Columns))
	into := make([]any, len(cells))
	for i := range cells {
		into[i] = &cells[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row, err := values(table, cells)
		if err != nil {
			return nil, err
		}
		if id := table.ID(row); !seen[id] {
			seen[id] = true
			payload, err := table.AppendPayload(nil, row)
			if err != nil {
				return nil, err
			}
			found = append(found, State{ID: id, Place: table.Place(row), Payload: payload})
		}
	}
	return found, rows.Err()
}

// values makes a row of what the server printed.
func values(table *Table, cells []sql.RawBytes) ([]any, error) {
	row := make([]any, len(cells))
	for i, cell := range cells {
		if cell == nil {
			continue
		}
		row[i] = []byte(cell)
		if table.Columns[i].Kind == Timestamp {
			text, err := clock(string(cell), table.Columns[i].Fraction)
			if err != nil {
				return nil, fmt.Errorf("map column %s: %w", table.Columns[i].Name, err)
			}
			row[i] = text
		}
	}
	return row, nil
}
