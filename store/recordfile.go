package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"station-agent/store/record"
)

// A file of the record log is one bbolt file. Its buckets:
//
//	place      {"v": commit}   the newest commits, each in a bucket of its own at the root, named first u64 | number u64
//	log        place {"v": commit} ...  the older ones, moved here a few dozen at a time
//	meta       "version", "id", "file"  JSON
//
// A bucket of its own keeps bbolt from copying the neighbours of a large value at the next commit; one at the root needs
// no page but the root's; moving it copies nothing but its name. So a commit costs its own pages, the root and a meta page.
// Numbers in names are big-endian, so that names sort as commits follow one another.
const (
	logBucket = "log"
	valueKey  = "v"

	recordsVersion = 2       // 1 was one file with a key for each record
	rootBytes      = 3 << 10 // of names and small commits at the root before they are moved
)

type recordFile struct {
	path     string
	first    place        // its first commit
	bytes    int64        // on the card
	base     int64        // what its first commit takes: a state
	begun    record.Stamp // of its first commit, once it was asked for
	checked  bool         // by a child process, since it was written last
	bolt     *bolt.DB
	rooted   []place // at the root, oldest first
	rootSize int
}

func (p place) key() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, p.First), p.Number)
}

func readPlace(key []byte) (p place, ok bool) {
	if len(key) != 16 {
		return p, false
	}
	return place{binary.BigEndian.Uint64(key), binary.BigEndian.Uint64(key[8:])}, true
}

// recordName is the file's name: the number of its first commit, then the sequence of the next record.
func recordName(p place) string { return fmt.Sprintf("%016x-%016x.db", p.Number, p.First) }

func parseRecordName(name string) (p place, ok bool) {
	n, err := fmt.Sscanf(name, "%016x-%016x.db", &p.Number, &p.First)
	return p, err == nil && n == 2 && recordName(p) == name
}

// createRecords makes a file with its first commit and puts it in place when it is whole.
func createRecords(dir, id string, first place, value []byte) (*recordFile, error) {
	path := filepath.Join(dir, recordName(first))
	meta := map[string]any{"version": recordsVersion, "id": id}
	err := createBolt(path, func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucket([]byte(logBucket)); err != nil {
			return err
		}
		return errors.Join(putMeta(tx, meta), putCommit(tx, first, value))
	})
	if err != nil {
		return nil, err
	}
	f, err := openRecords(path, id, first, os.O_RDWR)
	if err == nil {
		f.base = int64(len(value))
	}
	return f, err
}

// openRecords opens a file to read it (os.O_RDONLY) or to go on with it.
func openRecords(path, id string, first place, flag int) (f *recordFile, err error) {
	f = &recordFile{path: path, first: first, bytes: cardBytes(path)}
	err = guard(func() error {
		if f.bolt, err = openBolt(path, flag); err != nil {
			return err
		}
		return f.bolt.View(func(tx *bolt.Tx) error {
			if err := checkMeta(tx, id, recordsVersion); err != nil {
				return err
			}
			return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
				if p, ok := readPlace(name); ok {
					f.rooted = append(f.rooted, p)
					f.rootSize += rootCost(len(b.Get([]byte(valueKey))))
				}
				return nil
			})
		})
	})
	if err != nil {
		f.close()
		return nil, fmt.Errorf("open %s: %w", path, explain(err))
	}
	return f, nil
}

// close closes the file, if it can be: bbolt holds its own locks for good after a page fault.
func (f *recordFile) close() {
	if f.bolt != nil {
		_ = f.bolt.Close() // all of it was flushed when it was written
		f.bolt = nil
	}
}

// rootCost is what a commit of n bytes takes of the root's page: small ones lie in it.
func rootCost(n int) int {
	if n < pageSize/4-64 {
		return n + 80
	}
	return 48
}

func putCommit(tx *bolt.Tx, p place, value []byte) error {
	b, err := tx.CreateBucket(p.key())
	if err != nil {
		return err
	}
	return b.Put([]byte(valueKey), value)
}

// append writes a commit, durably.
func (f *recordFile) append(p place, value []byte) error {
	rooted, size := append(f.rooted[:len(f.rooted):len(f.rooted)], p), f.rootSize+rootCost(len(value))
	err := guard(func() error {
		tx, err := f.bolt.Begin(true)
		if err != nil {
			return err
		}
		defer tx.Rollback() // does nothing after a commit
		if f.rootSize > rootBytes {
			if err := moveToLog(tx, f.rooted); err != nil {
				return err
			}
			rooted, size = []place{p}, rootCost(len(value))
		}
		if err := putCommit(tx, p, value); err != nil {
			return err
		}
		return tx.Commit()
	})
	if err != nil {
		return err
	}
	f.rooted, f.rootSize = rooted, size
	return nil
}

func moveToLog(tx *bolt.Tx, places []place) error {
	log := tx.Bucket([]byte(logBucket))
	log.FillPercent = 1 // names only grow
	for _, p := range places {
		if err := tx.MoveBucket(p.key(), nil, log); err != nil {
			return err
		}
	}
	return nil
}

// find gives use the newest commit at or before p and tells whether there is one.
func (f *recordFile) find(p place, use func(at place, value []byte) error) (ok bool, err error) {
	err = f.view(func(tx *bolt.Tx) error {
		k, b := before(tx.Cursor(), p), tx.Bucket
		if k == nil { // those at the root are newer
			log := tx.Bucket([]byte(logBucket))
			k, b = before(log.Cursor(), p), log.Bucket
		}
		if k == nil {
			return nil
		}
		ok = true
		return useBucket(k, b(k), use)
	})
	return ok, err
}

// before gives the last name of a commit at or before p.
func before(c *bolt.Cursor, p place) []byte {
	k, _ := c.Seek(p.key())
	if k == nil {
		k, _ = c.Last()
	} else if at, ok := readPlace(k); !ok || at != p {
		k, _ = c.Prev()
	}
	if _, ok := readPlace(k); !ok {
		return nil
	}
	return k
}

// each gives every commit to use, oldest first.
func (f *recordFile) each(use func(at place, value []byte) error) error {
	return f.view(func(tx *bolt.Tx) error {
		log := tx.Bucket([]byte(logBucket))
		if log == nil {
			return fmt.Errorf("%w: it has no log", ErrDamaged)
		}
		err := log.ForEach(func(k, _ []byte) error { return useBucket(k, log.Bucket(k), use) })
		if err != nil {
			return err
		}
		return tx.ForEach(func(k []byte, b *bolt.Bucket) error { return useBucket(k, b, use) })
	})
}

func useBucket(k []byte, b *bolt.Bucket, use func(at place, value []byte) error) error {
	at, ok := readPlace(k)
	if !ok {
		return nil
	}
	if b == nil {
		return fmt.Errorf("%w: commit %d has no bucket", ErrDamaged, at.Number)
	}
	return use(at, b.Get([]byte(valueKey)))
}

func (f *recordFile) view(use func(tx *bolt.Tx) error) error {
	return guard(func() error {
		if f.bolt == nil {
			return os.ErrClosed
		}
		return f.bolt.View(use)
	})
}
