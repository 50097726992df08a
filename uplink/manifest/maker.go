package manifest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"time"

	"station-agent/store/record"
)

// Journal is where it is written what happened at the bench.
type Journal interface {
	// Seq is the sequence of the last entry.
	Seq() uint64
	// Follow gives f, in order, the entries behind a sequence that can't be lost any more, each with what all before it add
	// up to. S is the caller's: what was followed so far.
	Follow(s *record.State, after uint64, f func(e record.Entry, before *record.State) error) error
}

// Outbox is the durable queue of records, with a position and a shadow of this package's own.
type Outbox interface {
	Position() (record.Position, error)
	// Put takes in records, shadow and position, all or nothing; a position alone is durable after Flush.
	Put(record.Group) error
	Flush() error
	// Shadow gives the last manifests of packages, by the ids of their records.
	Shadow(collection string, ids []string) (map[string]record.ShadowRow, error)
	// ShadowIDs gives up to n ids behind one, in order.
	ShadowIDs(collection, after string, n int) ([]string, error)
}

// Condition is the state of one thing outside.
type Condition interface {
	Lost(err error)
	Back()
}

// Config is what a Maker needs; all of it.
type Config struct {
	Database string        // in the records
	Station  string        // UUID
	Store    string        // the journal's id
	Wait     time.Duration // how long a closing waits for the rows
	Keep     time.Duration // how long the last manifest of a package is remembered
	Every    time.Duration // between two looks at the journal
	Now      func() record.Stamp
}

// Maker makes manifests.
type Maker struct {
	cfg     Config
	journal Journal
	outbox  Outbox
	cond    Condition

	begun  bool
	began  uint64       // the first of these runs began behind this entry: what packages held before isn't known
	from   uint64       // entries behind this one are followed
	done   uint64       // every manifest of entries up to this one is in the outbox
	noted  uint64       // the same as the outbox has it
	top    int64        // the highest version that was given to any manifest
	state  record.State // of all entries that were followed
	book   book
	looked [2]uint64     // up to where ahead has looked, and for which last closing
	queue  []*closing    // in the order of the journal, which is that of the manifests
	sweep  time.Duration // when old packages are to be forgotten next, since boot
}

// closing is an entry that asks for manifests.
type closing struct {
	seq     uint64
	at      record.Stamp
	after   string // the step or result
	badge   *record.Badge
	seen    record.Stamp // when it was read
	changes []change     // by package
}

// change is a package as an entry left it. Outcomes that come later are noted in it.
type change struct {
	pkg string
	*contents
}

const (
	way       = "manifest" // of the position
	noteEvery = 500        // entries without a manifest before the mark is noted by itself
	queueMost = 300        // closings in memory; the others wait in the journal
	restSome  = 64         // packages in memory before those at rest are looked for
)

// New makes a Maker. Run works it.
func New(cfg Config, journal Journal, outbox Outbox, cond Condition) *Maker {
	m := &Maker{cfg: cfg, journal: journal, outbox: outbox, cond: cond}
	m.book = book{of: map[string]*contents{}, last: m.base}
	return m
}

