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
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"station-agent/store/record"
)

// The map of tags says which EPCs are on an item, as a customer exports it. It is one bbolt file that is written once, in the
// order of its keys, and then only read. Behind bbolt's last page stands a sum over all of it:
//
//	meta   "version", "map"       map: counts and time
//	pair   hash | EPC -> crc u32  the hash as in records, the EPC as it came; crc is over the key
//	...
//	"STNMAP1\n" | crc u32         over everything before
//
// So opening reads it from one end to the other, and bbolt never gets a page that could lead it in a circle.
const (
	mapName    = "map.db"
	pairBucket = "pair"
	mapKey     = "map"
	mapVersion = 1
	mapMagic   = "STNMAP1\n"
	mapSum     = len(mapMagic) + 4
)

// MapStats counts a map of tags.
type MapStats struct {
	EPCs   int `json:"epcs"`
	Hashes int `json:"hashes"`
	Shared int `json:"shared"` // EPCs that name more than one hash
}

// mapInfo is what a map says of itself.
type mapInfo struct {
	MapStats
	At time.Time `json:"at"`
}

// mapFile is one map, open for reading.
type mapFile struct {
	boltFile
	mapInfo
}

// epcMap is the map that is in use, if there is one.
type epcMap struct {
	path string
	now  func() record.Stamp
	free func(path string) (int64, error)
	tell func(Loss)

	importing sync.Mutex // held over an import

	mu   sync.RWMutex // guards file; held while it is read, and never over anything that is written
	file *mapFile     // nil: there is no map
}

// EPCsOf lists the tags that the map names for an item, in the order of their bytes. Nothing is written meanwhile that it waits
// for.
func (s *Store) EPCsOf(hash string) []string { return s.tags.of(hash) }

// Map counts the map of tags and tells when it was imported, by the clock as it stood then. Both are zero if there is none.
func (s *Store) Map() (MapStats, time.Time) {
	s.tags.mu.RLock()
	defer s.tags.mu.RUnlock()
	if s.tags.file == nil {
		return MapStats{}, time.Time{}
	}
	return s.tags.file.MapStats, s.tags.file.At
}

// openMap opens the map, if there is one. A damaged one is set aside: only its owner can make it again.
func openMap(c Config, tell func(Loss)) (*epcMap, error) {
	m := &epcMap{path: filepath.Join(c.Dir, mapName), now: c.Now, free: freeSpace, tell: tell}
	if err := removeFile(m.path + temporary); err != nil {
		return m, err
	}
	err := lookOver(m.path, checkMap)
	if err == nil {
		m.file, err = openMapFile(m.path)
	}
	switch {
	case errors.Is(err, errNoFile):
		return m, nil
	case errors.Is(err, ErrDamaged):
		return m, m.setAside(err)
	}
	return m, err
}

func (m *epcMap) setAside(why error) error {
	aside := m.path + damagedSuffix
	if err := os.Rename(m.path, aside); err != nil {
		return fmt.Errorf("set aside damaged map of tags: %w", err)
	}
	m.tell(Loss{File: aside, What: fmt.Sprintf("the map of tags is damaged (%v): import the map again", why)})
	return syncFolder(openFile, filepath.Dir(m.path))
}

func openMapFile(path string) (*mapFile, error) {
	f := &mapFile{}
	b, err := openBoltFile(path, os.O_RDONLY, func(tx *bolt.Tx) error {
		if err := checkVersion(tx, mapVersion); err != nil {
			return err
		}
		return errors.Join(haveBuckets(tx, pairBucket), getMeta(tx, mapKey, &f.mapInfo))
	})
	if err != nil {
		return nil, err
	}
	f.boltFile = b
	return f, nil
}

// of lists the tags of an item. A map that can't be read any more is given up until it was read from the card again.
func (m *epcMap) of(hash string) (epcs []string) {
	m.mu.RLock()
	f := m.file
	var err error
	if f != nil {
		epcs, err = f.of(hash)
	}
	m.mu.RUnlock()
	if err == nil {
		return epcs
	}
	m.giveUp(f)
	m.tell(Loss{File: m.path, What: fmt.Sprintf("the map of tags can't be read (%v): import the map again", err)})
	return nil
}

// giveUp takes a map out of use. It stays open, as bbolt may hold its own locks for good after a page fault.
func (m *epcMap) giveUp(f *mapFile) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file == f {
		m.file = nil
	}
}

func (f *mapFile) of(hash string) (epcs []string, err error) {
	prefix := pairKey(hash, "")
	err = f.view(func(tx *bolt.Tx) error {
		c := tx.Bucket([]byte(pairBucket)).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			if len(v) != 4 || binary.LittleEndian.Uint32(v) != checksum(k) {
				return fmt.Errorf("read %s: %w: the checksum of a pair is wrong", f.path, ErrDamaged)
			}
			epcs = append(epcs, string(k[len(prefix):]))
		}
		return nil
	})
	return epcs, err
}

// pairKey puts all tags of an item behind one another.
func pairKey(hash, epc string) []byte {
	p := &packer{b: make([]byte, 0, 1+len(hash)+len(epc))}
	p.id(hash)
	return append(p.b, epc...)
}

// use takes a new map in place of the one before, which nobody reads any more then.
func (m *epcMap) use(f *mapFile) {
	m.mu.Lock()
	before := m.file
	m.file = f
	m.mu.Unlock()
	if before != nil {
		before.close()
	}
}

func (m *epcMap) close() { m.use(nil) }

// checkMap holds the file against the sum at its end.
func checkMap(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // it was only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size() - int64(mapSum)
	if size < 4*pageSize {
		return fmt.Errorf("check %s: %w: it is cut off", path, ErrDamaged)
	}
	sum, err := sumOf(f, size)
	end := make([]byte, mapSum)
	if err == nil {
		_, err = f.ReadAt(end, size)
	}
	if err == nil && !bytes.Equal(end, mapEnd(sum)) {
		err = fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	if err != nil {
		return fmt.Errorf("check %s: %w", path, explain(err))
	}
	return nil
}

func mapEnd(sum uint32) []byte { return binary.LittleEndian.AppendUint32([]byte(mapMagic), sum) }

// sumOf reads the first bytes of a file.
func sumOf(f io.ReaderAt, size int64) (uint32, error) {
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	_, err := io.CopyBuffer(sum, io.NewSectionReader(f, 0, size), make([]byte, 64<<10))
	return sum.Sum32(), err
}
