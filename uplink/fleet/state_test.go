package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"station-agent/uplink/fleet/message"
)

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

// TestStationThatHearsNothingIsTold: Mosquitto takes a subscription that its ACL forbids, and says nothing on it.
func TestStationThatHearsNothingIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBroker{noEcho: true}
		r := bubble(t, b, Config{}, func(p *Publisher) {
			time.Sleep(10 * time.Minute)
			b.mu.Lock()
			b.noEcho = false // somebody corrects the ACL
			b.mu.Unlock()
			p.Updating()
			time.Sleep(time.Minute)
		})
		if len(r.lost) != 1 || !strings.Contains(r.lost[0].text, "ACL") || r.backs != 2 || len(b.dials) != 1 {
			t.Errorf("lost %v, back %d times, %d connections", r.lost, r.backs, len(b.dials))
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
