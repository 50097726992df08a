package fleet_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/uplink/fleet"
	"station-agent/uplink/fleet/message"
)

// TestProbeDisturbsNothing holds that a probe beside a publisher of the same station neither ends its connection nor leaves a
// word on its topics.
func TestProbeDisturbsNothing(t *testing.T) {
	m := servers.Broker(t)
	cond := newCondition()
	stop := start(t, config("tcp://"+m.Addr), healthy, cond)
	receive(t, cond.back, "the broker")
	messages := watch(t, m)
	awaitState(t, messages, message.Ready)
	for range 3 {
		if err := fleet.Probe(t.Context(), config("tcp://"+m.Addr)); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(300 * time.Millisecond) // in which a last will would have come
	if mode := retained(t, m); mode != message.Ready {
		t.Errorf("the state is %s", mode)
	}
	stop()
	awaitState(t, messages, message.Disconnected)
	if len(cond.lost) > 0 {
		t.Errorf("the publisher lost its connection: %s", <-cond.lost)
	}
}

func TestProbeSaysWhy(t *testing.T) {
	m := servers.Broker(t, servers.Login{User: "station", Password: "right"})
	cfg := config("tcp://" + m.Addr)
	cfg.User = "station"
	for password, want := range map[string]string{"right": "", "wrong-secret": "refuses user"} {
		cfg.Password = func() (string, error) { return password, nil }
		err := fleet.Probe(t.Context(), cfg)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), password)) {
			t.Errorf("%s: %v", password, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	cfg.Brokers[0] = "tcp://" + listen(t).Addr().String() // takes the connection and says nothing
	if err := fleet.Probe(ctx, cfg); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}
