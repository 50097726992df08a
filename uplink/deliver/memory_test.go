package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
)

// memory is outbox and ledger. It is stricter than the store: it complains of whatever a courier must not do.
type memory struct {
	t          *testing.T
	firstLook  time.Duration
	mu         sync.Mutex
	seq        uint64
	queue      []record.Queued
	parked     []record.Delivery
	ledger     []record.Unproven
	looks      []record.Look
	later      map[string]bool // ids of rows of which a later change was sent
	anchored   []uint64
	posted     map[uint64]time.Time
	trouble    error // of the outbox, if set
	unread     error // of the ledger, if set
	put, proof chan struct{}
}

func newMemory(t *testing.T) *memory {
	return &memory{t: t, firstLook: 2 * time.Minute, later: map[string]bool{}, posted: map[uint64]time.Time{}, put: make(chan struct{}, 1), proof: make(chan struct{}, 1)}
}

func (m *memory) Put(records ...record.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range records {
		m.seq++
		m.queue = append(m.queue, record.Queued{Seq: m.seq, Record: r})
	}
	signal(m.put)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// fail lets the outbox fail from now on.
func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trouble = err
}

// Pick counts bytes as a store does that compresses.
func (m *memory) Pick(_ []record.Queued, max, maxBytes int, skip func(*record.Queued) bool) (head []record.Queued, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, found := range []bool{false, true} {
		for _, q := range m.queue {
			if q.Found() != found || skip(&q) {
				continue
			}
			if maxBytes -= len(q.Payload) / 2; len(head) == max || len(head) > 0 && maxBytes < 0 {
				return head, m.trouble
			}
			q.First, q.Again = m.posted[q.Seq]
			head = append(head, q)
		}
	}
	return head, m.trouble
}

func (m *memory) Posting(batch []record.Queued) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, q := range batch {
		if _, before := m.posted[q.Seq]; !before {
			m.posted[q.Seq] = time.Now()
		}
	}
	return m.trouble
}

func (m *memory) Settle(deliveries []record.Delivery) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.trouble != nil {
		return m.trouble
	}
	for _, d := range deliveries {
		n := slices.IndexFunc(m.queue, func(q record.Queued) bool { return q.Seq == d.Seq })
		if n < 0 || (d.Receipt == nil) == (d.Refusal == "") {
			m.t.Errorf("settled with %+v, which is not in the outbox or not one of receipt and refusal", d)
			continue
		}
		if q := m.queue[n]; d.Receipt == nil {
			m.parked = append(m.parked, d)
		} else {
			now := time.Now()
			m.ledger = append(m.ledger, record.Unproven{Seq: q.Seq, Record: q.Record, Receipt: *d.Receipt, Since: now, State: record.Pending, Due: now.Add(m.firstLook)})
		}
		m.queue = slices.Delete(m.queue, n, n+1)
	}
	signal(m.proof)
	return nil
}

func (m *memory) Changed() <-chan struct{} { return m.put }

// book is the ledger's side of a memory.
type book struct{ *memory }

func (b book) Changed() <-chan struct{} { return b.proof }

func (b book) Due(now time.Time, max int) (due []record.Unproven, next time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sorted := slices.SortedStableFunc(slices.Values(b.ledger), func(a, c record.Unproven) int { return a.Due.Compare(c.Due) })
	for _, u := range sorted {
		if u.Due.IsZero() {
			continue
		}
		if u.Due.After(now) || len(due) == max {
			return due, u.Due, b.unread
		}
		due = append(due, u)
	}
	return due, next, b.unread
}

