package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
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
}

// records is what a desk needs of a store.DB; its comments say what the methods do.
type records interface {
	Waiting(f func(record.Queued) error) error
	DeadLetters(f func(store.DeadLetter) error) error
	Retry(seqs ...uint64) (int, error)
	Drop(seqs ...uint64) (int, error)
	Stats() store.Stats
}

func newDesk(st *store.Store, folder string) desk { return desk{st, st.DB, folder} }

// look adds what changes nothing.
func (d desk) look(mux *http.ServeMux) {
	mux.HandleFunc("GET /outbox", answer(d.list))
	mux.HandleFunc("GET /outbox/{seq}", answer(d.show))
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
	n := len(d.store.Losses()) + int(d.store.DB.Stats().NewlyUnverified)
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
	RefusedAt  time.Time `json:"refused_at,omitzero"`
	Payload    []byte    `json:"payload,omitempty"` // to the byte, and so in base64; only of a record that is shown alone
}

func newLetter(q record.Queued) letter {
	return letter{Seq: q.Seq, Database: q.Database, Collection: q.Collection, ID: q.ID, Version: q.Version, Op: q.Op,
		At: q.At, Key: q.Key, Bytes: len(q.Payload)}
}

func newDeadLetter(l store.DeadLetter) letter {
	n := newLetter(l.Queued)
	n.Refusal, n.RefusedAt = l.Refusal, l.At
	return n
}

const (
	totalHeader = "Station-Agent-Total" // of a list: how many records there are, listed or not
	listBuffer  = 256 << 10             // a list that fits is read from the store before the asker has to take it
	actAtOnce   = 1000                  // records in one transaction
)

// list streams the records that wait, or were refused, a line of JSON each.
func (d desk) list(w http.ResponseWriter, r *http.Request) error {
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil {
		return fmt.Errorf("list records: limit %q is no number", r.FormValue("limit"))
	}
	refused, stats := r.FormValue("refused") != "", d.records.Stats()
	total := map[bool]int{true: stats.DeadLetters, false: stats.QueueRecords}[refused]
	w.Header().Set(totalHeader, strconv.Itoa(total))
	return stream(w, func(put func(any) error) error {
		n := 0
		some := func(l letter) error {
			if n++; limit > 0 && n > limit {
				return errFirst
			}
			return put(l)
		}
		if refused {
			err = d.records.DeadLetters(func(l store.DeadLetter) error { return some(newDeadLetter(l)) })
		} else {
			err = d.records.Waiting(func(q record.Queued) error { return some(newLetter(q)) })
		}
		if errors.Is(err, errFirst) {
			return nil
		}
		return err
	})
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

// choice names records: one by one, all that were refused, or those whose refusal holds a text.
type choice struct {
	Seqs    []uint64 `json:"seqs,omitempty"`
	All     bool     `json:"all,omitempty"`
	Refusal string   `json:"refusal,omitempty"`
}

func (d desk) retry(w http.ResponseWriter, r *http.Request) error {
	var c choice
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		return fmt.Errorf("retry records: %w", err)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // there may be a million of them
	if !c.All && c.Refusal == "" {
		return each(w, c.Seqs, "retry", d.records.Retry)
	}
	var seqs []uint64
	err := d.records.DeadLetters(func(l store.DeadLetter) error {
		if strings.Contains(l.Refusal, c.Refusal) {
			seqs = append(seqs, l.Seq)
		}
		return nil
	})
	n := 0
	for some := range slices.Chunk(seqs, actAtOnce) {
		var done int
		if err == nil {
			done, err = d.records.Retry(some...)
		}
		n += done
	}
	if err != nil {
		return fmt.Errorf("retry records: %d are sent again, then: %w", n, err)
	}
	return writeJSON(w, map[string]int{"count": n})
}

func (d desk) drop(w http.ResponseWriter, r *http.Request) error {
	var c choice
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		return fmt.Errorf("drop records: %w", err)
	}
	return each(w, c.Seqs, "drop", d.records.Drop)
}

// each does act to each record that a person named, and tells which one it could not be done to.
func each(w http.ResponseWriter, seqs []uint64, verb string, act func(...uint64) (int, error)) error {
	for n, seq := range seqs {
		done, err := act(seq)
		if err == nil && done == 0 {
			err = store.ErrNoRecord
		}
		if err != nil {
			return fmt.Errorf("%s record %d (%d were done before it): %w: see station-agent outbox list", verb, seq, n, err)
		}
	}
	return writeJSON(w, map[string]int{"count": len(seqs)})
}
