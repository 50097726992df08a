package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

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

const journalFolder = "journal"

// Config says where a store lies, for whom, and how much it may take. The zero value of a field below Now stands for its
// default.
type Config struct {
	Dir      string
	Identity Identity
	Now      func() record.Stamp

	Probe        func(path string) error                         // calls Probe in a child process; ErrDamaged if that says so, dies or hangs; nil: in this one
	MaxBytes     int64                                           // of records and evidence together; default 896 MiB
	Reserve      int64                                           // bytes of the file that keeps room for scans on a full card; default 8 MiB, -1: none
	EvidenceDays int                                             // how long proofs and scans are kept; default 30
	ExportDir    string                                          // where evidence is written before it is dropped; "": nowhere
	FirstLook    time.Duration                                   // from a receipt to the first verification; default 2 min
	MaxUnproven  int                                             // accepted records that are looked after at once; what exceeds is given up unverified; default 200,000
	MaxRefused   int                                             // dead letters that are kept; the oldest beyond go to ExportDir, else are dropped, counted; default 10,000
	RefusedBytes int64                                           // of the payloads of those that are kept; default 64 MiB
	PackageOf    func(record.Record) (pkg record.Value, ok bool) // the package in a record's row, to find the scan that led to it
	SegmentBytes int64                                           // of a segment of the journal; default 1 MiB
	FileBytes    int64                                           // of a file of records, from which the next is begun; default 4 MiB
}

// Store is one open store folder.
type Store struct {
	Journal *Journal
	DB      *DB
	Events  *EventLog

	labels *labels
	tags   *epcMap

	id      string
	session uint64
	lock    *os.File
	losses  *losses
}

// Open opens the store and makes it on first use. The folder stays locked until Close. A folder that belongs to another
// agent, another station or a newer program is left as it was. Every error is of class record.Stop.
func Open(c Config) (*Store, error) {
	s := &Store{}
	if err := s.open(c.filled()); err != nil {
		s.Close()
		return nil, record.Stop(fmt.Errorf("open store %s: %w", c.Dir, err))
	}
	return s, nil
}

func (c Config) filled() Config {
	if c.Probe == nil {
		c.Probe = Probe
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 896 << 20
	}
	if c.Reserve == 0 {
		c.Reserve = 8 << 20
	}
	if c.EvidenceDays == 0 {
		c.EvidenceDays = 30
	}
	if c.FirstLook == 0 {
		c.FirstLook = 2 * time.Minute
	}
	if c.MaxUnproven == 0 {
		c.MaxUnproven = 200_000
	}
	if c.MaxRefused == 0 {
		c.MaxRefused = 10_000
	}
	if c.RefusedBytes == 0 {
		c.RefusedBytes = 64 << 20
	}
	if c.SegmentBytes == 0 {
		c.SegmentBytes = segmentSize
	}
	if c.FileBytes == 0 {
		c.FileBytes = 4 << 20
	}
	return c
}

// Run keeps the store going until ctx ends: it writes what may wait, makes room and lets old things go. It returns an error
// only when the store is broken.
func (s *Store) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Journal.Run(ctx) })
	g.Go(func() error { return s.DB.Run(ctx) })
	g.Go(func() error { return s.labels.Run(ctx) })
	g.Go(func() error { return s.Events.Run(ctx) })
	return g.Wait()
}

// Losses lists what could not be read, at an opening or since, until Acknowledge; nothing if all is well.
func (s *Store) Losses() []Loss { return s.losses.all() }

// Acknowledge notes that a person knows of all Losses, of the records that were given up unverified, and of the dead letters that
// were dropped for want of room.
func (s *Store) Acknowledge() error { return errors.Join(s.losses.clear(), s.DB.waive()) }

func (s *Store) open(c Config) (err error) {
	if err = makeFolder(c.Dir); err != nil {
		return fmt.Errorf("%w: give the agent's user a folder that it can write", err)
	}
	if s.lock, err = lockFolder(c.Dir); err != nil {
		return err
	}
	var fresh, untold bool
	if s.id, fresh, untold, err = identify(c.Dir, c.Identity); err != nil {
		return err
	}
	s.losses = openLosses(filepath.Join(c.Dir, lossesFile))
	tell := func(l Loss) { s.losses.add(l) }
	s.DB, err = openDB(dbConfig{
		dir: c.Dir, id: s.id, fresh: fresh, untold: untold, now: c.Now, probe: c.Probe, maxBytes: c.MaxBytes, fileBytes: c.FileBytes,
		evidenceDays: c.EvidenceDays, exportDir: c.ExportDir, firstLook: c.FirstLook,
		maxUnproven: c.MaxUnproven, maxRefused: c.MaxRefused, refusedBytes: c.RefusedBytes, tell: tell,
	})
	if err != nil {
		return err
	}
	if s.labels, err = openLabels(c, s.id, tell); err != nil {
		return err
	}
	if s.tags, err = openMap(c, tell); err != nil {
		return err
	}
	var lost []Loss
	if s.Journal, lost, err = openJournal(c, s.id, !fresh, openFile); err != nil {
		return err
	}
	s.losses.add(lost...)
	if err = s.labels.follow(s.Journal, len(lost) > 0); err != nil {
		return err
	}
	s.Events = openEvents(filepath.Join(c.Dir, eventsName), eventsHalf, openFile)
	s.join(c.PackageOf)
	if s.session, err = s.DB.begin(); err == nil && (fresh || untold) {
		err = begun(c.Dir, s.id, c.Identity)
	}
	return err
}

// join lets records know the scans that led to them, and evidence show them.
func (s *Store) join(packageOf func(record.Record) (record.Value, bool)) {
	if packageOf != nil {
		s.DB.scan = func(r record.Record) uint64 {
			if !s.Journal.hasOrigin(r.ID) { // most rows, and the payload needn't be read for them
				return 0
			}
			if pkg, ok := packageOf(r); ok {
				return s.Journal.ScanOf(r.ID, pkg)
			}
			return 0
		}
	}
	s.DB.scans = func(wanted map[uint64]*record.Entry) error {
		err := s.Journal.Replay(func(e record.Entry) error {
			if _, ok := wanted[e.Seq]; ok {
				wanted[e.Seq] = &e
			}
			return nil
		})
		if errors.Is(err, ErrDamaged) {
			return nil // what still reads is all there is
		}
		return err
	}
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
	if s.labels != nil {
		errs = append(errs, s.labels.close())
	}
	if s.tags != nil {
		s.tags.close()
	}
	if s.Events != nil {
		errs = append(errs, s.Events.close())
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
