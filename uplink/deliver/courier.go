// Package deliver carries records from the outbox to Certyo and looks after them until their anchoring is proven.
//
//	outbox --Pick--> batch --Post--> receipts, refusals --Settle--> ledger, dead letters
//	ledger --Due---> record --Verify--> how it stands --Look--> evidence, or due again
//
// It promises
//
//   - Nothing is forgotten before it is confirmed: a record is settled only with Certyo's receipt for it, or with a refusal
//     of this very record while others were accepted.
//   - One change, one key: a record whose fate is unknown is posted again as it was, under the same idempotency key.
//   - Order per row: no record is posted while an older one of its row is under way, or was left open by an answer. Only within a
//     request may a row have several changes, in their order, and from the first answer on that accepted some records of a request
//     and left others open, no request of this run holds two. A row whose record is left open again and again holds only itself.
//   - Changes before history: states that were found go behind all changes that wait.
//   - Certyo's memory: a record that may have been posted more than 23 hours ago is looked for before it is posted again; if the
//     answer doesn't tell, its receipt is marked as possibly doubled.
//   - Verification never delays delivery: the two run side by side and share nothing but the service.
//
// When a batch is refused, it is split until the bad records are alone. If all of it is refused alike, the fault is not in
// the records (a wrong tenant, say): nothing is parked, all is held and said. So is a record that is refused alone, until
// one behind it is accepted.
//
// It never sends a record again by itself once it was accepted, not even one whose stored hash differs from ours, or one that
// Certyo doesn't know any more.
//
// How an accepted record stands, by the answers to its verifications:
//
//	pending      not anchored yet; asked again by the schedule. After Overdue: an alarm
//	anchored     proven; done
//	mismatch     Certyo's hash differs from that of the payload that was sent: an alarm until it is proven after all
//	superseded   the same, but a later change of the row was sent, and some services answer for the latest: no alarm, asked again
//	             ever more rarely, and retired after a day
//	missing      Certyo doesn't know it, and Overdue has passed since it was accepted: an alarm; asked again each hour
//	unclear      an answer that fits none of these; asked again by the schedule. After Overdue: an alarm
package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"station-agent/store/record"
)

// Outbox is the durable queue of records.
type Outbox interface {
	// Pick reads the oldest records that skip doesn't name, at most max of them and of about maxBytes, but at least one if there
	// is any: changes first, then states that were found and have no newer change (see record.Found). It removes none of those.
	// They come in the memory of into, which is used again: a payload is the store's own. Again and First say which may have
	// been posted before.
	Pick(into []record.Queued, max, maxBytes int, skip func(*record.Queued) bool) ([]record.Queued, error)
	// Posting is called before records are posted. That they may have been outlives a crash once it returns.
	Posting([]record.Queued) error
	// Settle moves records with a receipt to the ledger and those with a refusal to the dead letters, in one transaction. It
	// keeps no memory of the list.
	Settle([]record.Delivery) error
	// Changed signals after records came in. It holds one signal.
	Changed() <-chan struct{}
}

// Ledger is the durable set of records that Certyo accepted and whose anchoring is not proven yet. It lets a new one be due
// for the first time Config.Schedule[0] after it was accepted.
type Ledger interface {
	// Due lists what is to be looked at by now, the longest due first, and when the one behind it is due: zero if there is
	// none.
	Due(now time.Time, max int) (due []record.Unproven, next time.Time, err error)
	// Look notes what verifications said.
	Look([]record.Look) error
	// Changed signals after records came in. It holds one signal.
	Changed() <-chan struct{}
	Book
}

// Book tells how the records of a Ledger stand.
type Book interface {
	// Tally counts them by what their last looks said, also those of earlier runs.
	Tally() record.Tally
	// Holds tells whether a record is in it still: one may be given up for want of room.
	Holds(seq uint64) bool
	// Later tells whether a later change of the row of u was sent, so that an answer may be about that one.
	Later(u record.Unproven) (bool, error)
}

