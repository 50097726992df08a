package queue

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"station-agent/uplink/capture"
)

// span is a stretch of numbers of entries.
type span struct{ first, last uint64 }

// spans are numbers of entries, mostly consecutive.
type spans []span

func (s *spans) add(n uint64) {
	if l := len(*s); l > 0 && (*s)[l-1].last+1 == n {
		(*s)[l-1].last = n
		return
	}
	*s = append(*s, span{n, n})
}

// String is the text for a position.
func (s spans) String() string {
	var b []byte
	for i, sp := range s {
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

func parseSpans(text string) (s spans, err error) {
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
			return nil, capture.Gap("which entries of the queue were taken can't be told any more: %.60q", part)
		}
		s = append(s, span{a, b})
	}
	return s, nil
}

// mark marks the entries that are in the store.
func (r *reader) mark(ctx context.Context) error {
	for _, sp := range r.taken {
		for first := sp.first; first <= sp.last; first += markRows { // a long stretch holds its locks for a short time each
			last := min(first+markRows-1, sp.last)
			_, err := r.conn.ExecContext(ctx, "UPDATE "+r.cfg.Queue.quoted()+
				" SET taken = UTC_TIMESTAMP(6) WHERE n BETWEEN ? AND ? AND taken IS NULL", first, last)
			if err != nil {
				return r.explain(err)
			}
		}
	}
	r.taken = nil
	return nil
}

const markRows = 1000

// unmarked are the entries that nobody took.
func (r *reader) unmarked(ctx context.Context) (s spans, err error) {
	rows, err := r.conn.QueryContext(ctx, "SELECT n FROM "+r.cfg.Queue.quoted()+" WHERE taken IS NULL ORDER BY n")
	if err != nil {
		return nil, r.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n uint64
		if err := rows.Scan(&n); err != nil {
			return nil, r.explain(err)
		}
		s.add(n)
	}
	return s, r.explain(rows.Err())
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
