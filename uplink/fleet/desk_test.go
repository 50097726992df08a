package fleet_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/uplink/fleet"
	"station-agent/uplink/fleet/message"
	"station-agent/uplink/uplinktest"
)

func access(brokers ...string) fleet.Access { return fleet.Access{Brokers: brokers} }

// sit dials a Desk that leaves when the test ends, and gives what it hears.
func sit(t *testing.T, a fleet.Access, id string, filters ...string) (*fleet.Desk, <-chan fleet.Said) {
	t.Helper()
	heard := make(chan fleet.Said, 10_000)
	d, err := fleet.Dial(t.Context(), a, id, filters, func(s fleet.Said) { heard <- s })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Leave)
	return d, heard
}

func TestDeskHearsWhatIsRetainedAndWhatIsSaid(t *testing.T) {
	m := servers.Broker(t)
	d, _ := sit(t, access("tcp://"+m.Addr), "writer")
	for n := range 300 { // far more than a broker sends without an acknowledgement
		if err := d.Say(t.Context(), fmt.Sprintf("station-agent/test/s%03d/state", n), []byte("{}"), 1, true); err != nil {
			t.Fatal(err)
		}
	}
	_, heard := sit(t, access("tcp://"+m.Addr), "reader", "station-agent/+/+/state", "station-agent/+/+/events")
	for range 300 {
		if s := receive(t, heard, "a retained state"); !s.Retained || string(s.Payload) != "{}" || !strings.HasSuffix(s.Topic, "/state") {
			t.Fatalf("%+v", s)
		}
	}
	for n := range 100 {
		if err := d.Say(t.Context(), "station-agent/test/s/events", []byte(fmt.Sprint(n)), 1, false); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 100 {
		if s := receive(t, heard, "an event"); s.Retained || string(s.Payload) != fmt.Sprint(n) {
			t.Fatalf("%s where %d is due", s.Payload, n)
		}
	}
	if err := d.Say(t.Context(), "station-agent/test/s001/state", nil, 1, true); err != nil {
		t.Fatal(err)
	}
	if s := receive(t, heard, "the clearing"); len(s.Payload) != 0 || s.Retained {
		t.Errorf("%+v", s)
	}
	_, heard = sit(t, access("tcp://"+m.Addr), "late", "station-agent/test/s001/state", "station-agent/test/s002/state")
	if s := receive(t, heard, "the other state"); s.Topic != "station-agent/test/s002/state" {
		t.Errorf("cleared, and still there: %+v", s)
	}
}

func TestDeskReadsTheLongestMessage(t *testing.T) {
	m := servers.Broker(t)
	d, heard := sit(t, access("tcp://"+m.Addr), "both", "#")
	long := make([]byte, message.Most)
	if err := d.Say(t.Context(), "station-agent/test/s/result", long, 1, false); err != nil {
		t.Fatal(err)
	}
	if s := receive(t, heard, "the long message"); len(s.Payload) != len(long) {
		t.Errorf("%d bytes", len(s.Payload))
	}
}

func TestDeskLeavesAndEnds(t *testing.T) {
	m := servers.Broker(t)
	d, _ := sit(t, access("tcp://"+m.Addr), "leaves", "#")
	d.Leave()
	if err, more := <-d.Ended(); more {
		t.Errorf("it left, and ended with %v", err)
	}
	d, _ = sit(t, access("tcp://"+m.Addr), "killed", "#")
	m.Kill()
	if err := receive(t, d.Ended(), "the end"); err == nil || !strings.Contains(err.Error(), m.Addr) {
		t.Errorf("the broker was killed: %v", err)
	}
	if err := d.Say(t.Context(), "a", nil, 1, false); err == nil {
		t.Error("it says something to a broker that was killed")
	}
	d.Leave()
	d.Leave()
}

func TestDialNamesWhatFails(t *testing.T) {
	m := servers.Broker(t, servers.Login{User: "watcher", Password: "right"})
	a := access("tcp://" + m.Addr)
	a.User, a.Password = "watcher", func() (string, error) { return "wrong-secret", nil }
	if _, err := fleet.Dial(t.Context(), a, "x", nil, nil); err == nil || !strings.Contains(err.Error(), `"watcher"`) || strings.Contains(err.Error(), "secret") {
		t.Errorf("a wrong password: %v", err)
	}
	away := uplinktest.Refusing(t)
	a.Brokers, a.Password = []string{"tcp://" + away, "tcp://" + m.Addr}, func() (string, error) { return "right", nil }
	d, err := fleet.Dial(t.Context(), a, "x", nil, nil)
	if err != nil {
		t.Fatalf("the second broker is there: %v", err)
	}
	d.Leave()
	a.Brokers = []string{"tcp://" + away, "http://x"}
	if _, err := fleet.Dial(t.Context(), a, "x", nil, nil); err == nil || !strings.Contains(err.Error(), "refused") || !strings.Contains(err.Error(), "no scheme") {
		t.Errorf("both are away: %v", err)
	}
	if _, err := fleet.Dial(t.Context(), fleet.Access{}, "x", nil, nil); err == nil {
		t.Error("there is no broker at all")
	}
}

func TestFollowComesBack(t *testing.T) {
	m := servers.Broker(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ups, downs, heard := make(chan *fleet.Desk, 10), make(chan error, 100), make(chan fleet.Said, 100)
	var done sync.WaitGroup
	done.Go(func() {
		err := fleet.Follow(ctx, access("tcp://"+m.Addr), "follower", []string{"a"}, func(s fleet.Said) { heard <- s },
			func(d *fleet.Desk) { ups <- d }, func(err error) { downs <- err })
		if err != nil {
			t.Errorf("Follow: %v", err)
		}
	})
	receive(t, ups, "the first connection")
	m.Kill()
	receive(t, downs, "the loss")
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := receive(t, ups, "the second connection")
	if err := d.Say(t.Context(), "a", []byte("x"), 1, false); err != nil {
		t.Fatal(err)
	}
	receive(t, heard, "what is said after the reconnect")
	cancel()
	done.Wait()
	for len(downs) > 0 {
		<-downs
	}
	other, echo := sit(t, access("tcp://"+m.Addr), "other", "a")
	if err := other.Say(t.Context(), "a", []byte("y"), 1, false); err != nil {
		t.Fatal(err)
	}
	receive(t, echo, "what others still hear")
	time.Sleep(2 * time.Second) // in which somebody who goes on would say so
	if len(ups)+len(downs)+len(heard) > 0 {
		t.Error("it goes on after it returned")
	}
}
