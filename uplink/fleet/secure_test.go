package fleet_test

import (
	"crypto/tls"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/uplink/fleet"
	"station-agent/uplink/fleet/message"
	"station-agent/uplink/uplinktest"
)

// rights let a station write and read what is its own, by the name in its certificate, and a watcher read everything.
const rights = `
pattern write station-agent/+/%u/state
pattern write station-agent/+/%u/alarms
pattern write station-agent/+/%u/events
pattern write station-agent/+/%u/health
pattern write station-agent/+/%u/challenge
pattern write station-agent/+/%u/result
pattern read station-agent/+/%u/state
pattern read station-agent/+/%u/challenge
pattern read station-agent/+/%u/command
user watcher
topic read station-agent/#
user commander
topic read station-agent/#
topic write station-agent/+/+/command
user spy
topic readwrite #
`

const elsewhere = "11111111-3a51-4a3e-9d0f-6f6f3b1f0a11"

// secured is a broker that knows who may do what, and a spy that sees everything.
func secured(t *testing.T) (m *servers.Mosquitto, a *uplinktest.Issuer, spy *fleet.Desk, heard <-chan fleet.Said) {
	t.Helper()
	a = uplinktest.NewIssuer(t)
	_, cert, key := a.Issue("broker")
	m = servers.SecureBroker(t, servers.Secure{CA: a.File, Cert: cert, Key: key, ACL: rights}, servers.Login{User: "spy", Password: "spy"})
	all := access("tcp://" + m.Addr)
	all.User, all.Password = "spy", func() (string, error) { return "spy", nil }
	spy, heard = sit(t, all, "spy", "#")
	return m, a, spy, heard
}

// as gives an access by certificate.
func as(a *uplinktest.Issuer, m *servers.Mosquitto, name string) fleet.Access {
	return fleet.Access{Brokers: []string{"ssl://" + m.TLSAddr}, TLS: a.Client(name)}
}

// awaitSaid waits for a message on a leaf of the station that fits.
func awaitSaid[T any](t *testing.T, heard <-chan fleet.Said, leaf string, fits func(T) bool) T {
	t.Helper()
	for began := time.Now(); ; {
		if time.Since(began) > 30*time.Second { // others go on coming
			t.Fatalf("waited in vain for a %s that fits", leaf)
		}
		s := receive(t, heard, leaf)
		if !strings.HasSuffix(s.Topic, station+"/"+leaf) {
			continue
		}
		v, err := message.Decode[T](s.Payload)
		if err != nil {
			t.Fatalf("%s: %v", s.Payload, err)
		}
		if fits(v) {
			return v
		}
	}
}

func is(mode message.Mode) func(message.State) bool {
	return func(s message.State) bool { return s.State == mode }
}

func TestCertificateIsAskedForAtEachConnect(t *testing.T) {
	m, a, _, heard := secured(t)
	stranger := uplinktest.NewIssuer(t)
	var current atomic.Pointer[tls.Certificate]
	wrong, _, _ := stranger.Issue(station)
	current.Store(&wrong)
	cfg := config("")
	cfg.Brokers = []string{"ssl://" + m.TLSAddr}
	cfg.TLS = &tls.Config{RootCAs: a.Pool, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return current.Load(), nil }}
	cond := newCondition()
	start(t, cfg, healthy, cond)
	if err := receive(t, cond.lost, "Lost"); !strings.Contains(err, "client certificate") {
		t.Errorf("with the certificate of a stranger: %s", err)
	}
	right, _, _ := a.Issue(station)
	current.Store(&right)
	receive(t, cond.back, "Back")
	awaitSaid(t, heard, "state", is(message.Ready))
}

