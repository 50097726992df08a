package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"station-agent/store/record"
)

// The file of labels is one bbolt file:
//
//	meta    "version", "id", "folded"   folded: crc u32 | the entry up to which all are in it | how many labels
//	label   label -> use                crc u32 | seq | stamp | items
//
// It can be made again from the journal.
const (
	labelsName    = "labels.db"
	labelBucket   = "label"
	foldedKey     = "folded"
	labelsVersion = 1
)

// labelsFile may be read by any number of goroutines and is changed by one.
type labelsFile struct {
	boltFile
	folded uint64
	count  int
}

func createLabels(path, id string) error {
	return createBolt(path, func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucket([]byte(labelBucket)); err != nil {
			return err
		}
		return errors.Join(putMeta(tx, map[string]any{"version": labelsVersion, "id": id}), putFolded(tx, 0, 0))
	})
}

func openLabelsFile(path, id string) (*labelsFile, error) {
	f := &labelsFile{}
	b, err := openBoltFile(path, os.O_RDWR, func(tx *bolt.Tx) error {
		if err := checkMeta(tx, id, labelsVersion); err != nil {
			return err
		}
		return errors.Join(haveBuckets(tx, labelBucket), f.readFolded(tx))
	})
	f.boltFile = b
	return f, err
}

func putFolded(tx *bolt.Tx, folded uint64, count int) error {
	p := &packer{b: make([]byte, 4)}
	p.uint(folded)
	p.uint(uint64(count))
	return tx.Bucket([]byte(metaBucket)).Put([]byte(foldedKey), p.sum())
}

func (f *labelsFile) readFolded(tx *bolt.Tx) error {
	v := tx.Bucket([]byte(metaBucket)).Get([]byte(foldedKey))
	if !summed(v) {
		return fmt.Errorf("%w: the checksum of %s is wrong", ErrDamaged, foldedKey)
	}
	u := &unpacker{b: v[4:]}
	f.folded, f.count = u.uint(), int(u.uint())
	return u.err
}

// get gives what the file knows of a label.
func (f *labelsFile) get(label string) (u use, err error) {
	err = f.view(func(tx *bolt.Tx) (err error) {
		u, err = readUse(tx.Bucket([]byte(labelBucket)).Get([]byte(label)))
		return err
	})
	if err != nil {
		return use{}, fmt.Errorf("read label %s in %s: %w", label, f.path, err)
	}
	return u, nil
}

// fold brings the file up to an entry, with what the entries did to labels since.
func (f *labelsFile) fold(upTo uint64, changes map[string][]labelChange, clock record.Stamp) error {
	count := f.count
	err := f.update(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(labelBucket))
		b.FillPercent = 0.9 // most labels are numbered
		for _, label := range slices.Sorted(maps.Keys(changes)) {
			before, err := readUse(b.Get([]byte(label)))
			if err != nil {
				return fmt.Errorf("read label %s: %w", label, err)
			}
			after := before.with(changes[label])
			after.at = after.at.Fill(clock)
			if err := putUse(b, label, after); err != nil {
				return err
			}
			count += one(after.known) - one(before.known)
		}
		return putFolded(tx, upTo, count)
	})
	if err == nil {
		f.folded, f.count = upTo, count
	}
	return err
}

// goBack makes the file one of an entry before: what is behind it is gone, and its sequences are used again.
func (f *labelsFile) goBack(to uint64) error {
	err := f.update(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(labelBucket))
		ahead := map[string]use{}
		err := b.ForEach(func(k, v []byte) error {
			u, err := readUse(v)
			if u.seq > to {
				u.seq = to
				ahead[string(k)] = u
			}
			return err
		})
		for label, u := range ahead {
			err = errors.Join(err, putUse(b, label, u))
		}
		return errors.Join(err, putFolded(tx, to, f.count))
	})
	if err == nil {
		f.folded = to
	}
	return err
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

