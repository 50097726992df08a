package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"station-agent/store"
	"station-agent/store/record"
)

// desk answers what a person asks about the records and wants of them: over the agent's sockets, or for a command that
// opened the store of a stopped agent itself.
type desk struct {
	store   *store.Store
	records records
	folder  string
	tables  []*tracked // that are captured
}

// records is what a desk needs of a store.DB; its comments say what the methods do.
type records interface {
	Waiting(f func(record.Queued) error) error
	DeadLetters(f func(store.DeadLetter) error) error
	Retry(seqs ...uint64) (int, error)
	Drop(seqs ...uint64) (int, error)
	Stats() store.Stats
}

func newDesk(st *store.Store, c *config) desk { return desk{st, st.DB, c.Store.Folder, c.tables()} }

// look adds what changes nothing.
func (d desk) look(mux *http.ServeMux) {
	mux.HandleFunc("GET /outbox", answer(d.list))
	mux.HandleFunc("GET /outbox/{seq}", answer(d.show))
	mux.HandleFunc("GET /events", answer(d.events))
	mux.HandleFunc("GET /store/stats", answer(d.stats))
}

// change adds what changes something.
func (d desk) change(mux *http.ServeMux) {
	mux.HandleFunc("POST /outbox/retry", answer(d.retry))
	mux.HandleFunc("POST /outbox/drop", answer(d.drop))
	mux.HandleFunc("POST /store/acknowledge", answer(d.acknowledge))
	mux.HandleFunc("POST /map", answer(d.importMap))
}

// acknowledge ends the alarm of what was lost.
func (d desk) acknowledge(w http.ResponseWriter, _ *http.Request) error {
	stats := d.store.DB.Stats()
	n := len(d.store.Losses()) + int(stats.NewlyUnverified) + int(stats.NewlySpilled)
	if err := d.store.Acknowledge(); err != nil {
		return err
	}
	return writeJSON(w, map[string]int{"count": n})
}

// letter is one record of the outbox or of those that were refused, as the commands show it.
type letter struct {
	Seq        uint64    `json:"seq"`
	Database   string    `json:"database"`
	Collection string    `json:"collection"`
	ID         string    `json:"id"`
	Version    string    `json:"version"`
	Op         record.Op `json:"op"`
	At         time.Time `json:"at"` // of the change, by the server's clock
	Key        string    `json:"key"`
	Bytes      int       `json:"bytes"` // of the payload
	Refusal    string    `json:"refusal,omitempty"`
	Tries      int       `json:"tries,omitempty"` // how often it was refused
	FirstAt    time.Time `json:"first_refused_at,omitzero"`
	RefusedAt  time.Time `json:"refused_at,omitzero"` // last
	Payload    []byte    `json:"payload,omitempty"`   // to the byte, and so in base64; only of a record that is shown alone or exported
}

func newLetter(q record.Queued) letter {
	return letter{Seq: q.Seq, Database: q.Database, Collection: q.Collection, ID: q.ID, Version: q.Version, Op: q.Op,
		At: q.At, Key: q.Key, Bytes: len(q.Payload)}
}

func newDeadLetter(l store.DeadLetter) letter {
	n := newLetter(l.Queued)
	n.Refusal, n.Tries, n.FirstAt, n.RefusedAt = l.Refusal, l.Tries, l.First, l.At
	return n
}

const (
	totalHeader = "Station-Agent-Total" // of a list: how many records there are, listed or not
	listBuffer  = 256 << 10             // a list that fits is read from the store before the asker has to take it
	actAtOnce   = 1000                  // records in one transaction
)

// list streams the records that wait, or were refused, a line of JSON each: all, or those that fit a choice.
func (d desk) list(w http.ResponseWriter, r *http.Request) error {
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil {
		return fmt.Errorf("list records: limit %q is no number", r.FormValue("limit"))
	}
	var c choice
	if text := r.FormValue("choice"); text != "" {
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return fmt.Errorf("list records: %w", err)
		}
	}
	refused, whole := r.FormValue("refused") != "", r.FormValue("whole") != ""
	walk, err := d.walk(c, refused, whole)
	if err != nil {
		return fmt.Errorf("list records: %w", err)
	}
	stats := d.records.Stats()
	total := map[bool]int{true: stats.DeadLetters, false: stats.QueueRecords}[refused]
	if c.narrow() && limit > 0 { // else nobody asks
		total = 0
		if err := walk(func(letter) error { total++; return nil }); err != nil {
			return fmt.Errorf("list records: %w", err)
		}
	}
	w.Header().Set(totalHeader, strconv.Itoa(total))
	return stream(w, func(put func(any) error) error {
		n := 0
		err := walk(func(l letter) error {
			if n++; limit > 0 && n > limit {
				return errFirst
			}
			return put(l)
		})
		if errors.Is(err, errFirst) {
			return nil
		}
		return err
	})
}

// walk gives what walks through the records that wait, or were refused, and fit c.
func (d desk) walk(c choice, refused, whole bool) (func(func(letter) error) error, error) {
	fits, err := d.picker(c)
	if err != nil {
		return nil, err
	}
	give := func(q record.Queued, l letter, f func(letter) error) error {
		if whole {
			l.Payload = q.Payload
		}
		return f(l)
	}
	if refused {
		return func(f func(letter) error) error {
			return d.pick(c, func(l store.DeadLetter) error { return give(l.Queued, newDeadLetter(l), f) })
		}, nil
	}
	return func(f func(letter) error) error {
		return d.records.Waiting(func(q record.Queued) error {
			if !fits(&q, "", time.Time{}) {
				return nil
			}
			return give(q, newLetter(q), f)
		})
	}, nil
}

// stream answers with a line of JSON for each value that list puts. An error comes as the last line, too late for a status.
func stream(w http.ResponseWriter, list func(put func(any) error) error) error {
	out := bufio.NewWriterSize(patient{w}, listBuffer)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if err := list(enc.Encode); err != nil {
		_ = enc.Encode(map[string]string{"error": oneLine(err.Error())})
	}
	_ = out.Flush() // the asker has gone: nobody to tell
	return nil
}

// patient gives the asker its time anew for each piece of a long answer.
type patient struct{ http.ResponseWriter }

func (p patient) Write(b []byte) (int, error) {
	_ = http.NewResponseController(p.ResponseWriter).SetWriteDeadline(time.Now().Add(answerTime)) // a command's own desk has none
	return p.ResponseWriter.Write(b)
}

func (d desk) show(w http.ResponseWriter, r *http.Request) error {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	if err != nil {
		return fmt.Errorf("show record: %q is no number", r.PathValue("seq"))
	}
	var found letter
	take := func(l letter, payload []byte) error {
		if l.Seq != seq {
			return nil
		}
		found, found.Payload = l, slices.Clone(payload)
		return errFirst
	}
	err = d.records.Waiting(func(q record.Queued) error { return take(newLetter(q), q.Payload) })
	if err == nil {
		err = d.records.DeadLetters(func(l store.DeadLetter) error { return take(newDeadLetter(l), l.Payload) })
	}
	switch {
	case err == nil:
		return fmt.Errorf("show record %d: %w: it was accepted or dropped, or never was", seq, store.ErrNoRecord)
	case !errors.Is(err, errFirst):
		return fmt.Errorf("show record %d: %w", seq, err)
	}
	return writeJSON(w, found)
}
