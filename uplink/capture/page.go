package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// PageBytes is about how much of a table is held at once: a page ends with the row that reaches it, however many were asked for.
const PageBytes = 2 << 20

// NextPage is how many rows to ask for, at most so many, after a page that asked for some, got some and held so many bytes. What
// was asked for and doesn't fit still crosses the wire: few are asked for where the rows are large.
func NextPage(most, asked, got, bytes int) int {
	switch {
	case bytes >= PageBytes:
		return got
	case got == asked && bytes < PageBytes/2:
		return min(2*asked, most)
	}
	return asked
}

// errFull ends a page.
var errFull = errors.New("the page is full")

// page reads rows until there are so many, or PageBytes are reached; more says that others may be behind them. Next is
// how many to ask for then, at most so many.
func (s *Snapshot) page(ctx context.Context, table *Table, most, ask int, rest string, args ...any) (found []State, more bool, next int, err error) {
	bytes := 0
	err = s.rows(ctx, table, table.Needs, rest+fmt.Sprintf(" LIMIT %d", ask), args, func(cells []sql.RawBytes) error {
		state, err := table.State(cells)
		if err != nil {
			return err
		}
		found = append(found, state)
		if bytes += len(state.Payload); bytes >= PageBytes {
			return errFull
		}
		return nil
	})
	if err != nil {
		return nil, false, ask, err
	}
	return found, bytes >= PageBytes || len(found) == ask, NextPage(most, ask, len(found), bytes), nil
}
