package watch

import (
	"slices"
	"time"

	"station-agent/uplink/fleet/message"
)

// answerWithin is how old a challenge may be that an answer proves something by, and twinFor how long the proof counts: a
// station asks again and again.
const (
	answerWithin = 30 * time.Second
	twinFor      = 10 * time.Minute
	mostAsked    = 8
)

// station is what is known of one.
type station struct {
	id     string
	listed bool   // in the inventory
	given  string // its name there

	known      bool // a state was heard
	state      message.State
	stateAt    time.Time // when that came
	stateSince time.Time
	since      bool // stateSince is exact

	health   *message.Health
	healthAt time.Time

	alarmsKnown bool
	alarms      []message.Problem // with Since by our clock
	alarmsAt    time.Time

	events []message.Event // newest last
	store  string          // that counts the events
	seq    uint64          // of the newest one
	cont   bool            // the next one has to follow it
	gaps   []Gap

	asked     []asked
	instances []instance
	twinAt    time.Time
}

// Gap is a piece of the sequence of events that didn't come.
type Gap struct {
	From  uint64    `json:"from"`
	To    uint64    `json:"to"`
	Found time.Time `json:"found"`
}

// asked is one challenge that was heard.
type asked struct {
	by, nonce string
	at        time.Time
}

// instance is a start of the agent that gave a sign of life.
type instance struct {
	id string
	at time.Time
}

// empty tells whether nothing is known at all.
func (s *station) empty() bool {
	return !s.listed && !s.known && s.health == nil && !s.alarmsKnown && len(s.events) == 0 && len(s.asked) == 0
}

// fresh forgets where the sequence of events was.
func (s *station) fresh() { s.cont = false }

// hear takes one message of this station; false for one that makes no sense.
func (s *station) hear(leaf string, m Message, events int) bool {
	switch leaf {
	case message.StateLeaf:
		v, err := message.Decode[message.State](m.Payload)
		if err != nil || v.State == "" || v.Station != "" && v.Station != s.id {
			return false
		}
		cleanState(&v)
		return s.hearState(v, m)
	case message.HealthLeaf:
		v, err := message.Decode[message.Health](m.Payload)
		if err != nil || m.Retained { // health is never kept by a broker: who said so forged it, or it is an accident
			return false
		}
		cleanHealth(&v)
		s.health, s.healthAt = &v, m.At
		return true
	case message.AlarmsLeaf:
		v, err := message.Decode[message.Alarms](m.Payload)
		if err != nil {
			return false
		}
		s.hearAlarms(v, m)
		return true
	case message.EventsLeaf:
		v, err := message.Decode[message.Event](m.Payload)
		if err != nil || m.Retained || v.Seq == 0 {
			return false
		}
		cleanEvent(&v)
		s.hearEvent(v, m.At, events)
		return true
	case message.ChallengeLeaf:
		v, err := message.Decode[message.Challenge](m.Payload)
		if err != nil || m.Retained || v.Instance == "" {
			return false
		}
		s.hearChallenge(v, m.At)
		return true
	}
	return false
}

// hearState takes a state, unless it is a word about a connection that was replaced since.
func (s *station) hearState(v message.State, m Message) bool {
	if s.known && s.outdated(v) {
		return true
	}
	same := s.known && s.state.State == v.State && s.state.Instance == v.Instance && s.state.Session == v.Session
	s.known, s.state, s.stateAt = true, v, m.At
	if !m.Retained && v.State != message.Lost {
		s.alive(v.Instance, m.At)
	}
	switch {
	case v.State == message.Lost:
		// At is when the connection began. When it ended was seen, or nobody knows.
		if !same {
			s.stateSince, s.since = m.At, !m.Retained
		}
	case v.At.IsZero() || v.At.After(m.At.Add(time.Minute)) || v.At.Year() < 2020: // of a station without a clock
		if !same {
			s.stateSince, s.since = m.At, false
		}
	default:
		s.stateSince, s.since = v.At, true
	}
	return true
}

