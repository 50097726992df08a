package binlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/uplink/capture"
)

// watch notices a stream that is connected and has heartbeats but gets nothing, though the server's log goes on or was begun
// anew. It asks where the log ends when nothing came for a moment, and then once a minute as long as nothing comes.
type watch struct {
	events atomic.Uint64 // that came, but for signs of life
	inside atomic.Bool   // one is being handled: the next ones wait for us

	mu    sync.Mutex
	stood place // where the last heartbeat said that the server reads
}

const (
	watchEvery = time.Minute
	watchTurns = 6 // in which nothing came, from one look to the next; the first look is behind the first one
)

// note counts an event.
func (w *watch) note(h *replication.EventHeader) {
	if h.EventType != replication.HEARTBEAT_EVENT && h.EventType != replication.HEARTBEAT_LOG_EVENT_V2 {
		w.events.Add(1)
	}
}

// beat notes where the server reads its log for us.
func (w *watch) beat(at place) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stood = at
}

func (w *watch) stands() place {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stood
}

// errWentBack says that a log ends before a place that was read: a server whose log is begun anew doesn't tell who reads it.
var errWentBack = errors.New("the server has another history")

// run looks until ctx ends or the stream is stuck: the log ends before the place that is read, or it grew between two looks, and
// from the second one to the time of a third still nothing came.
func (w *watch) run(ctx context.Context, every time.Duration, end func(context.Context) (place, error)) error {
	tick := time.NewTicker(every / watchTurns)
	defer tick.Stop()
	var last place // where the log ended at the last look
	var grown bool
	seen, turns := w.events.Load(), 0
	for ; ; turns++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if now := w.events.Load(); now != seen || w.inside.Load() {
			seen, turns, last, grown = now, -1, place{}, false
			continue
		}
		if turns%watchTurns != 0 {
			continue
		}
		if grown {
			return fmt.Errorf("connected, but nothing comes: the server's log went on to %s:%d more than %v ago: look for a replica or a proxy in between; connecting anew", last.File, last.Pos, every)
		}
		stood := w.stands()
		here, err := end(ctx)
		if err != nil {
			continue // the next look tells; a dead link is noticed by the heartbeats
		}
		if here.before(stood) {
			return fmt.Errorf("%w: %s was read up to %d, and its log has only come to %s:%d", errWentBack, stood.File, stood.Pos, here.File, here.Pos)
		}
		grown = last != (place{}) && here != last
		last = here
	}
}

// wentBack tells a server whose log was begun anew from another one that answers now at the same address.
func (s *Source) wentBack(ctx context.Context, sv *server, err error) error {
	if !errors.Is(err, errWentBack) {
		return err
	}
	if vars, unknown := s.variables(ctx); unknown != nil || identity(vars) != sv.id {
		return errors.New("the questions go to another server than the log comes from; connecting anew")
	}
	return capture.Gap("%v", err)
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
