package store

import (
	"fmt"
	"time"

	"station-agent/store/record"
)

// picture is the rows of the bench and when they were read.
type picture struct {
	At   time.Time    `json:"at"`
	Rows []record.Row `json:"rows"`
}

// SavePicture keeps the rows for a start without a network. It costs a transaction: call it when rows changed.
func (d *DB) SavePicture(rows []record.Row, at time.Time) error {
	v, err := pack(picture{at, rows})
	if err != nil {
		return fmt.Errorf("save picture: %w", err)
	}
	return d.update(func(t *txn) error { return t.bucket(pictureBucket).Put([]byte("rows"), v) })
}

// LoadPicture gives the rows that were saved last and when they were read, nothing and zero if none were. A damaged value
// is ErrDamaged of class record.Again: the bench goes on without and the next SavePicture replaces it. Only a page that
// can't be read is of class record.Stop.
func (d *DB) LoadPicture() ([]record.Row, time.Time, error) {
	var p picture
	err := d.view(func(t *txn) error {
		v := t.bucket(pictureBucket).Get([]byte("rows"))
		if v == nil {
			return nil
		}
		if _, err := unpack(v, &p); err != nil {
			return fmt.Errorf("load picture: %w", err)
		}
		return nil
	})
	return p.Rows, p.At, err
}
