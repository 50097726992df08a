package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"station-agent/store"
	"station-agent/store/record"
)

// choice names records: one by one, all that were refused, or those that fit all it says.
type choice struct {
	Seqs       []uint64      `json:"seqs,omitempty"`
	All        bool          `json:"all,omitempty"`
	Refusal    string        `json:"refusal,omitempty"` // holds this text
	Collection string        `json:"collection,omitempty"`
	Table      string        `json:"table,omitempty"` // SCHEMA.TABLE, as captured
	Older      time.Duration `json:"older,omitempty"` // refused last longer ago than that
	Newer      time.Duration `json:"newer,omitempty"` // or not so long ago
	From       uint64        `json:"from,omitempty"`  // the first sequence
	To         uint64        `json:"to,omitempty"`    // and the last one
}

// flags adds those that narrow c.
func (c *choice) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.Refusal, "refusal", "", "those whose refusal holds `TEXT`")
	f.StringVar(&c.Collection, "collection", "", "those of the collection `NAME`")
	f.StringVar(&c.Table, "table", "", "those of rows of the captured table `SCHEMA.TABLE`")
	f.DurationVar(&c.Older, "older", 0, "those refused longer ago than `TIME`, such as 36h")
	f.DurationVar(&c.Newer, "newer", 0, "those refused within the last `TIME`")
	f.Uint64Var(&c.From, "from", 0, "those from `SEQ` on")
	f.Uint64Var(&c.To, "to", 0, "those up to `SEQ`")
}

// narrow tells whether c says more than which records by number.
func (c *choice) narrow() bool {
	return c.Refusal != "" || c.Collection != "" || c.Table != "" || c.Older != 0 || c.Newer != 0 || c.From != 0 || c.To != 0
}

// check refuses what could only be a slip.
func (c *choice) check() error {
	switch {
	case c.Older < 0 || c.Newer < 0:
		return usageError{errors.New("--older and --newer take a time that is more than 0")}
	case c.Newer > 0 && c.Older >= c.Newer:
		return usageError{fmt.Errorf("nothing was refused both longer ago than %v and within the last %v", c.Older, c.Newer)}
	case c.To > 0 && c.From > c.To:
		return usageError{fmt.Errorf("--from %d is behind --to %d", c.From, c.To)}
	}
	return nil
}

// one wants exactly one way to name records: some numbers, all, or what they have in common.
func (c *choice) one() error {
	ways := 0
	for _, way := range []bool{len(c.Seqs) > 0, c.All, c.narrow()} {
		if way {
			ways++
		}
	}
	if ways != 1 {
		return usageError{errors.New("name some SEQ, or --all, or what the records have in common, such as --refusal TEXT: " +
			"station-agent outbox list --refused gives them")}
	}
	return c.check()
}

// picker gives what tells whether a record fits c. At is when it was refused, zero if it waits.
func (d desk) picker(c choice) (func(q *record.Queued, refusal string, at time.Time) bool, error) {
	of := func(*record.Record) bool { return true }
	if c.Table != "" {
		i := slices.IndexFunc(d.tables, func(t *tracked) bool { return t.Spec.String() == c.Table })
		if i < 0 {
			return nil, fmt.Errorf("choose records of %s: %w: see station-agent capture, or use --collection", c.Table, errNoSuchTable)
		}
		of = d.tables[i].Reports
	}
	now := time.Now()
	return func(q *record.Queued, refusal string, at time.Time) bool {
		return strings.Contains(refusal, c.Refusal) && (c.Collection == "" || q.Collection == c.Collection) && of(&q.Record) &&
			q.Seq >= c.From && (c.To == 0 || q.Seq <= c.To) &&
			(c.Older == 0 || now.Sub(at) > c.Older) && (c.Newer == 0 || now.Sub(at) <= c.Newer)
	}, nil
}

// pick gives f the dead letters that fit c.
func (d desk) pick(c choice, f func(store.DeadLetter) error) error {
	fits, err := d.picker(c)
	if err != nil {
		return err
	}
	return d.records.DeadLetters(func(l store.DeadLetter) error {
		if !fits(&l.Queued, l.Refusal, l.At) {
			return nil
		}
		return f(l)
	})
}

func (d desk) retry(w http.ResponseWriter, r *http.Request) error {
	return d.act(w, r, "retry", "sent again", d.records.Retry)
}

func (d desk) drop(w http.ResponseWriter, r *http.Request) error {
	return d.act(w, r, "drop", "dropped", d.records.Drop)
}

// act does one thing to what a person chose, some in one transaction.
func (d desk) act(w http.ResponseWriter, r *http.Request, verb, done string, act func(...uint64) (int, error)) error {
	var c choice
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		return fmt.Errorf("%s records: %w", verb, err)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(noTime) // there may be many of them
	if !c.All && !c.narrow() {
		return each(w, c.Seqs, verb, act)
	}
	var seqs []uint64
	if err := d.pick(c, func(l store.DeadLetter) error { seqs = append(seqs, l.Seq); return nil }); err != nil {
		return fmt.Errorf("%s records: %w", verb, err)
	}
	n := 0
	for some := range slices.Chunk(seqs, actAtOnce) {
		some, err := act(some...)
		if n += some; err != nil && !errors.Is(err, store.ErrNoRecord) { // somebody else was quicker
			return fmt.Errorf("%s records: %d are %s, then: %w", verb, n, done, err)
		}
	}
	return writeJSON(w, map[string]int{"count": n})
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
