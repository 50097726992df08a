package store

import (
	"encoding/json"
	"fmt"
	"time"

	"station-agent/store/record"
)

// pruneStep is how many pieces of evidence one transaction drops, so that nobody waits long behind it.
const pruneStep = 256

// Evidence is what stays of a record once its anchoring is proven, for EvidenceDays (see Prune) and as long as all of it
// takes no more than about half of the room (see Look). Payload and Answer are kept to the byte.
type Evidence struct {
	Seq     uint64          `json:"seq"`
	Record  record.Record   `json:"record"`
	Receipt record.Receipt  `json:"receipt"`
	Answer  json.RawMessage `json:"answer"` // of the verification that proved it
	Since   time.Time       `json:"since"`  // when the record was accepted, by our clock
	At      time.Time       `json:"at"`     // when the anchoring was proven, by our clock
}

func (t *txn) keep(u unproven, at time.Time) error {
	e := Evidence{Seq: u.Seq, Record: u.Record, Receipt: u.Receipt, Since: u.Since, At: at}
	e.Record.Payload = nil
	v, err := pack(e, u.Record.Payload, u.answer)
	if err != nil {
		return err
	}
	t.stats.EvidenceBytes += int64(len(v))
	b := t.bucket(evidenceBucket)
	b.FillPercent = 1 // keys only grow while the clock does
	return b.Put(timeKey(at, u.Seq), v)
}

// Evidence gives f all that is kept, oldest first. F must not write to the DB.
func (d *DB) Evidence(f func(Evidence) error) error {
	return d.view(func(t *txn) error {
		return t.bucket(evidenceBucket).ForEach(func(_, v []byte) error {
			var e Evidence
			raw, err := unpack(v, &e)
			if err != nil {
				return fmt.Errorf("read evidence: %w", err)
			}
			e.Record.Payload, e.Answer = raw[0], raw[1]
			return f(e)
		})
	})
}

// Prune drops the evidence that is older than EvidenceDays before now, in small transactions, and counts it. Don't call
// it with a clock that is not trusted.
func (d *DB) Prune(now time.Time) (dropped int, err error) {
	limit := now.AddDate(0, 0, -d.EvidenceDays)
	for {
		n := 0
		err := d.update(func(t *txn) (err error) {
			n, err = t.prune(limit)
			return err
		})
		if err != nil {
			return dropped, err
		}
		dropped += n
		if n < pruneStep {
			return dropped, nil
		}
	}
}

func (t *txn) prune(limit time.Time) (n int, err error) {
	for ; n < pruneStep; n++ {
		k, _ := t.bucket(evidenceBucket).Cursor().First()
		if at, _ := splitTimeKey(k); k == nil || !at.Before(limit) {
			return n, nil
		}
		if _, err := t.dropOldest(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// dropOldest drops the oldest piece of evidence and tells whether there was one.
func (t *txn) dropOldest() (some bool, err error) {
	c := t.bucket(evidenceBucket).Cursor()
	k, v := c.First()
	if k == nil {
		return false, nil
	}
	t.stats.EvidenceBytes = max(0, t.stats.EvidenceBytes-int64(len(v)))
	return true, c.Delete()
}
