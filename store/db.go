package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"station-agent/store/record"
)

// DB is the bbolt file of all that concerns records: position, outbox, ledger, shadow, evidence and picture. Every
// method that writes is one transaction: it happens whole or not at all.
//
// After an error of class record.Stop nothing is written any more: a commit that failed may be on the card or not.
type DB struct {
	FirstLook    time.Duration // from a receipt to the first verification; set before use
	EvidenceDays int           // how long evidence is kept; set before use

	bolt           *bolt.DB
	path           string
	limit          int64                            // bytes in use from which Put refuses; an eighth stays for what goes out
	free           func(path string) (int64, error) // bytes on the card; tests set it
	now            func() record.Stamp
	session        uint64
	changed, proof chan struct{}

	mu     sync.Mutex // guards what follows
	stats  Stats
	broken error
}

// Stats are counts that are kept up with every transaction; reading them costs nothing.
type Stats struct {
	QueueRecords     int       `json:"queue_records"`
	QueueBytes       int64     `json:"queue_bytes"`
	OldestQueued     time.Time `json:"oldest_queued,omitzero"` // when it was put
	Unanchored       int       `json:"unanchored"`
	OldestUnanchored time.Time `json:"oldest_unanchored,omitzero"` // when the first of the queue's order was accepted
	Anchored         uint64    `json:"anchored"`                   // ever
	Accepted         uint64    `json:"accepted"`                   // ever
	DeadLetters      int       `json:"dead_letters"`
	Mismatches       int       `json:"mismatches"` // in the ledger, last seen as record.Mismatch
	EvidenceBytes    int64     `json:"evidence_bytes"`
	FileBytes        int64     `json:"-"`
}

const (
	metaBucket     = "meta"     // name -> value
	outboxBucket   = "outbox"   // sequence -> waiting, payload
	refusedBucket  = "refused"  // sequence -> DeadLetter, payload
	ledgerBucket   = "ledger"   // sequence -> unproven, payload, last answer
	dueBucket      = "due"      // time, sequence -> nothing
	shadowBucket   = "shadow"   // collection 0 id -> ShadowRow, payload
	evidenceBucket = "evidence" // time, sequence -> Evidence, payload, answer
	pictureBucket  = "picture"  // "rows" -> picture

	databaseVersion = 1
	pageSize        = 4096    // fixed: a card moves between kernels with pages of 4 and 16 KiB
	maxFile         = 1 << 30 // of the file: a 32-bit process can map no more
	openTimeout     = time.Second
)

// openDB opens the file and makes it if the store is new.
func openDB(path, id string, now func() record.Stamp) (*DB, error) {
	d := &DB{FirstLook: 2 * time.Minute, EvidenceDays: 90, path: path, limit: maxFile / 8 * 7, free: freeSpace, now: now,
		changed: make(chan struct{}, 1), proof: make(chan struct{}, 1)}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = createDB(path, id); err == nil {
			info, err = os.Stat(path)
		}
	}
	if err != nil {
		return nil, err
	}
	if info.Size() < 4*pageSize {
		return nil, fmt.Errorf("open %s: %w: it is cut off: restore it or use another store folder", path, ErrDamaged)
	}
	if err := dropCache(path); err != nil {
		return nil, fmt.Errorf("%w: give the agent's user a store that it can write", err)
	}
	err = guard(func() (err error) {
		if d.bolt, err = openBolt(path, os.O_RDWR); err != nil {
			return err
		}
		return d.bolt.View(func(tx *bolt.Tx) error { return d.load(tx, id) })
	})
	if err != nil {
		if d.bolt != nil && !errors.Is(err, errFault) {
			d.bolt.Close()
		}
		return nil, fmt.Errorf("open %s: %w", path, explain(err))
	}
	return d, nil
}

// explain says in our words what bbolt found at opening.
func explain(err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("%w: a tool has it open: end it", ErrLocked)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return fmt.Errorf("%w: %w: restore it or use another store folder", ErrDamaged, err)
	}
	return err
}

// openBolt opens the file with the flags of bbolt that we allow: it must never make a file in place, because a plug
// pulled then leaves a file that doesn't open.
func openBolt(path string, flag int) (*bolt.DB, error) {
	return bolt.Open(path, 0o600, &bolt.Options{
		Timeout:      openTimeout,
		PageSize:     pageSize,
		MaxSize:      maxFile,
		FreelistType: bolt.FreelistMapType,
		OpenFile: func(name string, _ int, perm os.FileMode) (*os.File, error) {
			return os.OpenFile(name, flag, perm)
		},
	})
}

// createDB makes the file under a temporary name and puts it in place when it is whole.
func createDB(path, id string) error {
	if err := os.Remove(path + temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b, err := openBolt(path+temporary, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	err = b.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{metaBucket, outboxBucket, refusedBucket, ledgerBucket, dueBucket, shadowBucket, evidenceBucket, pictureBucket} {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		t := &txn{Tx: tx}
		return errors.Join(t.setMeta("version", databaseVersion), t.setMeta("id", id), t.setMeta("stats", Stats{}))
	})
	if err := errors.Join(err, b.Sync(), b.Close()); err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	if err := os.Rename(path+temporary, path); err != nil {
		return err
	}
	return syncFolder(openFile, filepath.Dir(path))
}

func (d *DB) load(tx *bolt.Tx, id string) error {
	var version int
	var owner string
	t := &txn{Tx: tx}
	err := errors.Join(t.meta("version", &version), t.meta("id", &owner), t.meta("session", &d.session), t.meta("stats", &d.stats))
	switch {
	case err != nil:
		return err
	case version > databaseVersion:
		return fmt.Errorf("%w (database version %d, this program knows %d): install the newer program again", ErrNewer, version, databaseVersion)
	case owner != id:
		return fmt.Errorf("%w: it belongs to store %s, this one is %s: put the right file back", ErrForeign, owner, id)
	}
	d.stats.FileBytes = tx.Size()
	return nil
}

// nextSession counts one more opening.
func (d *DB) nextSession() (uint64, error) {
	next := d.session + 1
	if err := d.update(func(t *txn) error { return t.setMeta("session", next) }); err != nil {
		return 0, err
	}
	d.session = next
	return next, nil
}

// Stats are the counts after the last transaction.
func (d *DB) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

// Close closes the file. A broken one is left to the end of the process: bbolt may hold its own lock for good.
func (d *DB) Close() error {
	if d.failed() != nil {
		return nil
	}
	return d.bolt.Close()
}
