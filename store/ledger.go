package store

import (
	"encoding/json"
	"fmt"
	"time"

	"station-agent/store/record"
)

// unproven is how a record lies in the ledger, with what the last look said; payload and answer stand behind it.
type unproven struct {
	record.Unproven
	State  record.Anchoring `json:"state,omitempty"`
	answer json.RawMessage
}

// prove puts u into the ledger and, if it has a due time, into the index of due times.
func (t *txn) prove(u unproven) error {
	payload := u.Record.Payload
	u.Record.Payload = nil
	v, err := pack(u, payload, u.answer)
	if err != nil {
		return err
	}
	if !u.Due.IsZero() {
		if err := t.bucket(dueBucket).Put(timeKey(u.Due, u.Seq), nil); err != nil {
			return err
		}
	}
	return t.bucket(ledgerBucket).Put(sequenceKey(u.Seq), v)
}

// unproven reads one record of the ledger.
func (t *txn) unproven(seq uint64) (u unproven, ok bool, err error) {
	v := t.bucket(ledgerBucket).Get(sequenceKey(seq))
	if v == nil {
		return u, false, nil
	}
	raw, err := unpack(v, &u)
	if err != nil {
		return u, false, fmt.Errorf("read record %d of the ledger: %w", seq, err)
	}
	u.Record.Payload, u.answer = raw[0], raw[1]
	return u, true, nil
}

// Due lists the records whose anchoring is to be looked at by now, the longest due first, at most max, and tells when
// the one behind them is due: zero if there is none.
func (d *DB) Due(now time.Time, max int) (due []record.Unproven, next time.Time, err error) {
	err = d.view(func(t *txn) error {
		c := t.bucket(dueBucket).Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			at, seq := splitTimeKey(k)
			if at.After(now) || len(due) >= max {
				next = at
				return nil
			}
			u, ok, err := t.unproven(seq)
			if err != nil {
				return err
			}
			if ok {
				due = append(due, u.Unproven)
			}
		}
		return nil
	})
	return due, next, err
}

// Look notes what verifications said. Anchored moves a record from the ledger to the evidence; anything else counts the
// look, keeps its state and answer and sets the next due time. Zero means that it is not looked at again by itself: it
// stays in the ledger and its counts. What is not in the ledger any more is passed over. Evidence that takes more than
// about half of the room loses its oldest pieces in the same transaction, a few hundred at most.
func (d *DB) Look(looks []record.Look) error {
	at := d.now().Wall
	err := d.update(func(t *txn) error {
		for _, l := range looks {
			if err := t.look(l, at); err != nil {
				return fmt.Errorf("note look at record %d: %w", l.Seq, err)
			}
		}
		return d.trim(t)
	})
	if err == nil {
		signal(d.proof)
	}
	return err
}

func (t *txn) look(l record.Look, at time.Time) error {
	u, ok, err := t.unproven(l.Seq)
	if err != nil || !ok {
		return err
	}
	if err := t.bucket(dueBucket).Delete(timeKey(u.Due, u.Seq)); err != nil {
		return err
	}
	t.mismatch(u.State, -1)
	u.Looks++
	u.State, u.answer, u.Due = l.State, l.Answer, l.Due
	if l.State != record.Anchored {
		t.mismatch(l.State, +1)
		return t.prove(u)
	}
	t.stats.Unanchored--
	t.stats.Anchored++
	if err := t.bucket(ledgerBucket).Delete(sequenceKey(u.Seq)); err != nil {
		return err
	}
	return t.keep(u, at)
}

func (t *txn) mismatch(s record.Anchoring, n int) {
	if s == record.Mismatch {
		t.stats.Mismatches += n
	}
}

// LedgerChanged holds a signal after a Settle and after a Look.
func (d *DB) LedgerChanged() <-chan struct{} { return d.proof }
