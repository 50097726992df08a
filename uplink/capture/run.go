package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"station-agent/store/record"
)

// Store takes in what is captured. Each method is durable when it returns. An error is to be tried again unless
// record.Stop marks it. What a group lies in is used again for the next one: a Store copies what it keeps, but for payloads and
// texts.
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
	Tables []*Spec
	Scope  Scope // of the tables with stations

	Flapping Condition // lost while a row goes to and fro between stations; may be nil
}

// Runner moves changes from a Source into a Store.
type Runner struct {
	cfg    Config
	source Source
	store  Store
	cond   Condition

	refused time.Time // when the store last didn't take what it was given
	flaps   flaps
	recent  recent
	room    room

	armed chan struct{}
	arm   func()
	asked chan *Spec    // tables that a person wants to be read as a whole
	doubt chan struct{} // a person wants the rows to be compared

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
	errDoubt    = Gap("a person wanted the rows to be compared")
	errCompared = errors.New("the rows were compared")
)

// New makes a Runner. The Condition is the source's: lost while changes can't be read or stored.
func New(cfg Config, source Source, store Store, cond Condition) (*Runner, error) {
	if len(cfg.Tables) == 0 || cfg.Scope.Station == "" {
		return nil, errors.New("check capture: a table or the UUID of the station is missing")
	}
	if err := CheckAll(cfg.Tables); err != nil {
		return nil, err
	}
	cfg.Scope = cfg.Scope.ready()
	r := &Runner{cfg: cfg, source: source, store: store, cond: cond, armed: make(chan struct{}), asked: make(chan *Spec, len(cfg.Tables)), doubt: make(chan struct{}, 1)}
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
		if known, err := r.known(); err != nil || !known {
			return cmp.Or(err, r.reconcile(ctx, from, nil))
		}
		return r.compare(ctx, Gap("changes were found another way before"))
	}
	if len(r.doubt) > 0 {
		err := r.compare(ctx, errDoubt)
		if errors.Is(err, errCompared) {
			<-r.doubt // else it is still wanted
		}
		return err
	}
	if added := r.added(from); added != "" {
		return r.compare(ctx, Gap("capture of %s was added", added))
	}
	if from.Tables != names(r.cfg.Tables) && from.Tables != "" { // one went: its changes must not be read from here again
		from.Tables = names(r.cfg.Tables)
		if err := r.hold(ctx, "store position", func() error { return r.store.Put(record.Group{Position: from}) }); err != nil {
			return err
		}
	}
	r.arm()
	if from, err = r.begin(ctx, from); err != nil {
		return err
	}
	err = r.stream(ctx, from)
	if !errors.Is(err, ErrGap) || ctx.Err() != nil {
		return err
	}
	return r.compare(ctx, err)
}

// ErrBusy says that a table is to be read as a whole already.
var ErrBusy = errors.New("a snapshot was asked for a moment ago")

// Snapshot has every row of a table that is ours reported once more, as it is.
func (r *Runner) Snapshot(table *Spec) error {
	select {
	case r.asked <- table:
		return nil
	default:
		return ErrBusy
	}
}

// Compare has the rows compared with what was captured of them; what differs is recorded as it is found.
func (r *Runner) Compare() {
	select {
	case r.doubt <- struct{}{}:
	default: // it is wanted already
	}
}

// begin begins the snapshot that was asked for: it stands in the position from then on.
func (r *Runner) begin(ctx context.Context, from record.Position) (record.Position, error) {
	var table *Spec
	select {
	case table = <-r.asked:
	default:
		return from, nil
	}
	sweeps, err := ParseSweeps(from.Sweep)
	if err != nil {
		return from, err
	}
	var run string
	err = r.hold(ctx, "begin snapshot", func() (err error) {
		run, err = r.store.BeginSnapshot()
		return err
	})
	if err != nil {
		return from, err
	}
	if sweeps == nil {
		sweeps = make(Sweeps)
	}
	sweeps[table.Collection()] = Progress{Run: run, All: true, Began: from.At}
	from.Sweep = sweeps.String()
	return from, r.hold(ctx, "begin snapshot", func() error { return r.store.PutSnapshot(record.Group{Position: from}) })
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
	return fmt.Errorf("%w; %w and a record in %s says so", gap, errCompared, Gaps)
}

// reconcile brings the Shadow up to the rows as they are now and stores that together with the position where the stream
// goes on.
func (r *Runner) reconcile(ctx context.Context, from record.Position, gap error) error {
	run, err := r.store.BeginSnapshot()
	if err != nil {
		return fmt.Errorf("begin snapshot: %w", err)
	}
	e := &entry{scope: &r.cfg.Scope}
	want, err := r.wanted(e, gap)
	if err != nil {
		return err
	}
	to, found, err := r.source.Snapshot(ctx, want, run)
	if err != nil {
		return err
	}
	for _, l := range e.books {
		l.reconcile(run, to, found)
	}
	if gap != nil {
		if err := e.missed(run, gap.Error(), from, to, r.cfg.Tables); err != nil {
			return err
		}
	}
	to.Tables = names(r.cfg.Tables)
	g := record.Group{Position: to, Records: e.records, Shadow: e.rows(nil)}
	if err := r.hold(ctx, "store snapshot", func() error { return r.store.PutSnapshot(g) }); err != nil {
		return err
	}
	r.arm()
	return nil
}

// wanted makes the books of the tables with stations, with all of their Shadow, and tells what to ask of the source. A table
// without stations may have any number of rows: the source sweeps it.
func (r *Runner) wanted(e *entry, gap error) (want []Want, err error) {
	for _, spec := range r.cfg.Tables {
		w := Want{Table: spec, Quiet: spec.Quiet && gap == nil, All: errors.Is(gap, errSalvaged) || spec.Restate && gap != nil}
		if spec.Station != "" {
			l := e.book(spec)
			l.shadow, l.doubt, l.quiet = make(map[string]record.ShadowRow), w.All, w.Quiet
			err = r.store.ShadowAll(spec.Collection(), func(row record.ShadowRow) error {
				l.shadow[row.ID] = row
				w.IDs = append(w.IDs, row.ID)
				return nil
			})
			if err != nil {
				return nil, fmt.Errorf("read shadow: %w", err)
			}
		}
		want = append(want, w)
	}
	return want, nil
}

// known tells whether the Shadow has rows of the tables: then somebody captured them before.
func (r *Runner) known() (bool, error) {
	for _, spec := range r.cfg.Tables {
		err := r.store.ShadowAll(spec.Collection(), func(record.ShadowRow) error { return errEnough })
		if errors.Is(err, errEnough) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("read shadow: %w", err)
		}
	}
	return false, nil
}

var errEnough = errors.New("that is enough")

// added tells which tables' changes don't lie before the position, "" if all do.
func (r *Runner) added(from record.Position) string {
	known := strings.Split(cmp.Or(from.Tables, firstTable), ",")
	var added []string
	for _, spec := range r.cfg.Tables {
		if !slices.Contains(known, spec.Collection()) {
			added = append(added, spec.String())
		}
	}
	return strings.Join(added, ", ")
}

const firstTable = "buylo_products" // the only one that could be captured before positions named their tables

func names(tables []*Spec) string {
	list := make([]string, len(tables))
	for i, spec := range tables {
		list[i] = spec.Collection()
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}
