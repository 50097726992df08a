package fleet_test

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"station-agent/build/servers"
	"station-agent/uplink/fleet"
	"station-agent/uplink/fleet/message"
)

const station = "0d9c6f0e-3a51-4a3e-9d0f-6f6f3b1f0a11"

// condition passes on what a Publisher reports of its broker.
type condition struct {
	lost chan string
	back chan struct{}
}

func newCondition() *condition {
	return &condition{lost: make(chan string, 100), back: make(chan struct{}, 100)}
}

func (c *condition) Lost(err error) { c.lost <- err.Error() }
func (c *condition) Back()          { c.back <- struct{}{} }

func config(broker string) fleet.Config {
	return fleet.Config{Access: fleet.Access{Brokers: []string{broker}}, Environment: "test", Station: station, Name: "Bench 7", Version: "1.2.3", Session: 42,
		Interval: 100 * time.Millisecond}
}

func healthy() message.Health { return message.Health{Version: "1.2.3"} }

// start runs a Publisher until the test ends or stop is called, which waits for Run.
func start(t *testing.T, cfg fleet.Config, health func() message.Health, cond fleet.Condition) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- fleet.New(cfg, health, cond).Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// watch subscribes to everything and returns the messages.
func watch(t *testing.T, m *servers.Mosquitto) <-chan mqtt.Message {
	t.Helper()
	messages := make(chan mqtt.Message, 1000)
	o := mqtt.NewClientOptions().AddBroker("tcp://" + m.Addr).SetAutoReconnect(false).SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { messages <- m })
	c := mqtt.NewClient(o)
	if token := c.Connect(); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	t.Cleanup(func() { c.Disconnect(0) })
	if token := c.Subscribe("#", 1, nil); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	return messages
}

func receive[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// awaitState reads messages until the station is in mode.
func awaitState(t *testing.T, messages <-chan mqtt.Message, mode message.Mode) (message.State, mqtt.Message) {
	t.Helper()
	for began := time.Now(); ; {
		if time.Since(began) > 30*time.Second { // healths go on coming
			t.Fatalf("waited in vain for state %s", mode)
		}
		m := receive(t, messages, "state "+string(mode))
		if !strings.HasSuffix(m.Topic(), "/state") {
			continue
		}
		var s message.State
		if err := json.Unmarshal(m.Payload(), &s); err != nil {
			t.Fatalf("%s: %v", m.Payload(), err)
		}
		if s.State == mode {
			return s, m
		}
	}
}

// retained returns the state a newcomer sees. The broker sends what is retained before what passes by.
func retained(t *testing.T, m *servers.Mosquitto) message.Mode {
	t.Helper()
	said := receive(t, watch(t, m), "the retained state")
	if !said.Retained() || !strings.HasSuffix(said.Topic(), "/state") {
		t.Fatalf("a newcomer first sees %s, retained %t", said.Topic(), said.Retained())
	}
	var s message.State
	if err := json.Unmarshal(said.Payload(), &s); err != nil {
		t.Fatal(err)
	}
	return s.State
}

// relay stands between a Publisher and its broker.
type relay struct {
	net.Listener
	to    string
	mute  atomic.Bool // carry nothing, and keep the broker's side open when the agent's is cut
	mu    sync.Mutex
	conns []net.Conn // of the agent
	ups   []net.Conn // to the broker
}

func newRelay(t *testing.T, l net.Listener, to string) *relay {
	t.Helper()
	r := &relay{Listener: l, to: to}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", to)
			if err != nil {
				conn.Close()
				continue
			}
			r.mu.Lock()
			r.conns, r.ups = append(r.conns, conn), append(r.ups, up)
			r.mu.Unlock()
			go r.carry(conn, up)
			go r.carry(up, conn)
		}
	}()
	t.Cleanup(func() { l.Close(); r.mute.Store(false); r.cut() })
	return r
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (r *relay) carry(from, to net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if r.mute.Load() {
			if err != nil {
				return
			}
			continue
		}
		if err != nil {
			to.Close()
			return
		}
		to.Write(buf[:n])
	}
}

// cut closes all connections, as the end of a process would.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}
