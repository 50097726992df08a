package fleet_test

import (
	"crypto/tls"
	"errors"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/uplink/fleet/message"
	"station-agent/uplink/uplinktest"
)

func TestBirthIsRetainedAndHealthIsNot(t *testing.T) {
	m := servers.Broker(t)
	messages := watch(t, m)
	began := time.Now()
	start(t, config("tcp://"+m.Addr), healthy, newCondition())
	if _, said := awaitState(t, messages, message.Init); said.Topic() != "station-agent/test/"+station+"/state" || said.Qos() != 1 {
		t.Errorf("birth on %s with QoS %d", said.Topic(), said.Qos())
	}
	s, _ := awaitState(t, messages, message.Ready)
	if s.At.Before(began.Add(-time.Second)) || s.At.After(time.Now()) || s.At.Location() != time.UTC {
		t.Errorf("at: %v", s.At)
	}
	if s.Instance == "" {
		t.Error("no instance")
	}
	s.At, s.Instance = time.Time{}, ""
	if want := (message.State{State: message.Ready, Session: 42, Connection: 1, Version: "1.2.3", Station: station, Environment: "test", Name: "Bench 7", Hours: []string{}, IntervalS: 0.1}); !reflect.DeepEqual(s, want) {
		t.Errorf("%+v, want %+v", s, want)
	}
	for range 2 { // at once, and at the interval
		for {
			if h := receive(t, messages, "health"); strings.HasSuffix(h.Topic(), "/health") {
				if h.Topic() != "station-agent/test/"+station+"/health" || h.Qos() != 0 || h.Retained() {
					t.Errorf("health on %s with QoS %d, retained %t", h.Topic(), h.Qos(), h.Retained())
				}
				break
			}
		}
	}
	if got := retained(t, m); got != message.Ready {
		t.Errorf("a newcomer sees %q", got)
	}
}

func TestBrokerSaysLostWhenTheConnectionIsCut(t *testing.T) {
	m := servers.Broker(t)
	messages := watch(t, m)
	r := newRelay(t, listen(t), m.Addr)
	start(t, config("tcp://"+r.Addr().String()), healthy, newCondition())
	awaitState(t, messages, message.Ready)
	r.Close() // no way back
	r.cut()
	if s, _ := awaitState(t, messages, message.Lost); s.Session != 42 || s.Station != station {
		t.Errorf("the last will: %+v", s)
	}
	if got := retained(t, m); got != message.Lost {
		t.Errorf("a newcomer sees %q", got)
	}
}

func TestStopSaysDisconnected(t *testing.T) {
	m := servers.Broker(t)
	messages := watch(t, m)
	stop := start(t, config("tcp://"+m.Addr), healthy, newCondition())
	awaitState(t, messages, message.Ready)
	stop()
	awaitState(t, messages, message.Disconnected)
	if got := retained(t, m); got != message.Disconnected {
		t.Errorf("a newcomer sees %q", got)
	}
}