func (b book) Look(looks []record.Look) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range looks {
		n := slices.IndexFunc(b.ledger, func(u record.Unproven) bool { return u.Seq == l.Seq })
		if n < 0 || l.State.Ends() != l.Due.IsZero() || l.Answer != nil && !json.Valid(l.Answer) {
			b.t.Errorf("look %+v at what is not in the ledger, or without or with a due time", l)
			continue
		}
		b.looks = append(b.looks, l)
		if l.State == record.Anchored {
			b.anchored = append(b.anchored, l.Seq)
		}
		if l.State.Ends() {
			b.ledger = slices.Delete(b.ledger, n, n+1)
			continue
		}
		b.ledger[n].State = l.State
		b.ledger[n].Looks++
		b.ledger[n].Due = l.Due
	}
	signal(b.proof)
	return b.unread
}

func (b book) Tally() (t record.Tally) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.ledger {
		*map[record.Anchoring]*int{
			record.Pending: &t.Pending, record.Overtaken: &t.Superseded, record.Mismatch: &t.Mismatch, record.Missing: &t.Missing, record.Unclear: &t.Unclear,
		}[u.State]++
	}
	return t
}

func (b book) Holds(seq uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.ledger, func(u record.Unproven) bool { return u.Seq == seq })
}

func (b book) Later(u record.Unproven) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.later[u.Record.ID], nil
}

// giveUp is what a full ledger does.
func (m *memory) giveUp(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ledger = slices.DeleteFunc(m.ledger, func(u record.Unproven) bool { return u.Record.ID == id })
}

// state is "queued/parked/in the ledger/anchored".
func (m *memory) state() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprintf("%d/%d/%d/%d", len(m.queue), len(m.parked), len(m.ledger), len(m.anchored))
}

// service is Certyo as a function, with a log of what was posted.
type service struct {
	post   func(records []record.Record) ([]record.Delivery, error)
	verify func(ctx context.Context, u record.Unproven) (record.Anchoring, error)
	mu     sync.Mutex // held by post
	vmu    sync.Mutex // held by verify
	posts  []string   // the ids of each request

	slow   time.Duration // how long a post takes
	lookup func(record.Record) (record.Known, *record.Receipt, error)
	umu    sync.Mutex
	under  map[row]bool // way
	most   int          // posts that were under way together
	flying int
	broken string // a promise about rows
}

// enter notes that records are under way, and leave that they arrived.
func (s *service) enter(records []record.Record) (leave func()) {
	s.umu.Lock()
	defer s.umu.Unlock()
	rows := map[row]bool{}
	for i := range records {
		rows[rowOf(&records[i])] = true
	}
	for r := range rows {
		if s.under[r] {
			s.broken = "a row is in two requests: " + r.id
		}
		if s.under == nil {
			s.under = map[row]bool{}
		}
		s.under[r] = true
	}
	s.flying++
	s.most = max(s.most, s.flying)
	return func() {
		s.umu.Lock()
		defer s.umu.Unlock()
		s.flying--
		for r := range rows {
			delete(s.under, r)
		}
	}
}

func (s *service) Lookup(ctx context.Context, r record.Record) (record.Known, *record.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.posts = append(s.posts, "?"+r.ID)
	if s.lookup == nil {
		return record.KnownUnclear, nil, nil
	}
	return s.lookup(r)
}

func (s *service) Post(ctx context.Context, records []record.Record) ([]record.Delivery, error) {
	ids := []string{}
	for _, r := range records {
		ids = append(ids, r.ID)
	}
	defer s.enter(records)()
	pause(ctx, s.slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.posts = append(s.posts, strings.Join(ids, " "))
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.post(records)
}

func (s *service) Verify(ctx context.Context, u record.Unproven) (record.Anchoring, json.RawMessage, error) {
	s.vmu.Lock()
	defer s.vmu.Unlock()
	if s.verify == nil {
		return record.Pending, nil, nil
	}
	state, err := s.verify(ctx, u)
	return state, json.RawMessage(`{}`), err
}

func (s *service) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.posts, "|")
}

