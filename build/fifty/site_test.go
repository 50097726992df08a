package fifty

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/certyo"
	"station-agent/uplink/deliver"
	"station-agent/uplink/uplinktest"
)

const (
	tenant   = "tovarna"
	key      = "certyo_sk_test_fifty"
	answer   = 50 * time.Millisecond // of the service
	patience = 100 * time.Hour       // of simulated time behind the outage, after which a trial is given up
)

// station is a store with its delivery.
type station struct {
	name    string
	records int
	made    int
	store   *store.Store
	courier *deliver.Courier
}

// backlog is how many records station i has in the end: each one the same part more than the one before.
func backlog(i int) int {
	return int(math.Round(fewest * math.Pow(most/fewest, float64(i)/(stations-1))))
}

func newStation(t *testing.T, dir string, i int, k trial, line *uplinktest.Line) *station {
	s := &station{name: fmt.Sprintf("station-%02d", i), records: backlog(i)}
	began := time.Now()
	var err error
	s.store, err = store.Open(store.Config{
		Dir: filepath.Join(dir, s.name), Identity: store.Identity{Environment: "test", Station: s.name, Database: "127.0.0.1:3306/external"},
		Now: func() record.Stamp {
			return record.Stamp{Boot: "5f0c9f0e-2d5b-4a43-9c25-0a7d5c4b8f10", Mono: time.Since(began), Wall: time.Now().UTC(), Trusted: true}
		},
		Reserve: -1,
	})
	must(t, err)
	client := certyo.New(certyo.Config{
		URL: "http://" + uplinktest.NoSocket, Tenant: tenant, Client: "site", Key: func() (string, error) { return key, nil },
		UserAgent: "station-agent/test (" + s.name + ")", Transport: line,
	})
	c := condition{}
	s.courier = deliver.New(deliver.Config{Linger: 2 * time.Second, Spread: 5 * time.Second, Batch: k.batch, Budget: k.budget()}, s.store.DB, ledger{s.store.DB}, client,
		deliver.Conditions{Delivery: c, Verification: c, Anchoring: c, Integrity: c, Presence: c})
	return s
}

// put takes in the next n records. Half of the rows change twice.
func (s *station) put(t *testing.T, n int) {
	var g record.Group
	for range n {
		s.made++
		row := s.made * 2 / 3
		payload, err := json.Marshal(map[string]any{"hash": fmt.Sprint(s.name, "-", row), "external_package_id": fmt.Sprint("PKG-", s.made/8)})
		must(t, err)
		g.Records = append(g.Records, record.Record{
			Database: "external", Collection: "buylo_products", ID: fmt.Sprint(s.name, "-", row), Version: fmt.Sprint(1_000_000 + s.made), Op: record.Update,
			At: time.Now().UTC(), Key: fmt.Sprintf("b:%s-%d", s.name, s.made), Payload: payload,
		})
	}
	g.Position = record.Position{Flavor: "mariadb", Server: "1", GTID: fmt.Sprintf("0-1-%d", s.made), At: time.Now().UTC()}
	must(t, s.store.DB.Put(g))
}

// play lets a trial happen, and tells what the service saw behind the outage.
func play(t *testing.T, dir string, k trial, x extent) *history {
	cloud, err := uplinktest.NewCertyo(uplinktest.CertyoConfig{Addr: uplinktest.NoSocket, Tenant: tenant, Keys: []string{key}})
	must(t, err)
	cloud.Switch(func(w *uplinktest.Switches) {
		w.Rate, w.Burst, w.RetryAfter, w.Slow = rate, burst, k.retryAfter, answer
	})
	line := uplinktest.NewLine(cloud)
	line.Cut()
	var all []*station
	for i := range stations {
		all = append(all, newStation(t, dir, i, k, line))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	run := func(part interface{ Run(context.Context) error }) {
		running.Go(func() { must(t, part.Run(ctx)) })
	}
	for _, s := range all {
		run(s.store)
		if k.service {
			run(s.courier)
		}
	}
	work(t, all, x.away)
	h := &history{back: time.Now(), cloud: cloud}
	for _, s := range all {
		h.due = append(h.due, s.records)
		h.names = append(h.names, s.name)
		if !k.service {
			run(s.courier)
		}
	}
	line.Restore()
	await(t, x.after, all)
	cancel()
	running.Wait()
	for _, s := range all {
		st := s.store.DB.Stats()
		h.waiting += st.QueueRecords
		h.unproven += st.Unanchored
		must(t, s.store.Close())
	}
	h.proveAll = x.after == 0
	return h
}

// work lets the packing go on for the time: the first record of each station comes at once, and the others in the last minutes. With
// the service away they make no difference before, but each try to deliver them would cost this test its time.
func work(t *testing.T, all []*station, long time.Duration) {
	for _, s := range all {
		s.put(t, 1)
	}
	time.Sleep(long - 2*time.Minute)
	for range 2 {
		for _, s := range all {
			s.put(t, min((s.records+1)/2, s.records-s.made))
		}
		time.Sleep(time.Minute)
	}
}

// await lets time pass until all is delivered, and for the time after, or until all is proven.
func await(t *testing.T, after time.Duration, all []*station) {
	for end, drained, step := time.Now().Add(patience), false, time.Second; time.Now().Before(end); time.Sleep(step) {
		waiting, unproven := 0, 0
		for _, s := range all {
			st := s.store.DB.Stats()
			waiting += st.QueueRecords
			unproven += st.Unanchored
		}
		switch {
		case waiting > 0 || drained:
		case after > 0:
			end, drained = time.Now().Add(after), true
		default:
			step = 10 * time.Second
		}
		if waiting+unproven == 0 {
			return
		}
	}
}

// ledger is the store's with its own signal, as the agent has it.
type ledger struct{ *store.DB }

// Changed implements deliver.Ledger.
func (l ledger) Changed() <-chan struct{} { return l.LedgerChanged() }

// condition doesn't care.
type condition struct{}

func (condition) Lost(error) {}
func (condition) Back()      {}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
