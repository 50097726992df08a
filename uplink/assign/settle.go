package assign

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"station-agent/store/record"
)

const (
	columnWidth = 64 // of external_package_id, in characters (Buylo's external integration guide, section 3)
	races       = 10 // lost in a row before an intent waits its turn again
)

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
	Explain   func(error) error // gives errors of DB their class, their text and, if it is known, NotDone() bool
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

// Settler ends intents, one row after another.
type Settler struct {
	cfg     SettlerConfig
	swap    statement
	look    statement
	stuck   string // the row that failed last: it goes last in the next pass, so that one locked row holds nobody up
	backoff backoff
	doubts  doubts
	grace   time.Duration // in which a statement without an answer may still run
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
		cfg:     cfg,
		swap:    statement{db: cfg.DB, text: swap, limit: cfg.Timeout},
		look:    statement{db: cfg.DB, text: look, limit: cfg.Timeout},
		backoff: backoff{max: 15 * time.Second},
		doubts:  doubts{},
		grace:   lockWait + cfg.Timeout,
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
			s.cfg.Condition.Lost(err)
			pause(ctx, s.backoff.next())
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

// pass settles what is open, up to the first intent that can't be settled now. It tells whether rows are held open though
// they show what is wanted, as a statement may still run that changes them.
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
	for _, i := range turn(newest, s.stuck) {
		o, err := s.settle(ctx, i)
		if err != nil {
			s.stuck = i.Hash
			return false, err
		}
		if holds[i.Hash] {
			continue
		}
		if err := s.end([]record.Intent{i}, []record.Outcome{o}); err != nil {
			return false, err
		}
	}
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

// turn begins the list behind the row named stuck and comes to that one last.
func turn(list []record.Intent, stuck string) []record.Intent {
	n := 1 + slices.IndexFunc(list, func(i record.Intent) bool { return i.Hash == stuck })
	return slices.Concat(list[n:], list[:n])
}

func (s *Settler) supersede(older []record.Intent) error {
	if len(older) == 0 {
		return nil
	}
	outcomes := make([]record.Outcome, len(older))
	for n, i := range older {
		outcomes[n] = record.Outcome{Intent: i.ID, Result: record.Superseded}
	}
	return s.end(older, outcomes)
}

func (s *Settler) end(intents []record.Intent, outcomes []record.Outcome) error {
	if err := s.cfg.Intents.Settle(outcomes...); err != nil {
		return fmt.Errorf("note outcome of intent: %w", err)
	}
	for n, i := range intents {
		s.cfg.Ended(i, outcomes[n])
	}
	return nil
}

// settle brings one row to what the intent wants, or finds out why it must not. An error leaves the intent open.
func (s *Settler) settle(ctx context.Context, i record.Intent) (record.Outcome, error) {
	if err := fit(i.Package); err != nil { // the server isn't asked
		return refuse(i, err), nil
	}
	o, err := s.attempt(ctx, i)
	if err != nil {
		err = s.cfg.Explain(err)
		if record.ClassOf(err) != record.ThisOne || ctx.Err() != nil {
			return o, fmt.Errorf("settle item %q: %w", i.Hash, err)
		}
		o = refuse(i, err)
	}
	s.cfg.Condition.Back()
	s.backoff.reset()
	return o, nil
}

func refuse(i record.Intent, err error) record.Outcome {
	return record.Outcome{Intent: i.ID, Result: record.Refused, Text: fmt.Sprintf("settle item %q: %v", i.Hash, err)}
}

// attempt guesses what the row shows and swaps it, which is one statement for the usual intent. A wrong guess changes
// nothing; then the row is read and judged.
func (s *Settler) attempt(ctx context.Context, i record.Intent) (record.Outcome, error) {
	expect, worth := guess(i)
	for range races {
		if worth {
			done, err := s.exchange(ctx, i, expect)
			if err != nil || done {
				return record.Outcome{Intent: i.ID, Result: record.Settled}, err
			}
		}
		found, there, err := s.read(ctx, i.Hash)
		if err != nil {
			return record.Outcome{}, err
		}
		if o, over := judge(i, found, there); over {
			return o, nil
		}
		expect, worth = found, true
	}
	return record.Outcome{}, errors.New("somebody else changes the row all the time: tried again")
}

// fit refuses what the column would take and show differently: "" is never meant, and blanks beyond the width are cut
// without an error in any mode of the server.
func fit(p record.Value) error {
	switch {
	case p == nil:
		return nil
	case *p == "":
		return errors.New("write package: an empty name is never written; to clear an item is another intent")
	case utf8.RuneCountInString(*p) > columnWidth:
		return fmt.Errorf("write package %q: longer than %d characters", *p, columnWidth)
	}
	return nil
}

// guess is the value the row most likely shows: of those that may be replaced, the one named last.
func guess(i record.Intent) (v record.Value, ok bool) {
	for _, r := range slices.Backward(i.Replaces) {
		if !record.Same(r, i.Package) {
			return r, true
		}
	}
	return nil, false
}

// judge is the answer of a row to an intent; it isn't over while the row shows a value that may be replaced.
func judge(i record.Intent, found record.Value, there bool) (o record.Outcome, over bool) {
	o.Intent = i.ID
	switch {
	case !there:
		o.Result, o.Text = record.NoSuchRow, fmt.Sprintf("item %q isn't in the table: it was removed upstream, or the code is wrong", i.Hash)
	case record.Same(found, i.Package):
		o.Result = record.SameValue
	case i.May(found):
		return o, false
	default:
		o.Result, o.Found = record.OtherValue, found
		o.Text = fmt.Sprintf("item %q is %s, so it wasn't %s: look at the item", i.Hash, inside(found), put(i.Package))
	}
	return o, true
}

func inside(v record.Value) string {
	if v == nil {
		return "in no package"
	}
	return fmt.Sprintf("in package %q", *v)
}

func put(v record.Value) string {
	if v == nil {
		return "cleared"
	}
	return fmt.Sprintf("put into %q", *v)
}

// exchange writes the wanted value if the row shows expect, and tells whether it did. expect differs from the wanted
// value, so a row that matched is a row that changed. Without an answer it may still run.
func (s *Settler) exchange(ctx context.Context, i record.Intent, expect record.Value) (done bool, err error) {
	err = s.swap.use(ctx, func(ctx context.Context, stmt *sql.Stmt) error {
		res, err := stmt.ExecContext(ctx, i.Package, i.Hash, i.Hash, expect)
		if err = s.cfg.Explain(err); err != nil {
			if !notDone(err) {
				s.doubts.add(i.Hash, expect, time.Now().Add(s.grace))
			}
			return err
		}
		n, err := res.RowsAffected()
		done = n == 1
		return err
	})
	return done, err
}

// read gives the value of the row that carries exactly this hash.
func (s *Settler) read(ctx context.Context, hash string) (v record.Value, there bool, err error) {
	err = s.look.use(ctx, func(ctx context.Context, stmt *sql.Stmt) error {
		var name string
		err := stmt.QueryRowContext(ctx, hash).Scan(&name, &v)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		there = name == hash
		return err
	})
	return v, there, err
}
