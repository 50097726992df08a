package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"station-agent/station"
	"station-agent/store"
	"station-agent/store/record"
)

// keeper takes the rows that were read to the Picture, and to the card for a start without a network: soon after they
// changed, but at most every keepEvery, as each time writes them all.
type keeper struct {
	picture *station.Picture
	db      *store.DB
	cond    *condition

	mu    sync.Mutex
	rows  []record.Row // as last read
	at    time.Time
	saved []record.Row
	kept  time.Time // when they were saved
}

const (
	keepSoon  = 5 * time.Second
	keepEvery = 30 * time.Second
)

// load puts the rows that were kept on disk into the Picture; they are no read, so that the Picture stays offline. If they
// can't be read, the bench starts without them.
func (k *keeper) load() error {
	rows, _, err := k.db.LoadPicture()
	switch {
	case record.ClassOf(err) == record.StopHere:
		return err
	case err != nil:
		k.cond.Lost(fmt.Errorf("%w: until MySQL answers, no item is known here", err))
	case len(rows) > 0:
		k.picture.Replace(rows, time.Time{})
		k.saved = rows
	}
	return nil
}

// seen takes one read of the rows.
func (k *keeper) seen(rows []record.Row, began time.Time) {
	k.picture.Replace(rows, began)
	kept := slices.Clone(rows)
	slices.SortFunc(kept, func(a, b record.Row) int { return cmp.Compare(a.Hash, b.Hash) })
	k.mu.Lock()
	k.rows, k.at = kept, began
	k.mu.Unlock()
}

// Run saves until ctx ends, and once more then.
func (k *keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(keepSoon)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return k.save()
		case <-tick.C:
			if time.Since(k.kept) < keepEvery {
				continue
			}
			if err := k.save(); err != nil {
				return err
			}
		}
	}
}

// save keeps the rows if they changed. Only a broken store is worth an error: the Picture on the card is a convenience.
func (k *keeper) save() error {
	k.mu.Lock()
	rows, at := k.rows, k.at
	k.mu.Unlock()
	if at.IsZero() || slices.EqualFunc(rows, k.saved, sameRow) {
		return nil
	}
	err := k.db.SavePicture(rows, at)
	if record.ClassOf(err) == record.StopHere {
		return err
	}
	if err != nil {
		k.cond.Lost(fmt.Errorf("%w: the rows of this station are not kept for a start without network", err))
		return nil
	}
	k.cond.Back()
	k.saved, k.kept = rows, time.Now()
	return nil
}

func sameRow(a, b record.Row) bool {
	return a.Hash == b.Hash && a.EAN == b.EAN && a.Name == b.Name && record.Same(a.Package, b.Package)
}

// scanJournal is the journal as the bench writes it: a scan that could not be saved shows in status and health.
type scanJournal struct {
	*store.Journal
	cond *condition
}

// Append implements station.Journal.
func (s scanJournal) Append(e record.Entry) (record.Entry, error) {
	e, err := s.Journal.Append(e)
	if err != nil {
		s.cond.Lost(err)
	} else {
		s.cond.Back()
	}
	return e, err
}
