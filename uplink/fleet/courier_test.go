package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"station-agent/uplink/fleet/message"
)

// queue is the Events of a test.
type queue struct {
	mu      sync.Mutex
	events  []message.Event
	told    []uint64
	broken  bool
	changes chan struct{}
}

func newQueue() *queue { return &queue{changes: make(chan struct{}, 1)} }

func (q *queue) add(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for range n {
		q.events = append(q.events, message.Event{Seq: uint64(len(q.events) + 1), Session: 1, At: time.Now(), Kind: message.Once})
	}
	select {
	case q.changes <- struct{}{}:
	default:
	}
}

func (q *queue) Next(after uint64) (message.Event, bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.broken {
		return message.Event{}, false, errors.New("broken")
	}
	if after < uint64(len(q.events)) {
		return q.events[after], true, nil
	}
	return message.Event{}, false, nil
}

func (q *queue) Told(seq uint64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.broken {
		return errors.New("broken")
	}
	q.told = append(q.told, seq)
	return nil
}

func (q *queue) Changed() <-chan struct{} { return q.changes }

func (q *queue) mend(broken bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.broken = broken
}

// published gives what came on a topic, oldest first, each as often as it came.
func published[T any](b *fakeBroker, leaf string) (list []T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.heard {
		if p, ok := p.(*packets.PublishPacket); ok && strings.HasSuffix(p.TopicName, "/"+leaf) {
			v, err := message.Decode[T](p.Payload)
			if err != nil {
				panic(err)
			}
			list = append(list, v)
		}
	}
	return list
}

// bubble runs a Publisher against b while during looks and acts.
func bubble(t *testing.T, b *fakeBroker, cfg Config, during func(p *Publisher)) *record {
	t.Helper()
	r := &record{began: time.Now()}
	b.silence = make(chan struct{})
	defer close(b.silence)
	cfg.dialer, cfg.Environment, cfg.Station, cfg.Session = b.dial, "test", "s", 1
	if cfg.Interval == 0 {
		cfg.Interval = time.Hour
	}
	health := func() message.Health { return message.Health{} }
	if b.health != nil {
		health = b.health
	}
	p := New(cfg, health, r)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	during(p)
	cancel()
	<-done
	synctest.Wait()
	return r
}

func TestEventsComeInOrderAndWithoutAGapWhateverTheBrokerDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.add(40)
		b := &fakeBroker{dropAfter: 9} // each connection ends after so many packets, with or without the acknowledgement
		bubble(t, b, Config{Events: q}, func(*Publisher) {
			time.Sleep(time.Hour)
			q.add(10)
			time.Sleep(time.Hour)
		})
		var next uint64 = 1
		for _, e := range published[message.Event](b, "events") {
			if e.Seq == next {
				next++
			} else if e.Seq != next-1 { // the one that wasn't acknowledged, again
				t.Fatalf("event %d where %d is due", e.Seq, next)
			}
		}
		if next != 51 {
			t.Errorf("%d of 50 events", next-1)
		}
		if len(b.dials) < 10 || !slices.IsSorted(q.told) || len(q.told) == 0 || q.told[len(q.told)-1] != 50 {
			t.Errorf("%d connections, told %v", len(b.dials), q.told)
		}
	})
}

func TestEventsAreToldOnlyWhenTheBrokerHasThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, b := newQueue(), &fakeBroker{}
		bubble(t, b, Config{Events: q}, func(*Publisher) {
			time.Sleep(time.Minute)
			b.mu.Lock()
			b.noAck = true
			b.mu.Unlock()
			q.add(3)
			time.Sleep(5 * time.Minute)
		})
		if len(q.told) > 0 {
			t.Errorf("told %v without an acknowledgement", q.told)
		}
		if n := len(published[message.Event](b, "events")); n == 0 {
			t.Error("none was sent: this test is blind")
		}
	})
}

func TestManyEventsAreToldTheStoreOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, b := newQueue(), &fakeBroker{}
		q.add(200)
		bubble(t, b, Config{Events: q}, func(*Publisher) { time.Sleep(time.Minute) })
		if len(q.told) != 1 || q.told[0] != 200 {
			t.Errorf("told %v", q.told)
		}
	})
}

func TestBrokenEventsHealAndDisturbNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, b := newQueue(), &fakeBroker{}
		q.mend(true)
		r := bubble(t, b, Config{Events: q}, func(*Publisher) {
			q.add(2)
			time.Sleep(time.Hour)
			q.mend(false)
			time.Sleep(time.Minute)
			q.add(1)
			synctest.Wait()
			q.mend(true)
			time.Sleep(time.Minute)
			q.mend(false)
			time.Sleep(time.Minute)
		})
		if n := len(published[message.Event](b, "events")); n != 3 || len(r.lost) > 0 || q.told[len(q.told)-1] != 3 {
			t.Errorf("%d events, lost %v, told %v", n, r.lost, q.told)
		}
	})
}

func TestOnlyLateEventsAreHistorical(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, b := newQueue(), &fakeBroker{refuses: true}
		q.add(1)
		q.events[0].Session = 0 // of the start before
		bubble(t, b, Config{Events: q}, func(*Publisher) {
			q.add(1)
			time.Sleep(time.Minute)
			b.mu.Lock()
			b.refuses = false
			b.mu.Unlock()
			time.Sleep(time.Minute)
			q.add(1)
			time.Sleep(time.Minute)
		})
		var late []bool
		for _, e := range published[message.Event](b, "events") {
			late = append(late, e.Historical)
		}
		if !slices.Equal(late, []bool{true, true, false}) {
			t.Errorf("historical: %v", late)
		}
	})
}

func TestResultsGoOutBeforeEventsAndAfterAReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, b := newQueue(), &fakeBroker{refuses: true}
		q.add(20)
		bubble(t, b, Config{Events: q}, func(p *Publisher) {
			for n := range 3 {
				p.courier.reply(message.Result{Nonce: fmt.Sprint(n), Status: message.Done})
			}
			time.Sleep(time.Minute)
			b.mu.Lock()
			b.refuses = false
			b.mu.Unlock()
			time.Sleep(time.Minute)
			p.courier.reply(message.Result{Nonce: "3", Status: message.Done})
			synctest.Wait()
		})
		var nonces, leaves []string
		for _, r := range published[message.Result](b, "result") {
			nonces = append(nonces, r.Nonce)
		}
		if !slices.Equal(nonces, []string{"0", "1", "2", "3"}) {
			t.Errorf("results %v", nonces)
		}
		for _, p := range b.heard {
			if p, ok := p.(*packets.PublishPacket); ok {
				leaves = append(leaves, p.TopicName[strings.LastIndex(p.TopicName, "/")+1:])
			}
		}
		if slices.Index(leaves, "events") < slices.Index(leaves, "result") {
			t.Errorf("in this order: %v", leaves)
		}
	})
}

func TestAlarmsAreRetainedAndSaidWhenTheyChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var standing atomic.Pointer[message.Alarms]
		set := func(a ...message.Problem) { standing.Store(&message.Alarms{Alarms: a, Seq: 1}) }
		set()
		b := &fakeBroker{}
		count := uint64(0)
		bubble(t, b, Config{Interval: time.Minute, Alarms: func() message.Alarms {
			a := *standing.Load()
			if len(a.Alarms) > 0 {
				count++
				a.Alarms = []message.Problem{a.Alarms[0]}
				a.Alarms[0].Count = count // each time another
			}
			return a
		}}, func(*Publisher) {
			time.Sleep(time.Minute / 2)
			set(message.Problem{Name: "mysql"})
			time.Sleep(2 * time.Second)
			if n := len(published[message.Alarms](b, "alarms")); n != 2 {
				t.Errorf("%d messages at once", n)
			}
			time.Sleep(5 * time.Minute)
			set()
			time.Sleep(2 * time.Second)
		})
		said := published[message.Alarms](b, "alarms")
		if n := len(said); n < 6 || n > 9 || len(said[0].Alarms) != 0 || len(said[1].Alarms) != 1 || len(said[n-1].Alarms) != 0 || said[1].Session != 1 {
			t.Errorf("%+v", said)
		}
		for _, p := range b.heard {
			if p, ok := p.(*packets.PublishPacket); ok && strings.HasSuffix(p.TopicName, "/alarms") && (!p.Retain || p.Qos != 1 || strings.Contains(string(p.Payload), `"alarms":null`)) {
				t.Errorf("%v: %s", p, p.Payload)
			}
		}
	})
}

