package capture

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Querier asks the server: a *sql.DB, or a *sql.Conn where the questions must be of one session.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Snapshot reads rows by SELECTs and maps them by the same type table as the log.
type Snapshot struct {
	DB      Querier
	Table   *Spec
	Station string            // our UUID
	Locking bool              // wait for the transactions that have a row in hand, rather than read what was before them
	Writing bool              // and keep the rows, for an UPDATE in the same transaction
	Explain func(error) error // makes an error of DB one that a person can act on; may be nil
	Limit   Limit             // of each SELECT
}

// Limit ends a SELECT at the server: one that was left behind by a lost connection too.
type Limit struct {
	For   time.Duration // 0: none
	Maria bool          // the server is MariaDB, which says it in other words
}

// Select begins a SELECT.
func (l Limit) Select() string {
	switch {
	case l.For <= 0:
		return "SELECT "
	case l.Maria:
		return fmt.Sprintf("SET STATEMENT max_statement_time=%g FOR SELECT ", l.For.Seconds())
	}
	return fmt.Sprintf("SELECT /*+ MAX_EXECUTION_TIME(%d) */ ", l.For.Milliseconds())
}

const atOnce = 200 // ids in one question

// Rows reads the rows on the station and, besides, those with the given ids wherever they are; each row once. Of a table
// without stations it reads those with the ids only.
func (s *Snapshot) Rows(ctx context.Context, ids []string) ([]State, error) {
	table, err := s.Layout(ctx)
	if err != nil {
		return nil, err
	}
	var found []State
	if table.station >= 0 {
		if found, err = s.Here(ctx, table); err != nil {
			return nil, err
		}
	}
	seen := make(map[string]bool, len(found))
	for _, state := range found {
		seen[state.ID] = true
	}
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return seen[id] })
	more, err := s.Those(ctx, table, ids)
	return append(found, more...), err
}

// Layout reads the table's layout as it is now.
func (s *Snapshot) Layout(ctx context.Context) (*Table, error) {
	table, err := ReadTable(ctx, s.DB, s.Table)
	return table, s.explain(err)
}

// Here reads the rows on the station.
func (s *Snapshot) Here(ctx context.Context, table *Table) ([]State, error) {
	return s.read(ctx, table, "WHERE "+Quote(s.Table.Station)+" = ?", s.Station)
}

// HereNow reads the rows on the station, and what time it is at the server, in one statement.
func (s *Snapshot) HereNow(ctx context.Context, table *Table) (now time.Time, found []State, err error) {
	query := s.Limit.Select() + Clock + ", " + table.Expressions("") + " FROM (SELECT 1) AS station_agent_now LEFT JOIN " +
		Quote(s.Table.Schema) + "." + Quote(s.Table.Name) + " ON " + Quote(s.Table.Station) + " = ?"
	err = s.query(ctx, 1+len(table.Columns), query, []any{s.Station}, func(cells []sql.RawBytes) error {
		if now.IsZero() {
			if now, err = ParseClock([]byte(cells[0])); err != nil {
				return err
			}
		}
		row := cells[1:]
		if row[table.key[0]] == nil {
			return nil // there is none
		}
		state, err := table.State(row)
		found = append(found, state)
		return err
	})
	return now, found, s.explain(err)
}

// Span reads a page of the rows that were changed last between two times, in the order of that time and of their key, from the one
// behind a row on if there is one. It asks for so many; more says that others may be behind them, and next how many of the most
// to ask for then.
func (s *Snapshot) Span(ctx context.Context, table *Table, from, to time.Time, after *State, most, ask int) (found []State, more bool, next int, err error) {
	column := Quote(s.Table.Updated)
	where, args := "WHERE "+column+" >= ? AND "+column+" <= ?", []any{stamp(from), stamp(to)}
	if after != nil {
		condition, keys := table.keysBehind(table.keys(after.ID))
		where += " AND (" + column + " > ? OR " + condition + ")"
		args = append([]any{stamp(after.Updated), stamp(to), stamp(after.Updated)}, keys...)
	}
	return s.page(ctx, table, most, ask, where+" ORDER BY "+column+", "+table.orderBy(), args...)
}

// stamp is a time as the session writes it, which is in UTC.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000000") }

