package store

import (
	"bytes"
	"fmt"

	"station-agent/store/record"
)

// shadowKey names a row. A name of MySQL holds no zero byte.
func shadowKey(collection, id string) []byte { return []byte(collection + "\x00" + id) }

func (t *txn) shadow(r record.ShadowRow) error {
	key := shadowKey(r.Collection, r.ID)
	if r.Gone {
		return t.bucket(shadowBucket).Delete(key)
	}
	payload := r.Payload
	r.Payload = nil
	v, err := pack(r, payload)
	if err != nil {
		return err
	}
	return t.bucket(shadowBucket).Put(key, v)
}

func readShadow(v []byte) (r record.ShadowRow, err error) {
	raw, err := unpack(v, &r)
	if err != nil {
		return r, fmt.Errorf("read shadow: %w", err)
	}
	r.Payload = raw[0]
	return r, nil
}

// Shadow reads the rows of these ids; those that it doesn't know are not in the map.
func (d *DB) Shadow(collection string, ids []string) (map[string]record.ShadowRow, error) {
	rows := make(map[string]record.ShadowRow, len(ids))
	err := d.view(func(t *txn) error {
		for _, id := range ids {
			v := t.bucket(shadowBucket).Get(shadowKey(collection, id))
			if v == nil {
				continue
			}
			r, err := readShadow(v)
			if err != nil {
				return err
			}
			rows[id] = r
		}
		return nil
	})
	return rows, err
}

// ShadowAll gives f every row of a collection, by id. F must not write to the DB.
func (d *DB) ShadowAll(collection string, f func(record.ShadowRow) error) error {
	return d.view(func(t *txn) error {
		prefix, c := shadowKey(collection, ""), t.bucket(shadowBucket).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			r, err := readShadow(v)
			if err != nil {
				return err
			}
			if err := f(r); err != nil {
				return err
			}
		}
		return nil
	})
}
