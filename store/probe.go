package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// Probe reads every page of one of the store's bbolt files and every checksum in it, without writing. It may never return, or
// end the program: call it in a child process with a time limit.
func Probe(path string) error {
	if filepath.Base(path) == mapName {
		return checkMap(path)
	}
	err := guard(func() error {
		if info, err := os.Stat(path); err != nil {
			return err
		} else if info.Size() < 4*pageSize {
			return fmt.Errorf("%w: it is cut off", ErrDamaged)
		}
		b, err := openBolt(path, os.O_RDONLY)
		if err != nil {
			return err
		}
		defer b.Close() // it was only read
		return b.View(func(tx *bolt.Tx) error {
			if info, err := os.Stat(path); err != nil || info.Size() < tx.Size() { // or what lies behind its end in memory is read
				return errors.Join(fmt.Errorf("%w: it is cut off", ErrDamaged), err)
			}
			for err := range tx.Check() {
				return fmt.Errorf("%w: %w", ErrDamaged, err)
			}
			switch filepath.Base(path) {
			case rowsName:
				return probeValues(tx, shadowBucket, pictureBucket)
			case labelsName:
				return errors.Join(probeValues(tx, labelBucket), (&labelsFile{}).readFolded(tx))
			case oldFile:
				return nil
			}
			return probeRecords(tx)
		})
	})
	if err != nil {
		return fmt.Errorf("check %s: %w", path, explain(err))
	}
	return nil
}

// probeValues reads every value of these buckets, with its sum.
func probeValues(tx *bolt.Tx, buckets ...string) error {
	if err := haveBuckets(tx, buckets...); err != nil {
		return err
	}
	for _, name := range buckets {
		err := tx.Bucket([]byte(name)).ForEach(func(k, v []byte) error {
			if !summed(v) {
				return fmt.Errorf("%w: the checksum of %q in %s is wrong", ErrDamaged, k, name)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// probeRecords reads every commit that the file's tree names, with its sum.
func probeRecords(tx *bolt.Tx) error {
	log := tx.Bucket([]byte(logBucket))
	if log == nil {
		return fmt.Errorf("%w: it has no log", ErrDamaged)
	}
	whole := func(_ place, v []byte) error {
		_, _, _, err := split(v, true)
		return err
	}
	err := log.ForEach(func(k, _ []byte) error { return useBucket(k, log.Bucket(k), whole) })
	if err != nil {
		return err
	}
	return tx.ForEach(func(k []byte, b *bolt.Bucket) error { return useBucket(k, b, whole) })
}

// scanCommits finds every whole commit in the bytes of a file, wherever it lies, also those that a tree names no more. Blocks
// that can't be read are passed over.
func scanCommits(f io.ReaderAt, size int64, use func(off int64, c *commit) error) error {
	buf := make([]byte, 256<<10)
	for at := int64(0); at < size; {
		n := readPast(f, buf[:min(int64(len(buf)), size-at)], at)
		i := bytes.Index(buf[:n], []byte(commitMagic))
		if i < 0 {
			at += int64(max(1, n-len(commitMagic)+1))
			if n < len(buf) && at+int64(len(commitMagic)) > size {
				return nil
			}
			continue
		}
		at += int64(i)
		c, ok := commitAt(f, at, size)
		if !ok {
			at += int64(len(commitMagic))
			continue
		}
		if err := use(at, c); err != nil {
			return err
		}
		at += int64(len(commitMagic))
	}
	return nil
}

// readPast reads as much as there is; blocks that can't be read become zeros.
func readPast(f io.ReaderAt, b []byte, at int64) int {
	n, err := f.ReadAt(b, at)
	if n == len(b) || err == io.EOF {
		return n
	}
	clear(b[n:])
	for off := n / pageSize * pageSize; off < len(b); off += pageSize {
		block := b[off:min(off+pageSize, len(b))]
		if _, err := f.ReadAt(block, at+int64(off)); err != nil && err != io.EOF {
			clear(block)
		}
	}
	return len(b)
}

// commitAt reads the frame of a commit and its sum, not what is in it.
func commitAt(f io.ReaderAt, at, size int64) (*commit, bool) {
	head := make([]byte, commitHead)
	if _, err := f.ReadAt(head, at); err != nil {
		return nil, false
	}
	n := commitHead + int64(binary.LittleEndian.Uint32(head[12:])) + int64(binary.LittleEndian.Uint32(head[16:]))
	if n > size-at {
		return nil, false
	}
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if _, err := io.CopyBuffer(sum, io.NewSectionReader(f, at+12, n-12), make([]byte, 32<<10)); err != nil {
		return nil, false
	}
	c := readFrame(head)
	c.size = int(n)
	return c, c.sum == sum.Sum32()
}

// inspect reads all of a file and counts the records in it that can't be read, as far as the commits around them tell.
func inspect(path string) (lost int, err error) {
	switch filepath.Base(path) {
	case rowsName, labelsName, mapName:
		return 0, nil // nothing in it has no other copy
	}
	found, err := salvage(path)
	if err != nil {
		return 0, err
	}
	first, _ := parseRecordName(filepath.Base(path))
	return missing(found, first, place{}), nil
}
