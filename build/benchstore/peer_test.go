package benchstore

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// bare is what no store can beat: 4 KiB and one fdatasync in a file of zeros.
type bare struct {
	file  *os.File
	block [blockSize]byte
	at    int64
}

const bareSize = 1 << 20

func newBare(t *testing.T, dir string) *bare {
	f, err := os.Create(filepath.Join(dir, "bare"))
	must(t, err)
	t.Cleanup(func() { f.Close() })
	_, err = f.Write(make([]byte, bareSize))
	must(t, err)
	must(t, f.Sync())
	return &bare{file: f}
}

func (b *bare) flush() error {
	if _, err := b.file.WriteAt(b.block[:], b.at%bareSize); err != nil {
		return err
	}
	b.at += blockSize
	return unix.Fdatasync(int(b.file.Fd()))
}

// plain is bbolt with its default options, a key a record: what the store is measured against.
type plain struct {
	db    *bolt.DB
	put   uint64 // keys given
	taken uint64 // keys deleted
}

var bucket = []byte("records")

func newPlain(t *testing.T, dir string) *plain {
	db, err := bolt.Open(filepath.Join(dir, "plain.db"), 0o600, nil)
	must(t, err)
	t.Cleanup(func() { db.Close() })
	must(t, db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket(bucket)
		return err
	}))
	return &plain{db: db}
}

// append adds values in one transaction.
func (p *plain) append(values ...[]byte) error {
	return p.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucket)
		for _, v := range values {
			p.put++
			if err := b.Put(binary.BigEndian.AppendUint64(nil, p.put), v); err != nil {
				return err
			}
		}
		return nil
	})
}

// remove deletes the oldest n values in one transaction.
func (p *plain) remove(n int) error {
	return p.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucket)
		for range n {
			p.taken++
			if err := b.Delete(binary.BigEndian.AppendUint64(nil, p.taken)); err != nil {
				return err
			}
		}
		return nil
	})
}

func encoded[T any](t *testing.T, list ...T) (values [][]byte) {
	for _, v := range list {
		b, err := json.Marshal(v)
		must(t, err)
		values = append(values, b)
	}
	return values
}