// outdated tells whether v is older than the state that is known. An agent speaks for itself; a will may come late: after
// the agent connected or started again, or after another card took its place, whose sessions may count from one.
func (s *station) outdated(v message.State) bool {
	now := s.state
	older := v.Session < now.Session || v.Session == now.Session && v.Connection < now.Connection
	switch {
	case v.State != message.Lost:
		return v.Instance == now.Instance && older
	case v.Instance == now.Instance || v.Instance == "" || now.Instance == "":
		return older
	default:
		return older || v.At.Before(now.At)
	}
}

func (s *station) hearAlarms(v message.Alarms, m Message) {
	var skew time.Duration // what the station's clock is behind: told by a live message, which is as old as the way
	if !m.Retained && !v.At.IsZero() {
		if skew = m.At.Sub(v.At); skew.Abs() < 5*time.Second {
			skew = 0
		}
	}
	s.alarms, s.alarmsKnown, s.alarmsAt = cleanProblems(v.Alarms, skew), true, m.At
	if m.Retained && !v.At.IsZero() && v.At.Before(m.At) {
		s.alarmsAt = v.At // the time left is of then
	}
}

// hearEvent takes an event: one that came before has its number, one that is missing leaves a gap until it comes.
func (s *station) hearEvent(v message.Event, at time.Time, most int) {
	if v.Store != s.store {
		s.store, s.seq, s.cont, s.gaps = v.Store, 0, false, nil
	}
	switch {
	case v.Seq <= s.seq:
		s.fill(v.Seq)
		if slices.ContainsFunc(s.events, func(e message.Event) bool { return e.Seq == v.Seq && e.Store == v.Store }) {
			return
		}
	case s.cont && v.Seq > s.seq+1:
		s.gaps = append(s.gaps, Gap{s.seq + 1, v.Seq - 1, at})
		s.gaps = s.gaps[max(0, len(s.gaps)-mostGaps):]
	}
	s.seq, s.cont = max(s.seq, v.Seq), true
	i := len(s.events)
	for s.events = append(s.events, v); i > 0 && s.events[i-1].Store == v.Store && s.events[i-1].Seq > v.Seq; i-- {
		s.events[i], s.events[i-1] = s.events[i-1], v // one that comes late stands where it belongs
	}
	s.events = s.events[max(0, len(s.events)-most):]
}

// fill takes one number out of the gaps.
func (s *station) fill(seq uint64) {
	for i, g := range s.gaps {
		if seq < g.From || seq > g.To {
			continue
		}
		var rest []Gap
		if seq > g.From {
			rest = append(rest, Gap{g.From, seq - 1, g.Found})
		}
		if seq < g.To {
			rest = append(rest, Gap{seq + 1, g.To, g.Found})
		}
		s.gaps = append(append(append([]Gap{}, s.gaps[:i]...), rest...), s.gaps[i+1:]...)
		return
	}
}

// hearChallenge notes who is alive. An answer to a nonce that another instance asked just now is two agents at a time.
func (s *station) hearChallenge(v message.Challenge, at time.Time) {
	v.Instance, v.Nonce, v.Answers = clean(v.Instance, 64), clean(v.Nonce, 64), clean(v.Answers, 64)
	s.alive(v.Instance, at)
	if v.Answers == "" {
		s.asked = append(s.asked, asked{v.Instance, v.Nonce, at})
		s.asked = s.asked[max(0, len(s.asked)-mostAsked):]
		return
	}
	for _, a := range s.asked {
		if a.nonce == v.Answers && a.by != v.Instance && at.Sub(a.at) <= answerWithin {
			s.twinAt = at
		}
	}
}

// alive notes a sign of life of an instance.
func (s *station) alive(id string, at time.Time) {
	if id == "" {
		return
	}
	s.instances = slices.DeleteFunc(s.instances, func(i instance) bool { return i.id == id || at.Sub(i.at) > twinFor })
	s.instances = append(s.instances, instance{id, at})
	s.instances = s.instances[max(0, len(s.instances)-mostAsked):]
}

// name is what people call it.
func (s *station) name() string {
	switch {
	case s.state.Name != "":
		return s.state.Name
	case s.given != "":
		return s.given
	default:
		return s.id
	}
}
