package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

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

// Config says where a store lies, for whom, and how much it may take. The zero value of a field below Now stands for its
// default.
type Config struct {
	Dir      string
	Identity Identity
	Now      func() record.Stamp

	Probe        func(path string) error // reads a file of bbolt in a child process, which may die of it; nil: in this one
	MaxBytes     int64                   // of records and evidence together; default 896 MiB
	Reserve      int64                   // bytes of the file that keeps room for scans on a full card; default 8 MiB, -1: none
	EvidenceDays int                     // how long proofs and scans are kept; default 30
	ExportDir    string                  // where evidence is written before it is dropped; "": nowhere
	FirstLook    time.Duration           // from a receipt to the first verification; default 2 min
	SegmentBytes int64                   // of a segment of the journal; default 1 MiB
	FileBytes    int64                   // of a file of records, from which the next is begun; default 16 MiB
}

// Loss is what opening could not read and has set aside.
type Loss struct {
	File   string `json:"file"` // where the damaged file lies now
	What   string `json:"what"` // one line for a person
	Count  int    `json:"count"`
	Scans  bool   `json:"scans"`  // Count is of journal entries, else of records
	Moment string `json:"moment"` // from when to when, as far as it is known
}

// Store is one open store folder.
type Store struct {
	Journal *Journal
	DB      *DB

	id      string
	session uint64
	lock    *os.File
	losses  []Loss
}

// Open opens the store and makes it on first use. The folder stays locked until Close. A folder that belongs to another
// agent, another station or a newer program is left as it was. Every error is of class record.Stop.
func Open(c Config) (*Store, error) {
	s := &Store{}
	if err := s.open(c.Dir, c.Identity, c.Now); err != nil {
		s.Close()
		return nil, record.Stop(fmt.Errorf("open store %s: %w", c.Dir, err))
	}
	if c.EvidenceDays > 0 {
		s.DB.EvidenceDays = c.EvidenceDays
	}
	if c.FirstLook > 0 {
		s.DB.FirstLook = c.FirstLook
	}
	return s, nil
}

// Run keeps the store going until ctx ends: it flushes what is written lazily and makes room. It returns an error only
// when the store is broken.
func (s *Store) Run(ctx context.Context) error { return s.Journal.Run(ctx) }

// Losses lists what opening could not read, nothing if all is well.
func (s *Store) Losses() []Loss { return s.losses }

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