func putUse(b *bolt.Bucket, label string, u use) error {
	if !u.known {
		return b.Delete([]byte(label))
	}
	return b.Put([]byte(label), packUse(u))
}

// forget takes labels out.
func (f *labelsFile) forget(labels []string) error {
	count := f.count - len(labels)
	err := f.update(func(tx *bolt.Tx) error {
		for _, label := range labels {
			if err := tx.Bucket([]byte(labelBucket)).Delete([]byte(label)); err != nil {
				return err
			}
		}
		return putFolded(tx, f.folded, count)
	})
	if err == nil {
		f.count = count
	}
	return err
}

// each gives look every label, without its items, until that has enough.
func (f *labelsFile) each(look func(label []byte, u use) (more bool)) error {
	return f.view(func(tx *bolt.Tx) error {
		c := tx.Bucket([]byte(labelBucket)).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			r, err := useReader(v)
			if err != nil {
				return fmt.Errorf("read label %s in %s: %w", k, f.path, err)
			}
			if !look(k, useHead(r)) {
				return nil
			}
		}
		return nil
	})
}

// packUse makes the value of a label.
func packUse(u use) []byte {
	p := &packer{b: make([]byte, 4, 96+24*len(u.items))}
	p.uint(u.seq)
	p.stamp(u.at)
	p.uint(uint64(len(u.items)))
	for _, i := range u.items {
		p.id(i.Hash)
		p.value(i.Was)
	}
	return p.sum()
}

// readUse undoes packUse; nothing is a label that isn't known.
func readUse(v []byte) (use, error) {
	if v == nil {
		return use{}, nil
	}
	r, err := useReader(v)
	if err != nil {
		return use{}, err
	}
	u := useHead(r)
	for range r.count() {
		u.items = append(u.items, record.Packed{Hash: r.id(), Was: r.value()})
	}
	return u, r.err
}

func useReader(v []byte) (*unpacker, error) {
	if !summed(v) {
		return nil, fmt.Errorf("%w: the checksum of a label is wrong", ErrDamaged)
	}
	return &unpacker{b: v[4:]}, nil
}

func useHead(u *unpacker) use { return use{known: true, seq: u.uint(), at: u.stamp()} }

// sum gives what was packed behind four bytes, and in these its sum.
func (p *packer) sum() []byte {
	binary.LittleEndian.PutUint32(p.b, checksum(p.b[4:]))
	return p.b
}

// summed tells whether the first four bytes are the sum of the others.
func summed(v []byte) bool { return len(v) >= 4 && binary.LittleEndian.Uint32(v) == checksum(v[4:]) }

const (
	stampTrusted = 1 << iota
	stampFilled
	stampWall // it has one
)

func (p *packer) stamp(s record.Stamp) {
	p.text([]byte(s.Boot))
	p.int(int64(s.Mono))
	flags := one(s.Trusted)*stampTrusted | one(s.Filled)*stampFilled | one(!s.Wall.IsZero())*stampWall
	if p.uint(uint64(flags)); flags&stampWall != 0 {
		p.int(s.Wall.Unix())
		p.uint(uint64(s.Wall.Nanosecond()))
	}
}

func (u *unpacker) stamp() record.Stamp {
	s := record.Stamp{Boot: string(u.text()), Mono: time.Duration(u.int())}
	flags := u.uint()
	s.Trusted, s.Filled = flags&stampTrusted != 0, flags&stampFilled != 0
	if flags&stampWall != 0 {
		s.Wall = time.Unix(u.int(), int64(u.uint()%1e9)).UTC()
	}
	return s
}

// value writes 0 for NULL, else the length, one more, and the text.
func (p *packer) value(v record.Value) {
	if v == nil {
		p.uint(0)
		return
	}
	p.uint(uint64(len(*v)) + 1)
	p.b = append(p.b, *v...)
}

func (u *unpacker) value() record.Value {
	if n := u.uint(); n > 0 {
		return record.Package(string(u.take(n - 1)))
	}
	return nil
}
