package station

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"station-agent/store/record"
)

// Tape keeps the last of what went on at the bench, for support: what the readers said, what the bench was asked and knew
// then, what it told, and how the rows changed. Replay runs it again.
//
//	start │ heard rows asked told asked told ... ║ start │ heard asked told ...
//	└──────────── the half before ─────────────┘   └──────── this half ────────┘
//
// When a half is full the one before it is dropped; each begins with all that the bench knew. So it is bounded: Max bytes of
// events, and two times the rows of this station. It costs a note in memory for each event; nothing is written or made into
// text before somebody asks.
//
// It holds no secret and no name: badges stand in it by their pseudonyms, command codes by the commands' names, and of bytes
// that were no code only their shape. Of an antenna, which reads the same tags again and again, it keeps the tags that came.
//
// A nil Tape keeps nothing. Its methods may be called from several goroutines.
type Tape struct {
	Max     int           // bytes of events, 0 means 1 MiB
	Version string        // of the program, for the reader of a recording
	Readers []TapedReader // that are heard

	mu        sync.Mutex
	rules     Rules
	stamp     func() record.Stamp
	before    half
	now       half
	heard     map[string]uint64 // tags so far, by reader
	followers map[chan<- Heard]string
}

// TapedReader is what Replay has to know of a reader.
type TapedReader struct {
	Name   string `json:"name"`
	Kind   Kind   `json:"kind"`
	Prefix string `json:"prefix,omitempty"`
	Codec  string `json:"codec,omitempty"` // "" means line
}

type half struct {
	start  *Start
	events []Event
	size   int
	lost   int // events that there was no room for
}

const defaultTape = 1 << 20

// begin tells what the bench goes by. It is called once, before anything is heard.
func (t *Tape) begin(rules Rules, stamp func() record.Stamp) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rules, t.stamp = rules, stamp
}

func (t *Tape) max() int {
	if t.Max <= 0 {
		return defaultTape
	}
	return t.Max
}

// full tells whether the bench has to begin a new half.
func (t *Tape) full() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now.start == nil || t.now.size > t.max()/2
}

// turn begins a half.
func (t *Tape) turn(s *Start) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Version, s.Readers = t.Version, t.Readers
	t.before, t.now = t.now, half{start: s}
}

// add keeps an event of about so many bytes.
func (t *Tape) add(e Event, size int) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(e, size)
}

func (t *Tape) put(e Event, size int) {
	const overhead = 256
	h := &t.now
	if h.start == nil { // it will be part of what the bench knows
		return
	}
	if h.size > t.max() { // the bench is held up: it would have begun a new half
		h.lost++
		return
	}
	e.At = t.stamp().Mono
	if n := len(h.events); n > 0 && e.idle() && h.events[n-1].idle() { // a night of rows that stay as they are
		h.events[n-1] = e
		return
	}
	h.events, h.size = append(h.events, e), h.size+size+overhead
}

// mono is a moment since boot; 0 for none.
func (t *Tape) mono(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return t.stamp().Mono - time.Since(at)
}

// rows keeps one reading.
func (t *Tape) rows(d *RowsRead, began time.Time) {
	d.Began = t.mono(began)
	t.add(Event{Rows: d}, 256*(len(d.Put)+len(d.Away))+32*(len(d.Gone)+len(d.None)))
}

// ended keeps how an intent ended, when that was known.
func (t *Tape) ended(e ending) {
	if t != nil {
		t.add(Event{Ended: &TapedEnd{e.Parked, t.mono(e.at)}}, 256)
	}
}

// ask keeps a question and what came of it at once.
func (t *Tape) ask(a Asked, d Decision) {
	a.Nothing = d.Scan == nil
	if a.Tag != nil {
		tag := hiddenTag(t.rules, *a.Tag, t.reader(a.Tag.Reader))
		a.Tag = &tag
	}
	size := 256 * (1 + len(a.Uses))
	for _, code := range a.Field {
		size += len(code)
	}
	t.add(Event{Asked: &a}, size)
}

// tell keeps what the bench said, or why it could not be saved.
func (t *Tape) tell(d Decision, e record.Entry, err error) {
	if t == nil {
		return
	}
	told := Told{Seq: e.Seq, Scan: *d.Scan}
	if told.Scan.Tag = hiddenTag(t.rules, d.Scan.Tag, t.reader(d.Scan.Reader)); told.Scan.Code != d.Scan.Code {
		told.Scan.Text = strings.ReplaceAll(told.Scan.Text, d.Scan.Code, told.Scan.Code)
	}
	for _, i := range e.Intents {
		told.IDs = append(told.IDs, i.ID)
	}
	if err != nil {
		told.Err = err.Error()
	}
	t.add(Event{Told: &told}, 256+len(told.Scan.Text)+8*len(told.IDs))
}

func (t *Tape) reader(name string) TapedReader {
	if n := slices.IndexFunc(t.Readers, func(r TapedReader) bool { return r.Name == name }); n >= 0 {
		return t.Readers[n]
	}
	return TapedReader{Name: name}
}

// hear keeps what one reader said and the tags that came of it, and hands it to who follows.
func (t *Tape) hear(h Heard, r TapedReader) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h.Reader, h.First = r.Name, t.heard[r.Name]
	if t.heard == nil {
		t.heard = map[string]uint64{}
	}
	t.heard[r.Name] += uint64(len(h.Read))
	h.Tags = len(h.Read)
	h.hide(t.rules, r)
	for to, name := range t.followers {
		if name == r.Name {
			select {
			case to <- h:
			default: // who looks on doesn't hold up the reader
			}
		}
	}
	if h.Read = nil; r.Kind != RFID {
		t.put(Event{Heard: &h}, len(h.Bytes))
	}
}

// Follow hands on what the reader says from now on until the function is called. What doesn't fit into to is left out.
func (t *Tape) Follow(reader string, to chan<- Heard) (end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.followers == nil {
		t.followers = map[chan<- Heard]string{}
	}
	t.followers[to] = reader
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.followers, to)
	}
}

// Write writes the recording: a JSON object a line, the start first.
func (t *Tape) Write(out io.Writer) error {
	t.mu.Lock()
	start, events := t.now.start, slices.Clone(t.now.events)
	if t.before.start != nil {
		start, events = t.before.start, slices.Concat(t.before.events, events)
	}
	lost := t.before.lost + t.now.lost
	t.mu.Unlock()
	if start == nil {
		return errors.New("write recording: nothing was kept yet: try again")
	}
	s := *start
	s.Lost = lost
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(Event{At: s.State.Touched, Start: &s}); err != nil {
		return err
	}
	for _, e := range events {
		if err := enc.Encode(e); err != nil {
			return err
		}
	}
	return nil
}
