package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	berrors "go.etcd.io/bbolt/errors"

	"station-agent/store/record"
)

// DB is all that concerns records: a log of commits (outbox, ledger, evidence, position) and the rows beside it (shadow,
// picture). See DESIGN.md.
//
// It may be used by any number of goroutines. After an error of class record.Stop nothing is written any more: a commit that
// failed may be on the card or not.
type DB struct {
	cfg   dbConfig
	log   *recordLog
	rows  *rowsFile
	scan  func(record.Record) uint64                  // which scan led to a record; nil: nobody knows
	scans func(wanted map[uint64]*record.Entry) error // fills in the journal's entries that are still kept; nil: there are none
	free  func(path string) (int64, error)            // bytes on the card; tests set it
	turns sync.Mutex                                  // held over every commit

	picking  sync.Mutex      // held by Pick: ahead is brought on by one at a time
	latest   map[rowName]int // memory of shadowChanges, guarded by turns
	settling settlement      // memory of Settle, guarded by turns
	changes  []shadowChange  // memory of putPart, guarded by turns

	changed, proof, wake chan struct{}

	mu        sync.Mutex // guards what follows; never held over I/O
	state     state
	pending   *commit           // what goes with the next commit, nil if nothing does
	looked    map[uint64]seen   // pending records of the ledger that were looked at
	shadow    map[rowName]dirty // rows that the rows file doesn't have yet
	lag       lag
	fronts    [2]waitsSince     // of the oldest record in each lane of the outbox
	ahead     ahead             // rows of states that were found, and of newer changes
	posted    reach             // how far records were posted since the start
	opened    reach             // how far they may have been before
	paused    bool              // Put refuses until there is room
	exportErr error             // why evidence could not be exported
	letterErr error             // why dead letters could not be
	trouble   error             // of the last keeping house
	applied   uint64            // the commit up to which the rows file has the shadow
	lazyErr   error             // why what waits could not be written
	asked     map[string]string // what Missed last told each stream
	broken    error
}

type dbConfig struct {
	dir, id      string
	fresh        bool // a new store: nothing can be missing
	untold       bool // a program had it that didn't note what it posted
	now          func() record.Stamp
	probe        func(path string) error
	maxBytes     int64
	fileBytes    int64
	evidenceDays int
	exportDir    string
	firstLook    time.Duration
	maxUnproven  int
	maxRefused   int
	refusedBytes int64
	tell         func(Loss)
}

// seen is what looks said of a record since the start.
type seen struct {
	looks int
	due   time.Duration // on the monotonic clock of this boot
}

const (
	lazyCommit  = 4 * time.Second // receipts, looks and positions wait so long for company
	pendingMost = 2000            // receipts and looks, then they wait no longer
)

// openDB opens record files and rows. What can't be read is set aside and told by Losses.
func openDB(c dbConfig) (*DB, error) {
	d := &DB{cfg: c, free: freeSpace, looked: map[uint64]seen{}, shadow: map[rowName]dirty{}, asked: map[string]string{}, latest: map[rowName]int{},
		changed: make(chan struct{}, 1), proof: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	z, err := newCodec(commitWords, sample)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(c.dir, recordsFolder)
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	if err := removeTemporary(dir); err != nil {
		return nil, err
	}
	d.log = &recordLog{dir: dir, id: c.id, fileBytes: c.fileBytes, probe: c.probe, codec: z}
	if err := d.openLog(); err != nil {
		d.log.close()
		return nil, err
	}
	if err := d.openRows(); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// begin counts one more opening and makes that durable, unless the card is full: then it waits with the rest.
func (d *DB) begin() (session uint64, err error) {
	d.turns.Lock()
	defer d.turns.Unlock()
	session = d.state.Session + 1
	var marks []horizon
	if d.cfg.untold {
		marks = d.state.untold()
	}
	err = d.commitNow(func(c *commit) error {
		c.Session, c.Horizon = session, append(c.Horizon, marks...)
		return nil
	})
	if record.ClassOf(err) == record.StopHere || len(d.log.files) == 0 {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		c := d.gather()
		c.Session, c.Horizon = session, append(c.Horizon, marks...)
		d.state.Session = session
		d.state.extend(marks)
	}
	d.opened = d.state.reach()
	return session, nil
}

// Run commits what is written lazily within seconds and makes room, until ctx ends. It returns an error only when nothing can
// be written any more.
func (d *DB) Run(ctx context.Context) error {
	house := time.NewTicker(housekeeping)
	defer house.Stop()
	lazy := time.NewTimer(0)
	<-lazy.C
	defer lazy.Stop()
	waits, failed := false, false
	for {
		var err error
		select {
		case <-ctx.Done():
			if err := d.Flush(); record.ClassOf(err) == record.StopHere {
				return err
			}
			return nil // what found no room is done again after the next start
		case <-house.C:
			err = d.keepHouse()
			d.report(err)
		case <-lazy.C:
			err = d.lazily()
			if waits, failed = err != nil, err != nil; failed {
				lazy.Reset(lazyCommit)
			}
		case <-d.wake:
			if d.urgent() && !failed {
				err = d.lazily()
				failed = err != nil
			}
			if !waits {
				waits = true
				lazy.Reset(lazyCommit)
			}
		}
		if record.ClassOf(err) == record.StopHere {
			return err
		}
	}
}

// lazily commits what waits, and keeps why it could not.
func (d *DB) lazily() error {
	err := d.Flush()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lazyErr = err
	return err
}

// report notes how keeping house went, for Stats.
func (d *DB) report(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trouble = err
}

// unburden commits what waits when it is a good deal: no more is kept in memory than that. Called with turns held.
func (d *DB) unburden() error {
	d.mu.Lock()
	err, much := d.broken, d.pending != nil && len(d.pending.accepted)+len(d.pending.looked) > 20*pendingMost
	d.mu.Unlock()
	if err != nil || !much {
		return err
	}
	return d.commitNow(func(*commit) error { return nil })
}

func (d *DB) isPaused() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.paused
}

func (d *DB) urgent() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pending != nil && len(d.pending.accepted)+len(d.pending.looked) >= pendingMost
}

