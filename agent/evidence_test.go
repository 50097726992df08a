package main

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/certyo"
	"station-agent/uplink/deliver"
	"station-agent/uplink/uplinktest"
)

// noted is a condition that says in the test's log what is lost.
type noted struct{ *testing.T }

func (n noted) Lost(err error) { n.Log(err) }
func (n noted) Back()          {}

// The exact bytes that were posted can be had from the store, whatever is in them, after a restart too.
func TestEvidenceHasTheBytesThatWerePosted(t *testing.T) {
	cloud, err := uplinktest.NewCertyo(uplinktest.CertyoConfig{Tenant: "t", Keys: []string{"certyo_sk_test_1"}, FlushAfter: time.Millisecond, AnchorAfter: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	clk, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	cfg := store.Config{Dir: t.TempDir(), Now: clk.now, FirstLook: 50 * time.Millisecond, Identity: store.Identity{Environment: "test", Station: foundStation, Database: "d"}}
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	payloads := map[string]string{}
	for i, payload := range []string{
		`{}`, `{"n":1.50,"big":18446744073709551615,"e":1e-7}`, "{ \"b\" : 1,\t\"a\":\n2 }", `{"html":"<&>\u003c","slash":"\/"}`, `{"line":"  ","control":"\u0001"}`,
		`{"twice":1,"twice":2}`, `{"Příliš":"žluťoučký 🚀"}`, `{"hash":"00000000000000000000000000000000"}`,
	} {
		if !json.Valid([]byte(payload)) {
			t.Fatal(payload)
		}
		r := record.Record{Database: "external", Collection: "c", ID: fmt.Sprintf("%032d", i), Version: "1", Op: record.Update, At: time.Unix(1, 0).UTC(), Key: fmt.Sprint("key", i), Payload: json.RawMessage(payload)}
		payloads[r.Key] = payload
		if err := s.DB.Put(record.Group{Records: []record.Record{r}}); err != nil {
			t.Fatal(err)
		}
	}
	client := certyo.New(certyo.Config{URL: "http://" + cloud.Addr(), Tenant: "t", Key: func() (string, error) { return "certyo_sk_test_1", nil }, UserAgent: "test"})
	courier := deliver.New(deliver.Config{Schedule: []time.Duration{50 * time.Millisecond}, Budget: deliver.Budget{PerMinute: 60_000}},
		s.DB, ledger{s.DB}, client, deliver.Conditions{Delivery: noted{t}, Verification: noted{t}, Anchoring: noted{t}, Integrity: noted{t}, Presence: noted{t}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- courier.Run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); s.DB.Stats().Anchored < uint64(len(payloads)); {
		if time.Now().After(deadline) {
			t.Fatalf("%+v, %q", s.DB.Stats(), cloud.Violations())
		}
		<-time.After(10 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = store.Open(cfg); err != nil {
		t.Fatal(err)
	}
	posted := map[string]string{}
	for _, r := range cloud.Records() {
		posted[r.Key] = string(r.Payload)
	}
	n := 0
	if err := s.DB.Evidence(func(e store.Evidence) error {
		n++
		if got, sent := string(e.Record.Payload), posted[e.Record.Key]; got != sent || got != payloads[e.Record.Key] || e.State != record.Anchored {
			t.Errorf("%s: evidence %s has %q, posted was %q, put %q", e.Record.Key, e.State, got, sent, payloads[e.Record.Key])
		}
		return nil
	}); err != nil || n != len(payloads) {
		t.Fatal(n, err)
	}
}
