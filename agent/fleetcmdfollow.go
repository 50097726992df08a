package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"station-agent/uplink/fleet"
	"station-agent/uplink/fleet/message"
	"station-agent/uplink/fleet/watch"
)

// settledAfter is how long no retained message comes when all of them have come, and allWithin how long that may take with the
// connecting.
const (
	settledAfter = time.Second
	allWithin    = 20 * time.Second
)

// follower keeps a watch.Fleet up to date. Its mutex is what makes that one for one goroutine at a time.
type follower struct {
	cfg    *fleetFile
	access fleet.Access
	also   []string         // further topics
	said   func(fleet.Said) // gets each message besides; nil for nobody
	dirty  chan struct{}    // something changed

	mu      sync.Mutex
	fleet   *watch.Fleet
	open    openings
	changed map[string]bool // stations since the last take
	last    time.Time       // when the last retained message came, or the connection
	away    error           // why the broker isn't there
	book    *watch.Book
	desk    *fleet.Desk   // nil while the broker is away
	turned  chan struct{} // closed when that changes
}

// follow makes a follower of what the command line says.
func (a *fleetAt) follow(events int) (*follower, error) {
	f, err := a.load()
	if err != nil {
		return nil, err
	}
	access, err := f.broker().access()
	if err != nil {
		return nil, err
	}
	book, err := watch.OpenBook(f.Notes)
	if err != nil {
		return nil, err
	}
	w := &follower{open: openings{}, cfg: f, access: access, book: book, dirty: make(chan struct{}, 1), turned: make(chan struct{}), changed: map[string]bool{}, away: errors.New("not reached yet")}
	w.fleet = watch.New(watch.Config{Environment: f.Environment, Open: w.open.at, Events: events, Book: book})
	if f.Inventory == "" {
		return w, nil
	}
	in, err := os.Open(f.Inventory)
	if err != nil {
		return nil, fmt.Errorf("read inventory: %w", err)
	}
	defer in.Close()
	list, err := watch.ReadInventory(in)
	if err != nil {
		return nil, fmt.Errorf("read inventory %s: %w", f.Inventory, err)
	}
	w.fleet.Expect(list)
	return w, nil
}

// Run follows until ctx ends.
func (w *follower) Run(ctx context.Context) error {
	return fleet.Follow(ctx, w.access, clientID("watch"), slices.Concat(w.also, watch.Filters(w.cfg.Environment)), w.hear,
		func(d *fleet.Desk) { w.connected(d, nil) }, func(err error) { w.connected(nil, err) })
}

func (w *follower) hear(s fleet.Said) {
	now := time.Now()
	w.mu.Lock()
	if s.Retained {
		w.last = now
	}
	if id := w.fleet.Hear(watch.Message{Topic: s.Topic, Payload: s.Payload, Retained: s.Retained, At: now}); id != "" {
		w.changed[id] = true
	}
	w.mu.Unlock()
	if w.said != nil {
		w.said(s)
	}
	w.touch()
}

// connected says that the broker is there, or why it isn't.
func (w *follower) connected(d *fleet.Desk, err error) {
	now := time.Now()
	w.mu.Lock()
	w.last, w.away, w.desk = now, err, d
	close(w.turned)
	w.turned = make(chan struct{})
	if err == nil {
		w.fleet.Connected(now)
	} else {
		w.fleet.Away()
	}
	w.mu.Unlock()
	w.touch()
}

func (w *follower) touch() {
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

// settled waits until all retained messages came.
func (w *follower) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, allWithin)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		w.mu.Lock()
		up, last, away := w.fleet.Up(), w.last, w.away
		w.mu.Unlock()
		if up && time.Since(last) >= settledAfter {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			if !up {
				return fmt.Errorf("ask the fleet: %w", away)
			}
			return nil // they never end: what came has to do
		}
	}
}

// atDesk gives the connection once there is one, and what is closed when it isn't the one any more.
func (w *follower) atDesk(ctx context.Context) (d *fleet.Desk, turned <-chan struct{}, err error) {
	for {
		w.mu.Lock()
		d, turned = w.desk, w.turned
		w.mu.Unlock()
		if d != nil {
			return d, turned, nil
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// during runs f beside the follower and ends both.
func (w *follower) during(ctx context.Context, f func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- w.Run(ctx); stop() }()
	err := f(ctx)
	stop()
	if lost := <-ran; lost != nil && !errors.Is(lost, context.Canceled) {
		err = lost
	}
	return err
}

// view judges all stations now, by the notes as they are now: somebody else may write them, too. Notes that can't be read are
// those of before.
func (w *follower) view() watch.View {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.book.Refresh()
	return w.fleet.View(time.Now())
}

// find gives the stations that are meant: by uuid, by name or, where several may be, by a pattern.
func (w *follower) find(what string, several bool) ([]watch.Row, error) {
	v := w.view()
	var exact, fit []watch.Row
	for _, r := range v.Rows {
		if r.Station == strings.ToLower(what) {
			return []watch.Row{r}, nil
		}
		if strings.EqualFold(r.Name, what) {
			exact = append(exact, r)
		}
		if watch.Matches(what, r.Station, r.Name) {
			fit = append(fit, r)
		}
	}
	if len(exact) > 0 && !several {
		fit = exact
	}
	switch {
	case len(fit) == 0:
		return nil, fmt.Errorf("find station %q: none of the %d stations of environment %s has this uuid or name: station-agent fleet watch lists them", what, len(v.Rows), w.cfg.Environment)
	case len(fit) > 1 && !several:
		return nil, fmt.Errorf("find station %q: it may be %d stations: say its uuid: %s", what, len(fit), names(fit))
	}
	sort.Slice(fit, func(i, j int) bool { return fit[i].Name < fit[j].Name })
	return fit, nil
}

// names lists some stations for a person.
func names(rows []watch.Row) string {
	var list []string
	for i, r := range rows {
		if i == 5 {
			list = append(list, "…")
			break
		}
		list = append(list, fmt.Sprintf("%s (%s)", r.Name, r.Station))
	}
	return strings.Join(list, ", ")
}

// openings are the opening hours that stations told, as they were read: reading them takes a look at the time zone's file.
type openings map[string]message.Hours

const mostOpenings = 1000

// at tells whether a station's hall is open. Hours that make no sense are always: nobody misses a station by mistake then.
func (o openings) at(s message.State, at time.Time) bool {
	if len(s.Hours) == 0 {
		return true
	}
	name := strings.Join(slices.Concat(s.Hours, []string{s.TimeZone}), "\n")
	h, ok := o[name]
	if !ok {
		var err error
		if h, err = message.NewHours(s.Hours, s.TimeZone); err != nil {
			h = message.Hours{}
		}
		if len(o) >= mostOpenings {
			clear(o)
		}
		o[name] = h
	}
	return h.Open(at)
}
