package deliver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/store/record"
)

// model is a service with every fault at random. It remembers what it took.
type model struct {
	t     *testing.T
	mu    sync.Mutex
	dice  *rand.Rand
	good  bool // the faults are over
	ill   bool
	taken map[string]record.Record
	order map[string][]string // keys by row in the order of arrival
}

func (m *model) oneIn(n int) bool { return !m.good && m.dice.IntN(n) == 0 }

func (m *model) post(records []record.Record) ([]record.Delivery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.oneIn(5):
		return nil, errors.New("connection refused")
	case m.oneIn(8):
		return nil, waitError{after: time.Duration(m.dice.IntN(20)) * time.Second}
	case m.oneIn(8):
		return nil, waitError{held: true}
	case m.ill && m.oneIn(2) || !m.good && m.dice.IntN(400) == 0: // for a while the service fails on all that it is asked
		m.ill = !m.oneIn(40)
		return nil, faulty{}
	case len(records) > 1 && m.oneIn(6): // too large, say
		return nil, record.Never(errors.New("413"))
	}
	answers := make([]record.Delivery, len(records))
	for i, r := range records {
		replayed := m.take(r)
		if !m.oneIn(20) { // else the result is missing
			answers[i].Receipt = &record.Receipt{Replayed: replayed}
		}
	}
	if m.oneIn(6) {
		return nil, errors.New("the answer was lost")
	}
	return answers, nil
}

func (m *model) verify(_ context.Context, u record.Unproven) (record.Anchoring, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch _, known := m.taken[u.Record.Key]; {
	case !known:
		m.t.Errorf("%s is in the ledger, but the service never took it", u.Record.Key)
	case m.oneIn(3):
		return "", errors.New("connection refused")
	case m.oneIn(2):
		return record.Pending, nil
	}
	return record.Anchored, nil
}

func (m *model) take(r record.Record) (replayed bool) {
	if first, again := m.taken[r.Key]; again {
		if first.ID != r.ID || first.Version != r.Version || string(first.Payload) != string(r.Payload) {
			m.t.Errorf("key %s came for two changes", r.Key)
		}
		return true
	}
	m.taken[r.Key] = r
	m.order[r.ID] = append(m.order[r.ID], r.Key)
	return false
}

// Records come in, all faults happen, and the agent is killed and started again all the time. Whatever leaves the outbox,
// the service has; whatever leaves the ledger was said to be anchored; and in the end nothing is missing.
func TestNothingIsForgottenBeforeItIsConfirmed(t *testing.T) {
	for seed := range uint64(20) {
		cfg := Config{Linger: time.Second, Batch: 7, Parallel: 1 + int(seed%3), Spread: time.Duration(seed%2) * time.Second}
		run(t, cfg, func(b *bench) {
			b.slow = time.Duration(seed%4) * 100 * time.Millisecond
			dice := rand.New(rand.NewPCG(seed, 1)) // the test's own
			m := &model{t: t, dice: rand.New(rand.NewPCG(seed, 0)), taken: map[string]record.Record{}, order: map[string][]string{}}
			b.still(func() { b.post, b.verify = m.post, m.verify })
			const n = 200
			for i := range n {
				b.Put(record.Record{ID: fmt.Sprint(i % 13), Version: fmt.Sprint(i), Key: fmt.Sprint("key", i)})
				if time.Sleep(time.Duration(dice.IntN(1500)) * time.Millisecond); dice.IntN(10) == 0 {
					if err := b.stop(); err != nil {
						t.Fatal(err)
					}
					b.start(cfg)
				}
			}
			b.still(func() { m.good = true })
			b.after(3*time.Hour, fmt.Sprintf("0/0/0/%d", n))
			if len(m.taken) != n {
				t.Errorf("seed %d: the service has %d of %d changes", seed, len(m.taken), n)
			}
			for row, keys := range m.order {
				if !slices.IsSortedFunc(keys, func(a, c string) int { return cmp.Or(len(a)-len(c), strings.Compare(a, c)) }) {
					t.Errorf("seed %d: row %s arrived as %v", seed, row, keys)
				}
			}
		})
	}
}