// Those reads the rows with these ids.
func (s *Snapshot) Those(ctx context.Context, table *Table, ids []string) (found []State, err error) {
	for chunk := range slices.Chunk(ids, atOnce) {
		where, args := table.among(chunk)
		more, err := s.read(ctx, table, "WHERE "+where, args...)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

// among is the condition that finds the rows with these ids.
func (t *Table) among(ids []string) (where string, args []any) {
	if len(t.key) == 1 {
		for _, id := range ids {
			args = append(args, id)
		}
		c := &t.Columns[t.key[0]]
		return Quote(c.Name) + " IN (" + c.param() + strings.Repeat(", "+c.param(), len(ids)-1) + ")", args
	}
	var one strings.Builder
	for i, k := range t.key {
		if i > 0 {
			one.WriteString(" AND ")
		}
		one.WriteString(t.Columns[k].match())
	}
	single := "(" + one.String() + ")"
	for _, id := range ids {
		parts := t.keys(id)
		for i := range t.key {
			part := ""
			if i < len(parts) {
				part = parts[i]
			}
			args = append(args, part)
		}
	}
	return single + strings.Repeat(" OR "+single, len(ids)-1), args
}

func (s *Snapshot) explain(err error) error {
	if err == nil {
		return nil
	}
	if s.Explain != nil {
		err = s.Explain(err)
	}
	return fmt.Errorf("read rows of %s: %w", s.Table, err)
}

// read reads the rows that the rest of a SELECT names.
func (s *Snapshot) read(ctx context.Context, table *Table, rest string, args ...any) (found []State, err error) {
	err = s.rows(ctx, table, table.Needs, rest, args, func(cells []sql.RawBytes) error {
		state, err := table.State(cells)
		found = append(found, state)
		return err
	})
	return found, err
}

// rows reads what is needed of the rows that the rest of a SELECT names.
func (s *Snapshot) rows(ctx context.Context, table *Table, needs func(int) bool, rest string, args []any, use func([]sql.RawBytes) error) error {
	query := s.Limit.Select() + table.expressions("", needs) + " FROM " + Quote(s.Table.Schema) + "." + Quote(s.Table.Name) + " " + rest
	switch {
	case s.Writing:
		query += " FOR UPDATE"
	case s.Locking:
		query += " LOCK IN SHARE MODE"
	}
	return s.explain(s.query(ctx, len(table.Columns), query, args, use))
}

// Clock is the server's time as a SELECT asks for it, to be read by ParseClock.
const Clock = "CAST(UTC_TIMESTAMP(6) AS CHAR)"

// ParseClock reads the server's time, in UTC.
func ParseClock[S string | []byte](text S) (time.Time, error) {
	return time.Parse(time.DateTime, string(text))
}

// Expressions are the columns as a SELECT asks for them, NULL in the place of one that nobody needs. Of is what stands before their
// names, such as "p.", or "".
func (t *Table) Expressions(of string) string { return t.expressions(of, t.Needs) }

func (t *Table) expressions(of string, needs func(int) bool) string {
	var b strings.Builder
	for i := range t.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		if needs(i) {
			b.WriteString(t.Columns[i].expression(of))
		} else {
			b.WriteString("NULL")
		}
	}
	return b.String()
}

// query gives each row to use, until that returns an error; errFull is none.
func (s *Snapshot) query(ctx context.Context, columns int, query string, args []any, use func([]sql.RawBytes) error) error {
	rows, err := s.DB.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	cells := make([]sql.RawBytes, columns)
	into := make([]any, len(cells))
	for i := range cells {
		into[i] = &cells[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := use(cells); err == errFull {
			return nil
		} else if err != nil {
			return err
		}
	}
	return rows.Err()
}

// State maps a row as the server printed it for the table's expressions.
func (t *Table) State(cells []sql.RawBytes) (s State, err error) {
	row, err := values(t, cells)
	if err != nil {
		return s, err
	}
	s = State{Table: t.Spec, ID: t.ID(row), Place: t.Place(row)}
	if t.updated >= 0 {
		s.Updated, _ = time.Parse(time.DateTime, plain(row, t.updated)) // the zero date, or none: unknown
		if t.Columns[t.updated].Kind == Timestamp {
			s.At = s.Updated
		}
	}
	s.Payload, err = t.AppendPayload(nil, row)
	return s, err
}

// Row makes a row of what the server printed for the table's expressions, or a trigger wrote of its images.
func (t *Table) Row(cells []sql.RawBytes) ([]any, error) { return values(t, cells) }

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
