package station

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"station-agent/station/gs1"
	"station-agent/station/presence"
	"station-agent/store/record"
)

// Journal is the durable log of the station.
type Journal interface {
	// Append writes e whole or not at all and returns after the flush, with the sequence and the intents' ids filled in.
	// After an error e did not happen; one of class StopHere says that no later entry can be taken either.
	Append(e record.Entry) (record.Entry, error)
	// Retry makes the parked intent id a new, open one, with all that have to be settled together with it, and returns after
	// the flush.
	Retry(id uint64) ([]record.Intent, error)
}

// Panel tells the operator. It is called from one goroutine and must not wait for anything.
type Panel interface {
	Show(s record.Scan, took time.Duration) // the verdict, and how long after the tag was decoded
	Resume(s record.Session)                // something was open when the agent was stopped: its label is asked for
	CallBack(p record.Parked)               // what was green went wrong afterwards: a person must look at the item; until acknowledged
}

// Read is a tag and the moment when it was decoded.
type Read struct {
	record.Tag
	At      time.Time
	Antenna int  // from 1; 0 if the reader doesn't tell
	RSSI    int  // how strong, in the reader's scale; 0 if it doesn't tell
	Lost    bool // no tag: the reader of that name is away
	Back    bool // no tag: it is there again
}

// Config is what a Bench needs to know.
type Config struct {
	Rules    Rules
	Start    record.State        // what the journal adds up to
	Stamp    func() record.Stamp // the stamp of this moment
	Labels   Labels
	Named    []record.Named  // which item a code added, lately, oldest first
	Presence presence.Config // when a tag comes onto an antenna and leaves it; Began is set by NewBench
	Queue    int             // reads that may wait for their verdict, 0 means 64; then the readers wait
	Tape     *Tape           // keeps the last of what went on; nil: nothing is kept

	// Noisy is told how many misreads, and codes that name nothing, of a reader were not told one by one, as they came faster than
	// anybody scans: at once and then each minute. It must not wait; nil for nobody.
	Noisy func(reader string, left int)
}

const (
	defaultQueue = 64
	tickAgain    = time.Second
)

// Bench turns reads into verdicts, one after the other.
type Bench struct {
	rules   Rules
	stamp   func() record.Stamp
	journal Journal
	picture *Picture
	labels  Labels
	panel   Panel
	state   State
	field   *presence.Filter
	stale   bool            // something happened since time went on
	pause   time.Duration   // since boot, until which time doesn't go on: the journal could not take what came of it
	parked  []record.Parked // at the start
	reads   chan Read
	retries chan retry
	pings   chan struct{}
	tape    *Tape
	asking  *asking           // what goes onto the tape of a question; nil without a tape
	numbers map[string]uint64 // reads so far, by reader
	spates  spates
	noisy   func(reader string, left int)

	told  chan struct{} // something is in ended
	mu    sync.Mutex
	ended []ending // in the order of the calls of Ended
}

type ending struct {
	record.Parked
	at time.Time
}

// retry is a person's wish.
type retry struct {
	id   uint64
	done chan<- error
}

// NewBench makes a bench that goes on where the journal ended, and lays its open intents over the picture.
func NewBench(c Config, journal Journal, picture *Picture, panel Panel) *Bench {
	if c.Queue == 0 {
		c.Queue = defaultQueue
	}
	for _, i := range c.Start.Open {
		picture.Intended(i)
	}
	now := c.Stamp()
	c.Presence.Began = now.Mono
	state := Resume(c.Start.Session, now)
	state.Units = serials(c.Named)
	var asks *asking
	if c.Tape != nil {
		c.Tape.begin(c.Rules.filled(), c.Stamp)
		picture.tape, asks = c.Tape, &asking{labels: c.Labels}
	}
	return &Bench{
		tape: c.Tape, asking: asks, numbers: map[string]uint64{}, spates: spates{}, noisy: c.Noisy,
		rules: c.Rules.filled(), stamp: c.Stamp, journal: journal, picture: picture, labels: c.Labels, panel: panel,
		state: state, field: presence.New(c.Presence), parked: c.Start.Parked,
		reads: make(chan Read, c.Queue), retries: make(chan retry), pings: make(chan struct{}), told: make(chan struct{}, 1),
	}
}

// Reads is where readers hand in what they read.
func (b *Bench) Reads() chan<- Read { return b.reads }

