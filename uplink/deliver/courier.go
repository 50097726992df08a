// Package deliver carries records from the outbox to Certyo and looks after them until their anchoring is proven.
//
//	outbox --Head--> batch --Post--> receipts, refusals --Settle--> ledger, dead letters
//	ledger --Due---> record --Verify--> anchored, pending, unclear, mismatch --Look--> evidence, or due again
//
// It promises
//
//   - Nothing is forgotten before it is confirmed: a record is settled only with Certyo's receipt for it, or with a refusal
//     of this very record in a round in which another one was accepted.
//   - One change, one key: a record whose fate is unknown is posted again as it was, under the same idempotency key.
//   - Order per row: a batch begins at the oldest record that isn't settled and holds the records behind it without a gap,
//     and one request ends before the next begins. So no record is posted before one of its row that is older and
//     unanswered, only with it or after it. One thing breaks this from outside: an answer that accepts some records of a
//     request and leaves others open can let a younger change of a row pass. From the first such answer on, no request of
//     this run holds two changes of a row.
//   - Verification never delays delivery: the two run side by side and share nothing but the service.
//
// When a batch is refused, it is split until the bad records are alone. If all of it is refused alike, the fault is not in
// the records (a wrong tenant, say): nothing is parked, all is held and said. So is a record that is refused alone, until
// one behind it is accepted.
//
// It never sends a record again by itself once it was accepted, not even one whose stored hash differs from ours.
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
	// Head reads the oldest records, at most max of them and of about maxBytes, but at least one if there is any. It
	// removes nothing. They come in the memory of into, which is used again: a payload is the store's own.
	Head(into []record.Queued, max, maxBytes int) ([]record.Queued, error)
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
	// Mismatches counts the records in it whose last look said record.Mismatch, also of earlier runs.
	Mismatches() int
	// Changed signals after records came in. It holds one signal.
	Changed() <-chan struct{}
}

// Certyo is the service. Errors are of class record.Never if the request is refused for what it holds. An error with a
// method Held() bool that says true asks for another key; record.RetryAfter tells how long an error wants to be left alone.
type Certyo interface {
	// Post sends records in one request. The answers are aligned with records, without Seq: accepted with a Receipt, refused
	// for good with a Refusal, or neither: the answer left it open.
	Post(ctx context.Context, records []record.Record) ([]record.Delivery, error)
	// Verify asks for the anchoring of one record and returns the answer as JSON.
	Verify(ctx context.Context, u record.Unproven) (record.Anchoring, json.RawMessage, error)
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
}

// Config is what may be chosen. The zero value of a field, except Linger, stands for its default.
type Config struct {
	Linger   time.Duration // how long fewer records than a batch wait for company; 0: not at all
	Batch    int           // most records in a request; default and limit of the service 1000
	MaxBytes int           // most bytes of payload in a request with more than one record; default 4 MiB

	Schedule        []time.Duration // waits before each verification; the last repeats; default 2m, 2m30s, 4m, 8m, 15m, 30m
	VerifyPerSecond int             // default 10
	Overdue         time.Duration   // age at which an unanchored record is reported; default 1 h
}

func (c *Config) fill() {
	if c.Batch <= 0 || c.Batch > 1000 {
		c.Batch = 1000
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 4 << 20
	}
	if len(c.Schedule) == 0 {
		c.Schedule = []time.Duration{2 * time.Minute, 150 * time.Second, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 30 * time.Minute}
	}
	if c.VerifyPerSecond <= 0 {
		c.VerifyPerSecond = 10
	}
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

	// delivery's own
	round round
	head  []record.Queued
	mixed bool                // an answer of this run left records open and accepted others
	held  bool                // the last round refused records and accepted none
	alike time.Time           // when a whole batch was last found refused alike, zero if not
	keys  map[string]struct{} // what cut has seen; kept from batch to batch
	rows  map[row]struct{}

	// verification's own
	pace       pace
	overdue    standing
	mismatched standing
}

// New makes a courier; Run sets it to work.
func New(cfg Config, outbox Outbox, ledger Ledger, certyo Certyo, conds Conditions) *Courier {
	cfg.fill()
	return &Courier{
		cfg: cfg, outbox: outbox, ledger: ledger, certyo: certyo, conds: conds, round: round{certyo: certyo},
		pace: pace{every: time.Second / time.Duration(cfg.VerifyPerSecond)}, overdue: standing{}, mismatched: standing{},
		keys: make(map[string]struct{}, cfg.Batch), rows: map[row]struct{}{},
	}
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