// TestNobodyGetsBeyondTheirRights tries it in both directions. Mosquitto acknowledges what it drops, so each attempt is followed
// by one that is allowed, and only that may be heard.
func TestNobodyGetsBeyondTheirRights(t *testing.T) {
	m, a, spy, heard := secured(t)
	own, other := message.Place{Environment: "test", Station: station}, message.Place{Environment: "test", Station: elsewhere}
	thisOne, got := sit(t, as(a, m, station), "this", own.Topic("+"), other.Topic("+"), "#")
	watcher, seen := sit(t, as(a, m, "watcher"), "watcher", "station-agent/#")
	commander, _ := sit(t, as(a, m, "commander"), "commander")
	say := func(d *fleet.Desk, topic string) {
		t.Helper()
		if err := d.Say(t.Context(), topic, []byte("{}"), 1, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, leaf := range []string{"state", "alarms", "events", "health", "challenge", "result", "command"} {
		say(thisOne, other.Topic(leaf))
		say(watcher, own.Topic(leaf))
		if leaf != "command" {
			say(commander, own.Topic(leaf))
		}
	}
	say(thisOne, own.Topic("command"))
	say(thisOne, own.Topic("state"))
	say(commander, own.Topic("command"))
	topics := map[string]int{}
	for range 2 {
		topics[receive(t, heard, "what is allowed").Topic]++
	}
	if topics[own.Topic("state")] != 1 || topics[own.Topic("command")] != 1 {
		t.Errorf("first came %v", topics)
	}
	for _, leaf := range []string{"state", "health", "challenge", "command", "result"} {
		say(spy, other.Topic(leaf))
	}
	say(spy, own.Topic("command"))
	for _, want := range []string{"state", "command", "command"} { // the last one is the fence
		if s := receive(t, got, "what the station may read"); s.Topic != own.Topic(want) && s.Topic != own.Topic("state") && s.Topic != own.Topic("command") {
			t.Errorf("the station hears %s", s.Topic)
		}
	}
	for range 2 + 5 + 1 {
		receive(t, seen, "what the watcher may read")
	}
	if len(heard) > 6 || len(got) > 0 || len(seen) > 0 {
		t.Errorf("%d, %d and %d messages too many", len(heard)-6, len(got), len(seen))
	}
}

func TestStationWithTheCertificateOfAnotherIsNotSeen(t *testing.T) {
	m, a, spy, heard := secured(t)
	cfg := config("")
	cfg.Access = as(a, m, elsewhere)
	cond := newCondition()
	start(t, cfg, healthy, cond)
	receive(t, cond.back, "Back") // Mosquitto doesn't say that it drops what it acknowledges
	if err := spy.Say(t.Context(), "fence", nil, 1, false); err != nil {
		t.Fatal(err)
	}
	if s := receive(t, heard, "the fence"); s.Topic != "fence" {
		t.Errorf("%s is heard", s.Topic)
	}
}

func TestLateWillOfAnotherAgentIsOverruled(t *testing.T) {
	m := servers.Broker(t)
	_, heard := sit(t, access("tcp://"+m.Addr), "spy", "#")
	r := newRelay(t, listen(t), m.Addr)
	stop := start(t, config("tcp://"+r.Addr().String()), healthy, newCondition())
	awaitSaid(t, heard, "state", is(message.Ready))
	r.mute.Store(true)
	r.cut() // the power fails, and the broker doesn't see it
	stop()
	again := config("tcp://" + m.Addr)
	again.Session = 43
	start(t, again, healthy, newCondition())
	awaitSaid(t, heard, "state", func(s message.State) bool { return s.State == message.Ready && s.Session == 43 })
	r.mu.Lock()
	for _, up := range r.ups {
		up.Close()
	}
	r.mu.Unlock()
	late := awaitSaid(t, heard, "state", is(message.Lost))
	now := awaitSaid(t, heard, "state", is(message.Ready))
	if late.Session != 42 || now.Session != 43 || !late.Stale(now) {
		t.Errorf("%+v, then %+v", late, now)
	}
	if got := retained(t, m); got != message.Ready {
		t.Errorf("a newcomer sees %q", got)
	}
}

func TestTwoLiveAgentsAreBothTold(t *testing.T) {
	m, a, _, heard := secured(t)
	var twins, brokers []*condition
	var stops []func()
	for n := range 2 {
		twin, cond := newCondition(), newCondition()
		cfg := config("")
		cfg.Access, cfg.Session, cfg.Twin = as(a, m, station), uint64(42+n), twin
		twins, brokers = append(twins, twin), append(brokers, cond)
		stops = append(stops, start(t, cfg, healthy, cond))
		awaitSaid(t, heard, "state", func(s message.State) bool { return s.State == message.Ready && s.Session == cfg.Session })
		if n == 0 && len(twin.lost) > 0 {
			t.Error("it is alone, and has a twin")
		}
	}
	for _, twin := range twins {
		if err := receive(t, twin.lost, "the twin"); !strings.Contains(err, station) || !strings.Contains(err, "stop it") {
			t.Error(err)
		}
	}
	stops[1]()
	awaitSaid(t, heard, "state", is(message.Disconnected))
	if s := awaitSaid(t, heard, "state", is(message.Ready)); s.Session != 42 {
		t.Errorf("%+v", s)
	}
	if n := len(brokers[0].lost) + len(brokers[1].lost); n > 0 {
		t.Errorf("they threw each other out %d times", n)
	}
}

func TestReplacedCardTakesOverWithoutCeremony(t *testing.T) {
	m := servers.Broker(t)
	_, heard := sit(t, access("tcp://"+m.Addr), "spy", "#")
	r := newRelay(t, listen(t), m.Addr)
	old := config("tcp://" + r.Addr().String())
	old.Session = 900
	stop := start(t, old, healthy, newCondition())
	awaitSaid(t, heard, "state", is(message.Ready))
	r.Close()
	r.cut() // it is pulled out
	awaitSaid(t, heard, "state", is(message.Lost))
	stop()
	card := config("tcp://" + m.Addr)
	twin := newCondition()
	card.Session, card.Twin = 1, twin
	start(t, card, healthy, newCondition())
	awaitSaid(t, heard, "state", is(message.Ready))
	awaitSaid(t, heard, "challenge", func(message.Challenge) bool { return true })
	if len(twin.lost) > 0 {
		t.Errorf("it takes what the old card left for a twin: %s", <-twin.lost)
	}
	if got := retained(t, m); got != message.Ready {
		t.Errorf("a newcomer sees %q", got)
	}
}
