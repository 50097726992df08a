package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/klauspost/compress/zstd"
	bolt "go.etcd.io/bbolt"

	"station-agent/store/record"
)

// The rows file is one bbolt file beside the log:
//
//	meta     "version", "id", "applied"   applied: the commit up to which the shadow is brought
//	shadow   collection 0 id -> row       crc u32 | zstd of: version, left, payload
//	picture  "rows" -> the rows           crc u32 | zstd of JSON
//	notes    name -> value                see notes.go
//
// It can be made again from the database: nothing in it has no other copy.
const (
	rowsName      = "rows.db"
	shadowBucket  = "shadow"
	pictureBucket = "picture"
	appliedKey    = "applied"
	rowsVersion   = 1
)

type rowsFile struct {
	boltFile
	codec *codec
}

func createRows(path, id string, applied uint64) error {
	return createBolt(path, func(tx *bolt.Tx) error {
		for _, name := range []string{shadowBucket, pictureBucket} {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		return putMeta(tx, map[string]any{"version": rowsVersion, "id": id, appliedKey: applied})
	})
}

// openRowsFile opens the file and tells up to which commit its shadow is brought.
func openRowsFile(path, id string, z *codec) (f *rowsFile, applied uint64, err error) {
	b, err := openBoltFile(path, os.O_RDWR, func(tx *bolt.Tx) error {
		if err := checkMeta(tx, id, rowsVersion); err != nil {
			return err
		}
		return errors.Join(haveBuckets(tx, shadowBucket, pictureBucket), getMeta(tx, appliedKey, &applied))
	})
	if err != nil {
		return nil, 0, err
	}
	return &rowsFile{b, z}, applied, nil
}

func seal(plain []byte, by *zstd.Encoder) []byte {
	v := by.EncodeAll(plain, make([]byte, 4, 4+len(plain)/2))
	binary.LittleEndian.PutUint32(v, checksum(v[4:]))
	return v
}

func (f *rowsFile) unseal(v []byte) ([]byte, error) {
	if !summed(v) {
		return nil, fmt.Errorf("%w: the checksum of a row is wrong", ErrDamaged)
	}
	plain, err := f.codec.unpack.DecodeAll(v[4:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: unpack a row: %w", ErrDamaged, err)
	}
	return plain, nil
}

func (f *rowsFile) putShadow(rows []record.ShadowRow, applied uint64) error {
	defer letGo(f.bolt)
	return f.update(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(shadowBucket))
		p := &packer{}
		for _, r := range rows {
			key := []byte(shadowKey(r.Collection, r.ID))
			if r.Gone {
				if err := b.Delete(key); err != nil {
					return err
				}
				continue
			}
			p.b = p.b[:0]
			p.text([]byte(r.Version))
			p.text([]byte(clockText(r.Left)))
			p.payload(r.Payload, r.ID)
			if err := b.Put(key, seal(p.b, f.codec.pack)); err != nil {
				return err
			}
		}
		return setMeta(tx, appliedKey, applied)
	})
}

func (f *rowsFile) readShadow(key, v []byte) (r record.ShadowRow, err error) {
	collection, id, ok := bytes.Cut(key, []byte{0})
	if !ok {
		return r, fmt.Errorf("%w: a row has no name", ErrDamaged)
	}
	r.Collection, r.ID = string(collection), string(id)
	plain, err := f.unseal(v)
	if err != nil {
		return r, fmt.Errorf("read shadow of %s: %w", r.ID, err)
	}
	u := &unpacker{b: plain}
	r.Version, r.Left = string(u.text()), textClock(string(u.text()))
	r.Payload = expand(u.text(), mark{id: r.ID})
	return r, u.err
}

func (f *rowsFile) shadow(collection string, ids []string, use func(record.ShadowRow) error) error {
	if len(ids) == 0 {
		return nil
	}
	return f.view(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(shadowBucket))
		for _, id := range ids {
			key := []byte(shadowKey(collection, id))
			v := b.Get(key)
			if v == nil {
				continue
			}
			r, err := f.readShadow(key, v)
			if err == nil {
				err = use(r)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *rowsFile) shadowAll(collection string, use func(record.ShadowRow) error) error {
	return f.view(func(tx *bolt.Tx) error {
		prefix, c := []byte(shadowKey(collection, "")), tx.Bucket([]byte(shadowBucket)).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			r, err := f.readShadow(k, v)
			if err == nil {
				err = use(r)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// shadowIDs gives up to n ids of a collection that come behind one.
func (f *rowsFile) shadowIDs(collection, after string, n int) (ids []string, err error) {
	err = f.view(func(tx *bolt.Tx) error {
		prefix, c := []byte(shadowKey(collection, "")), tx.Bucket([]byte(shadowBucket)).Cursor()
		for k, _ := c.Seek([]byte(shadowKey(collection, after))); bytes.HasPrefix(k, prefix) && len(ids) < n; k, _ = c.Next() {
			if id := string(k[len(prefix):]); id > after {
				ids = append(ids, id)
			}
		}
		return nil
	})
	return ids, err
}

func (f *rowsFile) putPicture(plain []byte) error {
	v := seal(plain, f.codec.pack)
	return f.update(func(tx *bolt.Tx) error { return tx.Bucket([]byte(pictureBucket)).Put([]byte("rows"), v) })
}

// picture gives what putPicture was given last, nil if nothing.
func (f *rowsFile) picture() (plain []byte, err error) {
	err = f.view(func(tx *bolt.Tx) (err error) {
		if v := tx.Bucket([]byte(pictureBucket)).Get([]byte("rows")); v != nil {
			plain, err = f.unseal(v)
		}
		return err
	})
	return plain, err
}
