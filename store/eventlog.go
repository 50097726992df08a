package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"station-agent/store/record"
)

const (
	eventsName   = "events.log"
	eventsHalf   = 1 << 20
	eventsKept   = 200 // warnings that are kept, told or not
	eventMost    = 4 << 10
	eventsLinger = time.Minute // how long a note that events were told waits for company
)

// Event is one thing that the fleet is told of, as it is kept until it was told. The last 200 warnings are kept for longer,
// and so is what raises an alarm until it is cleared.
type Event struct {
	Seq     uint64          `json:"seq"`
	Log     string          `json:"log"`               // id of the count of which Seq is
	Warning bool            `json:"warning,omitempty"` // people want to find it afterwards
	Raises  string          `json:"raises,omitempty"`  // the alarm that it begins
	Clears  string          `json:"clears,omitempty"`  // the alarm that it ends
	Body    json.RawMessage `json:"body"`              // what is told, JSON of 4 KiB at most
	Added   time.Time       `json:"-"`                 // by this run; zero: by an earlier one
}

// EventLog keeps what the fleet is to be told, in order and numbered without a gap, in a small file of its own: made once in
// its full size, so that a full card doesn't stop it, and flushed once for all events of an Add.
//
// It never fails its caller. While the file can't be had or written, events are in memory only and are numbered under another
// id, because a number that isn't on the card may be given again after a power cut. A file that was damaged goes on under another
// id for the same reason. Numbers only grow.
//
// It may be used by any number of goroutines. Only Add, Run and Close wait for the card.
type EventLog struct {
	path    string
	open    opener
	half    int
	changed chan struct{}

	writing sync.Mutex // held over every write, guards what follows
	file    file       // nil: none could be had
	turn    uint64     // counts the halves that were begun
	off     int        // in the half where the next frame goes
	broken  bool       // a write failed: never again
	noted   uint64     // told, as the file knows it

	mu      sync.Mutex // guards what follows, never held over I/O
	id      string     // under which the next event is numbered
	last    uint64
	told    uint64
	events  []Event
	dropped uint64
	fault   error // why events are in memory only
}

// openEvents opens the log, or makes it. It always gives one.
func openEvents(path string, half int, open opener) *EventLog {
	l := &EventLog{path: path, open: open, half: half, changed: make(chan struct{}, 1), id: newLogID()}
	data, err := readFile(open, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = l.create(l.id)
	case err == nil:
		if !l.load(data) {
			err = l.create(l.id)
			break
		}
		if l.file, err = open(path, os.O_RDWR); err != nil {
			l.file, l.id = nil, newLogID()
		}
	}
	l.fault = l.explain(err)
	return l
}

func newLogID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, see its documentation
	return hex.EncodeToString(b[:])
}

// Add numbers events and keeps them, with one flush for all. The error says why they are not on the card; they are told all the
// same.
func (l *EventLog) Add(events ...Event) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	id, last := l.id, l.last
	l.mu.Unlock()
	events = slices.Clone(events)
	for i := range events {
		e := &events[i]
		if len(e.Body) > eventMost || !json.Valid(e.Body) {
			return record.Never(fmt.Errorf("add event: %d bytes that are no JSON of %d at most", len(e.Body), eventMost))
		}
		e.Seq, e.Log, e.Added = last+uint64(i)+1, id, time.Now()
	}
	if len(events) == 0 {
		return nil
	}
	was := l.broken
	err := l.write(events)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !errors.Is(err, errNoEvents) {
		l.fault = l.explain(err)
	}
	if l.broken && !was {
		l.id = newLogID()
		for i := range events {
			events[i].Log = l.id
		}
	}
	l.last += uint64(len(events))
	l.events = append(l.events, events...)
	l.trim()
	signal(l.changed)
	return l.fault
}

// explain says what a fault means.
func (l *EventLog) explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("write %s: %w: events are told, and would not survive a power cut: make room on the card, and restart the agent", l.path, err)
}

// trim forgets what nobody needs: what was told and is no warning of the last, and raises no alarm that stands; and, if there is
// more than the file holds, what is oldest. Called with mu held.
func (l *EventLog) trim() {
	cleared, warnings, size := map[string]bool{}, 0, 0
	keep := make([]Event, 0, len(l.events))
	for _, e := range slices.Backward(l.events) {
		raises := e.Raises != "" && !cleared[e.Raises]
		untold := e.Seq > l.told
		late := e.Warning && warnings < eventsKept
		if e.Warning {
			warnings++
		}
		for _, name := range []string{e.Clears, e.Raises} {
			if name != "" {
				cleared[name] = true // what is older ended with it
			}
		}
		fits := size+len(e.Body) < l.half/4*3
		switch {
		case raises, fits && (untold || late):
			size += len(e.Body) + 160 // of what stands around it
			keep = append(keep, e)
		case untold:
			l.dropped++
		}
	}
	slices.Reverse(keep)
	l.events = keep
}

// Next gives the oldest event with a higher number that was not told; false if there is none.
func (l *EventLog) Next(after uint64) (Event, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	after = max(after, l.told)
	for _, e := range l.events {
		if e.Seq > after {
			return e, true
		}
	}
	return Event{}, false
}

// Told notes that everything up to that number was told. It is on the card with the next event or within a minute: a power cut
// before makes that it is told again.
func (l *EventLog) Told(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told < seq && seq <= l.last {
		l.told = seq
		l.trim()
	}
}

// Changed holds a signal after an Add.
func (l *EventLog) Changed() <-chan struct{} { return l.changed }

// Last is the number of the newest event, 0 if there never was one.
func (l *EventLog) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Kept lists all that is kept, oldest first.
func (l *EventLog) Kept() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// Standing gives the events that raised an alarm which none cleared.
func (l *EventLog) Standing() (list []Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, e := range l.events {
		ends := func(o Event) bool { return o.Clears == e.Raises || o.Raises == e.Raises }
		if e.Raises != "" && !slices.ContainsFunc(l.events[i+1:], ends) {
			list = append(list, e)
		}
	}
	return list
}

// Dropped counts the events of this run that were given up untold, for want of room.
func (l *EventLog) Dropped() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// Run brings onto the card what may wait, until ctx ends, and tries again to make a file that could not be made.
func (l *EventLog) Run(ctx context.Context) error {
	tick := time.NewTicker(eventsLinger)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			l.settle()
		}
	}
}

// settle writes what was told, if that is news, or makes the file that could not be made.
func (l *EventLog) settle() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	news := l.told != l.noted
	l.mu.Unlock()
	var err error
	switch {
	case l.broken:
		return
	case l.file == nil:
		err = l.create(newLogID()) // what was told under the other id isn't on any card
	case news:
		err = l.write(nil)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = l.explain(err)
	if l.broken {
		l.id = newLogID()
	}
}

// Fault tells why events are in memory only, nil if they are on the card.
func (l *EventLog) Fault() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault
}

func (l *EventLog) close() error {
	l.settle()
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file, l.broken = nil, true
	return err
}