// Run makes manifests until ctx ends. It returns an error only if the store is unusable.
func (m *Maker) Run(ctx context.Context) error {
	tick := time.NewTicker(m.cfg.Every)
	defer tick.Stop()
	for {
		err := m.Step()
		switch {
		case record.ClassOf(err) == record.StopHere:
			return err
		case err != nil:
			m.cond.Lost(err)
		default:
			m.cond.Back()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Step makes the manifests that can be made now. Run calls it again and again.
func (m *Maker) Step() error {
	err := m.begin()
	if err == nil {
		err = m.follow()
	}
	for err == nil && len(m.queue) > 0 && m.ready(m.queue[0]) {
		if err = m.make(m.queue[0]); err == nil {
			m.done, m.queue = m.queue[0].seq, m.queue[1:]
		}
	}
	if err == nil {
		err = m.note()
	}
	if err == nil {
		err = m.forgetOld()
	}
	if err != nil {
		return fmt.Errorf("make manifests: %w", err)
	}
	return nil
}

// begin finds the mark of the last run. The first run begins with what happens from now on, and says so durably. So does one
// whose journal has lost what was behind the mark, as it uses those sequences again.
func (m *Maker) begin() error {
	if m.begun {
		return nil
	}
	p, err := m.outbox.Position()
	if err != nil {
		return err
	}
	m.from, m.done = uint64(max(p.Begun, 0)), p.Pos
	began, bad := strconv.ParseUint(p.Taken, 10, 64)
	m.top, _ = strconv.ParseInt(p.Sweep, 10, 64) // 0 if none was given
	m.began = began
	if last := m.journal.Seq(); p.Way != way || p.File != m.cfg.Store || bad != nil || p.Pos > last {
		m.began, m.from, m.done = last, last, last
		if err := m.outbox.Put(record.Group{Position: m.position(last)}); err != nil {
			return err
		}
		if err := m.outbox.Flush(); err != nil {
			return err
		}
	}
	m.noted, m.begun = m.done, true
	return nil
}

// position is the mark: manifests of all entries up to done are made. Those from Begun on have to be followed again, as packages
// that are open, or whose manifests are yet to be made, came about there. Taken is where it all began, Sweep the highest version.
func (m *Maker) position(done uint64) record.Position {
	from := done
	for _, c := range m.book.of {
		from = min(from, c.since-1)
	}
	return record.Position{Way: way, File: m.cfg.Store, Pos: done, Begun: int64(from), Taken: strconv.FormatUint(m.began, 10),
		Sweep: strconv.FormatInt(m.top, 10)}
}

var errQueued = errors.New("enough is queued")

// follow reads what is new in the journal.
func (m *Maker) follow() error {
	if m.journal.Seq() == m.state.Seq {
		return nil
	}
	err := m.journal.Follow(&m.state, m.from, m.read)
	if errors.Is(err, errQueued) {
		err = m.ahead()
	}
	if err == nil {
		return nil
	}
	m.looked = [2]uint64{}
	m.begun, m.state, m.queue, m.book.of = false, record.State{}, nil, map[string]*contents{} // half an entry may be in there: from the mark again
	return fmt.Errorf("read journal: %w", err)
}

// ahead looks for what became of the rows of those that are queued in the entries that have to wait: behind a long outage the outcomes
// lie there, and nobody would take a closing out to make room for them before Config.Wait is over.
func (m *Maker) ahead() error {
	looked := [2]uint64{m.journal.Seq(), m.queue[len(m.queue)-1].seq}
	if looked == m.looked || m.ready(m.queue[0]) {
		return nil
	}
	state := m.state.Clone()
	err := m.journal.Follow(&state, m.from, func(e record.Entry, _ *record.State) error {
		m.ended(e)
		return nil
	})
	if err == nil {
		m.looked = looked
	}
	return err
}

// ended notes an outcome in those that are queued. Noted twice is noted once.
func (m *Maker) ended(e record.Entry) {
	if e.Outcome == nil {
		return
	}
	for _, q := range m.queue {
		for _, c := range q.changes {
			c.end(*e.Outcome)
		}
	}
}

// read takes one entry in, and queues the manifests that it asks for.
func (m *Maker) read(e record.Entry, before *record.State) error {
	if len(m.queue) >= queueMost {
		return errQueued
	}
	if len(m.book.of) > restSome {
		m.rest(before.Session)
	}
	f, err := m.book.apply(e, before)
	if err != nil {
		return err
	}
	m.ended(e)
	if e.Seq <= m.done {
		return nil
	}
	q := &closing{seq: e.Seq, at: e.At, after: after(e), badge: badge(e, before), seen: m.cfg.Now()}
	for pkg, closed := range f.touched {
		if !closed {
			if known, err := m.known(pkg); err != nil {
				return err
			} else if !known {
				continue
			}
		}
		q.changes = append(q.changes, change{pkg, m.book.of[pkg].clone()})
	}
	if len(q.changes) > 0 {
		sort.Slice(q.changes, func(i, k int) bool { return q.changes[i].pkg < q.changes[k].pkg })
		m.queue = append(m.queue, q)
	}
	return nil
}

// after says what an entry was.
func after(e record.Entry) string {
	switch {
	case e.Scan != nil && e.Scan.Step != record.None:
		return string(e.Scan.Step)
	case e.Outcome != nil:
		return string(e.Outcome.Result)
	}
	return "retried"
}

// badge is who was signed on.
func badge(e record.Entry, before *record.State) *record.Badge {
	if e.Scan == nil {
		return nil
	}
	if before.Session.Badge != nil {
		return before.Session.Badge
	}
	return e.Scan.Badge
}

// known tells whether the package has a manifest, or will have by then.
func (m *Maker) known(pkg string) (bool, error) {
	if m.queued(pkg) {
		return true, nil
	}
	base, err := m.base(pkg)
	return base != nil, err
}

// base is the last manifest of a package, if what it says of it can be built on: nothing happened to the package unseen since.
func (m *Maker) base(pkg string) (*Manifest, error) {
	last, _, err := m.last(pkg)
	if last == nil || last.Store != m.cfg.Store || last.Seq <= m.began || last.Seq > m.done {
		return nil, err
	}
	return last, err
}

func (m *Maker) queued(pkg string) bool {
	for _, q := range m.queue {
		if slices.ContainsFunc(q.changes, func(c change) bool { return c.pkg == pkg }) {
			return true
		}
	}
	return false
}

// rest lets go of the packages that are closed and whose manifests are made: they begin from those.
func (m *Maker) rest(s record.Session) {
	for pkg := range m.book.of {
		if pkg != s.Package && (pkg != "" || len(s.Items) == 0) && !m.queued(pkg) {
			delete(m.book.of, pkg)
		}
	}
}

// ready tells whether the rows say what became of the closing, or it has waited long enough.
func (m *Maker) ready(q *closing) bool {
	if !slices.ContainsFunc(q.changes, func(c change) bool { return c.waits() }) {
		return true
	}
	now, since := m.cfg.Now(), q.at
	if since.Boot != now.Boot { // nobody knows how long the station was off
		since = q.seen
	}
	return now.Mono-since.Mono >= m.cfg.Wait
}

// note keeps how far manifests are made when that is a good deal further than it was noted with one.
func (m *Maker) note() error {
	if len(m.queue) == 0 {
		m.done = max(m.done, m.state.Seq)
	}
	m.rest(m.state.Session)
	if m.done < m.noted+noteEvery {
		return nil
	}
	err := m.outbox.Put(record.Group{Position: m.position(m.done)})
	if err == nil {
		m.noted = m.done
	}
	return err
}
