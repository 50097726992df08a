package assign

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"station-agent/store/record"
)

const (
	linesOfRow = 4 // tags of one item, on the average of a whole station: more isn't a map of tags

	columns = "SELECT p.hash, p.buylo_product_id, p.buylo_ean, p.buylo_name, p.external_package_id, " +
		"p.buylo_active_packing_station_uuid, p.created_at, "

	// sameHash joins the map. Whatever the two tables' collations are, they mix, and the map's hash is looked up in its index.
	sameHash = "m.hash = CONVERT(p.hash USING utf8mb4) COLLATE utf8mb4_bin"
)

// view reads rows in lines of one form: all columns, and a tag or NULL. A row with several tags has several lines.
type view struct {
	text    string // of the statements, but for what is read along and the condition
	station string
	limit   time.Duration // of one read
	most    int           // rows on the station

	byStation, byHash statement
}

func newView(cfg WatcherConfig, text string, limit time.Duration) *view {
	return &view{
		text: text, station: cfg.Station, limit: limit, most: most,
		byStation: statement{db: cfg.DB, text: text + onStation, limit: limit},
		byHash:    statement{db: cfg.DB, text: text + " WHERE p.hash = ?", limit: limit},
	}
}

const onStation = " WHERE p.buylo_active_packing_station_uuid = ?"

func (v *view) close() {
	v.byStation.close()
	v.byHash.close()
}

// here gives the rows on the station, and each line to whoever reads along.
func (v *view) here(ctx context.Context, also Also) (rows []record.Row, err error) {
	more, n := "", 0
	if also != nil {
		more, n = also.Columns()
	}
	text := v.text + onStation
	if n > 0 {
		text = strings.Replace(v.text, " FROM ", ", "+more+" FROM ", 1) + onStation
	}
	if v.byStation.text != text {
		v.byStation.close()
		v.byStation.text = text
	}
	if n == 0 {
		also = nil
	}
	rows, err = v.rows(ctx, &v.byStation, v.station, along{also, n}, func(r record.Row) bool { return !r.Away })
	if also != nil {
		also.Ended(err)
	}
	return rows, err
}

// along is who gets the last cells of each line.
type along struct {
	also Also // nil for nobody
	n    int
}

// one gives the row with exactly this hash, wherever it is.
func (v *view) one(ctx context.Context, hash string) (r record.Row, there bool, err error) {
	list, err := v.rows(ctx, &v.byHash, hash, along{}, func(r record.Row) bool { return r.Hash == hash })
	if err != nil || len(list) == 0 {
		return r, false, err
	}
	return list[0], true, nil
}

// rows folds the lines of a statement, of those rows that keep takes: the collation may have let others through.
func (v *view) rows(ctx context.Context, s *statement, arg string, a along, keep func(record.Row) bool) ([]record.Row, error) {
	f := fold{at: map[string]int{}}
	err := s.use(ctx, func(ctx context.Context, stmt *sql.Stmt) error {
		lines, err := stmt.QueryContext(ctx, arg)
		if err != nil {
			return err
		}
		defer lines.Close()
		for n := 0; lines.Next(); n++ {
			r, epc, err := v.scan(lines, a)
			if err != nil {
				return err
			}
			if keep(r) {
				f.add(r, epc)
			}
			if len(f.rows) > v.most {
				return fmt.Errorf("more than %d rows: is %q one packing station?", v.most, v.station)
			}
			if n == linesOfRow*v.most {
				return fmt.Errorf("more than %d lines for %d rows: does each tag name one item?", n, len(f.rows))
			}
		}
		return lines.Err()
	})
	return f.sorted(), err
}

func (v *view) scan(line *sql.Rows, a along) (r record.Row, epc sql.NullString, err error) {
	var product, ean, name, created sql.NullString
	into := []any{&r.Hash, &product, &ean, &name, &r.Package, &r.Station, &created, &epc}
	cells := make([]sql.RawBytes, a.n)
	for i := range cells {
		into = append(into, &cells[i])
	}
	if err = line.Scan(into...); err == nil && a.also != nil {
		err = a.also.Line(cells)
	}
	r.Product, r.EAN, r.Name, r.Created = product.String, ean.String, name.String, moment(created.String)
	r.Away = !record.Same(r.Station, &v.station)
	if !r.Away {
		r.Station = nil
	}
	return r, epc, err
}

// moment reads a TIMESTAMP in UTC, with a fraction or without. NULL and '0000-00-00 00:00:00' are no time.
func moment(text string) time.Time {
	t, err := time.Parse(time.DateTime, text)
	if err != nil {
		return time.Time{}
	}
	return t
}

// fold makes rows of lines.
type fold struct {
	rows []record.Row
	at   map[string]int // by hash
}

func (f *fold) add(r record.Row, epc sql.NullString) {
	n, known := f.at[r.Hash]
	if !known {
		n = len(f.rows)
		f.at[r.Hash] = n
		f.rows = append(f.rows, r)
	}
	if epc.Valid {
		f.rows[n].EPCs = append(f.rows[n].EPCs, epc.String)
	}
}

// sorted gives the rows, the tags of each in order.
func (f *fold) sorted() []record.Row {
	for _, r := range f.rows {
		slices.Sort(r.EPCs)
	}
	return f.rows
}
