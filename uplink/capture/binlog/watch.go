package binlog

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/uplink/capture"
)

// watch notices a stream that is connected and has heartbeats but gets nothing, though the server's log grows. It asks where
// the log ends at most once a minute, and only while nothing comes.
type watch struct {
	events atomic.Uint64 // that came, but for signs of life
	inside atomic.Bool   // one is being handled: the next ones wait for us
}

const watchEvery = time.Minute

// note counts an event.
func (w *watch) note(h *replication.EventHeader) {
	if h.EventType != replication.HEARTBEAT_EVENT && h.EventType != replication.HEARTBEAT_LOG_EVENT_V2 {
		w.events.Add(1)
	}
}

// run looks until ctx ends or the stream is stuck: the log grew between two looks, and for a whole turn behind the second one
// still nothing came.
func (w *watch) run(ctx context.Context, every time.Duration, end func(context.Context) (place, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last place // where the log ended at the last look
	var grown bool
	seen := w.events.Load()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if now := w.events.Load(); now != seen || w.inside.Load() {
			seen, last, grown = now, place{}, false
			continue
		}
		if grown {
			return fmt.Errorf("connected, but nothing comes: the server's log went on to %s:%d more than %v ago: look for a replica or a proxy in between; connecting anew", last.File, last.Pos, every)
		}
		here, err := end(ctx)
		if err != nil {
			continue // the next look tells; a dead link is noticed by the heartbeats
		}
		grown = last != (place{}) && here != last
		last = here
	}
}

// heard gives on what a stream has. Behind a stream that was stuck the next one says nothing of being connected: only what
// comes through ends the alarm.
func (s *Source) heard(sink func(capture.Tx) error) func(capture.Tx) error {
	return func(tx capture.Tx) error {
		if s.stuck.Load() {
			if tx.Position.Zero() {
				return nil
			}
			s.stuck.Store(false)
		}
		return sink(tx)
	}
}