// Certyo is the service. Errors are of class record.Never if the request is refused for what it holds. An error with a
// method Held() bool that says true asks for another key; record.RetryAfter tells how long an error wants to be left alone.
type Certyo interface {
	// Post sends records in one request. The answers are aligned with records, without Seq: accepted with a Receipt, refused
	// for good with a Refusal, or neither: the answer left it open.
	Post(ctx context.Context, records []record.Record) ([]record.Delivery, error)
	// Verify asks for the anchoring of one record and returns the answer as JSON. record.Missing says that Certyo doesn't know
	// the record, or doesn't yet; record.Overtaken that the answer is about another version of the row.
	Verify(ctx context.Context, u record.Unproven) (record.Anchoring, json.RawMessage, error)
}

// Lookup is a Certyo that can be asked whether it has a record. The receipt is of the one it has.
type Lookup interface {
	Lookup(context.Context, record.Record) (record.Known, *record.Receipt, error)
}

// Snapshots is a Certyo that can be asked for all records of a snapshot at once. It is used for receipts that name one.
type Snapshots interface {
	// VerifySnapshot asks whether a snapshot is anchored, as Verify does.
	VerifySnapshot(ctx context.Context, id string) (record.Anchoring, json.RawMessage, error)
}

// Condition is the state of one thing outside: it is lost with a reason, or it is back. Both may be called as often as you
// like.
type Condition interface {
	Lost(err error)
	Back()
}

// Conditions are what a Courier reports. It needs them all.
type Conditions struct {
	Delivery     Condition // records go out
	Verification Condition // Certyo answers verifications
	Anchoring    Condition // what was accepted gets anchored in time
	Integrity    Condition // no stored hash differs from the record's
	Presence     Condition // Certyo knows what it accepted
}

// Config is what may be chosen. The zero value of a field, except Linger, stands for its default.
type Config struct {
	Linger   time.Duration // how long fewer records than a batch wait for company; 0: not at all
	Parallel int           // most requests with records at the same time, of different rows; default 2
	Spread   time.Duration // behind the first request of a run, which has a few records, the next waits up to so long; 0: it doesn't
	Batch    int           // most records in a request; default and limit of the service 1000
	MaxBytes int           // most bytes of payload in a request with more than one record; default 4 MiB

	Budget   Budget
	Hours    Hours           // when anything is sent; none: always
	DayBytes int64           // about so much is sent in a day (UTC); 0: no limit
	Schedule []time.Duration // waits before each verification; the last repeats; default 2m, 2m30s, 4m, 8m, 15m, 30m
	Overdue  time.Duration   // age at which an unanchored record is reported; default 1 h
	Singly   bool            // each record is asked for by itself, even if its receipt names a snapshot
}

func (c *Config) fill() {
	if c.Batch <= 0 || c.Batch > 1000 {
		c.Batch = 1000
	}
	if c.Parallel <= 0 {
		c.Parallel = 2
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 4 << 20
	}
	if len(c.Schedule) == 0 {
		c.Schedule = []time.Duration{2 * time.Minute, 150 * time.Second, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 30 * time.Minute}
	}
	c.Budget.fill()
	if c.Overdue <= 0 {
		c.Overdue = time.Hour
	}
}

// Courier is the delivery of one station.
type Courier struct {
	cfg    Config
	outbox Outbox
	ledger Ledger
	certyo Certyo
	conds  Conditions

	limiter *limiter
	lookup  Lookup        // nil if it can't be asked
	news    chan struct{} // a person said something

	// verification's own
	snapshots  Snapshots // nil if they can't be asked for, or shall not be
	overdue    standing
	mismatched standing
	missing    standing
}

// New makes a courier; Run sets it to work.
func New(cfg Config, outbox Outbox, ledger Ledger, certyo Certyo, conds Conditions) *Courier {
	cfg.fill()
	c := &Courier{
		cfg: cfg, outbox: outbox, ledger: ledger, certyo: certyo, conds: conds, limiter: newLimiter(&cfg),
		overdue: standing{}, mismatched: standing{}, missing: standing{}, news: make(chan struct{}, 1),
	}
	c.lookup, _ = certyo.(Lookup)
	if !cfg.Singly {
		c.snapshots, _ = certyo.(Snapshots)
	}
	return c
}

// Run delivers and verifies until ctx ends. It returns an error only of class record.Stop, from the store.
func (c *Courier) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var both sync.WaitGroup
	var errs [2]error
	for i, loop := range []func(context.Context) error{c.deliver, c.verify} {
		both.Go(func() {
			errs[i] = loop(ctx)
			cancel()
		})
	}
	both.Wait()
	return errors.Join(errs[:]...)
}
