package e2e

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/uplink/fleet/message"
)

// told finds what the fleet was told of one thing, each event once.
func (f *subscriber) told(name string, kind message.Kind) (list []message.Event) {
	seen := map[uint64]bool{}
	for _, e := range f.events {
		if e.Name == name && e.Kind == kind && !seen[e.Seq] {
			seen[e.Seq] = true
			list = append(list, e)
		}
	}
	return list
}

// alarm waits until a thing was raised or cleared n times.
func (f *subscriber) alarm(t *testing.T, name string, kind message.Kind, n int) {
	t.Helper()
	f.within(t, 2*time.Minute, name+" "+string(kind), func() bool { return len(f.told(name, kind)) >= n })
}

// raised names what was raised and not cleared since.
func (f *subscriber) raised() map[string]bool {
	up := map[string]bool{}
	for _, e := range f.events {
		switch e.Kind {
		case message.Raised:
			up[e.Name] = true
		case message.Cleared:
			delete(up, e.Name)
		}
	}
	return up
}

// ordered holds that no event is missing, that one which came twice is the same, and that nothing is raised or cleared twice.
func (f *subscriber) ordered(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	bySeq, next, raised := map[uint64]message.Event{}, uint64(1), map[string]bool{}
	for _, e := range f.events {
		if e.Seq > next {
			t.Fatalf("event %d where %d is due", e.Seq, next)
		}
		if before, again := bySeq[e.Seq]; again {
			e.Historical = before.Historical
			if e.Name != before.Name || e.Kind != before.Kind || e.Text != before.Text || !e.At.Equal(before.At) || e.Store != before.Store {
				t.Errorf("event %d is two: %+v, %+v", e.Seq, before, e)
			}
			continue
		}
		bySeq[e.Seq], next = e, e.Seq+1
		if e.Store != f.events[0].Store {
			t.Errorf("event %d counts in store %s, the first one in %s", e.Seq, e.Store, f.events[0].Store)
		}
		if e.Kind == message.Once {
			continue
		}
		if up := e.Kind == message.Raised; raised[e.Name] == up {
			t.Errorf("event %d: %s is %s once more", e.Seq, e.Name, e.Kind)
		}
		raised[e.Name] = e.Kind == message.Raised
	}
	for name, up := range raised {
		if up {
			t.Errorf("%s is still raised", name)
		}
	}
}

// newest is the number of the last event, as the agent on the bench knows it.
func (s *site) newest() uint64 {
	s.t.Helper()
	out, errs, code, err := s.Agent.Command(s.ctx, "events", "--json", "--config", s.Dir+"/agent.toml")
	if s.must(err); code != 0 {
		s.t.Fatalf("events: %d %s", code, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var e message.Event
	s.must(json.Unmarshal([]byte(lines[len(lines)-1]), &e))
	return e.Seq
}

// TestEventsWithoutAGap kills the agent and the broker while alarms come and go. The fleet hears every event, each alarm is raised
// once and cleared once, and what happened while the broker was away is marked as history.
func TestEventsWithoutAGap(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	f := s.subscribe()
	s.started()
	s.Certyo.Cut()
	s.pack("PKG-2026-0001", s.stock(1, 2)...)
	kill := func() {
		time.Sleep(time.Duration(rand.IntN(900)) * time.Millisecond)
		s.Agent.Kill()
		s.must(s.Agent.Start())
	}
	for range 4 {
		kill() // before anything stands for long enough
	}
	f.alarm(t, "certyo", message.Raised, 1)
	for range 4 {
		kill() // it is raised, and stays so
	}
	s.must(s.Ready(s.ctx, "broker"))

	s.Bed.Broker.Cut()
	s.Options.Broker.Kill()
	began := time.Now()
	s.MySQL.Cut()
	s.until("an alarm that nobody hears", func() bool {
		out, _, _, err := s.Agent.Command(s.ctx, "events", "--json", "--config", s.Dir+"/agent.toml")
		return err == nil && strings.Contains(out, `"name":"mysql"`)
	})
	kill()
	s.MySQL.Restore()
	s.must(s.Options.Broker.Start(s.ctx))
	s.Bed.Broker.Restore()
	f.alarm(t, "mysql", message.Raised, 1)
	kill()
	s.Certyo.Restore()
	f.alarm(t, "certyo", message.Cleared, 1)
	f.alarm(t, "mysql", message.Cleared, 1)
	s.clean()
	f.within(t, 2*time.Minute, "the end of every alarm", func() bool { return len(f.raised()) == 0 }) // capture's and the broker's may be calm later
	newest := s.newest()
	f.wait(t, "the newest event", func() bool { return f.events[len(f.events)-1].Seq >= newest })
	f.ordered(t)

	f.mu.Lock()
	defer f.mu.Unlock()
	for name, want := range map[string]bool{"certyo": false, "mysql": true} {
		if e := f.told(name, message.Raised)[0]; e.Historical != want || e.Hint == "" || e.At.After(began) != want {
			t.Errorf("the alarm of %s: %+v", name, e)
		}
	}
	if n := len(f.told("agent", message.Once)); n < 5 || n > 11 {
		t.Errorf("%d starts are told, of 11", n)
	}
}
