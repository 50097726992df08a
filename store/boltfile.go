package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// What all files of bbolt have in common: the settings, a bucket "meta" with "version" and "id" in JSON, and that nothing which
// goes wrong in one ends the program.
const (
	metaBucket  = "meta"
	pageSize    = 4096
	maxFile     = 1 << 30 // a 32-bit process can map no more
	openTimeout = time.Second
)

// boltFile is an open file of bbolt.
type boltFile struct {
	path string
	bolt *bolt.DB
}

// openBoltFile opens a file that is in place, if look finds in it what it wants.
func openBoltFile(path string, flag int, look func(tx *bolt.Tx) error) (f boltFile, err error) {
	f.path = path
	err = guard(func() error {
		if f.bolt, err = openBolt(path, flag); err != nil {
			return err
		}
		return f.bolt.View(look)
	})
	if err != nil {
		f.close()
		return f, fmt.Errorf("open %s: %w", path, explain(err))
	}
	return f, nil
}

func (f *boltFile) close() {
	if f.bolt != nil {
		_ = f.bolt.Close() // all of it was flushed when it was written
	}
}

func (f *boltFile) view(use func(tx *bolt.Tx) error) error {
	return guard(func() error { return f.bolt.View(use) })
}

// update changes the file, durably, or not at all.
func (f *boltFile) update(use func(tx *bolt.Tx) error) error {
	return guard(func() error {
		tx, err := f.bolt.Begin(true)
		if err != nil {
			return err
		}
		defer tx.Rollback() // does nothing after a commit
		if err := use(tx); err != nil {
			return err
		}
		return tx.Commit()
	})
}

// letGo gives the memory back in which pages of a file were read: what is written moves on to other pages, and the kernel has them
// in its cache while there is room.
func letGo(b *bolt.DB) {
	_ = b.View(func(tx *bolt.Tx) error { // while it lasts, the map stays where it is and is as large as that
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, b.Info().Data, uintptr(tx.Size()), syscall.MADV_DONTNEED)
		return nil // where it fails the pages stay
	})
}

// openBolt opens a file with the settings of bbolt that we allow. The list of free pages isn't written: a file only grows,
// so opening it to write finds them by reading the root and a page for each commit.
func openBolt(path string, flag int) (*bolt.DB, error) {
	return bolt.Open(path, 0o600, &bolt.Options{
		Timeout:        openTimeout,
		PageSize:       pageSize,
		MaxSize:        maxFile,
		ReadOnly:       flag == os.O_RDONLY,
		NoFreelistSync: true,
		FreelistType:   bolt.FreelistMapType,
		OpenFile: func(name string, _ int, perm os.FileMode) (*os.File, error) {
			return os.OpenFile(name, flag, perm) // never make a file in place: a plug pulled then leaves one that doesn't open
		},
	})
}

// createBolt makes a bbolt file under a temporary name, fills it and gives it its name, durably.
func createBolt(path string, fill func(tx *bolt.Tx) error) error {
	temp := path + temporary
	if err := removeFile(temp); err != nil {
		return err
	}
	b, err := openBolt(temp, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	err = b.Update(fill)
	if err := errors.Join(err, b.Sync(), b.Close()); err != nil {
		os.Remove(temp) // it takes room; if it stays, the next opening removes it
		return fmt.Errorf("create %s: %w", path, err)
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncFolder(openFile, filepath.Dir(path))
}

func putMeta(tx *bolt.Tx, meta map[string]any) error {
	_, err := tx.CreateBucketIfNotExists([]byte(metaBucket))
	for name, value := range meta {
		if err == nil {
			err = setMeta(tx, name, value)
		}
	}
	return err
}

// checkMeta refuses a newer format and another store's file.
func checkMeta(tx *bolt.Tx, id string, known int) error {
	if err := checkVersion(tx, known); err != nil {
		return err
	}
	var owner string
	if err := getMeta(tx, "id", &owner); err != nil {
		return err
	}
	if owner != id {
		return fmt.Errorf("%w: it belongs to store %s, this one is %s: put the right file back", ErrForeign, owner, id)
	}
	return nil
}

func setMeta(tx *bolt.Tx, name string, value any) error {
	v, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return tx.Bucket([]byte(metaBucket)).Put([]byte(name), v)
}

func getMeta(tx *bolt.Tx, name string, value any) error {
	if err := json.Unmarshal(tx.Bucket([]byte(metaBucket)).Get([]byte(name)), value); err != nil {
		return fmt.Errorf("%w: read %s: %w", ErrDamaged, name, err)
	}
	return nil
}

func checkVersion(tx *bolt.Tx, known int) error {
	if tx.Bucket([]byte(metaBucket)) == nil {
		return fmt.Errorf("%w: it holds nothing of ours", ErrDamaged)
	}
	var version int
	if err := getMeta(tx, "version", &version); err != nil {
		return err
	}
	if version > known {
		return fmt.Errorf("%w (version %d, this program knows %d): install the newer program again", ErrNewer, version, known)
	}
	return nil
}

// haveBuckets tells which of the buckets is missing.
func haveBuckets(tx *bolt.Tx, names ...string) error {
	for _, name := range names {
		if tx.Bucket([]byte(name)) == nil {
			return fmt.Errorf("%w: bucket %s is missing", ErrDamaged, name)
		}
	}
	return nil
}

var errNoFile = errors.New("the file is missing")

// lookOver has probe read a file as the card holds it.
func lookOver(path string, probe func(path string) error) error {
	if !exists(path) {
		return errNoFile
	}
	if err := dropCache(path); err != nil {
		return err
	}
	return probe(path)
}

// wantsRoom tells whether a commit failed for want of room before it counted: bbolt has taken everything back.
func wantsRoom(err error) bool {
	var write *fs.PathError
	return errors.As(err, &write) && noRoom(err) || errors.Is(err, berrors.ErrMaxSizeReached)
}

// explain says in our words what bbolt found at opening.
func explain(err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("%w: a tool has it open: end it", ErrLocked)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch),
		errors.Is(err, syscall.EIO):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

var errFault = errors.New("a page can't be read")

// guard turns the panics and page faults that a damaged file causes in bbolt into an error.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %w: %v", ErrDamaged, errFault, p)
		}
	}()
	return f()
}
