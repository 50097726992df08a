package store

import (
	"slices"
	"time"

	"station-agent/store/record"
)

// DeadLetter is a record that Certyo refused for good. It stays until a person acts, or there are too many.
type DeadLetter struct {
	record.Queued
	Refusal string    `json:"refusal"` // what Certyo said last
	Tries   int       `json:"tries"`   // how often it was refused, also before it was retried
	First   time.Time `json:"first_refused"`
	At      time.Time `json:"refused"` // last
}

// DeadLetters gives f every refused record, oldest first, until f returns an error.
func (d *DB) DeadLetters(f func(DeadLetter) error) error {
	d.mu.Lock()
	list := slices.Clone(d.state.Refused)
	now := d.cfg.now()
	d.mu.Unlock()
	of := make(map[uint64]letter, len(list))
	for _, r := range list {
		of[r.Seq] = r
	}
	return d.each(func(a standing) bool { return a == declined }, func(seq uint64, r *stored) error {
		l := of[seq]
		return f(DeadLetter{record.Queued{Seq: seq, Record: r.Record}, l.Text, l.tries(), sometime(now, l.first()), sometime(now, l.At)})
	})
}

// Retry puts refused records back into the outbox, at their old place, and counts them.
func (d *DB) Retry(seqs ...uint64) (n int, err error) {
	return d.act(seqs, func(a standing) bool { return a == declined }, func(c *commit, part span) error {
		c.Retried = append(c.Retried, part)
		for seq := part.First; seq <= part.Last; seq++ {
			r, err := d.record(seq)
			if err != nil {
				return err
			}
			c.QueueBytes += int64(len(r.Payload))
		}
		return nil
	})
}

// Drop forgets records that wait or were refused, on a person's word, and counts them.
func (d *DB) Drop(seqs ...uint64) (n int, err error) {
	return d.act(seqs, func(a standing) bool { return a == declined || a.queued() }, func(c *commit, part span) error {
		c.Dropped = append(c.Dropped, part)
		for seq := part.First; seq <= part.Last; seq++ {
			if s, ok := d.standing(seq); !ok || !s.As.queued() {
				continue
			}
			r, err := d.record(seq)
			if err != nil {
				return err
			}
			c.QueueBytes -= int64(len(r.Payload))
		}
		return nil
	})
}

// act makes a person's word durable, in a commit of its own.
func (d *DB) act(seqs []uint64, of func(standing) bool, note func(*commit, span) error) (n int, err error) {
	if err := d.Flush(); err != nil {
		return 0, err
	}
	seqs = slices.Compact(slices.Sorted(slices.Values(seqs)))
	var parts []span
	err = d.commit(func(c *commit) error {
		d.mu.Lock()
		for _, s := range spans(seqs, func(s *uint64) uint64 { return *s }) {
			parts = append(parts, d.state.Runs.within(s, of)...)
		}
		d.mu.Unlock()
		for _, part := range parts {
			n += int(part.Last - part.First + 1)
			if err := note(c, part); err != nil {
				return err
			}
		}
		if n == 0 {
			return ErrNoRecord
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	signal(d.changed)
	return n, nil
}