// Flush commits what waits: receipts, looks, a position.
func (d *DB) Flush() error {
	d.mu.Lock()
	waits := d.pending != nil
	d.mu.Unlock()
	if !waits {
		return d.failed()
	}
	return d.commit(func(*commit) error { return nil })
}

// gather gives the commit that goes next. Called with turns and mu held.
func (d *DB) gather() *commit {
	if d.pending == nil {
		d.pending = d.next()
		signal(d.wake)
	}
	return d.pending
}

// next begins a commit. Called with turns and mu held.
func (d *DB) next() *commit {
	return &commit{At: d.cfg.now(), number: d.state.Number + 1, first: d.state.Next}
}

// commit writes what waits and what fill adds, durably. After an error of fill, or on a full card, all is as before.
func (d *DB) commit(fill func(*commit) error) error {
	d.turns.Lock()
	defer d.turns.Unlock()
	return d.commitNow(fill)
}

// commitNow is commit for one that holds turns.
func (d *DB) commitNow(fill func(*commit) error) error {
	if err := d.failed(); err != nil {
		return err
	}
	d.mu.Lock()
	c := d.next()
	if d.pending != nil {
		*c = *d.pending
		c.accepted, c.refused, c.looked = slices.Clone(c.accepted), slices.Clone(c.refused), slices.Clone(c.looked)
	}
	c.QueueBytes = d.state.QueueBytes
	d.mu.Unlock()
	if err := fill(c); err != nil {
		return err
	}
	if c.empty() && !d.log.turnNext {
		return nil
	}
	if len(c.carried) == 0 {
		c.count = uint32(len(c.records))
		for i := range c.records {
			c.QueueBytes += int64(len(c.records[i].Payload))
		}
	}
	value, err := d.log.encode(c, func() *state { return d.after(c) })
	if err != nil {
		return record.Never(err)
	}
	if err := d.judge(d.log.append(c, value)); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.apply(c)
	d.pending = nil
	d.notice(c)
	d.cast(c.rows, c.At.Mono)
	d.lag.turned = d.lag.turned || c.State != nil && c.number > 1
	return nil
}

// after is the state that c leads to.
func (d *DB) after(c *commit) *state {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.state.clone()
	s.apply(c)
	return &s
}

// judge gives the error of a commit its class. A full card or file is met before the commit counts, and bbolt has taken
// everything back; after any other failure nobody knows what the card holds.
func (d *DB) judge(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, berrors.ErrMaxSizeReached):
		return fmt.Errorf("write %s: %w: %w", d.log.dir, ErrFull, err)
	case wantsRoom(err):
		return fmt.Errorf("write %s: %w: make room on the card", d.log.dir, err)
	}
	return d.fail(err)
}

func (d *DB) fail(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = record.Stop(fmt.Errorf("write %s: %w: nothing more is written to a card that failed; restart the agent, and replace the card if it happens again", d.log.dir, err))
	return d.broken
}

func (d *DB) failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.broken
}

// suspect ends all writing after a page fault: the next opening checks every page.
func (d *DB) suspect(err error) error {
	if !errors.Is(err, errFault) {
		return err
	}
	return d.fail(err)
}

// Close commits what waits and closes all files. Run has returned before.
func (d *DB) Close() error {
	err := d.Flush()
	if err == nil {
		err = d.flushRows()
	}
	if d.failed() != nil {
		err = nil // it was told when it broke
	}
	d.close()
	return err
}

func (d *DB) close() {
	d.log.close()
	if d.rows != nil {
		d.rows.close()
	}
}
