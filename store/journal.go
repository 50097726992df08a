package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"station-agent/store/record"
)

const (
	segmentSize = 1 << 20   // unless configured; more only if a checkpoint needs it
	maxEntry    = 256 << 10 // bytes of one appended entry
)

// Journal is the log of what happened at the bench. Its State is what all entries add up to.
//
// It may be used by any number of goroutines; those that only read never wait for the card.
type Journal struct {
	dir     string
	id      string
	now     func() record.Stamp
	codec   *codec // its own: nothing of records makes a scan wait
	open    opener
	segment int64         // bytes of an ordinary segment
	keep    time.Duration // history by time
	most    int           // and by segments
	reserve reserve
	changed chan struct{}
	wake    chan struct{} // Run has something to do

	writing sync.Mutex // held over every write and over the flush of an Append, guards what follows
	file    file       // the last segment
	end     int64      // where its next frame goes
	size    int64
	written uint64 // the last entry in the file
	durable uint64 // every entry up to this one is on the card
	spare   file   // the next segment, full of zeros already; nil if there is none
	broken  error  // why nothing can be written any more
	torn    int

	flushing sync.Mutex // held over a flush of outcomes, taken after writing
	failed   error      // of the last such flush

	reading sync.Mutex   // guards what follows, never held over I/O
	state   record.State // changed with writing held too
	origins origins
	labels  labelNotes
}

// Append makes e durable: one write, one flush. It gives e its sequence, its intents their ids and, unless they bring it, the
// scan they came from, and, if e.At is zero, the time. After an error of class record.Stop nothing is written ever again, because a
// flush that failed once may have dropped bytes that the next one calls clean. Any other error (no room for a new segment,
// an entry over 256 KiB) leaves the journal as it was. In both cases e did not happen.
func (j *Journal) Append(e record.Entry) (record.Entry, error) {
	if e.State != nil || e.Added != nil || e.Seq != 0 {
		return e, errors.New("append entry: checkpoints and sequences are the journal's own")
	}
	if e.At == (record.Stamp{}) {
		e.At = j.now()
	}
	if e.Session != nil {
		s := e.Session.Clone()
		e.Session = &s
	}
	j.writing.Lock()
	defer j.writing.Unlock()
	return j.append(e)
}

// append is Append for one that holds writing.
func (j *Journal) append(e record.Entry) (record.Entry, error) {
	entries := []record.Entry{e}
	if err := j.write(entries); err != nil {
		return e, err
	}
	if err := j.flush(); err != nil {
		return e, err
	}
	j.apply(entries)
	if len(e.Intents) > 0 {
		signal(j.changed)
	}
	if j.spare == nil && j.end > j.size/2 {
		signal(j.wake)
	}
	return entries[0], nil
}

// Settle notes how intents ended. It writes and doesn't flush; the next Append, Flush, Close, or Run within a second
// does. Losing an outcome to a power cut is harmless: its intent is open again, and the row, which was read or written
// before the outcome, decides the same again. What no row can decide is flushed at once: that a person dismissed it.
func (j *Journal) Settle(outcomes ...record.Outcome) error {
	if len(outcomes) == 0 {
		return nil
	}
	at, byPerson := j.now(), false
	entries := make([]record.Entry, len(outcomes))
	for n := range outcomes {
		entries[n] = record.Entry{At: at, Outcome: &outcomes[n]}
		byPerson = byPerson || outcomes[n].Result == record.Dismissed
	}
	j.writing.Lock()
	defer j.writing.Unlock()
	if err := j.write(entries); err != nil {
		return err
	}
	if byPerson {
		if err := j.flush(); err != nil {
			return err
		}
	}
	j.apply(entries)
	signal(j.changed)
	signal(j.wake)
	return nil
}

// State is a copy of what all entries add up to.
func (j *Journal) State() record.State {
	j.reading.Lock()
	defer j.reading.Unlock()
	return j.state.Clone()
}

// Seq is the sequence of the last entry.
func (j *Journal) Seq() uint64 {
	j.reading.Lock()
	defer j.reading.Unlock()
	return j.state.Seq
}

// Open lists the intents that are not settled, oldest first.
func (j *Journal) Open() []record.Intent {
	j.reading.Lock()
	defer j.reading.Unlock()
	return slices.Clone(j.state.Open)
}

// Changed holds a signal after an Append with intents and after a Settle.
func (j *Journal) Changed() <-chan struct{} { return j.changed }

// Torn is the number of bytes of unfinished entries that were cut off at opening; none of them was acknowledged.
func (j *Journal) Torn() int { return j.torn }

// Close flushes and closes the last segment. Run has returned before.
func (j *Journal) Close() error {
	err := j.Flush()
	j.writing.Lock()
	defer j.writing.Unlock()
	if errors.Is(j.broken, os.ErrClosed) {
		return nil
	}
	j.broken = record.Stop(fmt.Errorf("write journal %s: %w", j.dir, os.ErrClosed))
	if j.spare != nil {
		err = errors.Join(err, j.spare.Close(), os.Remove(j.path(spareName)))
	}
	j.closeSegment()
	return err
}

// write numbers the entries and writes them behind the last one, in one write. State is not changed.
func (j *Journal) write(entries []record.Entry) error {
	if j.broken != nil {
		return j.broken
	}
	plain := slices.Clone(entries)
	b, err := j.encode(entries)
	if err != nil {
		return err
	}
	if j.end+int64(len(b)) > j.size {
		if err := j.rotate(len(b), j.state.Seq+1); err != nil {
			return err
		}
		copy(entries, plain)
		if b, err = j.encode(entries); err != nil { // the checkpoint took a number
			return err
		}
	}
	if err := writeFile(j.file, b, j.end); err != nil {
		return j.fail(err)
	}
	j.end += int64(len(b))
	j.written = entries[len(entries)-1].Seq
	return nil
}

// encode gives the entries their numbers and makes frames of them.
func (j *Journal) encode(entries []record.Entry) (b []byte, err error) {
	seq, intent, session := j.state.Seq, j.state.Intent, j.state.Session
	for n := range entries {
		e := &entries[n]
		seq++
		e.Seq, e.Intents = seq, slices.Clone(e.Intents)
		for i := range e.Intents {
			intent++
			e.Intents[i].ID, e.Intents[i].Scan = intent, cmp.Or(e.Intents[i].Scan, seq)
		}
		payload, err := json.Marshal(slim(*e, session))
		if err != nil {
			return nil, record.Never(fmt.Errorf("encode journal entry: %w", err))
		}
		if len(payload) > maxEntry {
			return nil, record.Never(fmt.Errorf("append entry of %d bytes: more than %d don't fit", len(payload), maxEntry))
		}
		b = appendFrame(b, seq, j.durable, j.codec.packEntry(payload))
		session.Follow(*e)
	}
	return b, nil
}

// slim leaves out of e what the entries before it tell: a package of many items is not written again for each of them.
func slim(e record.Entry, before record.Session) record.Entry {
	if e.Session == nil {
		return e
	}
	if added, ok := e.Session.Since(before); ok {
		e.Session, e.Added = nil, &added
	}
	return e
}

func (j *Journal) apply(entries []record.Entry) {
	j.reading.Lock()
	defer j.reading.Unlock()
	for _, e := range entries {
		j.labels.note(e, &j.state)
		j.state.Apply(e)
		j.origins.note(e)
	}
}

func (j *Journal) fail(err error) error {
	j.broken = record.Stop(fmt.Errorf("write journal %s: %w: nothing more is written to a card that failed; restart the agent, and replace the card if it happens again", j.dir, err))
	return j.broken
}

// signal leaves a note in a channel of one place.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
