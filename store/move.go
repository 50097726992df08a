package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// What callers of Open and Import ask about, besides the errors of Open.
var (
	ErrMoved    = errors.New("it was moved away")
	ErrNotEmpty = errors.New("the folder is not empty")
)

var errUnfinished = errors.New("an import was begun here and did not end: import again, or empty the folder")

// Move says where the content of a store went. A store that was moved is not opened again: what it holds unsent goes out
// from its new place.
type Move struct {
	At time.Time `json:"at"`
	To string    `json:"to"` // for a person
}

func (m *Move) refusal() error {
	return fmt.Errorf("%w to %s at %s: go on with that copy; only if it was never used: station-agent store reopen",
		ErrMoved, m.To, m.At.UTC().Format(time.RFC3339))
}

// Folder is a store folder that is locked and not open: nobody else reads or writes it. Its methods work on files and need
// no store that opens.
type Folder struct {
	dir  string
	lock *os.File
	open func(path string) (source, error)
}

// source is what an export needs of a file. Tests break it.
type source interface {
	io.ReaderAt
	io.Closer
}

func openSource(path string) (source, error) { return os.Open(path) }

// Lock takes the store folder dir of a stopped agent.
func Lock(dir string) (*Folder, error) {
	if _, err := os.Stat(filepath.Join(dir, identityFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("lock store %s: %s is missing: there is no store", dir, identityFile)
	} else if err != nil {
		return nil, fmt.Errorf("lock store %s: %w: run the command as the agent's user", dir, err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("lock store %s: %w", dir, err)
	}
	return &Folder{dir, lock, openSource}, give(dir, lock.Name())
}

// Leave closes the store's files and keeps the folder locked. The folder is given even if closing them failed: nothing is
// written to it any more.
func (s *Store) Leave() (*Folder, error) {
	f := &Folder{filepath.Dir(s.lock.Name()), s.lock, openSource}
	s.lock = nil
	return f, s.Close()
}

// Close lets go of the lock.
func (f *Folder) Close() error { return f.lock.Close() }

// Moved notes that the content goes on elsewhere, so that no agent takes the folder any more.
func (f *Folder) Moved(to string, at time.Time) error {
	_ = os.Remove(filepath.Join(f.dir, reserveName)) // the note needs room, and nobody else will
	c, err := f.card()
	if err == nil {
		c.Moved = &Move{at.UTC(), to}
		err = f.replace(c)
	}
	if err != nil {
		return fmt.Errorf("mark store %s as moved: %w", f.dir, err)
	}
	return nil
}

// Reopen takes the note of Moved back and tells what it said.
func (f *Folder) Reopen() (Move, error) {
	c, err := f.card()
	if err == nil && c.Moved == nil {
		err = errors.New("it was not moved")
	}
	if err != nil {
		return Move{}, fmt.Errorf("reopen store %s: %w", f.dir, err)
	}
	m := *c.Moved
	c.Moved = nil
	return m, f.replace(c)
}

// Move tells where the content went, nil if it is here.
func (f *Folder) Move() (*Move, error) {
	c, err := f.card()
	return c.Moved, err
}

// card reads store.json and refuses one that this program could not write again.
func (f *Folder) card() (c card, err error) {
	path := filepath.Join(f.dir, identityFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("%w: read %s: %w", ErrDamaged, path, err)
	}
	if c.Format > format {
		return c, fmt.Errorf("%w (format %d, this program knows %d)", ErrNewer, c.Format, format)
	}
	return c, nil
}

func (f *Folder) replace(c card) error {
	path := filepath.Join(f.dir, identityFile)
	if err := writeCard(path, c); err != nil {
		return err
	}
	return errors.Join(give(f.dir, path), give(f.dir, path+copySuffix))
}

// give hands a file that root made to the owner of the store folder: the agent must be able to use it.
func give(dir, path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return &fs.PathError{Op: "read owner of", Path: dir, Err: errors.ErrUnsupported}
	}
	return os.Lchown(path, int(owner.Uid), int(owner.Gid))
}
