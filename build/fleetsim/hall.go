package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"station-agent/uplink/fleet"
	"station-agent/uplink/fleet/message"
)

const environment = "sim"

// hall is the stations.
type hall struct {
	broker string
	there  int
	ran    sync.WaitGroup
}

func newHall(broker string) *hall { return &hall{broker: broker} }

func (h *hall) wait() { h.ran.Wait() }

// fill adds stations up to n, over some seconds.
func (h *hall) fill(ctx context.Context, n int) error {
	for ; h.there < n; h.there++ {
		every := 20*time.Second + rand.N(40*time.Second)
		s := &station{began: time.Now().Add(-rand.N(every)), trouble: every, changed: make(chan struct{}, 1)}
		p := fleet.New(fleet.Config{
			Access: fleet.Access{Brokers: []string{"tcp://" + h.broker}}, Environment: environment,
			Station: fmt.Sprintf("%08x-0000-4000-8000-000000000000", h.there), Name: fmt.Sprintf("Line %d, bench %d", h.there/10, h.there%10),
			Version: "sim", Session: 1, Interval: healthEvery, Events: s, Alarms: s.alarms,
		}, s.health, s)
		h.ran.Go(func() { _ = p.Run(ctx) }) // it returns nil, see there
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// station is one's facts: its records wait longer and longer, and now and then it has trouble for a while.
type station struct {
	began   time.Time
	trouble time.Duration // how often it comes; it stays for half as long

	mu      sync.Mutex
	raised  time.Time // zero: none
	events  []message.Event
	seq     uint64
	changed chan struct{}
}

// Lost and Back are about the broker, which stays here.
func (s *station) Lost(error) {}
func (s *station) Back()      {}

// turn brings the trouble up to the time.
func (s *station) turn(now time.Time) {
	bad := now.Sub(s.began)%s.trouble > s.trouble/2
	if bad == !s.raised.IsZero() {
		return
	}
	kind := message.Cleared
	if s.raised = (time.Time{}); bad {
		s.raised, kind = now, message.Raised
	}
	s.seq++
	s.events = append(s.events, message.Event{Seq: s.seq, Store: "sim", Session: 1, Kind: kind, At: now.UTC(), ClockTrusted: true, Name: "mysql", Code: "mysql_away",
		Severity: message.Critical, Text: "the server does not answer: check the network"})
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *station) problems() []message.Problem {
	if s.raised.IsZero() {
		return []message.Problem{}
	}
	return []message.Problem{{Name: "mysql", Code: "mysql_away", Severity: message.Critical, Since: s.raised.UTC(), Text: "the server does not answer: check the network", Count: 1}}
}

func (s *station) health() message.Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.turn(now)
	scan, temperature, free := now.Sub(s.began).Seconds(), 51.5, int64(20e9)
	return message.Health{Session: 1, Version: "sim", System: "sim", UptimeS: scan, ClockTrusted: true, LastScanS: &scan, QueueRecords: int(scan), OldestUnsentS: scan, TemperatureC: &temperature,
		DiskFreeBytes: &free, Capture: []message.Way{{Table: "external.buylo_products", Way: "polling", LagS: &scan}}, Lanes: []message.Lane{{Lane: "changes", Records: 1}, {Lane: "found"}},
		Readers: []message.Reader{{Name: "scanner", OK: true, LastReadS: &scan}, {Name: "gate", OK: true}}, Problems: s.problems()}
}

func (s *station) alarms() message.Alarms {
	s.mu.Lock()
	defer s.mu.Unlock()
	return message.Alarms{Seq: s.seq, Alarms: s.problems()}
}

// Next gives the oldest event with a higher number.
func (s *station) Next(after uint64) (message.Event, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Seq > after {
			return e, true, nil
		}
	}
	return message.Event{}, false, nil
}

// Told forgets what the broker has.
func (s *station) Told(seq uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.events) > 0 && s.events[0].Seq <= seq {
		s.events = s.events[1:]
	}
	return nil
}

// Changed signals a new event.
func (s *station) Changed() <-chan struct{} { return s.changed }
