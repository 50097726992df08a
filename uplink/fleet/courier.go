package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"station-agent/uplink/fleet/message"
)

// Events are what was raised, cleared or happened, kept where a power cut doesn't reach it until the broker has it.
type Events interface {
	// Next gives the oldest event that the broker doesn't have and whose number is higher; false if there is none. After an
	// error it is asked again a second later; the error is said by whoever keeps the events.
	Next(after uint64) (e message.Event, ok bool, err error)
	// Told says that the broker has all events up to this number: at most once a second, as it may write to the card. What
	// it wasn't told before the power failed is published again. After an error it is called again a second later.
	Told(seq uint64) error
	// Changed signals that there may be a new one. Signals may be lost if one is pending.
	Changed() <-chan struct{}
}

const (
	onTimeFor   = 10 * time.Second // an event that is older when it is told is historical
	deliverTime = 30 * time.Second // for an event or a result: a long one over a thin line
	mostResults = 256              // that wait
	resultBytes = 4 << 20          // together
)

// courier brings events and results to the broker with QoS 1, one at a time, so that the order holds whatever happens to
// the connection. What wasn't acknowledged goes again. Results wait in memory only, events in their store.
type courier struct {
	cfg     Config
	results *results

	after   uint64 // number of the newest event that the broker has, in this run
	told    uint64 // the newest one that Events knows of that
	backlog bool   // what comes now was there before the connection
	retry   bool   // the events couldn't be asked
	flight  *flight
}

// flight is the message under way.
type flight struct {
	token mqtt.Token
	began time.Time
	event uint64 // its number; 0 for a result
}

func newCourier(cfg Config) courier {
	return courier{cfg: cfg, results: &results{session: cfg.Session, came: make(chan struct{}, 1)}}
}

// begin starts anew on a new connection.
func (c *courier) begin() { c.backlog = true }

// drop forgets what is under way on a connection that ends.
func (c *courier) drop() {
	c.flight = nil
	c.tell()
}

// tell tells Events what arrived.
func (c *courier) tell() {
	if c.told < c.after && c.cfg.Events.Told(c.after) == nil {
		c.told = c.after
	}
}

// delivered is closed when what is under way has arrived, or failed.
func (c *courier) delivered() <-chan struct{} {
	if c.flight == nil {
		return nil
	}
	return c.flight.token.Done()
}

// changed signals that there may be something to carry.
func (c *courier) changed() <-chan struct{} {
	if c.flight != nil {
		return nil
	}
	return c.results.came
}

// news is the same for events.
func (c *courier) news() <-chan struct{} {
	if c.flight != nil || c.cfg.Events == nil {
		return nil
	}
	return c.cfg.Events.Changed()
}

// settle notes the arrival and takes the next one.
func (c *courier) settle(l *link) error {
	f := c.flight
	c.flight = nil
	if err := l.outcome(f.token); err != nil {
		return err
	}
	if f.event == 0 {
		c.results.arrived()
	} else {
		c.after = f.event
	}
	return c.carry(l)
}

// look is called once a second.
func (c *courier) look(l *link, now time.Time) error {
	c.tell()
	if c.flight != nil && now.Sub(c.flight.began) > deliverTime {
		return fmt.Errorf("no acknowledgement for %s", deliverTime)
	}
	if c.retry {
		return c.carry(l)
	}
	return nil
}

// carry sends the next one, if nothing is under way: results before events, because somebody waits for them.
func (c *courier) carry(l *link) error {
	if c.flight != nil {
		return nil
	}
	if payload := c.results.oldest(); payload != nil {
		c.send(l, message.ResultLeaf, payload, 0)
		return nil
	}
	if c.cfg.Events == nil {
		return nil
	}
	e, ok, err := c.cfg.Events.Next(c.after)
	c.retry = err != nil
	if err != nil || !ok {
		c.backlog = c.backlog && err != nil
		return nil
	}
	e.Historical = e.Historical || c.backlog && (e.Session != c.cfg.Session || time.Since(e.At) > onTimeFor)
	payload, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode event %d: %w", e.Seq, err)
	}
	c.send(l, message.EventsLeaf, payload, e.Seq)
	return nil
}

func (c *courier) send(l *link, leaf string, payload []byte, event uint64) {
	c.flight = &flight{l.client.Publish(c.cfg.topic(leaf), 1, false, payload), time.Now(), event}
}

// reply takes a result from whoever works on commands.
func (c *courier) reply(r message.Result) { c.results.add(r) }

// results wait for the broker. Nobody has to wait for them, so there is an end to how many.
type results struct {
	session uint64
	came    chan struct{}

	mu    sync.Mutex
	queue [][]byte
	bytes int
}

var errTooLong = errors.New("the result is longer than a message may be")

func (r *results) add(v message.Result) {
	v.Session = r.session
	if v.At.IsZero() {
		v.At = time.Now().UTC()
	}
	payload, err := json.Marshal(v)
	if err == nil && len(payload) > message.Most {
		err = errTooLong
	}
	if err != nil { // its data is no JSON, or too much
		v.Status, v.Text, v.Data = message.Failed, fmt.Sprintf("tell the result: %v", err), nil
		payload, _ = json.Marshal(v)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == mostResults || r.bytes+len(payload) > resultBytes {
		return
	}
	r.queue, r.bytes = append(r.queue, payload), r.bytes+len(payload)
	select {
	case r.came <- struct{}{}:
	default:
	}
}

// oldest is the one to send; nil if there is none.
func (r *results) oldest() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		return nil
	}
	return r.queue[0]
}

// arrived forgets the oldest.
func (r *results) arrived() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes -= len(r.queue[0])
	r.queue = r.queue[1:]
}