func TestHealthIsSaidWhenAProblemComesOrGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		b := &fakeBroker{health: func() message.Health {
			if broken.Load() {
				return message.Health{Problems: []message.Problem{{Name: "mysql", Count: uint64(time.Now().UnixNano())}}}
			}
			return message.Health{}
		}}
		bubble(t, b, Config{}, func(*Publisher) {
			time.Sleep(time.Minute)
			broken.Store(true)
			time.Sleep(time.Minute)
			broken.Store(false)
			time.Sleep(time.Minute)
		})
		var problems []int
		for _, h := range published[message.Health](b, "health") {
			problems = append(problems, len(h.Problems))
		}
		if !slices.Equal(problems, []int{0, 1, 0}) {
			t.Errorf("problems: %v", problems)
		}
	})
}

func TestUpdateThatIsAnnouncedStandsThroughTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBroker{}
		bubble(t, b, Config{}, func(p *Publisher) {
			time.Sleep(time.Minute)
			p.Updating()
			time.Sleep(time.Minute)
		})
		if want := []message.Mode{message.Init, message.Ready, message.Updating, message.Updating}; !slices.Equal(b.states(), want) {
			t.Errorf("states %v, want %v", b.states(), want)
		}
		b = &fakeBroker{}
		bubble(t, b, Config{}, func(p *Publisher) {
			time.Sleep(time.Minute)
			p.Updating()
			time.Sleep(2 * updateWithin)
		})
		if want := []message.Mode{message.Init, message.Ready, message.Updating, message.Ready, message.Disconnected}; !slices.Equal(b.states(), want) {
			t.Errorf("an update that doesn't come: states %v, want %v", b.states(), want)
		}
	})
}

func TestOnlyAReturningStationWaitsBeforeItsBirth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBroker{dropAfter: 12}
		bubble(t, b, Config{Interval: time.Second}, func(*Publisher) { time.Sleep(10 * time.Minute) })
		var greeted time.Time
		var waits []time.Duration
		for i, p := range b.heard {
			switch p := p.(type) {
			case *packets.ConnectPacket:
				greeted = b.times[i]
			case *packets.PublishPacket:
				if strings.HasSuffix(p.TopicName, "/state") && !greeted.IsZero() {
					waits, greeted = append(waits, b.times[i].Sub(greeted)), time.Time{}
				}
			}
		}
		if len(waits) < 10 || waits[0] != 0 {
			t.Fatalf("waits %v", waits)
		}
		different := map[time.Duration]bool{}
		for _, w := range waits[1:] {
			if w > birthSpread {
				t.Errorf("a wait of %v", w)
			}
			different[w] = true
		}
		if len(different) < len(waits)/2 {
			t.Errorf("waits %v: the fleet comes back all at once", waits)
		}
	})
}

func TestWillAndBirthAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBroker{dropAfter: 12}
		bubble(t, b, Config{Hours: []string{"Mon-Fri 06:00-22:00"}, TimeZone: "Europe/Berlin", Interval: time.Second}, func(*Publisher) { time.Sleep(time.Minute) })
		var will *packets.ConnectPacket
		connections := 0
		for _, p := range b.heard {
			switch p := p.(type) {
			case *packets.ConnectPacket:
				will = p
				connections++
			case *packets.PublishPacket:
				if !strings.HasSuffix(p.TopicName, "/state") {
					continue
				}
				var born, dead message.State
				if json.Unmarshal(p.Payload, &born) != nil || json.Unmarshal(will.WillMessage, &dead) != nil {
					t.Fatalf("%s\n%s", p.Payload, will.WillMessage)
				}
				if p.TopicName != will.WillTopic || p.Qos != will.WillQos || p.Retain != will.WillRetain || !p.Retain || dead.State != message.Lost {
					t.Errorf("birth %v, will %v", p, will)
				}
				if dead.Connection != uint64(connections) || dead.Session != 1 || dead.Instance == "" || len(dead.Hours) != 1 {
					t.Errorf("will %+v of connection %d", dead, connections)
				}
				dead.State, dead.At, born.At = born.State, time.Time{}, time.Time{}
				if fmt.Sprint(dead) != fmt.Sprint(born) {
					t.Errorf("birth %+v, will %+v", born, dead)
				}
			}
		}
		if connections < 3 {
			t.Errorf("%d connections", connections)
		}
	})
}

func TestBrokersAreTriedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		tried, began := "", time.Now()
		keepTrying(ctx, []string{"a", "b", "c"}, func(broker string) error {
			if tried += broker; len(tried) == 9 {
				cancel()
			}
			return errors.New("away")
		}, func(error) {})
		if tried != "abcabcabc" {
			t.Errorf("tried %s", tried)
		}
		if took := time.Since(began); took < 3*firstWait || took > 8*4*firstWait*3/2 {
			t.Errorf("nine attempts within %v", took)
		}
	})
}
