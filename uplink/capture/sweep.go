package capture

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Sweep reads a whole table beside its changes, a chunk at a time: first all rows in the order of the key, then which rows
// of the Shadow it hasn't any more.
type Sweep struct {
	Read  Snapshot
	Known func(collection, after string, n int) ([]string, error) // ids of the Shadow behind one, in order
	Chunk int                                                     // rows at a time
}

// Progress is how far a sweep is: it goes on there after a restart.
type Progress struct {
	Run     string    `json:"run,omitempty"`     // whose records name it; "" for one that only looks for what was missed
	Quiet   bool      `json:"quiet,omitempty"`   // rows that nobody knew are noted and not reported
	All     bool      `json:"all,omitempty"`     // each row is reported, also if it is as the Shadow has it
	After   string    `json:"after,omitempty"`   // the last id that was read
	Rows    int       `json:"rows,omitempty"`    // how many to ask for, if fewer than a chunk has: they are large
	Missing bool      `json:"missing,omitempty"` // it is at the rows of the Shadow
	Began   time.Time `json:"began,omitzero"`
}

// Next reads the chunk behind p. It gives the rows found, or the ids of the Shadow that are in the table no more, and where
// it goes on; the end of a sweep is said by done.
func (s *Sweep) Next(ctx context.Context, table *Table, p Progress) (found []State, missing []string, next Progress, done bool, err error) {
	next = p
	if p.Missing {
		missing, next.After, done, err = s.missing(ctx, table, p.After)
		return nil, missing, next, done, err
	}
	where, args := s.behind(table, p.After)
	ask := s.Chunk
	if p.Rows > 0 {
		ask = min(p.Rows, ask)
	}
	found, more, rows, err := s.Read.page(ctx, table, s.Chunk, ask, where+" ORDER BY "+table.orderBy(), args...)
	if err != nil {
		return nil, nil, p, false, err
	}
	if next.Rows = rows; rows == s.Chunk {
		next.Rows = 0
	}
	if more {
		next.After = found[len(found)-1].ID
	} else {
		next.Missing, next.After = true, ""
	}
	return found, nil, next, false, nil
}

// missing looks which of the next ids of the Shadow are not in the table.
func (s *Sweep) missing(ctx context.Context, table *Table, after string) (missing []string, last string, done bool, err error) {
	ids, err := s.Known(table.Collection(), after, atOnce)
	if err != nil {
		return nil, after, false, fmt.Errorf("read shadow: %w", err)
	}
	if len(ids) == 0 {
		return nil, after, true, nil
	}
	if missing, err = s.Read.Absent(ctx, table, ids); err != nil {
		return nil, after, false, err
	}
	return missing, ids[len(ids)-1], len(ids) < atOnce, nil
}

// Absent gives those of the ids that are not in the table. It asks for keys only.
func (s *Snapshot) Absent(ctx context.Context, table *Table, ids []string) ([]string, error) {
	there := make(map[string]bool, len(ids))
	for chunk := range slices.Chunk(ids, atOnce) {
		where, args := table.among(chunk)
		err := s.rows(ctx, table, table.names, "WHERE "+where, args, func(cells []sql.RawBytes) error {
			row, err := table.Row(cells)
			if err == nil {
				there[table.ID(row)] = true
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return there[id] }), nil
}

// behind is the condition for the rows of ours whose key comes after that of a row, "" for none.
func (s *Sweep) behind(table *Table, id string) (where string, args []any) {
	var and []string
	if table.Spec.Station != "" {
		and, args = append(and, Quote(table.Spec.Station)+" = ?"), append(args, s.Read.Station)
	}
	if id != "" {
		condition, keys := table.keysBehind(table.keys(id))
		and, args = append(and, condition), append(args, keys...)
	}
	if and == nil {
		return "", nil
	}
	return "WHERE " + strings.Join(and, " AND "), args
}

// keysBehind compares keys of several columns one after another.
func (t *Table) keysBehind(parts []string) (condition string, args []any) {
	var or []string
	for i := range t.key {
		var and []string
		for n, k := range t.key[:i+1] {
			c := &t.Columns[k]
			relation := " = "
			if n == i {
				relation = " > "
			}
			and = append(and, Quote(c.Name)+relation+c.param())
			args = append(args, parts[n])
		}
		or = append(or, strings.Join(and, " AND "))
	}
	return "(" + strings.Join(or, " OR ") + ")", args
}

func (t *Table) orderBy() string {
	names := make([]string, len(t.key))
	for i, k := range t.key {
		names[i] = Quote(t.Columns[k].Name)
	}
	return strings.Join(names, ", ")
}

// Sweeps is the progress by collection, as it stands in a position.
type Sweeps map[string]Progress

// ParseSweeps reads the text of a position.
func ParseSweeps(text string) (Sweeps, error) {
	if text == "" {
		return nil, nil
	}
	var s Sweeps
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return nil, Gap("how far the tables were read can't be told any more: %v", err)
	}
	return s, nil
}

// String is the text for a position, the same for the same progress.
func (s Sweeps) String() string {
	if len(s) == 0 {
		return ""
	}
	text, err := json.Marshal(map[string]Progress(s))
	if err != nil {
		return "" // names, texts and times: it can't fail
	}
	return string(text)
}
