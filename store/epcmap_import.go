package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"unicode/utf8"

	bolt "go.etcd.io/bbolt"
)

const (
	mostMapLines = 5_000_000
	longestEPC   = 128
	hashLength   = 32
	pairsAtOnce  = 4096 // written in one commit
)

// MapLine says that a tag is on an item. An item may have several, and a tag may name several items: both are kept.
type MapLine struct {
	EPC  string `json:"epc"`
	Hash string `json:"hash"`
}

// ImportMap makes the map of tags anew out of all lines, durably, and takes it in use. It needs little memory and room on the
// card for three such maps for a while. After an error of a line, or for want of room, the map is as it was.
func (s *Store) ImportMap(lines iter.Seq2[MapLine, error]) (MapStats, error) {
	stats, err := s.tags.replace(lines)
	if err != nil {
		return MapStats{}, fmt.Errorf("import map of tags into %s: %w", s.tags.path, err)
	}
	return stats, nil
}

func (m *epcMap) replace(lines iter.Seq2[MapLine, error]) (MapStats, error) {
	m.importing.Lock()
	defer m.importing.Unlock()
	temp := m.path + temporary
	f, err := m.build(temp, lines)
	if err != nil {
		_ = os.Remove(temp) // if it stays, the next opening removes it
		return MapStats{}, err
	}
	if err := os.Rename(temp, m.path); err != nil {
		f.close()
		return MapStats{}, err
	}
	f.path = m.path
	m.use(f)
	return f.MapStats, syncFolder(openFile, filepath.Dir(m.path))
}

// build makes a map that has no name yet: the lines in the order of the tags, to count them, then in the order of the items.
func (m *epcMap) build(temp string, lines iter.Seq2[MapLine, error]) (*mapFile, error) {
	byEPC, err := newSorter(temp, m.room)
	if err != nil {
		return nil, err
	}
	defer byEPC.close()
	if err := collect(byEPC, lines); err != nil {
		return nil, err
	}
	byHash, err := newSorter(temp, m.room)
	if err != nil {
		return nil, err
	}
	defer byHash.close()
	count := mapCount{next: byHash}
	if err := byEPC.each(count.add); err != nil {
		return nil, err
	}
	if err := m.write(temp, byHash, &count); err != nil {
		return nil, err
	}
	if err := sealMap(temp); err != nil {
		return nil, err
	}
	return openMapFile(temp)
}

// collect takes in the lines: keys of the length of the EPC, the EPC and the hash, so that those of one EPC lie together.
func collect(s *sorter, lines iter.Seq2[MapLine, error]) error {
	n := 0
	for l, err := range lines {
		if n++; err == nil {
			err = l.check(n)
		}
		if err == nil {
			err = s.add(append(append([]byte{byte(len(l.EPC))}, l.EPC...), l.Hash...))
		}
		if err != nil {
			return err
		}
	}
	if n == 0 {
		return errors.New("it has no lines: nothing was changed")
	}
	return nil
}

// check refuses a line that has no place in a map, the n-th.
func (l MapLine) check(n int) error {
	switch {
	case n > mostMapLines:
		return fmt.Errorf("it has more than %d lines: leave out the items that don't come to this station", mostMapLines)
	case l.EPC == "" || len(l.EPC) > longestEPC:
		return fmt.Errorf("line %d: the EPC %.40q has %d bytes, not 1 to %d: correct the line", n, l.EPC, len(l.EPC), longestEPC)
	case utf8.RuneCountInString(l.Hash) != hashLength:
		return fmt.Errorf("line %d: the hash %.40q has %d characters, not %d: correct the line", n, l.Hash, utf8.RuneCountInString(l.Hash), hashLength)
	}
	return nil
}

// mapCount counts what passes through it in the order of the tags, and gives it on.
type mapCount struct {
	MapStats
	next   *sorter
	last   string // EPC
	hashes int    // of it
}

func (c *mapCount) add(key []byte) error {
	epc, hash := string(key[1:1+key[0]]), string(key[1+key[0]:])
	if epc != c.last {
		c.last, c.hashes = epc, 0
		c.EPCs++
	}
	if c.hashes++; c.hashes == 2 {
		c.Shared++
	}
	return c.next.add(pairKey(hash, epc))
}

// write makes the file of pairs that come in the order of their keys. Each commit is flushed, so that a scan which is flushed
// meanwhile has little to carry.
func (m *epcMap) write(temp string, pairs *sorter, count *mapCount) error {
	b, err := openBolt(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	b.NoSync = true
	w := mapWriter{bolt: b, room: m.room}
	err = pairs.each(func(key []byte) error {
		if w.newHash(key) {
			count.Hashes++
		}
		return w.put(key)
	})
	if err == nil {
		w.meta = map[string]any{"version": mapVersion, mapKey: mapInfo{count.MapStats, m.now().Wall}}
		err = w.commit()
	}
	return errors.Join(err, b.Close())
}

// mapWriter puts pairs into a file of bbolt, some thousand at a time.
type mapWriter struct {
	bolt *bolt.DB
	room func() error
	keys [][]byte
	meta map[string]any // goes with the last of them
	hash []byte         // of the last key
}

// newHash tells whether key is the first of its item.
func (w *mapWriter) newHash(key []byte) bool {
	u := unpacker{b: key}
	u.id()
	hash := key[:len(key)-len(u.b)]
	if bytes.Equal(hash, w.hash) {
		return false
	}
	w.hash = append(w.hash[:0], hash...)
	return true
}

func (w *mapWriter) put(key []byte) error {
	w.keys = append(w.keys, append([]byte(nil), key...))
	if len(w.keys) < pairsAtOnce {
		return nil
	}
	return w.commit()
}

func (w *mapWriter) commit() error {
	if err := w.room(); err != nil {
		return err
	}
	err := guard(func() error { return w.bolt.Update(w.fill) })
	w.keys = w.keys[:0]
	return errors.Join(err, w.bolt.Sync())
}

func (w *mapWriter) fill(tx *bolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists([]byte(pairBucket))
	if err != nil {
		return err
	}
	b.FillPercent = 1 // keys only grow
	for _, key := range w.keys {
		if err := b.Put(key, binary.LittleEndian.AppendUint32(nil, checksum(key))); err != nil {
			return err
		}
	}
	return putMeta(tx, w.meta)
}

// sealMap puts the sum behind a map that was written, and flushes it.
func sealMap(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	var sum uint32
	if err == nil {
		sum, err = sumOf(f, info.Size())
	}
	if err == nil {
		_, err = f.WriteAt(mapEnd(sum), info.Size())
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// room refuses to fill the card: what is kept free is for scans.
func (m *epcMap) room() error {
	free, err := m.free(filepath.Dir(m.path))
	if err != nil {
		return fmt.Errorf("ask for room on the card of %s: %w", m.path, err)
	}
	if free < leastFree {
		return fmt.Errorf("%w: the card has %d MiB left, %d are kept for scans and receipts: make room on the card", ErrFull, free>>20, leastFree>>20)
	}
	return nil
}
