// Package combos runs the real client, the real courier and a real store against the stand-in for Certyo, under every
// combination of what is not known of the service, with its faults and with cuts and restarts in between.
package combos

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
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
	tenant     = "tovarna"
	clientID   = "line-2"
	oldKey     = "certyo_sk_test_0123456789"
	newKey     = "certyo_sk_test_9876543210"
	station    = "7d6f0f0e-3b7a-4c55-9a0b-2f1f7a4f1c11"
	collection = "buylo_products"
)

// site is one station's way from the outbox to the proof.
type site struct {
	boot  string        // of the machine
	ago   time.Duration // how far its clock is behind
	t     *testing.T
	plan  plan
	dir   string
	cloud *uplinktest.Certyo
	proxy *uplinktest.Proxy
	conds map[string]*condition // by their name in deliver.Conditions

	store *store.Store
	stop  func()
}

// condition counts what the courier reports.
type condition struct {
	mu   sync.Mutex
	lost int
	says string // "" while it is well
}

func (c *condition) Lost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost++
	c.says = err.Error()
}

func (c *condition) Back() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.says = ""
}

func (c *condition) state() (lost int, says string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost, c.says
}

func newSite(t *testing.T, p plan) *site {
	t.Helper()
	cloud, err := uplinktest.NewCertyo(uplinktest.CertyoConfig{
		Tenant: tenant, Client: clientID, Keys: []string{oldKey}, FlushRecords: 1000, FlushAfter: 20 * time.Millisecond, AnchorAfter: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cloud.Close)
	proxy, err := uplinktest.NewProxy(cloud.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	s := &site{t: t, boot: "boot", plan: p, dir: t.TempDir(), cloud: cloud, proxy: proxy, conds: map[string]*condition{}}
	for _, change := range p.switches {
		cloud.Switch(change)
	}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

// start opens the store and sets it and a courier to work; stop ends both and closes the store.
func (s *site) start() {
	s.t.Helper()
	boot := time.Now()
	var err error
	s.store, err = store.Open(store.Config{
		Dir: s.dir, Identity: store.Identity{Environment: "test", Station: station, Database: "d"}, Reserve: -1, FirstLook: schedule[0],
		Probe: func(string) error { return nil },
		Now: func() record.Stamp {
			return record.Stamp{Boot: s.boot, Mono: time.Since(boot) - s.ago, Wall: time.Now().UTC().Add(-s.ago), Trusted: true}
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	courier := newCourier(s.plan, s.store.DB, certyo.New(certyo.Config{
		URL: "http://" + s.proxy.Addr(), Tenant: tenant, Client: clientID, UserAgent: "station-agent/test (" + station + ")",
		Key: func() (string, error) { return oldKey, nil }, Next: func() (string, error) { return newKey, nil },
		BulkOnly: s.plan.bulkOnly, VerifyForm: s.plan.verifyForm, PostTimeout: 2 * time.Second, VerifyTimeout: 2 * time.Second,
	}), s.conditions())
	ctx, cancel := context.WithCancel(context.Background())
	var both sync.WaitGroup
	for name, run := range map[string]func(context.Context) error{"store": s.store.Run, "courier": courier.Run} {
		both.Go(func() {
			if err := run(ctx); err != nil {
				s.t.Errorf("run %s: %v", name, err)
			}
		})
	}
	s.stop = sync.OnceFunc(func() {
		cancel()
		both.Wait()
		if err := s.store.Close(); err != nil {
			s.t.Error(err)
		}
	})
}

// schedule is when records are looked at.
var schedule = []time.Duration{50 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond}

// newCourier puts the courier together. What it is made of stands here alone.
func newCourier(p plan, db *store.DB, client deliver.Certyo, conds deliver.Conditions) *deliver.Courier {
	return deliver.New(deliver.Config{Linger: 10 * time.Millisecond, Batch: p.batch, Schedule: schedule, Budget: deliver.Budget{PerMinute: 60_000, Verify: 50}}, db, ledger{db}, client, conds)
}

type ledger struct{ *store.DB }

func (l ledger) Changed() <-chan struct{} { return l.LedgerChanged() }

// conditions fills every field, whatever it is called.
func (s *site) conditions() (all deliver.Conditions) {
	v := reflect.ValueOf(&all).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if s.conds[name] == nil {
			s.conds[name] = &condition{}
		}
		v.Field(i).Set(reflect.ValueOf(s.conds[name]))
	}
	return all
}

func (s *site) restart() {
	s.stop()
	s.start()
}

// put takes records into the outbox.
func (s *site) put(records []record.Record) {
	s.t.Helper()
	if err := s.store.DB.Put(record.Group{Records: records}); err != nil {
		s.t.Fatal(err)
	}
}

// until waits for something to become so.
func (s *site) until(what string, so func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); {
		if time.Now().After(deadline) {
			s.t.Fatalf("not so in the end: %s\n%s", what, s.tell())
		}
		<-time.After(10 * time.Millisecond)
	}
}

// tell is how things stand.
func (s *site) tell() string {
	var b strings.Builder
	fmt.Fprintf(&b, "store %+v\nstand-in %+v\n", s.store.DB.Stats(), s.cloud.Counts())
	for name, c := range s.conds {
		lost, says := c.state()
		fmt.Fprintf(&b, "%s: %d times lost: %s\n", name, lost, says)
	}
	return b.String()
}

// calls counts the requests that were answered with a status for which want says yes.
func (s *site) calls(want func(uplinktest.Call) bool) (n int) {
	for _, c := range s.cloud.Calls() {
		if want(c) {
			n++
		}
	}
	return n
}

// lost tells how often delivery was reported lost.
func (s *site) lost() int {
	n, _ := s.conds["Delivery"].state()
	return n
}

// anchored gives what was proven.
func (s *site) anchored() map[string]store.Evidence {
	s.t.Helper()
	proven := map[string]store.Evidence{}
	if err := s.store.DB.Evidence(func(e store.Evidence) error {
		proven[e.Record.Key] = e
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	return proven
}

// dead gives the refused.
func (s *site) dead() map[string]string {
	s.t.Helper()
	list := map[string]string{}
	if err := s.store.DB.DeadLetters(func(d store.DeadLetter) error {
		list[d.Key] = d.Refusal
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	return list
}

const (
	allRows    = 7
	allChanges = 35
)

// changes are some of each row, its versions in order.
func changes() (list []record.Record) {
	for n := range allChanges {
		list = append(list, record.Record{
			Database: "external", Collection: collection, ID: fmt.Sprint("row", n%allRows), Version: fmt.Sprint(1000 + n),
			Op: record.Update, At: time.Unix(int64(n), 0).UTC(), Key: fmt.Sprint("change-", n), Payload: json.RawMessage(fmt.Sprintf(`{"n":%d,"name":"Mug ☕"}`, n)),
		})
	}
	return list
}

// last are the keys of the latest version of each row among some records.
func last(records []record.Record) map[string]bool {
	latest, keys := map[string]string{}, map[string]bool{}
	for _, r := range records {
		latest[r.ID] = r.Key
	}
	for _, key := range latest {
		keys[key] = true
	}
	return keys
}
