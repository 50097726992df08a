package poll

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"station-agent/uplink/capture"
)

// pace is how often the server is asked.
//
//	a look takes          from look to look
//	up to 0.1 s           every second
//	up to 0.5 s           ten times as long
//	up to 2.2 s           5 s, and no less if it reads the whole table
//	n s                   n times as long: the more a server has to do, the smaller a part of its time a guest takes
//	it hit its limit      twice as long as before, and six times the limit at least: 3 min where it reads the whole table, else 30 s
//
// It is ten minutes at most. Beyond 5 s it grows to the double at most and falls by a quarter at most from look to look, so that
// stations which began all at once come to one pace.
type pace struct {
	every time.Duration
	scans bool          // each look reads the whole table
	last  time.Duration // from look to look
}

// rest is the time until the next look, after one that took so long.
func (p *pace) rest(took time.Duration) time.Duration {
	every := max(p.every, min(duty*took, everyMost))
	if p.scans {
		every = max(every, everyMost)
	}
	every = max(every, min(time.Duration(took.Seconds()*float64(took)), everLongest))
	every = min(max(every, p.last*3/4), 2*max(p.last, took, everyMost))
	p.last = every
	return max(every-took, p.every/10)
}

// over is the time until the next look, after one that the server ended at its limit. It is long: were many to come again
// before the server is through with the others, all of their looks would come to nothing again.
func (p *pace) over(limit time.Duration) time.Duration {
	p.last = min(max(2*p.last, ended*limit), everLongest)
	return p.last
}

// jitter keeps stations apart: the more so, the longer they wait.
func jitter(d time.Duration) time.Duration {
	if d > everyMost {
		return d/2 + rand.N(d)
	}
	return d*9/10 + rand.N(d/5)
}

const scanRows = 1000 // a table with fewer rows may be read as a whole

// judge asks the server what a look costs it. A look that reads the whole table is taken rarely, and the index that would
// mend it is named.
func (o *session) judge(ctx context.Context) error {
	column := o.cfg.Table.Station
	if column == "" {
		column = o.cfg.Table.Updated
	}
	rows, scans, err := o.cost(ctx, o.read.Limit.Maria, column)
	if err != nil {
		return o.explain(err)
	}
	o.read.Limit.For, o.index = statement, ""
	before := o.pace.scans
	switch o.pace.scans = scans && rows > scanRows; {
	case o.pace.scans && !before: // others may have been switched on, too
		if spread := time.Now().Add(rand.N(everyMost)); o.next.Before(spread) {
			o.next = spread
		}
	case before && !o.pace.scans:
		o.pace.last, o.next = 0, time.Time{}
	}
	if o.pace.scans {
		o.read.Limit.For = scanning
		o.index = fmt.Sprintf(": have an administrator CREATE INDEX station_agent_polling ON %s.%s (%s)",
			capture.Quote(o.cfg.Table.Schema), capture.Quote(o.cfg.Table.Name), capture.Quote(column))
	}
	switch {
	case o.cfg.Notice == nil:
	case o.pace.scans:
		o.cfg.Notice.Lost(fmt.Errorf("each look at %s makes the server read all of its %d rows, so it is looked at once in %s at most%s",
			o.cfg.Table, rows, everyMost, o.index))
	default:
		o.cfg.Notice.Back()
	}
	return nil
}

// looked sets the time of the next look, after one that began then. If the server ended it, that is said: the error has the word
// for it, as uplink/mysql gives it. Of a scan that is as slow the answer may have been given up here first.
func (o *session) looked(began time.Time, err error) error {
	took := time.Since(began)
	if err == nil {
		if o.cfg.Here == nil {
			o.next = time.Now().Add(jitter(o.pace.rest(took)))
		}
		return nil
	}
	e, known := errors.AsType[interface {
		error
		OverTime() bool
	}](err)
	if (!known || !e.OverTime()) && (!o.pace.scans || took < o.read.Limit.For) {
		return err
	}
	pause := jitter(o.pace.over(o.read.Limit.For)).Round(time.Second)
	o.next = time.Now().Add(pause)
	return fmt.Errorf("%w; the next look is in %v%s", err, pause, o.index)
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
