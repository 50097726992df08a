package store

import (
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// Notes are small values that a part of the agent wants to find again after a restart, by name. They stand in the rows file,
// in a bucket of their own that an older agent doesn't look at. Whoever keeps one must be right without it: it goes with the
// rows file when that is damaged.
//
//	notes    name -> value            crc u32 | zstd
const notesBucket = "notes"

// SaveNote keeps a value under a name, durably. It costs a transaction.
func (d *DB) SaveNote(name string, value []byte) error {
	d.turns.Lock()
	defer d.turns.Unlock()
	if err := d.failed(); err != nil {
		return err
	}
	return d.judge(d.rows.putNote(name, value))
}

// LoadNote gives what was kept under the name last, nil if nothing was. A damaged value is nothing: the next SaveNote
// replaces it.
func (d *DB) LoadNote(name string) ([]byte, error) {
	value, err := d.rows.note(name)
	if err != nil {
		return nil, d.suspect(fmt.Errorf("load note %s: %w", name, err))
	}
	return value, nil
}

func (f *rowsFile) putNote(name string, value []byte) error {
	v := seal(value, f.codec.pack)
	return f.update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(notesBucket))
		if err != nil {
			return err
		}
		return b.Put([]byte(name), v)
	})
}

func (f *rowsFile) note(name string) (value []byte, err error) {
	err = f.view(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(notesBucket))
		if b == nil {
			return nil
		}
		if v := b.Get([]byte(name)); v != nil {
			if plain, err := f.unseal(v); err == nil {
				value = plain
			}
		}
		return nil
	})
	return value, err
}
