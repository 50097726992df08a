package store

import (
	"encoding/binary"
	"fmt"
	"time"

	"station-agent/store/record"
)

// waiting is how a record lies in the outbox, its payload behind it.
type waiting struct {
	At time.Time `json:"put"`
	record.Record
}

// DeadLetter is a record that Certyo refused for good. It stays until a person acts.
type DeadLetter struct {
	record.Queued
	Refusal string    `json:"refusal"`
	At      time.Time `json:"refused"`
}

// Position is the place in the source up to which every change is in the store, zero at first.
func (d *DB) Position() (p record.Position, err error) {
	err = d.view(func(t *txn) error { return t.meta("position", &p) })
	return p, err
}

// Put takes in a group: records to the end of the outbox, rows into the shadow, and the position, in one transaction. A
// zero position leaves the stored one. When the file or its card is nearly full it returns ErrFull, so that scans are still
// taken and what is in the store can still go out.
func (d *DB) Put(g record.Group) error { return d.put(g, false) }

// PutSnapshot is Put for the last group of a snapshot: it ends the run of BeginSnapshot in the same transaction.
func (d *DB) PutSnapshot(g record.Group) error { return d.put(g, true) }

// BeginSnapshot gives the id of the snapshot in progress, and makes one if there is none. A crash keeps it, so that the
// same row has the same key when it is read again.
func (d *DB) BeginSnapshot() (id string, err error) {
	err = d.view(func(t *txn) error { return t.meta("snapshot", &id) })
	if err != nil || id != "" {
		return id, err
	}
	id = newID()
	return id, d.update(func(t *txn) error { return t.setMeta("snapshot", id) })
}

func (d *DB) put(g record.Group, endSnapshot bool) error {
	at := d.now().Wall
	err := d.update(func(t *txn) error {
		if err := d.room(t); err != nil {
			return err
		}
		for _, r := range g.Records {
			if err := t.queue(at, r); err != nil {
				return fmt.Errorf("put record %s/%s: %w", r.Collection, r.ID, err)
			}
		}
		for _, r := range g.Shadow {
			if err := t.shadow(r); err != nil {
				return fmt.Errorf("put shadow of %s/%s: %w", r.Collection, r.ID, err)
			}
		}
		if endSnapshot {
			if err := t.setMeta("snapshot", ""); err != nil {
				return err
			}
		}
		if g.Position.Zero() {
			return nil
		}
		return t.setMeta("position", g.Position)
	})
	if err == nil {
		signal(d.changed)
	}
	return err
}

func (t *txn) queue(at time.Time, r record.Record) error {
	b := t.bucket(outboxBucket)
	b.FillPercent = 1 // keys only grow
	seq, err := b.NextSequence()
	if err != nil {
		return err
	}
	w := waiting{at, r}
	w.Payload = nil
	v, err := pack(w, r.Payload)
	if err != nil {
		return err
	}
	t.stats.QueueRecords++
	t.stats.QueueBytes += int64(len(v))
	return b.Put(sequenceKey(seq), v)
}

func (v waiting) queued(seq uint64, raw [][]byte) record.Queued {
	v.Payload = raw[0]
	return record.Queued{Seq: seq, Record: v.Record}
}

// Head reads the oldest records of the outbox, at most max of them and at most maxBytes as stored, but one at least.
func (d *DB) Head(max, maxBytes int) (head []record.Queued, err error) {
	err = d.view(func(t *txn) error {
		c, size := t.bucket(outboxBucket).Cursor(), 0
		for k, v := c.First(); k != nil && len(head) < max; k, v = c.Next() {
			size += len(v)
			if len(head) > 0 && size > maxBytes {
				return nil
			}
			seq := binary.BigEndian.Uint64(k)
			var w waiting
			raw, err := unpack(v, &w)
			if err != nil {
				return fmt.Errorf("read record %d of the outbox: %w", seq, err)
			}
			head = append(head, w.queued(seq, raw))
		}
		return nil
	})
	return head, err
}

// Settle notes what became of records: with a receipt they move to the ledger, with a refusal to the dead letters, and
// with neither they stay. What is not in the outbox any more is passed over.
func (d *DB) Settle(deliveries []record.Delivery) error {
	at := d.now().Wall
	err := d.update(func(t *txn) error {
		for _, y := range deliveries {
			if y.Receipt == nil && y.Refusal == "" {
				continue
			}
			if err := t.deliver(y, at, at.Add(d.FirstLook)); err != nil {
				return fmt.Errorf("settle record %d: %w", y.Seq, err)
			}
		}
		return nil
	})
	if err == nil {
		signal(d.proof)
	}
	return err
}

func (t *txn) deliver(y record.Delivery, at, due time.Time) error {
	outbox, key := t.bucket(outboxBucket), sequenceKey(y.Seq)
	v := outbox.Get(key)
	if v == nil {
		return nil
	}
	var w waiting
	raw, err := unpack(v, &w)
	if err != nil {
		return err
	}
	t.stats.QueueRecords--
	t.stats.QueueBytes -= int64(len(v))
	if err := outbox.Delete(key); err != nil {
		return err
	}
	q := w.queued(y.Seq, raw)
	if y.Receipt == nil {
		return t.refuse(q, y.Refusal, at)
	}
	t.stats.Accepted++
	t.stats.Unanchored++
	return t.prove(unproven{Unproven: record.Unproven{Seq: y.Seq, Record: q.Record, Receipt: *y.Receipt, Since: at, Due: due}})
}

func (t *txn) refuse(q record.Queued, refusal string, at time.Time) error {
	payload := q.Payload
	q.Payload = nil
	v, err := pack(DeadLetter{q, refusal, at}, payload)
	if err != nil {
		return err
	}
	t.stats.DeadLetters++
	b := t.bucket(refusedBucket)
	b.FillPercent = 1 // keys mostly grow
	return b.Put(sequenceKey(q.Seq), v)
}

// DeadLetters gives f every refused record, oldest first. F must not write to the DB.
func (d *DB) DeadLetters(f func(DeadLetter) error) error {
	return d.view(func(t *txn) error {
		return t.bucket(refusedBucket).ForEach(func(_, v []byte) error {
			var l DeadLetter
			raw, err := unpack(v, &l)
			if err != nil {
				return fmt.Errorf("read dead letter: %w", err)
			}
			l.Payload = raw[0]
			return f(l)
		})
	})
}

// Changed holds a signal after a Put.
func (d *DB) Changed() <-chan struct{} { return d.changed }
