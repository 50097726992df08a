package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"station-agent/store/record"
)

// txn is a transaction with the counts as they will be after it.
type txn struct {
	*bolt.Tx
	stats Stats
}

func (t *txn) bucket(name string) *bolt.Bucket { return t.Bucket([]byte(name)) }

func (t *txn) setMeta(name string, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return t.bucket(metaBucket).Put([]byte(name), b)
}

// meta leaves value alone if there is none of that name.
func (t *txn) meta(name string, value any) error {
	b := t.bucket(metaBucket).Get([]byte(name))
	if b == nil {
		return nil
	}
	if err := json.Unmarshal(b, value); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
	}
	return nil
}

// update runs f in a transaction, the only one that writes. An error of f changes nothing; a failed commit ends all
// writing, except on a full card: that is met before anything that counts was written.
func (d *DB) update(f func(*txn) error) error {
	if err := d.failed(); err != nil {
		return err
	}
	err := guard(func() error {
		tx, err := d.bolt.Begin(true)
		if err != nil {
			return err
		}
		defer tx.Rollback() // does nothing after a commit
		t := &txn{Tx: tx, stats: d.Stats()}
		if err := f(t); err != nil {
			return err
		}
		if err := t.count(); err != nil {
			return err
		}
		size := tx.Size()
		if err := tx.Commit(); err != nil {
			return d.uncommitted(err)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.stats = t.stats
		d.stats.FileBytes = size
		return nil
	})
	return d.judge(err)
}

func (d *DB) view(f func(*txn) error) error {
	err := guard(func() error {
		return d.bolt.View(func(tx *bolt.Tx) error { return f(&txn{Tx: tx}) })
	})
	return d.judge(err)
}

// count brings the counts up and stores them.
func (t *txn) count() error {
	var w waiting
	if _, v := t.bucket(outboxBucket).Cursor().First(); v != nil {
		if _, err := unpack(v, &w); err != nil {
			return err
		}
	}
	var u unproven
	if _, v := t.bucket(ledgerBucket).Cursor().First(); v != nil {
		if _, err := unpack(v, &u); err != nil {
			return err
		}
	}
	t.stats.OldestQueued, t.stats.OldestUnanchored = w.At, u.Since
	return t.setMeta("stats", t.stats)
}

var errFault = errors.New("a page can't be read")

// guard turns the panics and page faults that a damaged file causes in bbolt into an error.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %w: %v: restore it or use another store folder", ErrDamaged, errFault, p)
		}
	}()
	return f()
}

// uncommitted gives the error of a commit its class. A full card or file is met before the commit counts, and bbolt has
// taken everything back; after any other failure nobody knows what the card holds.
func (d *DB) uncommitted(err error) error {
	var write *fs.PathError
	switch {
	case errors.As(err, &write) && noRoom(err):
		return fmt.Errorf("write %s: %w: make room on the card", d.path, err)
	case errors.Is(err, berrors.ErrMaxSizeReached):
		return fmt.Errorf("write %s: %w: %w", d.path, ErrFull, err)
	}
	return d.fail(err)
}

func (d *DB) fail(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = record.Stop(fmt.Errorf("write %s: %w: nothing more is written to a card that failed; restart the agent, and replace the card if it happens again", d.path, err))
	return d.broken
}

func (d *DB) failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.broken
}

// judge ends all writing after a page fault.
func (d *DB) judge(err error) error {
	if errors.Is(err, errFault) {
		return d.fail(err)
	}
	return err
}
