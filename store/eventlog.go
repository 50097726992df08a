package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// page is the payload of a frame: what one write adds. The first of a half has all that is kept.
//
//	half   frame | frame | … | what is left of an earlier turn
//	frame  length u32 | crc u32 | turn u64 | 0 u64 | page in JSON
//
// The file has two halves. When one is full, the other is begun, with a turn one higher; it counts as soon as its first frame is
// whole. Each frame is flushed before the next is written.
type page struct {
	ID     string  `json:"id"`
	Told   uint64  `json:"told"`
	Last   uint64  `json:"last"`
	Events []Event `json:"events"`
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

// load takes over what the file has. False: go on in a new file, as something in this one isn't as it was written.
func (l *EventLog) load(data []byte) (sound bool) {
	if len(data) != 2*l.half {
		return false
	}
	halves := [2][]byte{data[:l.half], data[l.half:]}
	var found [2][]frame
	for i, h := range halves {
		found[i] = pages(h)
	}
	now := 0
	if len(found[0]) == 0 || len(found[1]) > 0 && found[1][0].seq > found[0][0].seq {
		now = 1
	}
	if len(found[now]) == 0 {
		return false
	}
	l.turn = found[now][0].seq
	id := ""
	for _, f := range found[now] {
		var p page
		if json.Unmarshal(f.payload, &p) != nil {
			return false
		}
		id, l.told, l.last = p.ID, p.Told, p.Last
		l.events = append(l.events, p.Events...)
		l.off = f.end
	}
	l.trim()
	if int(l.turn%2) != now || torn(halves[now], l.off, l.turn) || halfBegun(halves[1-now], found[1-now], l.turn) {
		return false
	}
	l.id, l.noted = id, l.told
	return true
}

// pages gives the frames of a half, which all have the turn of the first.
func pages(half []byte) (frames []frame) {
	f, ok := frameAt(half, 0, 1, 1<<62)
	for ; ok; f, ok = frameAt(half, f.end, f.seq, f.seq) {
		frames = append(frames, f)
	}
	return frames
}

// torn tells whether something of this turn stands behind its last whole frame: it was being written, or was damaged.
func torn(half []byte, off int, turn uint64) bool {
	if off+16 <= len(half) && bytes.Equal(half[off+8:off+16], appendFrame(nil, turn, 0, nil)[8:16]) {
		return true
	}
	for i := off; i < len(half); i++ {
		if _, ok := frameAt(half, i, turn, turn); ok {
			return true
		}
	}
	return false
}

// halfBegun tells whether the half that isn't in use is neither empty nor the one before.
func halfBegun(half []byte, found []frame, turn uint64) bool {
	if len(found) > 0 {
		return found[0].seq != turn-1
	}
	return len(tail(half, 0)) > 0
}

// create makes the file with all that is known, under its name only when it is whole. What comes then is numbered under id. Called
// with writing held, or alone.
func (l *EventLog) create(id string) error {
	l.turn = 2 // the first half
	f, err := l.frame(id, true, nil)
	if err != nil {
		return err
	}
	temp := l.path + temporary
	c, err := zeroFile(l.open, temp, int64(2*l.half), int64(2*l.half))
	if err != nil {
		return err
	}
	if err = errors.Join(writeFile(c, f, 0), c.Sync()); err == nil {
		err = os.Rename(temp, l.path)
	}
	if err == nil {
		err = syncFolder(l.open, filepath.Dir(l.path))
	}
	if err != nil {
		return errors.Join(err, c.Close(), removeFile(temp))
	}
	l.file, l.off = c, len(f)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id = id
	return nil
}

// frame makes the frame of what is added; whole has all that is kept. Called with writing held, or alone.
func (l *EventLog) frame(id string, whole bool, added []Event) ([]byte, error) {
	l.mu.Lock()
	p := page{ID: id, Told: l.told, Last: l.last, Events: added}
	if whole {
		p.Events = append(slices.Clone(l.events), added...)
	}
	l.mu.Unlock()
	if len(added) > 0 {
		p.Last = added[len(added)-1].Seq
	}
	l.noted = p.Told
	b, err := json.Marshal(p)
	return appendFrame(nil, l.turn, 0, b), err
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

var errNoEvents = errors.New("the file can't be had")

// write puts events into the file, durably. Called with writing held.
func (l *EventLog) write(added []Event) error {
	if l.file == nil || l.broken {
		return errNoEvents
	}
	l.mu.Lock()
	id := l.id
	l.mu.Unlock()
	f, err := l.frame(id, false, added)
	if err != nil {
		return err
	}
	turned := l.off+len(f) > l.half
	if turned {
		l.turn++
		if f, err = l.frame(id, true, added); err != nil {
			return err
		}
		l.off = 0
		if len(f) > l.half {
			l.broken = true
			return fmt.Errorf("%d bytes of events don't fit", len(f))
		}
	}
	at := l.off + int(l.turn%2)*l.half
	if err := errors.Join(writeFile(l.file, f, int64(at)), l.file.Datasync()); err != nil {
		l.broken = true // what failed once may be on the card or not
		return err
	}
	l.off += len(f)
	return nil
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