// each answers record by record: "" accepts, "?" leaves open, anything else refuses.
func each(say func(record.Record) string) func([]record.Record) ([]record.Delivery, error) {
	return func(records []record.Record) (answers []record.Delivery, err error) {
		for _, r := range records {
			switch said := say(r); said {
			case "":
				answers = append(answers, record.Delivery{Receipt: &record.Receipt{Hash: "h" + r.ID}})
			case "?":
				answers = append(answers, record.Delivery{})
			default:
				answers = append(answers, record.Delivery{Refusal: said})
			}
		}
		return answers, nil
	}
}

// whole refuses every request that holds a bad record.
func whole(bad func(record.Record) bool) func([]record.Record) ([]record.Delivery, error) {
	return func(records []record.Record) ([]record.Delivery, error) {
		if slices.ContainsFunc(records, bad) {
			return nil, record.Never(errors.New("status 400: bad"))
		}
		return each(func(record.Record) string { return "" })(records)
	}
}

func accept(record.Record) string { return "" }

// cond keeps what it was told last.
type cond struct {
	mu   sync.Mutex
	err  error
	lost int
}

func (c *cond) Lost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	c.lost++
}

func (c *cond) Back() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = nil
}

func (c *cond) says() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		return ""
	}
	return c.err.Error()
}

// bench is a courier at work in a bubble of fake time.
type bench struct {
	t *testing.T
	*memory
	*service
	delivery, verification, anchoring, integrity, presence cond
	stop                                                   func() error
	courier                                                *Courier
}

func run(t *testing.T, cfg Config, test func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, memory: newMemory(t), service: &service{post: each(accept)}}
		b.start(cfg)
		defer func() {
			if err := b.stop(); err != nil {
				t.Errorf("run: %v", err)
			}
			if b.broken != "" {
				t.Error(b.broken)
			}
		}()
		test(b)
	})
}

func (b *bench) conditions() Conditions {
	return Conditions{&b.delivery, &b.verification, &b.anchoring, &b.integrity, &b.presence}
}

func (b *bench) start(cfg Config) {
	if cfg.Budget == (Budget{}) { // what is about something else isn't about the pace
		cfg.Budget = Budget{PerMinute: 1_000_000_000, Verify: 20}
	}
	cfg.Parallel = max(cfg.Parallel, 1)
	c := New(cfg, b.memory, book{b.memory}, b.service, b.conditions())
	b.courier = c
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	b.stop = func() error {
		began := time.Now()
		cancel()
		err := <-done
		if d := time.Since(began); d > 0 {
			b.t.Errorf("run ended %s after its context", d)
		}
		return err
	}
}

// keys lists what is in the ledger in the order in which it came there.
func (b *bench) keys() (keys []string) {
	b.still(func() {
		for _, u := range b.ledger {
			keys = append(keys, u.Record.Key)
		}
	})
	return keys
}

// still runs f while nothing of the courier's work goes on.
func (b *bench) still(f func()) {
	for _, mu := range []*sync.Mutex{&b.memory.mu, &b.service.mu, &b.vmu} {
		mu.Lock()
		defer mu.Unlock()
	}
	f()
}

// requests counts what was posted.
func (b *bench) requests() (n int) {
	b.still(func() { n = len(b.posts) })
	return n
}

// after lets d pass and demands a state.
func (b *bench) after(d time.Duration, want string) {
	b.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	if got := b.state(); got != want {
		b.t.Fatalf("after %s: %s queued/parked/in the ledger/anchored, want %s; posted %s; delivery: %s", d, got, want, b.log(), b.delivery.says())
	}
}

// items makes a record of each id: change n of the row is version n.
func items(ids ...string) (records []record.Record) {
	versions := map[string]int{}
	for _, id := range ids {
		versions[id]++
		records = append(records, record.Record{
			Collection: "c", ID: id, Version: fmt.Sprint(versions[id]), Key: fmt.Sprint(id, "-", versions[id]), Payload: json.RawMessage(`{}`),
		})
	}
	return records
}
