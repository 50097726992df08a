package queue

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

// span is a stretch of numbers of entries.
type span struct{ first, last uint64 }

// taken are entries: their numbers, mostly consecutive, and the id of the last one. After a TRUNCATE the numbers come again, the
// id doesn't.
type taken struct {
	spans []span
	id    string
}

func (t *taken) add(n uint64, id string) {
	t.id = id
	if l := len(t.spans); l > 0 && t.spans[l-1].last+1 == n {
		t.spans[l-1].last = n
		return
	}
	t.spans = append(t.spans, span{n, n})
}

// String is the text for a position.
func (t taken) String() string {
	if len(t.spans) == 0 {
		return ""
	}
	b := append([]byte(t.id), ':')
	for i, sp := range t.spans {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, sp.first, 10)
		if sp.last > sp.first {
			b = strconv.AppendUint(append(b, '-'), sp.last, 10)
		}
	}
	return string(b)
}

func parseTaken(text string) (t taken, err error) {
	if text == "" {
		return t, nil
	}
	id, text, _ := strings.Cut(text, ":")
	t.id = id
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		first, last, ok := strings.Cut(part, "-")
		if !ok {
			last = first
		}
		a, err1 := strconv.ParseUint(first, 10, 64)
		b, err2 := strconv.ParseUint(last, 10, 64)
		if err1 != nil || err2 != nil || b < a {
			return taken{}, capture.Gap("which entries of the queue were taken can't be told any more: %.60q", part)
		}
		t.spans = append(t.spans, span{a, b})
	}
	return t, nil
}

// ours tells whether the numbers are still those of the entries that were taken.
func (r *reader) ours(ctx context.Context, t taken) (bool, error) {
	if len(t.spans) == 0 {
		return false, nil
	}
	var id string
	err := r.conn.QueryRowContext(ctx, "SELECT id FROM "+r.cfg.Queue.quoted()+" WHERE n = ?", t.spans[len(t.spans)-1].last).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return id == t.id, r.explain(err)
}

// mark marks the entries that are in the store.
func (r *reader) mark(ctx context.Context) error {
	for _, sp := range r.taken.spans {
		for first := sp.first; first <= sp.last; first += markRows { // a long stretch holds its locks for a short time each
			last := min(first+markRows-1, sp.last)
			_, err := r.conn.ExecContext(ctx, "UPDATE "+r.cfg.Queue.quoted()+
				" SET taken = UTC_TIMESTAMP(6) WHERE n BETWEEN ? AND ? AND taken IS NULL", first, last)
			if err != nil {
				return r.explain(err)
			}
		}
	}
	r.taken = taken{}
	return nil
}

const markRows = 1000

// unmarked are the entries that nobody took.
func (r *reader) unmarked(ctx context.Context) (t taken, err error) {
	rows, err := r.conn.QueryContext(ctx, "SELECT n, id FROM "+r.cfg.Queue.quoted()+" WHERE taken IS NULL ORDER BY n")
	if err != nil {
		return t, r.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n uint64
		var id string
		if err := rows.Scan(&n, &id); err != nil {
			return t, r.explain(err)
		}
		t.add(n, id)
	}
	return t, r.explain(rows.Err())
}

// keepHouse removes old entries, some at a time, and counts those that wait.
func (r *reader) keepHouse(ctx context.Context) error {
	if now := time.Now(); now.Sub(r.cleaned) >= cleanEvery {
		done, err := r.conn.ExecContext(ctx, fmt.Sprintf("DELETE FROM %s WHERE taken < UTC_TIMESTAMP() - INTERVAL %s LIMIT %d", r.cfg.Queue.quoted(), keepTaken, cleanRows))
		if err != nil {
			return r.explain(err)
		}
		if n, err := done.RowsAffected(); err != nil || n < cleanRows {
			r.cleaned = now
		}
	}
	if time.Since(r.counted) < depthEvery {
		return nil
	}
	r.counted = time.Now()
	return r.count(ctx)
}

func (r *reader) count(ctx context.Context) error {
	var n int
	var oldest sql.NullString
	query := fmt.Sprintf("SELECT COUNT(*), CAST(MIN(made) AS CHAR) FROM (SELECT made FROM %s WHERE taken IS NULL LIMIT %d) q", r.cfg.Queue.quoted(), depthMost)
	if err := r.conn.QueryRowContext(ctx, query).Scan(&n, &oldest); err != nil {
		return r.explain(err)
	}
	since, _ := time.Parse(time.DateTime, oldest.String) // NULL if none waits
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting, r.oldest = n, since
	return nil
}
