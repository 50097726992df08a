package poll

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// whole looks at a table without stations: at what changed since the last look, and at a chunk of all.
type whole struct {
	*session
	mover
	at      time.Time // changes before it were looked for
	overlap time.Duration
	last    *capture.State   // a look that found too much goes on behind it, of which it has key and time
	rows    int              // to ask for in a page
	seen    map[string]state // rows within the overlap
	sweep   capture.Sweep
	where   capture.Progress
	missing map[string]time.Time // not found once
	before  time.Time            // when the sweep before this one began
}

type state struct {
	sum [16]byte
	at  time.Time
}

const (
	overlapLeast = 5 * time.Second
	overlapMost  = 10 * time.Minute
	pageRows     = 500
	pagesMost    = 20 // with one look: the rest comes with the next one
	seenMost     = 20_000
)

func newWhole(o *session, from record.Position) (*whole, error) {
	sweeps, err := capture.ParseSweeps(from.Sweep)
	if err != nil {
		return nil, err
	}
	w := &whole{
		session: o, at: from.At, overlap: overlapLeast, rows: pageRows, seen: make(map[string]state), missing: make(map[string]time.Time),
		sweep: capture.Sweep{Known: o.cfg.Shadow.ShadowIDs, Chunk: o.cfg.Chunk},
		where: sweeps[o.cfg.Table.Collection()],
	}
	if w.where.Began.IsZero() {
		w.where.Began = from.At
	}
	return w, nil
}

// look gives what changed and what a chunk of the table shows apart: they have keys of different forms.
func (w *whole) look(ctx context.Context) ([]capture.Tx, error) {
	now, clock, err := w.clocks(ctx)
	if err != nil {
		return nil, err
	}
	changed := capture.Tx{ID: Way, At: now, Tick: now.UnixMicro()}
	chunk := changed
	if err := w.changed(ctx, clock, &changed); err != nil {
		return nil, err
	}
	running := w.where.Run != ""
	if err := w.chunk(ctx, clock, &chunk); err != nil {
		return nil, err
	}
	if len(changed.Found) == 0 {
		changed.ID = ""
	}
	found := len(changed.Found)+len(chunk.Found)+len(chunk.Missing) > 0
	if w.due(found || running) {
		chunk.Position = record.Position{Way: Way, At: w.at, Sweep: capture.Sweeps{w.cfg.Table.Collection(): w.where}.String()}
	} else if !found {
		chunk.ID = ""
	}
	return []capture.Tx{changed, chunk}, nil
}

// clocks are the server's time in UTC, and what the table's column would have for it. A DATETIME is taken to be in the
// server's own zone.
func (w *whole) clocks(ctx context.Context) (now, clock time.Time, err error) {
	if now, err = w.now(ctx); err != nil || !w.table.Zoneless() {
		return now, now, err
	}
	var text sql.NullString
	query := "SELECT CAST(CONVERT_TZ(UTC_TIMESTAMP(6), '+00:00', @@GLOBAL.time_zone) AS CHAR)"
	if err := w.cfg.DB.QueryRowContext(ctx, query).Scan(&text); err != nil {
		return now, now, w.explain(err)
	}
	if !text.Valid {
		return now, now, errNoZone
	}
	clock, err = time.Parse(time.DateTime, text.String)
	return now, clock, err
}

var errNoZone = errors.New("the server doesn't know its own time zone, in which the table's DATETIME is: have an administrator load the " +
	"time zone tables (mysql_tzinfo_to_sql) or set time_zone to an offset")

// changed reads the rows that carry a time since the last look, less the overlap. Those that are as they were found are
// left out.
func (w *whole) changed(ctx context.Context, now time.Time, tx *capture.Tx) error {
	held := 0
	for range pagesMost {
		page, more, rows, err := w.read.Span(ctx, w.table, w.at.Add(-w.overlap), now, w.last, pageRows, w.rows)
		if err != nil {
			return err
		}
		w.rows = rows
		for i := range page {
			s := &page[i]
			if w.seen[s.ID].sum != sum(s) {
				if len(w.seen) < seenMost { // the Shadow knows the others too, it only takes longer to ask
					w.seen[s.ID] = state{sum(s), s.Updated}
				}
				tx.Found = append(tx.Found, *s)
				held += len(s.Payload)
			}
		}
		if !more {
			w.at, w.last = now, nil
			w.forget()
			return nil
		}
		end := &page[len(page)-1]
		w.last = &capture.State{ID: end.ID, Updated: end.Updated} // the next look goes on there
		if held >= capture.PageBytes {
			return nil
		}
	}
	return nil
}

// forget lets go of what is older than the overlap.
func (w *whole) forget() {
	for id, s := range w.seen {
		if s.at.Before(w.at.Add(-w.overlap)) {
			delete(w.seen, id)
		}
	}
}

// chunk reads the next part of the whole table, and keeps what the Shadow doesn't know.
func (w *whole) chunk(ctx context.Context, now time.Time, tx *capture.Tx) error {
	w.sweep.Read = w.read
	found, missing, next, done, err := w.sweep.Next(ctx, w.table, w.where)
	if err != nil {
		return err
	}
	if err := w.news(found, now, tx); err != nil {
		return err
	}
	if err := w.lookFor(ctx, missing, tx); err != nil {
		return err
	}
	if w.where = next; done {
		w.before = w.where.Began
		w.where = capture.Progress{Began: tx.At, Rows: next.Rows}
	}
	return nil
}

// news adds the rows of a chunk that the Shadow has otherwise. One whose time lies before the overlap was committed late,
// or its time was set by hand.
func (w *whole) news(found []capture.State, now time.Time, tx *capture.Tx) error {
	ids := make([]string, len(found))
	for i := range found {
		ids[i] = found[i].ID
	}
	known, err := w.cfg.Shadow.Shadow(w.cfg.Table.Collection(), ids)
	if err != nil {
		return err
	}
	tx.Run, tx.Quiet, tx.All = w.where.Run, w.where.Quiet, w.where.All
	for i := range found {
		s := &found[i]
		row, ok := known[s.ID]
		if tx.All {
			tx.Found = append(tx.Found, *s)
			continue
		}
		if ok && string(row.Payload) == string(s.Payload) || w.seen[s.ID].sum == sum(s) {
			continue
		}
		if ok && w.where.Run == "" && !s.Updated.IsZero() && s.Updated.Before(w.at.Add(-w.overlap)) {
			w.overlap = min(max(w.overlap, 2*now.Sub(s.Updated)), overlapMost)
		}
		delete(w.seen, s.ID) // if it becomes again what was seen, that is news
		tx.Found = append(tx.Found, *s)
	}
	return nil
}

// lookFor asks once more for rows that were not found a look ago. What isn't found twice is missing.
func (w *whole) lookFor(ctx context.Context, missing []string, tx *capture.Tx) error {
	if len(w.missing) > 0 {
		ids := make([]string, 0, len(w.missing))
		for id := range w.missing {
			ids = append(ids, id)
		}
		absent, err := w.read.Absent(ctx, w.table, ids)
		if err != nil {
			return err
		}
		for _, id := range absent {
			delete(w.seen, id)
			tx.Missing = append(tx.Missing, capture.Absence{Table: w.cfg.Table, ID: id, From: w.missing[id], To: tx.At})
		}
		clear(w.missing)
	}
	for _, id := range missing {
		w.missing[id] = w.before
	}
	return nil
}
