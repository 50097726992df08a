package main

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"station-agent/uplink/assign"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/poll"
	"station-agent/uplink/mysql"
)

// shared lets polling read along with the bench: the rows on the station are read once for both. The watcher's statement has the
// columns that polling wants, and polling waits for its next read.
type shared struct {
	db *sql.DB // for the time, when no row tells it

	mu     sync.Mutex
	table  *capture.Table // what is wanted; nil: nothing
	asked  *capture.Table // what the read under way has
	seen   map[string]bool
	now    time.Time
	found  []capture.State
	err    error
	failed int          // reads, one after another
	waits  chan reading // of the one that waits, nil if nobody does
	server time.Time    // what time it was at the server
	here   time.Time    // at that time, by this machine's monotonic clock
}

// reading is what one read gave.
type reading struct {
	table *capture.Table
	now   time.Time
	found []capture.State
	err   error
}

var (
	_ assign.Also = (*shared)(nil)
	_ poll.Here   = (*shared)(nil).wait
)

// Columns implements assign.Also.
func (s *shared) Columns() (string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.now, s.found, s.err, s.seen = nil, time.Time{}, nil, nil, map[string]bool{}
	if s.waits == nil || s.table == nil {
		return "", 0
	}
	s.asked = s.table
	return capture.Clock + ", " + s.asked.Expressions("p."), 1 + len(s.asked.Columns)
}

// Line implements assign.Also. A row that can't be mapped is polling's trouble, not the bench's.
func (s *shared) Line(cells []sql.RawBytes) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == nil || s.err != nil {
		return nil
	}
	if s.now.IsZero() {
		s.now, s.err = capture.ParseClock([]byte(cells[0]))
	}
	state, err := s.asked.State(cells[1:])
	switch {
	case err != nil:
		s.err = err
	case !s.seen[state.ID]: // a row with several tags comes several times
		s.seen[state.ID] = true
		s.found = append(s.found, state)
	}
	return nil
}

// Ended implements assign.Also.
func (s *shared) Ended(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waits == nil || s.asked == nil {
		return
	}
	if err != nil {
		if s.failed++; s.failed < sharedTries {
			return
		}
		s.table, s.err = nil, mysql.Explain(err)
	}
	s.failed = 0
	if !s.now.IsZero() {
		s.server, s.here = s.now, time.Now()
	}
	s.waits <- reading{s.asked, s.now, s.found, s.err}
	s.waits = nil
}

// sharedTries is how many reads may fail before polling hears of it and wants nothing any more: the columns that it wants may be
// the reason, and must not keep the bench from its rows. One may fail for want of the map of tags.
const sharedTries = 2

// clockFor is how long the server's time may be reckoned from when it was told last.
const clockFor = time.Minute

// wait is a poll.Here.
func (s *shared) wait(ctx context.Context, table *capture.Table) (time.Time, []capture.State, error) {
	s.mu.Lock()
	s.table = table
	answer := make(chan reading, 1)
	s.waits = answer
	s.mu.Unlock()
	var r reading
	select {
	case r = <-answer:
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		s.waits = nil
		return time.Time{}, nil, ctx.Err()
	}
	if r.err != nil || !r.now.IsZero() {
		return r.now, r.found, r.err
	}
	now, err := s.clock(ctx)
	return now, r.found, err
}

// clock is the server's time when no row told it.
func (s *shared) clock(ctx context.Context) (time.Time, error) {
	s.mu.Lock()
	server, since := s.server, time.Since(s.here)
	s.mu.Unlock()
	if !server.IsZero() && since < clockFor {
		return server.Add(since), nil
	}
	var text string
	if err := s.db.QueryRowContext(ctx, "SELECT "+capture.Clock).Scan(&text); err != nil {
		return time.Time{}, err
	}
	now, err := capture.ParseClock(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server, s.here = now, time.Now()
	return now, err
}
