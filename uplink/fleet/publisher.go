package fleet

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"station-agent/uplink/fleet/message"
)

// How long each step may take, and how long to wait between attempts.
const (
	dialWithin     = 10 * time.Second // and again so long for the greeting
	webDialWithin  = 4 * time.Second  // for ws and wss, which a stop of the agent can't interrupt
	writeWithin    = 2 * time.Second
	ackWithin      = 5 * time.Second
	farewellWithin = time.Second
	leaveWithin    = time.Second
	reasonWithin   = 100 * time.Millisecond
	keepAlive      = 10 * time.Second // a ping after so long without a packet; paho looks four times in it
	pongWithin     = 5 * time.Second
	judgeEvery     = time.Second // how soon a problem shows in the state
	firstWait      = time.Second
	longestWait    = 30 * time.Second
	steadyAfter    = 30 * time.Second // a connection that lasted so long was a good one
)

// Config says who publishes where. Environment and Station are levels of the topics: they hold none of "/+#".
type Config struct {
	Broker      string // tcp://host:port, ssl://, ws:// or wss://; the ports have the usual defaults
	Environment string
	Station     string // uuid
	Name        string // for people
	Version     string
	Session     uint64                 // number of the agent's start, increasing
	User        string                 // "" for none
	Password    func() (string, error) // asked at each connect; nil without a User
	TLS         *tls.Config            // for ssl and wss; nil for the system's roots
	Interval    time.Duration          // between two Healths; 0 for 30 s
}

// Condition is the state of one thing outside: it is lost with a reason, or it is back. Both may be called as often as
// you like.
type Condition interface {
	Lost(err error)
	Back()
}

// Publisher publishes the State and the Health of one station.
type Publisher struct {
	cfg    Config
	health func() message.Health
	cond   Condition
	dial   func(ctx context.Context) (net.Conn, error)
	mode   message.Mode // as last judged
	since  time.Time
}

// New makes a Publisher. It asks health once a second while connected, so that has to be cheap.
func New(cfg Config, health func() message.Health, cond Condition) *Publisher {
	if cfg.Interval <= 0 {
		cfg.Interval = 30 * time.Second
	}
	return &Publisher{cfg: cfg, health: health, cond: cond, dial: cfg.dial, mode: message.Init, since: time.Now()}
}

// Run publishes until ctx ends, says "disconnected" if it still can, and returns nil. A broker that is away, refuses or
// stalls is its condition's business.
func (p *Publisher) Run(ctx context.Context) error {
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		began := time.Now()
		err := p.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		p.cond.Lost(err)
		if time.Since(began) > steadyAfter {
			wait = firstWait
		}
		// a fleet that lost its broker doesn't come back all at once
		if pause(ctx, wait/2+rand.N(wait)) != nil {
			return nil
		}
	}
}

// session is one connection, from dialing to its end.
func (p *Publisher) session(ctx context.Context) error {
	l, err := p.connect(ctx)
	if err != nil {
		return fmt.Errorf("connect to broker %s: %w", p.cfg.host(), err)
	}
	if err := p.report(ctx, l); err != nil {
		l.cut()
		return fmt.Errorf("publish to broker %s: %w", p.cfg.host(), err)
	}
	l.leave()
	return nil
}

// report says the state and the health, and both again as long as the connection holds. It returns nil after the
// farewell.
func (p *Publisher) report(ctx context.Context, l *link) error {
	interval, judge := time.NewTicker(p.cfg.Interval), time.NewTicker(judgeEvery)
	defer interval.Stop()
	defer judge.Stop()
	for err := p.begin(ctx, l); ; {
		if ctx.Err() != nil {
			return p.farewell(ctx, l)
		}
		if err != nil {
			return err
		}
		select {
		case <-interval.C:
			err = p.sayHealth(ctx, l)
		case <-judge.C:
			err = p.judge(ctx, l)
		case err = <-l.ended:
			err = explain(err)
		case <-ctx.Done():
		}
	}
}

// begin says the state as it was last judged, in place of the "lost" that the broker may have put there. Only then is the
// broker back, and the first health doesn't count it as a problem.
func (p *Publisher) begin(ctx context.Context, l *link) error {
	if err := p.sayState(ctx, l); err != nil {
		return err
	}
	p.cond.Back()
	if err := p.sayHealth(ctx, l); err != nil {
		return err
	}
	return p.judge(ctx, l)
}

// judge says the state if it changed.
func (p *Publisher) judge(ctx context.Context, l *link) error {
	mode := p.health().Mode()
	if mode == p.mode {
		return nil
	}
	p.mode, p.since = mode, time.Now()
	return p.sayState(ctx, l)
}

// farewell says that the agent was stopped. If that doesn't get through, DISCONNECT mustn't either: the broker has to say
// "lost".
func (p *Publisher) farewell(ctx context.Context, l *link) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewellWithin)
	defer cancel()
	p.mode, p.since = message.Disconnected, time.Now()
	return p.sayState(ctx, l)
}

func (p *Publisher) sayState(ctx context.Context, l *link) error {
	return l.retain(ctx, p.cfg.topic(message.StateLeaf), p.cfg.state(p.mode, p.since))
}

func (p *Publisher) sayHealth(ctx context.Context, l *link) error {
	h := p.health()
	if h.Problems == nil {
		h.Problems = []message.Problem{} // a list in JSON too
	}
	payload, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode health: %w", err)
	}
	return l.publish(ctx, p.cfg.topic(message.HealthLeaf), payload)
}

func (c Config) topic(leaf string) string {
	return message.Place{Environment: c.Environment, Station: c.Station}.Topic(leaf)
}

// state is the payload of the state topic.
func (c Config) state(mode message.Mode, since time.Time) []byte {
	payload, _ := json.Marshal(message.State{ // of strings, a number and a time near now: it can't fail
		State: mode, Session: c.Session, At: since.UTC(), Version: c.Version,
		Station: c.Station, Environment: c.Environment, Name: c.Name, Hours: []string{}, IntervalS: c.Interval.Seconds(),
	})
	return payload
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
