package station

import (
	"context"
	"fmt"
	"sync"
	"time"

	"station-agent/store/record"
)

// Journal is the durable log of the station.
type Journal interface {
	// Append writes e whole or not at all and returns after the flush, with the sequence and the intents' ids filled in.
	// After an error e did not happen; one of class StopHere says that no later entry can be taken either.
	Append(e record.Entry) (record.Entry, error)
}

// Panel tells the operator. It is called from one goroutine and must not wait for anything.
type Panel interface {
	Show(s record.Scan, took time.Duration) // the verdict, and how long after the tag was decoded
	Resume(s record.Session)                // a package was open when the agent was stopped, and still is
	CallBack(p record.Parked)               // what was green went wrong afterwards: a person must look at the item
}

// Read is a tag and the moment when it was decoded.
type Read struct {
	record.Tag
	At time.Time
}

// Config is what a Bench needs to know.
type Config struct {
	Rules Rules
	Start record.State        // what the journal adds up to
	Stamp func() record.Stamp // the stamp of this moment
	Queue int                 // reads that may wait for their verdict, 0 means 64; then the readers wait
}

const defaultQueue = 64

// Bench turns reads into verdicts, one after the other.
type Bench struct {
	rules   Rules
	stamp   func() record.Stamp
	journal Journal
	picture *Picture
	panel   Panel
	session record.Session
	parked  []record.Parked // at the start
	reads   chan Read

	told  chan struct{} // something is in ended
	mu    sync.Mutex
	ended []ending // in the order of the calls of Ended
}

type ending struct {
	record.Parked
	at time.Time
}

// NewBench makes a bench that goes on where the journal ended, and lays its open intents over the picture.
func NewBench(c Config, journal Journal, picture *Picture, panel Panel) *Bench {
	if c.Queue == 0 {
		c.Queue = defaultQueue
	}
	for _, i := range c.Start.Open {
		picture.Intended(i)
	}
	return &Bench{
		rules: c.Rules, stamp: c.Stamp, journal: journal, picture: picture, panel: panel,
		session: c.Start.Session.Clone(), parked: c.Start.Parked, reads: make(chan Read, c.Queue), told: make(chan struct{}, 1),
	}
}

// Reads is where readers hand in what they read.
func (b *Bench) Reads() chan<- Read { return b.reads }

// Ended tells how an intent ended. It may be called from any goroutine and never waits.
func (b *Bench) Ended(o record.Outcome, i record.Intent) {
	b.mu.Lock()
	b.ended = append(b.ended, ending{record.Parked{Intent: i, Outcome: o}, time.Now()})
	b.mu.Unlock()
	select {
	case b.told <- struct{}{}:
	default:
	}
}

// Run answers reads until ctx ends. It returns an error, of class StopHere, only if the journal can take no scan any more. A
// scan that it could not take this once (a full card) is answered with Fault, and the bench goes on.
func (b *Bench) Run(ctx context.Context) error {
	if b.session.Package != "" {
		b.panel.Resume(b.session.Clone())
	}
	for _, p := range b.parked { // the lamp may have gone out before anybody looked
		b.panel.CallBack(p)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.told:
			b.learn()
		case r := <-b.reads:
			b.learn()
			if err := b.judge(r); record.ClassOf(err) == record.StopHere {
				return err
			}
		}
	}
}

// judge gives one read its verdict. Nothing is adopted or shown before the journal has it.
func (b *Bench) judge(r Read) error {
	d := Decide(b.session, b.rules, r.Tag, b.picture, b.picture.Online(time.Now()))
	e, err := b.journal.Append(record.Entry{At: b.stamp(), Scan: &d.Scan, Session: d.Session, Intents: d.Intents})
	if err != nil {
		b.panel.Show(fault(r.Tag, len(b.session.Items)), time.Since(r.At))
		return fmt.Errorf("append scan to the journal: %w", err)
	}
	if d.Session != nil {
		b.session = *d.Session
	}
	for _, i := range e.Intents {
		b.picture.Intended(i)
	}
	b.panel.Show(d.Scan, time.Since(r.At))
	if d.Scan.Verdict == record.Unknown {
		b.picture.ask()
	}
	return nil
}

// fault is the verdict on a tag that could not be saved.
func fault(tag record.Tag, count int) record.Scan {
	return record.Scan{Tag: tag, Verdict: record.Fault, Count: count,
		Text: "the scan could not be saved and does not count: call service, then scan it again"}
}

// learn takes in how intents ended. The bench does it itself, so that an intent is never taken off the picture before it
// was laid over, however quickly it settled.
func (b *Bench) learn() {
	b.mu.Lock()
	list := b.ended
	b.ended = nil
	b.mu.Unlock()
	for _, e := range list {
		b.picture.Ended(e.Hash, e.Outcome, e.at)
		if e.Outcome.Result.Parks() {
			b.panel.CallBack(e.Parked)
		}
	}
}