// Ended tells how an intent ended. It may be called from any goroutine and never waits.
func (b *Bench) Ended(o record.Outcome, i record.Intent) {
	b.mu.Lock()
	b.ended = append(b.ended, ending{record.Parked{Intent: i, Outcome: o}, time.Now()})
	b.mu.Unlock()
	signal(b.told)
}

// Retry makes a parked intent open again, on a person's word. It may be called from any goroutine.
func (b *Bench) Retry(ctx context.Context, id uint64) error {
	done := make(chan error, 1)
	select {
	case b.retries <- retry{id, done}:
		return <-done
	case <-ctx.Done():
		return fmt.Errorf("retry assignment %d: %w", id, ctx.Err())
	}
}

// Ping returns when the bench has done all that it was asked before, with an error if ctx ended first: a bench that hangs.
func (b *Bench) Ping(ctx context.Context) error {
	select {
	case b.pings <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ask the bench: %w", ctx.Err())
	}
}

// Run answers reads until ctx ends. It returns an error, of class StopHere, only if the journal can take no scan any more. A
// scan that it could not take this once (a full card) is answered with Fault, and the bench goes on.
func (b *Bench) Run(ctx context.Context) error {
	if b.state.Ask != Nothing {
		b.panel.Resume(b.state.Session.Clone())
	}
	for _, p := range b.parked { // the lamp may have gone out before anybody looked
		if !p.Seen {
			b.panel.CallBack(p)
		}
	}
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for b.stale = true; ; {
		if b.tape.full() {
			b.tape.turn(b.taped())
		}
		b.setAlarm(alarm)
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-b.told:
			b.learn()
		case r := <-b.retries:
			b.learn()
			b.stale = true
			r.done <- b.again(r.id)
		case r := <-b.reads:
			b.learn()
			err = b.judge(r)
		case <-b.pings:
		case <-b.picture.changed:
			b.stale = true
		case <-alarm.C:
		}
		if err = errors.Join(err, b.tick()); record.ClassOf(err) == record.StopHere {
			return err
		}
	}
}

// setAlarm wakes Run when the state has something to do though nothing happens.
func (b *Bench) setAlarm(t *time.Timer) {
	if at, ok := b.state.Deadline(b.rules); ok {
		t.Reset(max(time.Millisecond, max(at, b.pause)-b.stamp().Mono+time.Millisecond))
	}
}

// world is what there is outside the session at this moment.
func (b *Bench) world() World {
	now, at := time.Now(), b.stamp()
	return World{Now: at, Rows: b.picture, Labels: b.labels, Online: b.picture.Online(now), Age: b.picture.Age(now),
		Field: sync.OnceValue(func() []string { return b.field.Tags(at.Mono) })}
}

// judge gives one read its verdict.
func (b *Bench) judge(r Read) error {
	number := b.numbers[r.Reader]
	if !r.Lost && !r.Back {
		b.numbers[r.Reader]++
	}
	if r.Bad != "" && !b.tells(r, false) || r.Radio && !b.saw(r) {
		return nil
	}
	d, told := b.decide(&r.Tag, number, func(w World) (Decision, bool) {
		d := Decide(b.state, b.rules, r.Tag, w)
		return d, !d.Strange || b.tells(r, true)
	})
	if !told {
		return nil
	}
	return b.adopt(d, r.At)
}

// decide asks the session by f, and keeps the question if there is something to it. tag is nil if time went on.
func (b *Bench) decide(tag *record.Tag, number uint64, f func(World) (Decision, bool)) (Decision, bool) {
	b.picture.still.RLock()
	defer b.picture.still.RUnlock()
	w := b.world()
	if b.tape == nil {
		return f(w)
	}
	b.asking.asked = Asked{Tag: tag, Number: number, Now: w.Now, Online: w.Online, Age: w.Age}
	field := w.Field
	w.Labels, w.Field = b.asking, func() []string {
		b.asking.asked.Field = field()
		return b.asking.asked.Field
	}
	d, more := f(w)
	if more {
		b.tape.ask(b.asking.asked, d)
	}
	return d, more
}

// taped is all that the bench knows.
func (b *Bench) taped() *Start {
	b.picture.still.RLock()
	defer b.picture.still.RUnlock()
	return &Start{Rules: hiddenRules(b.rules), State: tapedState(b.state, b.rules), Rows: b.picture.taped(b.tape.mono)}
}

