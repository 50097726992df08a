package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"station-agent/uplink/fleet/message"
)

// How long each step may take, and how long to wait between attempts.
const (
	dialWithin     = 10 * time.Second // and again so long for the greeting
	writeWithin    = 2 * time.Second  // for each piece of a packet
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
	birthSpread    = 5 * time.Second  // a broker that comes back hears its stations within it, not all at once
	echoWithin     = 30 * time.Second // our own state has to come back to us
	updateWithin   = 10 * time.Minute // after which an announced stop doesn't come any more
)

// The longest packets that are read: what is short by its nature, and commands, which may carry a configuration.
const (
	shortMost   = 16 << 10
	commandMost = 256 << 10
)

// Config says who publishes where. Environment and Station are levels of the topics: they hold none of "/+#".
type Config struct {
	Access
	Environment string
	Station     string // uuid
	Name        string // for people
	Version     string
	Session     uint64        // number of the agent's start, increasing
	Interval    time.Duration // between two Healths; 0 for 30 s
	Hours       []string      // see message.NewHours
	TimeZone    string        // of the hours

	Events Events                // nil: none are told
	Alarms func() message.Alarms // what stands now, asked once a second; nil: never told
	Twin   Condition             // lost while another agent of this station answers; nil: none is looked for

	// Command takes a command as it came, from anybody who may write to its topic. It must not block; reply may be called
	// from any goroutine, at any time and as often as there are results. nil: there are no commands.
	Command func(payload []byte, retained bool, reply func(message.Result))
}

// Condition is the state of one thing outside: it is lost with a reason, or it is back. Both may be called as often as
// you like.
type Condition interface {
	Lost(err error)
	Back()
}

// Publisher is the station's side: it publishes state, alarms, events and health of one station, and hands over its
// commands.
type Publisher struct {
	cfg      Config
	health   func() message.Health
	cond     Condition
	instance string
	update   chan struct{} // a stop for a new version was announced

	connection uint64       // number of the newest, from 1
	born       bool         // the state was said once
	mode       message.Mode // as last judged
	since      time.Time
	updating   time.Time // since then "updating" stands; zero: it doesn't
	problems   string    // as last told in health, see digest
	claim      claim
	echo       time.Time // when our own state has to have come back; zero: it has
	deaf       bool      // it didn't, and that was said
	twin       twin
	alarms     alarms
	said       chan Said // on the own topics, not yet looked at
	budget     budget    // of commands
	courier    courier
}

// New makes a Publisher. It asks health once a second while connected, so that has to be cheap.
func New(cfg Config, health func() message.Health, cond Condition) *Publisher {
	if cfg.Interval <= 0 {
		cfg.Interval = 30 * time.Second
	}
	if cfg.Hours == nil {
		cfg.Hours = []string{} // a list in JSON too
	}
	p := &Publisher{
		cfg: cfg, health: health, cond: cond, instance: token(), update: make(chan struct{}, 1), mode: message.Init, since: time.Now(),
		said: make(chan Said, 64), courier: newCourier(cfg),
	}
	p.twin = twin{instance: p.instance, cond: cfg.Twin}
	return p
}

// token is random, so that nobody has or guesses the same.
func token() string { return fmt.Sprintf("%016x", rand.Uint64()) }

// Updating announces that the agent is about to stop for a new version. The state is "updating" from now on, also after the
// stop, which has to come within ten minutes.
func (p *Publisher) Updating() {
	select {
	case p.update <- struct{}{}:
	default: // it is known
	}
}

// Reply tells a result that nobody waits for any more where the command came from: that of one from before this start.
func (p *Publisher) Reply(r message.Result) { p.courier.reply(r) }

// Run publishes until ctx ends, says "disconnected" if it still can, and returns nil. A broker that is away, refuses or
// stalls is its condition's business.
func (p *Publisher) Run(ctx context.Context) error {
	keepTrying(ctx, p.cfg.inTurn(), func(broker string) error { return p.session(ctx, broker) }, p.cond.Lost)
	return nil
}

// session is one connection, from dialing to its end.
func (p *Publisher) session(ctx context.Context, broker string) error {
	l, err := p.connect(ctx, broker)
	if err != nil {
		return fmt.Errorf("connect to broker %s: %w", hostOf(broker), err)
	}
	if err := p.report(ctx, l); err != nil {
		l.cut()
		return fmt.Errorf("publish to broker %s: %w", hostOf(broker), err)
	}
	l.leave()
	return nil
}

// connect introduces the station to a broker. The client id is that of this start of the agent: a broker that still
// believes in the connection before ends it, with its will, when the same agent comes back; and two agents of one station
// are both there and find each other, where with one id they would throw each other out for ever.
func (p *Publisher) connect(ctx context.Context, broker string) (*link, error) {
	o, err := p.cfg.options("station-agent-" + p.cfg.Station + "-" + p.instance)
	if err != nil {
		return nil, err
	}
	p.connection++
	o.SetBinaryWill(p.cfg.topic(message.StateLeaf), p.state(message.Lost, time.Now()), 1, true)
	most := shortMost
	if p.cfg.Command != nil {
		most = commandMost
	}
	return p.cfg.connect(ctx, broker, o, most, p.hear)
}

