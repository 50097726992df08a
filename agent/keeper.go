package main

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"station-agent/station"
	"station-agent/store"
	"station-agent/store/record"
)

// keeper takes the rows that were read to the Picture, and to the card for a start without a network: soon after they
// changed, but at most every keepEvery, as each time writes them all.
type keeper struct {
	picture   *station.Picture
	store     *store.Store
	tags      tags
	inquiries *inquiries
	cond      *condition

	read  atomic.Bool   // something was
	seq   atomic.Uint64 // of the journal, when the last read had ended
	known atomic.Uint64 // and the one before: the last read shows all that had happened by then
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
	err := loadPicture(k.picture, k.store)
	if err != nil && record.ClassOf(err) != record.StopHere {
		k.cond.Lost(fmt.Errorf("%w: until MySQL answers, not every item is known here", err))
		return nil
	}
	k.seq.Store(k.store.Journal.Seq())
	return err
}

// lately is how many entries of the journal are looked at if nobody knows from where on: a shift.
const lately = 5000

// loadPicture puts what is kept on disk into the picture, and over it what the journal knows of rows since: they may be half
// a minute older than the last scan, and an item that was packed meanwhile must not go into another package.
func loadPicture(p *station.Picture, st *store.Store) error {
	kept, err := st.DB.LoadPicture()
	if err != nil {
		return err
	}
	p.Load(kept.Rows)
	after := kept.Seq
	if after == 0 { // nothing was kept yet, or by an older agent
		after = st.Journal.Seq() - min(st.Journal.Seq(), lately)
	}
	shown, err := st.Journal.Shown(after)
	for _, s := range shown {
		p.Showed(s.Hash, s.Value)
	}
	return err
}

// seen takes one read of the rows.
func (k *keeper) seen(r record.Reading) {
	r.Here = slices.Clone(r.Here)
	k.tags.add(r.Here)
	k.picture.Replace(r)
	k.inquiries.answer(r)
	k.known.Store(k.seq.Load())
	k.seq.Store(k.store.Journal.Seq())
	k.read.Store(true)
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
	if !k.read.Load() {
		return nil
	}
	seq := k.known.Load() // before the rows, which may be of a newer read
	now := time.Now()
	rows, at := k.picture.Kept(), now.Add(-k.picture.Age(now))
	if slices.EqualFunc(rows, k.saved, sameRow) {
		return nil
	}
	err := k.store.DB.SavePicture(store.Picture{At: at, Rows: rows, Seq: max(1, seq)})
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
	return a.Hash == b.Hash && a.Product == b.Product && a.EAN == b.EAN && a.Name == b.Name && record.Same(a.Package, b.Package) &&
		a.Created.Equal(b.Created) && slices.Equal(a.EPCs, b.EPCs) && record.Same(a.Station, b.Station) && a.Away == b.Away
}

// tags adds to the rows of this station the tags that an imported map names for them. What a row was given once is
// remembered, as the rows are read each second.
type tags struct {
	of   func(hash string) []string // looks into the map
	made func() time.Time           // when the map was imported, zero if there is none

	at    time.Time
	known map[string][]string // by hash
}

func (t *tags) add(rows []record.Row) {
	made := t.made()
	if !made.Equal(t.at) {
		t.at, t.known = made, nil
	}
	if made.IsZero() {
		return
	}
	known := make(map[string][]string, len(rows))
	for n := range rows {
		r := &rows[n]
		list, there := t.known[r.Hash]
		if !there {
			list = t.of(r.Hash)
		}
		known[r.Hash] = list
		for _, epc := range list {
			if !slices.Contains(r.EPCs, epc) {
				r.EPCs = append(slices.Clip(r.EPCs), epc)
			}
		}
	}
	t.known = known
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

// labels is what the store knows of package labels, for the bench.
type labels struct{ *store.Store }

// Standing implements station.Labels.
func (l labels) Standing(label string) (waiting, parked int) {
	s := l.Journal.State()
	concerns := func(i record.Intent) bool { // into it, or out of it
		pkg := record.Package(label)
		return record.Same(i.Package, pkg) || i.May(pkg)
	}
	for _, i := range s.Open {
		if concerns(i) {
			waiting++
		}
	}
	for _, p := range s.Parked {
		if concerns(p.Intent) {
			parked++
		}
	}
	return waiting, parked
}
