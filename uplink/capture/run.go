package capture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"station-agent/store/record"
)

// Store takes in what is captured. Each method is durable when it returns. An error is to be tried again unless
// record.Stop marks it.
type Store interface {
	Position() (record.Position, error) // where the last Put or PutSnapshot ended; zero before the first
	Put(record.Group) error             // all of it or nothing
	Shadow(collection string, ids []string) (map[string]record.ShadowRow, error)
	ShadowAll(collection string, f func(record.ShadowRow) error) error
	BeginSnapshot() (run string, err error) // the same run until PutSnapshot ended it
	PutSnapshot(record.Group) error
}

// Salvager is a Store that may have lost what it took in, when its card is damaged. It may also give an older Position
// than before then: changes are read again, under the keys they had.
type Salvager interface {
	// Missed is why records of changes before Position may be lost, "" if none are. The PutSnapshot of the reconciliation
	// that follows ends it, in the same transaction.
	Missed() (reason string, err error)
}

// Condition is the state of one thing outside: it is lost with a reason, or it is back. Both may be called as often as
// you like.
type Condition interface {
	Lost(err error)
	Back()
}

// Config of a Runner.
type Config struct {
	Table    Spec
	Database string // the name in the records; the schema if empty
	Scope    Scope
}

// Runner moves changes from a Source into a Store.
type Runner struct {
	cfg    Config
	source Source
	store  Store
	cond   Condition

	refused time.Time // when the store last didn't take what it was given
	recent  recent

	armed chan struct{}
	arm   func()

	mu    sync.Mutex
	heard time.Time     // when the source last gave a sign
	delay time.Duration // how old the last transaction was then; 0 if nothing lay behind it
	last  time.Time     // commit time of the last transaction
	went  time.Time     // when capture last went on: something was stored, or nothing lay behind
}

const (
	pauseLeast = 250 * time.Millisecond
	pauseMost  = 15 * time.Second
	holdMost   = 5 * time.Second // between two tries to store; that asks nobody else
	healthy    = pauseMost       // a stream that lasted so long starts the pauses anew
	streamAge  = 24 * time.Hour  // then the stream is opened anew, so that rows that left long ago are forgotten
	silence    = 5 * time.Second
	steady     = 3 * holdMost // without a refusal of the store, before the all-clear
)

var (
	errRenew    = errors.New("open the stream anew")
	errSalvaged = Gap("the store lost records")
)

// New makes a Runner. The Condition is the source's: lost while changes can't be read or stored.
func New(cfg Config, source Source, store Store, cond Condition) (*Runner, error) {
	if err := cfg.Table.check(); err != nil {
		return nil, err
	}
	if cfg.Scope.Station == "" {
		return nil, errors.New("check capture: the UUID of the station is missing")
	}
	if cfg.Database == "" {
		cfg.Database = cfg.Table.Schema
	}
	cfg.Scope = cfg.Scope.ready()
	r := &Runner{cfg: cfg, source: source, store: store, cond: cond, armed: make(chan struct{})}
	r.arm = sync.OnceFunc(func() { close(r.armed) })
	return r, nil
}

// Armed is closed once a position is stored: from then on no change can be missed.
func (r *Runner) Armed() <-chan struct{} { return r.armed }

// Lag is how far capture is behind the source, as far as this machine's clock can tell; 0 when nothing lies behind.
func (r *Runner) Lag() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if quiet := time.Since(r.heard); !r.heard.IsZero() && quiet > silence {
		return r.delay + quiet
	}
	return r.delay
}

// LastEvent is the commit time of the last transaction that was read, zero before the first.
func (r *Runner) LastEvent() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// Stalled is how long capture hasn't gone on, 0 before Run: the source or the store stands in its way, or a transaction
// takes so long. It is short while nothing lies behind.
func (r *Runner) Stalled() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.went.IsZero() {
		return 0
	}
	return time.Since(r.went)
}

// Run captures until ctx ends. It returns an error only if the store is unusable.
func (r *Runner) Run(ctx context.Context) error {
	r.mu.Lock()
	r.heard = time.Now()
	r.went = r.heard
	r.mu.Unlock()
	pause := pauseLeast
	for ctx.Err() == nil {
		began := time.Now()
		err := r.once(ctx)
		switch {
		case record.ClassOf(err) == record.StopHere:
			return err
		case ctx.Err() != nil:
			return nil
		case err == nil || err == errRenew:
			pause = pauseLeast
			continue
		}
		r.cond.Lost(err)
		if time.Since(began) > healthy {
			pause = pauseLeast
		}
		rest(ctx, pause)
		pause = min(2*pause, pauseMost)
	}
	return nil
}

// rest waits for between a half and the whole of d.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d/2 + rand.N(d/2))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// once goes on from what is stored: it streams until that fails. At the first start, and after a gap in the log or in the
// store, it reads the rows.
func (r *Runner) once(ctx context.Context) error {
	from, err := r.store.Position()
	if err != nil {
		return fmt.Errorf("read position: %w", err)
	}
	missed, err := r.missed()
	switch {
	case err != nil:
		return err
	case missed != "":
		return r.compare(ctx, fmt.Errorf("%w: %s", errSalvaged, missed))
	case from.Zero():
		return r.reconcile(ctx, from, nil)
	}
	r.arm()
	err = r.stream(ctx, from)
	if !errors.Is(err, ErrGap) || ctx.Err() != nil {
		return err
	}
	return r.compare(ctx, err)
}

// missed is why the store may lack changes that lie before its position, "" if it doesn't.
func (r *Runner) missed() (string, error) {
	s, ok := r.store.(Salvager)
	if !ok {
		return "", nil
	}
	reason, err := s.Missed()
	if err != nil {
		return "", fmt.Errorf("ask the store for losses: %w", err)
	}
	return reason, nil
}

// compare reconciles after a gap and says so, by the error that it returns.
func (r *Runner) compare(ctx context.Context, gap error) error {
	from, err := r.store.Position()
	if err != nil {
		return fmt.Errorf("read position: %w", err)
	}
	if err := r.reconcile(ctx, from, gap); err != nil {
		return fmt.Errorf("%w; the rows must be compared, for %w", err, gap)
	}
	return fmt.Errorf("%w; the rows were compared and a record in %s says so", gap, Gaps)
}

// reconcile brings the Shadow up to the rows as they are now and stores that together with the position where the stream
// goes on.
func (r *Runner) reconcile(ctx context.Context, from record.Position, gap error) error {
	run, err := r.store.BeginSnapshot()
	if err != nil {
		return fmt.Errorf("begin snapshot: %w", err)
	}
	l := r.ledger()
	l.shadow, l.doubt = make(map[string]record.ShadowRow), errors.Is(gap, errSalvaged)
	var ids []string
	err = r.store.ShadowAll(l.spec.Collection(), func(row record.ShadowRow) error {
		l.shadow[row.ID] = row
		ids = append(ids, row.ID)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read shadow: %w", err)
	}
	to, found, err := r.source.Snapshot(ctx, l.spec, ids)
	if err != nil {
		return err
	}
	l.reconcile(run, to, found)
	if gap != nil {
		if err := l.missed(run, gap.Error(), from, to); err != nil {
			return err
		}
	}
	g := record.Group{Position: to, Records: l.records, Shadow: l.rows()}
	if err := r.hold(ctx, "store snapshot", func() error { return r.store.PutSnapshot(g) }); err != nil {
		return err
	}
	r.arm()
	return nil
}

func (r *Runner) ledger() *ledger {
	return &ledger{scope: &r.cfg.Scope, database: r.cfg.Database, spec: r.cfg.Table}
}
