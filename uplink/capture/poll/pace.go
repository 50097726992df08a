package poll

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"station-agent/uplink/capture"
)

// pace is how often the server is asked.
type pace struct {
	every time.Duration
	scans bool // each look reads the whole table
}

// rest is the time until the next look, after one that took so long.
func (p *pace) rest(took time.Duration) time.Duration {
	every := max(p.every, min(duty*took, everyMost))
	if p.scans {
		every = max(every, everyMost)
	}
	return max(every-took, p.every/10)
}

const scanRows = 1000 // a table with fewer rows may be read as a whole

// judge asks the server what a look costs it. A look that reads the whole table is taken rarely, and the index that would
// mend it is named.
func (s *Source) judge(ctx context.Context, o *session, p *pace) error {
	column := s.cfg.Table.Station
	if column == "" {
		column = s.cfg.Table.Updated
	}
	rows, scans, err := s.cost(ctx, o.read.Limit.Maria, column)
	if err != nil {
		return s.explain(err)
	}
	if p.scans = scans && rows > scanRows; p.scans {
		o.read.Limit.For = scanning
	}
	if s.cfg.Notice == nil {
		return nil
	}
	if !p.scans {
		s.cfg.Notice.Back()
		return nil
	}
	s.cfg.Notice.Lost(fmt.Errorf("each look at %[1]s makes the server read all of its %[2]d rows, so it is looked at every %[3]s only: "+
		"have an administrator CREATE INDEX station_agent_polling ON %[5]s.%[6]s (%[4]s)",
		s.cfg.Table, rows, everyMost, capture.Quote(column), capture.Quote(s.cfg.Table.Schema), capture.Quote(s.cfg.Table.Name)))
	return nil
}

// cost asks the optimizer how it would find the rows by one column.
func (s *Source) cost(ctx context.Context, maria bool, column string) (rows int64, scans bool, err error) {
	explain := "EXPLAIN FORMAT=TRADITIONAL " // a server may have another default
	if maria {
		explain = "EXPLAIN "
	}
	rest, args := " = ?", []any{s.cfg.Station}
	if s.cfg.Table.Station == "" {
		rest, args = " > UTC_TIMESTAMP()", nil
	}
	query := explain + "SELECT * FROM " + capture.Quote(s.cfg.Table.Schema) + "." + capture.Quote(s.cfg.Table.Name) + " WHERE " + capture.Quote(column) + rest
	plan, err := s.cfg.DB.QueryContext(ctx, query, args...)
	if err != nil {
		return 0, false, err
	}
	defer plan.Close()
	names, err := plan.Columns()
	if err != nil {
		return 0, false, err
	}
	cells := make([]sql.NullString, len(names))
	into := make([]any, len(names))
	for i := range cells {
		into[i] = &cells[i]
	}
	if !plan.Next() {
		return 0, false, errors.Join(plan.Err(), errNoPlan)
	}
	if err := plan.Scan(into...); err != nil {
		return 0, false, err
	}
	for i, name := range names {
		switch strings.ToLower(name) {
		case "type":
			scans = strings.EqualFold(cells[i].String, "ALL")
		case "rows":
			rows, _ = strconv.ParseInt(cells[i].String, 10, 64)
		}
	}
	return rows, scans, plan.Err()
}

var errNoPlan = errors.New("the server explains nothing")
