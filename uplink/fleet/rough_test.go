package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/uplink/fleet"
	"station-agent/uplink/fleet/message"
	"station-agent/uplink/uplinktest"
)

// queue is the Events of a test.
type queue struct {
	mu      sync.Mutex
	last    uint64
	told    uint64
	changes chan struct{}
}

func newQueue() *queue { return &queue{changes: make(chan struct{}, 1)} }

func (q *queue) add(n uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last += n
	select {
	case q.changes <- struct{}{}:
	default:
	}
}

func (q *queue) Next(after uint64) (message.Event, bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if after = max(after, q.told); after == q.last {
		return message.Event{}, false, nil
	}
	return message.Event{Seq: after + 1, Session: 42, At: time.Now(), Kind: message.Once}, true, nil
}

func (q *queue) Told(seq uint64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if seq < q.told {
		return errors.New("it goes back")
	}
	q.told = seq
	return nil
}

func (q *queue) Changed() <-chan struct{} { return q.changes }

func (q *queue) state() (told, last uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.told, q.last
}

// TestEventsSurviveEveryKill cuts the connection again and again, ends the agent and starts another one, while events come in.
// The broker and whoever listens stay.
func TestEventsSurviveEveryKill(t *testing.T) {
	t.Parallel()
	m := servers.Broker(t)
	_, heard := sit(t, access("tcp://"+m.Addr), "spy", "station-agent/+/+/events")
	r := newRelay(t, listen(t), m.Addr)
	q := newQueue()
	for range 8 {
		cfg := config("tcp://" + r.Addr().String())
		cfg.Events = q
		cond := newCondition()
		stop := start(t, cfg, healthy, cond)
		receive(t, cond.back, "Back")
		for range 5 {
			q.add(20)
			time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
		}
		r.cut() // in the midst of it, and no farewell
		stop()
	}
	cfg := config("tcp://" + m.Addr)
	cfg.Events = q
	start(t, cfg, healthy, newCondition())
	_, last := q.state()
	next := uint64(1)
	for next <= last {
		e, err := message.Decode[message.Event](receive(t, heard, fmt.Sprintf("event %d of %d", next, last)).Payload)
		if err != nil || e.Seq > next {
			t.Fatalf("event %d where %d is due: %v", e.Seq, next, err)
		}
		next = max(next, e.Seq+1)
	}
}

// phases are the packets of an agent after whose arrival the broker dies.
var phases = []string{"connect", "subscribe", "birth", "alarms", "health", "event", "another event"}

// TestBrokerKilledInEveryPhase kills the broker as a packet of the agent is on its way to it, and starts it again. What was told
// as acknowledged is with somebody who listened then; nothing after it is left out.
func TestBrokerKilledInEveryPhase(t *testing.T) {
	for phase, name := range phases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := servers.Broker(t)
			l := listen(t)
			t.Cleanup(func() { l.Close() })
			var writes atomic.Int32
			killed := make(chan struct{})
			go forward(l, m.Addr, func() {
				if writes.Add(1) == int32(phase+1) {
					m.Kill()
					close(killed)
				}
			})
			q := newQueue()
			q.add(50)
			cond := newCondition()
			cfg := config("tcp://" + l.Addr().String())
			cfg.Events, cfg.Alarms = q, func() message.Alarms { return message.Alarms{} }
			start(t, cfg, healthy, cond)
			receive(t, killed, "the kill")
			receive(t, cond.lost, "Lost")
			told, _ := q.state()
			if err := m.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, heard := sit(t, access("tcp://"+m.Addr), "spy", "#")
			awaitSaid(t, heard, "state", is(message.Ready))
			for next := told + 1; next <= 50; next++ {
				awaitSaid(t, heard, "events", func(e message.Event) bool {
					if e.Seq > next {
						t.Fatalf("event %d where %d is due", e.Seq, next)
					}
					return e.Seq == next
				})
			}
			if got := retained(t, m); got != message.Ready {
				t.Errorf("a newcomer sees %q", got)
			}
		})
	}
}

// forward carries connections to addr, and calls before ahead of each piece that the agent sends.
func forward(l net.Listener, addr string, before func()) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", addr)
		if err != nil {
			conn.Close()
			continue
		}
		go func() {
			io.Copy(conn, up)
			conn.Close()
		}()
		go func() {
			defer up.Close()
			buf := make([]byte, 64<<10)
			for {
				n, err := conn.Read(buf)
				if err != nil {
					return
				}
				before()
				if _, err := up.Write(buf[:n]); err != nil {
					conn.Close()
					return
				}
			}
		}()
	}
}

// TestStalledBrokerIsLeftAndFoundAgain stops the process of the broker for a while: its connections stay open.
func TestStalledBrokerIsLeftAndFoundAgain(t *testing.T) {
	t.Parallel()
	m := servers.Broker(t)
	cond := newCondition()
	cfg := config("tcp://" + m.Addr)
	start(t, cfg, healthy, cond)
	receive(t, cond.back, "Back")
	m.Stall()
	receive(t, cond.lost, "Lost")
	m.Resume()
	receive(t, cond.back, "Back")
	if got := retained(t, m); got != message.Ready && got != message.Init {
		t.Errorf("a newcomer sees %q", got)
	}
}