// report says what is to be said, and again what changed, as long as the connection holds. It returns nil after the
// farewell.
func (p *Publisher) report(ctx context.Context, l *link) error {
	interval, judge := time.NewTicker(p.cfg.Interval), time.NewTicker(judgeEvery)
	defer interval.Stop()
	defer judge.Stop()
	defer p.courier.drop()
	for err := p.begin(ctx, l); ; {
		if ctx.Err() != nil {
			return p.farewell(ctx, l)
		}
		if err != nil {
			return err
		}
		select {
		case <-interval.C:
			err = p.sayHealth(ctx, l, p.health())
		case <-judge.C:
			err = p.judge(ctx, l)
		case s := <-p.said:
			err = p.heed(ctx, l, s)
		case <-p.update:
			p.updating = time.Now()
			err = p.judge(ctx, l)
		case <-p.courier.delivered():
			err = p.courier.settle(l)
		case <-p.courier.changed():
			err = p.courier.carry(l)
		case <-p.courier.news():
			err = p.courier.carry(l)
		case <-l.ended:
			err = l.reason()
		case <-ctx.Done():
		}
	}
}

// begin listens to the own topics and says the state as it was last judged, in place of the "lost" that the broker may have
// put there. Only then is the broker back, and the first health doesn't count it as a problem. What is retained was there
// before, and nobody heeds it.
func (p *Publisher) begin(ctx context.Context, l *link) error {
	if err := p.spread(ctx, l); err != nil {
		return err
	}
	deaf := l.subscribe(ctx, p.topics()...)
	if deaf != nil && !errors.Is(deaf, errUnheard) {
		return deaf
	}
	if err := p.sayState(ctx, l); err != nil {
		return err
	}
	p.born, p.echo, p.deaf = true, time.Now().Add(echoWithin), false
	p.cond.Back()
	if deaf != nil { // the fleet hears this station, and the station not the fleet
		p.echo = time.Time{} // it is said
		p.cond.Lost(deaf)
	}
	h := p.health()
	if err := errors.Join(p.sayAlarms(ctx, l, true), p.sayHealth(ctx, l, h)); err != nil {
		return err
	}
	p.twin.due = time.Now()
	if err := p.judge(ctx, l); err != nil {
		return err
	}
	p.courier.begin()
	return p.courier.carry(l)
}

// spread waits for a moment of this station's own when it comes back to a broker, which may have lost the whole fleet.
func (p *Publisher) spread(ctx context.Context, l *link) error {
	if !p.born {
		return nil
	}
	wait := time.NewTimer(rand.N(birthSpread))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	case <-l.ended:
		return l.reason()
	}
	return nil
}

// judge says what changed since the last time.
func (p *Publisher) judge(ctx context.Context, l *link) error {
	h := p.health()
	mode, now := p.modeOf(h), time.Now()
	if mode != p.mode {
		p.mode, p.since = mode, now
		if err := p.sayState(ctx, l); err != nil {
			return err
		}
	}
	if err := p.sayAlarms(ctx, l, false); err != nil {
		return err
	}
	if digest(h.Problems) != p.problems {
		if err := p.sayHealth(ctx, l, h); err != nil {
			return err
		}
	}
	if !p.echo.IsZero() && now.After(p.echo) {
		p.echo, p.deaf = time.Time{}, true
		p.cond.Lost(fmt.Errorf("nothing comes back of %s: %w", p.cfg.topic(message.StateLeaf), errUnheard))
	}
	return errors.Join(p.reclaim(ctx, l), p.challenge(ctx, l), p.courier.look(l, now))
}

// modeOf is what the state has to be now.
func (p *Publisher) modeOf(h message.Health) message.Mode {
	if !p.updating.IsZero() && time.Since(p.updating) < updateWithin {
		return message.Updating
	}
	return h.Mode()
}

// farewell says that the agent was stopped. If that doesn't get through, DISCONNECT mustn't either: the broker has to say
// "lost".
func (p *Publisher) farewell(ctx context.Context, l *link) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewellWithin)
	defer cancel()
	select {
	case <-p.update: // in the same moment
		p.updating = time.Now()
	default:
	}
	if p.mode, p.since = p.modeOf(message.Health{}), time.Now(); p.mode != message.Updating {
		p.mode = message.Disconnected
	}
	return p.sayState(ctx, l)
}

func (p *Publisher) sayState(ctx context.Context, l *link) error {
	p.claim.due = time.Time{} // whatever stands there, this word comes after it
	return l.retain(ctx, p.cfg.topic(message.StateLeaf), p.state(p.mode, p.since))
}

func (p *Publisher) sayHealth(ctx context.Context, l *link, h message.Health) error {
	h.Session = p.cfg.Session
	if h.Problems == nil {
		h.Problems = []message.Problem{} // a list in JSON too
	}
	payload, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode health: %w", err)
	}
	p.problems = digest(h.Problems)
	return l.publish(ctx, p.cfg.topic(message.HealthLeaf), payload)
}

func (c Config) topic(leaf string) string {
	return message.Place{Environment: c.Environment, Station: c.Station}.Topic(leaf)
}

// state is the payload of the state topic.
func (p *Publisher) state(mode message.Mode, since time.Time) []byte {
	c := p.cfg
	payload, _ := json.Marshal(message.State{ // of strings, numbers and a time near now: it can't fail
		State: mode, Session: c.Session, Connection: p.connection, Instance: p.instance, At: since.UTC(), Version: c.Version,
		Station: c.Station, Environment: c.Environment, Name: c.Name, Hours: c.Hours, TimeZone: c.TimeZone, IntervalS: c.Interval.Seconds(),
	})
	return payload
}
