package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"station-agent/store/record"
)

// What callers ask about. Every error of Open stops the agent and carries one line for a person.
var (
	ErrLocked  = errors.New("it is in use by another agent")
	ErrForeign = errors.New("it was made for another place")
	ErrNewer   = errors.New("its format is newer than this program")
	ErrDamaged = errors.New("it is damaged")
	ErrFull    = errors.New("the store is full") // file or card; Put only: capture pauses, the rest works on
)

const (
	journalFolder = "journal"
	databaseFile  = "records.db"
)

// Store is one open store folder.
type Store struct {
	Journal *Journal
	DB      *DB

	id      string
	session uint64
	lock    *os.File
}

// Open opens the store in dir and makes it on first use. The folder stays locked until Close. A folder that belongs to
// another agent, another station or a newer program is left as it was. Every error is of class record.Stop.
func Open(dir string, id Identity, now func() record.Stamp) (*Store, error) {
	s := &Store{}
	if err := s.open(dir, id, now); err != nil {
		s.Close()
		return nil, record.Stop(fmt.Errorf("open store %s: %w", dir, err))
	}
	return s, nil
}

func (s *Store) open(dir string, id Identity, now func() record.Stamp) (err error) {
	if err = makeFolder(dir); err != nil {
		return fmt.Errorf("%w: give the agent's user a folder that it can write", err)
	}
	if s.lock, err = lockFolder(dir); err != nil {
		return err
	}
	if s.id, err = identify(dir, id); err != nil {
		return err
	}
	// On first use the database is made before the journal and counts sessions after it: one without the other was lost.
	database, journal := filepath.Join(dir, databaseFile), filepath.Join(dir, journalFolder)
	if exists(journal) && !exists(database) {
		return fmt.Errorf("%w: %s is missing: restore it or use another store folder", ErrDamaged, databaseFile)
	}
	if s.DB, err = openDB(database, s.id, now); err != nil {
		return err
	}
	if s.Journal, err = openJournal(journal, s.id, s.DB.session == 0, now, openFile); err != nil {
		return err
	}
	s.session, err = s.DB.nextSession()
	return err
}

// ID is the store's own random id; both files carry it.
func (s *Store) ID() string { return s.id }

// Session counts the times that the store was opened, from 1.
func (s *Store) Session() uint64 { return s.session }

// Close flushes the journal, closes both files and lets go of the lock.
func (s *Store) Close() error {
	var errs []error
	if s.Journal != nil {
		errs = append(errs, s.Journal.Close())
	}
	if s.DB != nil {
		errs = append(errs, s.DB.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
		s.lock = nil
	}
	return errors.Join(errs...)
}