// saw tells whether a tag came onto an antenna: by the time when it was read, as the bench may have been held up since.
func (b *Bench) saw(r Read) bool {
	at := b.stamp().Mono - time.Since(r.At)
	switch {
	case r.Lost:
		b.field.Lost(r.Reader, at)
		return false
	case r.Back:
		b.field.Back(r.Reader, at)
		return false
	case r.Bad != "":
		return false
	}
	events := b.field.Feed(presence.Read{Reader: r.Reader, Antenna: r.Antenna, Code: r.Code, RSSI: r.RSSI, At: at})
	return len(events) > 0 && events[len(events)-1].Kind == presence.Came
}

// tick lets time go on, until nothing comes of it. It spares that after each of the thousand reads a second of tags that lie there.
func (b *Bench) tick() error {
	if at, ok := b.state.Deadline(b.rules); !b.stale && (!ok || b.stamp().Mono < at) {
		return nil
	}
	for b.stamp().Mono >= b.pause {
		d, more := b.decide(nil, 0, func(w World) (Decision, bool) { return Tick(b.state, b.rules, w) })
		if !more {
			b.pause, b.stale = 0, false
			break
		}
		if err := b.adopt(d, time.Now()); err != nil {
			b.pause = b.stamp().Mono + tickAgain
			return err
		}
		b.pause = 0
	}
	return nil
}

// adopt makes a decision true. Nothing is adopted or shown before the journal has it.
func (b *Bench) adopt(d Decision, at time.Time) error {
	if d.Scan != nil {
		began := time.Now()
		e, err := b.journal.Append(record.Entry{At: b.stamp(), Scan: d.Scan, Session: d.Session, Intents: d.Intents})
		b.field.Excuse(time.Since(began))
		defer b.tape.tell(d, e, err) // after the lamp
		if err != nil {
			if b.pause == 0 || d.tag().Reader != clockReader { // time tries again and again: said once
				b.panel.Show(b.fault(d.tag()), time.Since(at))
			}
			return fmt.Errorf("append scan to the journal: %w", err)
		}
		for n := range d.Next.Waiting {
			if w := &d.Next.Waiting[n]; w.Seq == 0 {
				w.Seq = e.Seq
			}
		}
		for _, i := range e.Intents {
			b.picture.Intended(i)
		}
	}
	if begins(b.state, d.Next) {
		b.field.Baseline(b.stamp().Mono)
	}
	b.stale = true
	looking := len(d.Next.Waiting) > len(b.state.Waiting)
	b.state = d.Next
	if d.Scan != nil {
		b.panel.Show(*d.Scan, time.Since(at))
	}
	b.picture.ask(hashesOf(b.state.Waiting), looking)
	return nil
}

// begins tells whether items go into the package from now on: what lies on the antennas doesn't.
func begins(was, next State) bool {
	return next.Package != "" && next.Ask == Nothing && (was.Package != next.Package || was.Ask != Nothing)
}

// hashesOf gives the codes that may be hashes.
func hashesOf(waiting []Wait) (hashes []string) {
	for _, w := range waiting {
		if utf8.RuneCountInString(w.Tag.Code) == hashLen {
			hashes = append(hashes, w.Tag.Code)
		}
	}
	return hashes
}

// fault is the verdict on what could not be saved.
func (b *Bench) fault(tag record.Tag) record.Scan {
	s := record.Scan{Tag: tag, Verdict: record.Fault, Count: len(b.state.Items),
		Text: "the scan could not be saved and does not count: call service, then scan it again"}
	if tag.Reader == clockReader {
		s.Text = "nothing can be saved: call service"
	}
	return s
}

// serials gives those of the codes that name one unit each.
func serials(named []record.Named) (u units) {
	for _, n := range named {
		if g, ok := gs1.GTINOf(n.Code); ok && g.Serial != "" {
			u = u.with(n.Code, n.Hash)
		}
	}
	return u
}

// again makes a parked intent open again.
func (b *Bench) again(id uint64) error {
	intents, err := b.journal.Retry(id)
	if len(intents) > 0 {
		b.tape.add(Event{Again: intents}, 256*len(intents))
	}
	for _, i := range intents {
		b.picture.Intended(i)
	}
	return err
}

// learn takes in how intents ended. The bench does it itself, so that an intent is never taken off the picture before it
// was laid over, however quickly it settled.
func (b *Bench) learn() {
	b.mu.Lock()
	list := b.ended
	b.ended = nil
	b.mu.Unlock()
	b.stale = b.stale || len(list) > 0
	for _, e := range list {
		b.tape.ended(e)
		b.picture.Ended(e.Hash, e.Outcome, e.at)
		if e.Outcome.Result.Parks() {
			b.panel.CallBack(e.Parked)
		}
	}
}