// TestHalfOpenConnectionIsLeft carries nothing any more and closes nothing, as a router does that forgot the connection.
func TestHalfOpenConnectionIsLeft(t *testing.T) {
	t.Parallel()
	m := servers.Broker(t)
	r := newRelay(t, listen(t), m.Addr)
	cond := newCondition()
	start(t, config("tcp://"+r.Addr().String()), healthy, cond)
	receive(t, cond.back, "Back")
	r.mute.Store(true)
	receive(t, cond.lost, "Lost")
	r.mute.Store(false)
	receive(t, cond.back, "Back")
	_, heard := sit(t, access("tcp://"+m.Addr), "spy", "#")
	awaitSaid(t, heard, "state", is(message.Ready))
}

// TestGarbageOnTheCommandTopicCostsNothingThatStays sends 10,000 messages that are no commands, of all lengths.
// Each twentieth waits for the broker, so that it keeps up.
func TestGarbageOnTheCommandTopicCostsNothingThatStays(t *testing.T) {
	m := servers.Broker(t)
	cfg := config("tcp://" + m.Addr)
	cfg.Interval = time.Second
	commands := make(chan string, 10_000)
	cfg.Twin = newCondition()
	cfg.Command = func(payload []byte, _ bool, reply func(message.Result)) {
		commands <- string(payload[:min(len(payload), 10)])
		reply(message.Result{Nonce: "n", Status: message.Refused})
	}
	cond := newCondition()
	start(t, cfg, healthy, cond)
	receive(t, cond.back, "Back")
	d, heard := sit(t, access("tcp://"+m.Addr), "commander", "station-agent/+/+/result")
	place := message.Place{Environment: "test", Station: station}
	garbage := make([]byte, 300<<10) // more than is read
	say := func(n int) {
		t.Helper()
		size := rand.IntN(200)
		if n%100 == 0 {
			size = len(garbage) - n%200*1024 // or 200 KiB
		}
		leaf := []string{"command", "command", "command", "state", "challenge"}[n%5]
		if leaf != "command" {
			size = min(size, 10<<10)
		}
		if err := d.Say(t.Context(), place.Topic(leaf), garbage[:size], byte(n%20/19), false); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 1000 {
		say(n)
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	for n := range 10_000 {
		say(n)
	}
	after, left := heap(), runtime.NumGoroutine()
	for end := time.Now().Add(20 * time.Second); (after > before+4<<20 || left > goroutines+5) && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		after, left = heap(), runtime.NumGoroutine() // what is on its way yet doesn't stay
	}
	if after > before+4<<20 || left > goroutines+5 {
		t.Errorf("%d KiB and %d goroutines before, %d and %d after", before>>10, goroutines, after>>10, left)
	}
	t.Logf("%d of 11,000 were looked at", len(commands))
	for { // once the flood is over, a command comes through
		if err := d.Say(t.Context(), place.Topic("command"), []byte("good"), 1, false); err != nil {
			t.Fatal(err)
		}
		good := false
		for len(commands) > 0 {
			good = <-commands == "good" || good
		}
		if good {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	receive(t, heard, "a result")
	if len(cond.lost) > 0 {
		t.Errorf("the connection was lost: %s", <-cond.lost)
	}
}

// heap is what is in use once everything that can be is collected.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestSecondBrokerIsUsedWhenTheFirstIsAway(t *testing.T) {
	away := uplinktest.Refusing(t)
	m := servers.Broker(t)
	_, heard := sit(t, access("tcp://"+m.Addr), "spy", "#")
	cond := newCondition()
	start(t, fleet.Config{Access: access("tcp://"+away, "tcp://"+m.Addr), Environment: "test", Station: station}, healthy, cond)
	if err := receive(t, cond.lost, "Lost"); !strings.Contains(err, away) {
		t.Error(err)
	}
	awaitSaid(t, heard, "state", is(message.Ready))
}

// TestCommandsComeAndResultsGo holds the whole way, with a command as long as one may be.
func TestCommandsComeAndResultsGo(t *testing.T) {
	m := servers.Broker(t)
	cfg := config("tcp://" + m.Addr)
	cfg.Command = func(payload []byte, retained bool, reply func(message.Result)) {
		go func() {
			reply(message.Result{Nonce: string(payload[:1]), Status: message.Started})
			reply(message.Result{Nonce: string(payload[:1]), Status: message.Done, Text: fmt.Sprint(len(payload), retained)})
		}()
	}
	d, heard := sit(t, access("tcp://"+m.Addr), "commander", "station-agent/+/+/result")
	place := message.Place{Environment: "test", Station: station}
	if err := d.Say(t.Context(), place.Topic("command"), []byte("kept"), 1, true); err != nil {
		t.Fatal(err)
	}
	cond := newCondition()
	start(t, cfg, healthy, cond)
	receive(t, cond.back, "Back")
	long := []byte(strings.Repeat("x", 255<<10))
	if err := d.Say(context.Background(), place.Topic("command"), long, 1, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []message.Status{message.Started, message.Done} {
		r := awaitSaid(t, heard, "result", func(message.Result) bool { return true })
		if r.Nonce != "x" || r.Status != want || r.Session != 42 || want == message.Done && r.Text != fmt.Sprint(len(long), false) {
			t.Errorf("%+v, want %s", r, want)
		}
	}
}
