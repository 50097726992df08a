package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"station-agent/store/record"
)

const (
	foldEvery   = 30 * time.Second
	foldChanges = 4096 // noted in memory before they are folded: some hundred packages
	foldAtOnce  = 1000 // labels written or forgotten in one commit, at opening and by age
	mostLabels  = 100_000
	fewerLabels = mostLabels - mostLabels/20 // what is left when there are more
)

// labels are what this station knows of the package labels that it used: labels.db as of some entry, and what the journal
// has noted since. The file is brought up when the journal has begun another segment, when much was noted and at the end, so
// that it costs the card next to nothing and opening reads the newest segments at most.
type labels struct {
	path, id string
	now      func() record.Stamp
	keep     time.Duration
	tell     func(Loss)
	file     *labelsFile
	journal  *Journal

	mu     sync.Mutex
	broken error
}

// Use tells what this station knows of a package label that it used. It never waits for anything that is written: it asks
// the memory, and one place in a file.
func (s *Store) Use(label string) (record.Use, bool) {
	u := s.labels.get(label)
	return record.Use{Package: label, Items: u.items, At: u.at}, u.known
}

// get reads the memory first: what is folded in between is then in both, and counts once.
func (l *labels) get(label string) use {
	changes, clock := l.journal.notedOf(label)
	u, err := l.file.get(label)
	if err != nil {
		_ = l.fail(err) // Run says it
		u = use{known: true}
	}
	u = u.with(changes)
	u.at = u.at.Fill(clock)
	return u
}

// Run brings the file up now and then, and forgets labels of long ago, until ctx ends. It returns an error only when the file
// is broken.
func (l *labels) Run(ctx context.Context) error {
	tick, day := time.NewTicker(foldEvery), time.NewTicker(dayLength)
	defer tick.Stop()
	defer day.Stop()
	if err := l.prune(); record.ClassOf(err) == record.StopHere {
		return err
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-day.C:
			err = l.prune()
		case <-tick.C:
			err = l.relieve()
		}
		if record.ClassOf(err) == record.StopHere {
			return err
		}
	}
}

// relieve brings the file up if it is far behind.
func (l *labels) relieve() error {
	if err := l.failed(); err != nil {
		return err
	}
	if changes, turned := l.journal.labelLag(); changes < foldChanges && turned <= l.file.folded {
		return nil
	}
	return l.fold()
}

// fold brings the file up to the last entry that is on the card.
func (l *labels) fold() error {
	upTo, changes, clock := l.journal.foldable()
	if upTo == l.file.folded {
		return l.failed()
	}
	if err := l.write(upTo, changes, clock); err != nil {
		return err
	}
	l.journal.folded(upTo)
	if l.file.count > mostLabels {
		return l.limit()
	}
	return nil
}

func (l *labels) write(upTo uint64, changes map[string][]labelChange, clock record.Stamp) error {
	if err := l.failed(); err != nil {
		return err
	}
	return l.judge(l.file.fold(upTo, changes, clock))
}

// prune forgets the labels that nothing concerned for as long as evidence is kept. Only a clock that is trusted judges, now
// and then; a label without a time is as old as its entry is among the others.
func (l *labels) prune() error {
	now := l.now()
	if !now.Trusted {
		return l.failed()
	}
	var last uint64 // entry of an old label
	old := func(u use) bool {
		age, known := now.Since(u.at)
		if known && age > l.keep {
			last = max(last, u.seq)
		}
		return known && age > l.keep || !known && u.seq <= last
	}
	err := l.each(func(_ string, u use) bool { old(u); return true })
	if err != nil {
		return err
	}
	return l.drop(old)
}

// limit forgets the oldest labels when there are too many.
func (l *labels) limit() error {
	var seqs []uint64
	if err := l.each(func(_ string, u use) bool { seqs = append(seqs, u.seq); return true }); err != nil {
		return err
	}
	slices.Sort(seqs)
	if len(seqs) <= fewerLabels {
		return nil
	}
	last := seqs[len(seqs)-fewerLabels-1]
	return l.drop(func(u use) bool { return u.seq <= last })
}

// drop forgets labels, some at a time, but none that something was noted of since.
func (l *labels) drop(old func(use) bool) error {
	for {
		var labels []string
		err := l.each(func(label string, u use) bool {
			if old(u) && !l.noted(label) {
				labels = append(labels, label)
			}
			return len(labels) < foldAtOnce
		})
		if err != nil || len(labels) == 0 {
			return err
		}
		if err := l.judge(l.file.forget(labels)); err != nil {
			return err
		}
	}
}

func (l *labels) noted(label string) bool {
	changes, _ := l.journal.notedOf(label)
	return len(changes) > 0
}

func (l *labels) each(look func(label string, u use) (more bool)) error {
	if err := l.failed(); err != nil {
		return err
	}
	err := l.file.each(func(label []byte, u use) bool { return look(string(label), u) })
	if err != nil {
		return l.fail(err)
	}
	return nil
}

// judge gives the error of a commit its class: see DB.judge.
func (l *labels) judge(err error) error {
	switch {
	case err == nil:
		return nil
	case wantsRoom(err):
		return fmt.Errorf("write %s: %w: make room on the card", l.path, err)
	}
	return l.fail(err)
}

func (l *labels) fail(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = record.Stop(fmt.Errorf("use %s: %w: restart the agent, which makes it again from the journal", l.path, err))
	}
	return l.broken
}

func (l *labels) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// close brings the file up, after the journal was flushed, and closes it.
func (l *labels) close() error {
	if l.file == nil {
		return nil
	}
	var err error
	if l.journal != nil && l.failed() == nil { // else Run has said it, or follow
		err = l.fold()
	}
	l.file.close()
	return unlessFull(err)
}
