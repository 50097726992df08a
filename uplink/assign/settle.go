package assign

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"station-agent/store/record"
)

const races = 10 // lost in a row before an intent waits its turn again

// Intents is the journal's side of settling.
type Intents interface {
	// Open gives the intents without an outcome, oldest first.
	Open() []record.Intent
	// Settle makes outcomes durable. An error means that none is.
	Settle(...record.Outcome) error
	// Changed gives a channel that becomes ready when Open gives something new after this call.
	Changed() <-chan struct{}
}

// SettlerConfig is what a Settler needs. Gate and Ended may be nil.
type SettlerConfig struct {
	DB        *sql.DB           // in found-rows mode
	Explain   func(error) error // gives errors of DB their class, their text and, if known, NotDone, Contended, Unknown() bool
	Table     string            // "external.buylo_products"
	Intents   Intents
	Condition Condition
	Timeout   time.Duration // of one statement; default 10 s

	// Gate holds the first write back until it is closed: until capture has stored where it starts. A write before that place
	// would change a row and never be anchored.
	Gate <-chan struct{}

	// Ended is told of each intent that ended, after its outcome is durable, from the goroutine of Run.
	Ended func(record.Intent, record.Outcome)
}

// Settler ends intents, one job after another.
type Settler struct {
	cfg      SettlerConfig
	swap     statement
	look     statement
	stuck    string // a row of the job that failed last: it goes last in the next pass, so that one locked row holds nobody up
	patience patience
	doubts   doubts
	grace    time.Duration // in which a statement without an answer may still run
}

// NewSettler connects to nothing; its error is that of the table's name. What is open by now, it takes for the work of a
// process before, which may have tried it.
func NewSettler(cfg SettlerConfig) (*Settler, error) {
	table, err := quote(cfg.Table)
	if err != nil {
		return nil, err
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = statementTime
	}
	if cfg.Ended == nil {
		cfg.Ended = func(record.Intent, record.Outcome) {}
	}
	// "hash = ?" finds the row by the primary key, the casts compare bytes.
	swap := "UPDATE " + table + " SET external_package_id = ? WHERE hash = ?" +
		" AND CAST(CONVERT(hash USING utf8mb4) AS BINARY) = CAST(? AS BINARY)" +
		" AND CAST(CONVERT(external_package_id USING utf8mb4) AS BINARY) <=> CAST(? AS BINARY)"
	look := "SELECT hash, external_package_id FROM " + table + " WHERE hash = ?"
	s := &Settler{
		cfg:      cfg,
		swap:     statement{db: cfg.DB, text: swap, limit: cfg.Timeout},
		look:     statement{db: cfg.DB, text: look, limit: cfg.Timeout},
		patience: newPatience(),
		doubts:   doubts{},
		grace:    lockWait + cfg.Timeout,
	}
	s.doubts.assume(cfg.Intents.Open(), time.Now().Add(s.grace))
	return s, nil
}

// Run settles until ctx ends, which gives nil. An error is one that stops the agent (record.Stop), from the journal.
func (s *Settler) Run(ctx context.Context) error {
	defer s.swap.close()
	defer s.look.close()
	if s.cfg.Gate != nil && !wait(ctx, s.cfg.Gate) {
		return nil
	}
	for {
		changed := s.cfg.Intents.Changed() // asked for before Open, so that nothing slips between
		held, err := s.pass(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case record.ClassOf(err) == record.StopHere:
			return err
		case err != nil:
			d, tell := s.patience.fail(err)
			if tell {
				s.cfg.Condition.Lost(err)
			}
			pause(ctx, d)
		case held:
			rest(ctx, time.Second, changed)
		default:
			wait(ctx, changed)
		}
	}
}

// wait tells whether c became ready before ctx ended.
func wait(ctx context.Context, c <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return false
	case <-c:
		return true
	}
}

func pause(ctx context.Context, d time.Duration) { rest(ctx, d, nil) }

// rest waits for d, or until c is ready.
func rest(ctx context.Context, d time.Duration, c <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-c:
	}
}

// pass settles what is open, up to the first job that can't be settled now. It tells whether rows are held open though they
// show what is wanted, as a statement may still run that changes them.
func (s *Settler) pass(ctx context.Context) (held bool, err error) {
	now := time.Now()
	s.doubts.forget(now)
	newest, older := sift(s.cfg.Intents.Open())
	holds := map[string]bool{}
	for _, i := range newest {
		if s.doubts.hold(i, now) {
			holds[i.Hash] = true
		}
	}
	older = slices.DeleteFunc(older, func(i record.Intent) bool { return holds[i.Hash] })
	if err := s.supersede(older); err != nil {
		return false, err
	}
	for _, j := range turn(gather(newest), s.stuck) {
		list, err := s.settle(ctx, j)
		if err != nil {
			s.stuck = j[0].Hash
			return false, err
		}
		if slices.ContainsFunc(j, func(i record.Intent) bool { return holds[i.Hash] }) {
			continue // all of it: it ends in one write
		}
		if err := s.end(list); err != nil {
			return false, err
		}
	}
	s.patience.over()
	return len(holds) > 0, nil
}

// sift parts the newest intent of each row, which is all that is wanted of it, from those it replaced.
func sift(open []record.Intent) (newest, older []record.Intent) {
	last := make(map[string]uint64, len(open))
	for _, i := range open {
		last[i.Hash] = max(last[i.Hash], i.ID)
	}
	for _, i := range open {
		if i.ID == last[i.Hash] {
			newest = append(newest, i)
		} else {
			older = append(older, i)
		}
	}
	return newest, older
}

// turn begins the list behind the job with the row named stuck and comes to that one last.
func turn(list []job, stuck string) []job {
	n := 1 + slices.IndexFunc(list, func(j job) bool { return j.has(stuck) })
	return slices.Concat(list[n:], list[:n])
}

func (s *Settler) supersede(older []record.Intent) error {
	if len(older) == 0 {
		return nil
	}
	list := make([]ending, len(older))
	for n, i := range older {
		list[n] = ending{i, record.Outcome{Intent: i.ID, Result: record.Superseded}}
	}
	return s.end(list)
}

// end notes what became of intents, in one write.
func (s *Settler) end(list []ending) error {
	outcomes := make([]record.Outcome, len(list))
	for n, e := range list {
		outcomes[n] = e.outcome
	}
	if err := s.cfg.Intents.Settle(outcomes...); err != nil {
		return fmt.Errorf("note outcome of intent: %w", err)
	}
	for _, e := range list {
		s.cfg.Ended(e.intent, e.outcome)
	}
	return nil
}

// settle brings the rows of j to what is wanted of them, or finds out why it must not. An error leaves j open.
func (s *Settler) settle(ctx context.Context, j job) ([]ending, error) {
	if unfit := j.unfit(); len(unfit) > 0 { // the server isn't asked
		return j.park(unfit), nil
	}
	attempt := s.attempt
	if len(j) > 1 {
		attempt = s.attemptAll
	}
	list, err := attempt(ctx, j)
	if err != nil {
		if record.ClassOf(err) != record.ThisOne || ctx.Err() != nil {
			return nil, err
		}
		list = j.park([]record.Outcome{refuse(j.culprit(err), err)})
	}
	s.patience.reset()
	s.cfg.Condition.Back()
	return list, nil
}