func TestBrokerAwayAtStart(t *testing.T) {
	m := servers.Broker(t)
	m.Kill()
	cond := newCondition()
	start(t, config("tcp://"+m.Addr), healthy, cond)
	if err := receive(t, cond.lost, "Lost"); !strings.Contains(err, m.Addr) || !strings.Contains(err, "check the broker's address") {
		t.Errorf("Lost says: %s", err)
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	receive(t, cond.back, "Back")
	awaitState(t, watch(t, m), message.Ready)
}

func TestBrokerKilledAndStartedHearsTheStateAgain(t *testing.T) {
	m := servers.Broker(t)
	cond := newCondition()
	start(t, config("tcp://"+m.Addr), healthy, cond)
	awaitState(t, watch(t, m), message.Ready)
	receive(t, cond.back, "Back")
	m.Kill()
	receive(t, cond.lost, "Lost")
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	messages := watch(t, m)
	receive(t, cond.back, "Back")
	awaitState(t, messages, message.Ready)
	for h := receive(t, messages, "health"); !strings.HasSuffix(h.Topic(), "/health"); h = receive(t, messages, "health") {
	}
}

func TestWrongPasswordHealsWithoutRestart(t *testing.T) {
	m := servers.Broker(t, servers.Login{User: "station", Password: "right"})
	var password atomic.Value
	password.Store("wr0ng-secret")
	cond := newCondition()
	cfg := config("tcp://" + m.Addr)
	cfg.User, cfg.Password = "station", func() (string, error) { return password.Load().(string), nil }
	start(t, cfg, healthy, cond)
	err := receive(t, cond.lost, "Lost")
	if !strings.Contains(err, `"station"`) || !strings.Contains(err, "check user and password") || strings.Contains(err, "secret") {
		t.Errorf("Lost says: %s", err)
	}
	password.Store("right")
	receive(t, cond.back, "Back")
}

func TestUnreadablePasswordIsSaid(t *testing.T) {
	m := servers.Broker(t)
	cond := newCondition()
	cfg := config("tcp://" + m.Addr)
	cfg.User, cfg.Password = "station", func() (string, error) { return "", errors.New("open /secret: no such file") }
	start(t, cfg, healthy, cond)
	if err := receive(t, cond.lost, "Lost"); !strings.Contains(err, "no such file") {
		t.Errorf("Lost says: %s", err)
	}
}

func TestProblemsMakeTheStateAlert(t *testing.T) {
	m := servers.Broker(t)
	messages := watch(t, m)
	var broken atomic.Bool
	start(t, config("tcp://"+m.Addr), func() message.Health {
		h := healthy()
		if broken.Load() {
			h.Problems = []message.Problem{{Name: "mysql", Text: "away"}}
		}
		return h
	}, newCondition())
	awaitState(t, messages, message.Ready)
	broken.Store(true)
	awaitState(t, messages, message.Alert)
	broken.Store(false)
	awaitState(t, messages, message.Ready)
}

// The old connection hangs at the broker, the station is back on a new one: the will of the old one must not be the last
// word.
func TestOldConnectionNeverCallsTheStationLost(t *testing.T) {
	m := servers.Broker(t)
	messages := watch(t, m)
	r := newRelay(t, listen(t), m.Addr)
	cond := newCondition()
	start(t, config("tcp://"+r.Addr().String()), healthy, cond)
	awaitState(t, messages, message.Ready)
	receive(t, cond.back, "Back")
	r.mute.Store(true)
	r.cut() // the broker doesn't see it
	receive(t, cond.lost, "Lost")
	r.mute.Store(false)
	receive(t, cond.back, "Back")
	r.mu.Lock()
	r.ups[0].Close()
	r.mu.Unlock()
	if got := retained(t, m); got != message.Ready {
		t.Errorf("a newcomer sees %q", got)
	}
}

func TestOverTLSTheBrokerIsVerified(t *testing.T) {
	m := servers.Broker(t)
	a := uplinktest.NewIssuer(t)
	certificate, _, _ := a.Issue("broker")
	r := newRelay(t, tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{certificate}}), m.Addr)
	cond := newCondition()
	cfg := config("ssl://" + r.Addr().String())
	start(t, cfg, healthy, cond)
	if err := receive(t, cond.lost, "Lost"); !strings.Contains(err, "certificate") {
		t.Errorf("Lost says: %s", err)
	}
	cfg.TLS = &tls.Config{RootCAs: a.Pool}
	start(t, cfg, healthy, cond)
	receive(t, cond.back, "Back")
}

func TestOverWebsocket(t *testing.T) {
	m := servers.Broker(t)
	messages := watch(t, m)
	stop := start(t, config("ws://"+m.WebAddr), healthy, newCondition())
	awaitState(t, messages, message.Ready)
	stop()
	awaitState(t, messages, message.Disconnected)
}

func TestAddressesThatAreNone(t *testing.T) {
	for broker, want := range map[string]string{
		"http://broker:1883":       `"http" is no scheme`,
		"tcp://me:s3cret@bro ker:": "can't be read",
		"":                         "no scheme",
	} {
		cond := newCondition()
		stop := start(t, config(broker), healthy, cond)
		if err := receive(t, cond.lost, "Lost"); !strings.Contains(err, want) || strings.Contains(err, "s3cret") {
			t.Errorf("%q: Lost says: %s", broker, err)
		}
		stop()
	}
}
