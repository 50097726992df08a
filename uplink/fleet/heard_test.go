package fleet

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"station-agent/uplink/fleet/message"
)

func TestBuriedStateIsReclaimedAtOnceAndThenAtAPace(t *testing.T) {
	var c claim
	now := time.Unix(1000, 0)
	if c.isDue(now) {
		t.Error("due without a reason")
	}
	c.bury(now)
	if !c.isDue(now) {
		t.Error("not due at once")
	}
	c.stress(now)
	c.bury(now.Add(time.Millisecond))
	if c.isDue(now.Add(firstClaim-time.Millisecond)) || !c.isDue(now.Add(firstClaim)) {
		t.Error("the second one doesn't wait as long as it has to")
	}
	c.stress(now.Add(firstClaim))
	if c.isDue(now.Add(time.Hour)) {
		t.Error("it is said without a reason")
	}
	for range 10 { // however often it was contested, a burial isn't delayed by it
		now = now.Add(time.Hour)
		c.contest(now)
		c.stress(now)
	}
	now = now.Add(firstClaim)
	c.bury(now)
	if !c.isDue(now) {
		t.Error("a burial waits for a fight")
	}
}

// TestTwoAgentsDontFightForTheTopic lets two agents of one station take it from each other for a day.
func TestTwoAgentsDontFightForTheTopic(t *testing.T) {
	var a, b claim
	says, last := 0, time.Time{}
	began := time.Unix(0, 0)
	a.contest(began)
	for now := began; now.Before(began.Add(24 * time.Hour)); now = now.Add(100 * time.Millisecond) {
		for _, pair := range [][2]*claim{{&a, &b}, {&b, &a}} {
			if pair[0].isDue(now) {
				pair[0].stress(now)
				pair[1].contest(now)
				says, last = says+1, now
			}
		}
	}
	if says > 700 || says < 100 {
		t.Errorf("%d times in a day", says)
	}
	if began.Add(24*time.Hour).Sub(last) > 2*longestClaim {
		t.Error("they gave up: whoever watches sees one of them only")
	}
}

// agents are twins on one topic that carries everything to everybody.
type agents struct {
	t     *testing.T
	now   time.Time
	list  []*twin
	conds []*counting
	said  []message.Challenge
}

type counting struct{ lost, back int }

func (c *counting) Lost(error) { c.lost++ }
func (c *counting) Back()      { c.back++ }

func newAgents(t *testing.T, n int) *agents {
	a := &agents{t: t, now: time.Unix(1000, 0)}
	for range n {
		c := &counting{}
		a.conds, a.list = append(a.conds, c), append(a.list, &twin{instance: token(), cond: c})
	}
	return a
}

func (a *agents) say(c message.Challenge) {
	a.said = append(a.said, c)
	for _, t := range a.list {
		if answer, ok := t.heard(c, "s", a.now); ok {
			a.say(answer)
		}
	}
}

// pass lets time pass by, a second a step.
func (a *agents) pass(d time.Duration) {
	for end := a.now.Add(d); a.now.Before(end); a.now = a.now.Add(time.Second) {
		for _, t := range a.list {
			if t.isDue(a.now) {
				a.say(t.ask(a.now))
			}
		}
	}
}

func TestTwoLiveAgentsFindEachOther(t *testing.T) {
	a := newAgents(t, 2)
	second := a.list[1]
	a.list = a.list[:1]
	a.pass(10 * time.Minute)
	if a.conds[0].lost > 0 || len(a.said) > 11 {
		t.Fatalf("alone: %d times lost, %d messages", a.conds[0].lost, len(a.said))
	}
	a.list = append(a.list, second)
	a.pass(2 * time.Second)
	if a.conds[0].lost != 1 || a.conds[1].lost != 1 {
		t.Fatalf("lost %d and %d times at once", a.conds[0].lost, a.conds[1].lost)
	}
	a.said = nil
	a.pass(time.Hour)
	if a.conds[0].lost < 50 || a.conds[1].lost < 50 || a.conds[0].back+a.conds[1].back > 0 {
		t.Errorf("in an hour: %+v, %+v", a.conds[0], a.conds[1])
	}
	if len(a.said) > 60*5 {
		t.Errorf("%d messages in an hour", len(a.said))
	}
	a.list = a.list[:1]
	a.pass((clearAfter + 2) * askEvery)
	lost := a.conds[0].lost
	if a.conds[0].back != 1 {
		t.Errorf("the other one is gone: back %d times", a.conds[0].back)
	}
	a.pass(time.Hour)
	if a.conds[0].back != 1 || a.conds[0].lost != lost {
		t.Errorf("later: %+v", a.conds[0])
	}
}

func TestTwinIsProvenByAFreshAnswerOnly(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration
		say   func(question message.Challenge) message.Challenge
		want  int
	}{
		"a fresh answer": {time.Second, func(q message.Challenge) message.Challenge {
			return message.Challenge{Instance: "other", Answers: q.Nonce}
		}, 1},
		"a late answer": {freshFor, func(q message.Challenge) message.Challenge {
			return message.Challenge{Instance: "other", Answers: q.Nonce}
		}, 0},
		"an answer to another question": {0, func(message.Challenge) message.Challenge {
			return message.Challenge{Instance: "other", Answers: "0123456789abcdef"}
		}, 0},
		"our own answer": {0, func(q message.Challenge) message.Challenge {
			return message.Challenge{Instance: q.Instance, Answers: q.Nonce}
		}, 0},
		"an answer of no one": {0, func(q message.Challenge) message.Challenge { return message.Challenge{Answers: q.Nonce} }, 0},
		"our own question":    {0, func(q message.Challenge) message.Challenge { return q }, 0},
		"a question":          {0, func(message.Challenge) message.Challenge { return message.Challenge{Instance: "other", Nonce: "n"} }, 0},
		"nothing":             {0, func(message.Challenge) message.Challenge { return message.Challenge{} }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAgents(t, 1)
			q := a.list[0].ask(a.now)
			a.now = a.now.Add(c.after)
			a.say(c.say(q))
			if a.conds[0].lost != c.want {
				t.Errorf("lost %d times", a.conds[0].lost)
			}
		})
	}
	a := newAgents(t, 1) // the same answer again, to the next question
	old := message.Challenge{Instance: "other", Answers: a.list[0].ask(a.now).Nonce}
	a.now = a.now.Add(askEvery)
	a.list[0].ask(a.now)
	a.say(old)
	if a.conds[0].lost != 0 {
		t.Error("a replay proves a twin")
	}
}

func TestFloodOfChallengesIsAnsweredOnceASecond(t *testing.T) {
	a := newAgents(t, 1)
	a.pass(time.Minute)
	a.said = nil
	for range 10_000 {
		a.now = a.now.Add(time.Millisecond)
		a.list[0].heard(message.Challenge{Instance: "other", Nonce: "n"}, "s", a.now)
		if a.list[0].isDue(a.now) {
			a.said = append(a.said, a.list[0].ask(a.now))
		}
	}
	a.now = a.now.Add(time.Minute)
	if answer, ok := a.list[0].heard(message.Challenge{Instance: "other", Nonce: string(make([]byte, longestName+1))}, "s", a.now); ok {
		t.Errorf("%+v", answer)
	}
	if _, ok := a.list[0].heard(message.Challenge{Instance: "other", Nonce: string(make([]byte, longestName))}, "s", a.now); !ok {
		t.Error("no answer: this test is blind")
	}
	if len(a.said) > 6 {
		t.Errorf("%d questions in ten seconds", len(a.said))
	}
}

func TestFloodOfCommandsCostsItsBudget(t *testing.T) {
	taken := 0
	p := New(Config{Environment: "test", Station: "s", Command: func([]byte, bool, func(message.Result)) { taken++ }}, nil, nil)
	command := p.cfg.topic(message.CommandLeaf)
	for range 10_000 {
		if !p.hear(Said{Topic: command, Payload: []byte("garbage")}) {
			t.Fatal("a command is a message that nobody asked for")
		}
	}
	if taken < commandsAtOnce || taken > commandsAtOnce+commandsASecond*10 {
		t.Errorf("%d of 10,000 were looked at", taken)
	}
	var b budget
	now := time.Unix(1000, 0)
	for b.take(now) {
	}
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{commandAllowance / 2, false}, {commandAllowance, true}, {commandAllowance, false}, {3 * commandAllowance, true}, {3 * commandAllowance, true}, {3 * commandAllowance, false}} {
		if got := b.take(now.Add(c.after)); got != c.want {
			t.Errorf("after %v: %v", c.after, got)
		}
	}
}

func TestRetainedCommandsAreIgnored(t *testing.T) {
	p := New(Config{Environment: "test", Station: "s", Command: func([]byte, bool, func(message.Result)) { t.Error("it was taken") }}, nil, nil)
	if !p.hear(Said{Topic: p.cfg.topic(message.CommandLeaf), Payload: []byte("{}"), Retained: true}) {
		t.Error("it is a message that nobody asked for")
	}
	p.cfg.Command = nil
	if p.hear(Said{Topic: p.cfg.topic(message.CommandLeaf)}) || p.hear(Said{Topic: "station-agent/test/other/state"}) {
		t.Error("what nobody asked for is taken")
	}
}

func TestFloodOnOwnTopicsWaitsInBoundedRoom(t *testing.T) {
	p := New(Config{Environment: "test", Station: "s", Twin: &counting{}}, nil, nil)
	for range 10_000 {
		p.hear(Said{Topic: p.cfg.topic(message.ChallengeLeaf), Payload: make([]byte, longestWord)})
	}
	if len(p.said) == cap(p.said) {
		t.Error("challenges leave no room for a state")
	}
	for range 10_000 {
		p.hear(Said{Topic: p.cfg.topic(message.StateLeaf), Payload: make([]byte, 10*longestWord)})
	}
	bytes := 0
	for len(p.said) > 0 {
		bytes += len((<-p.said).Payload)
	}
	if bytes > cap(p.said)*longestWord {
		t.Errorf("%d bytes wait", bytes)
	}
}

func TestResultsWaitInBoundedRoom(t *testing.T) {
	c := newCourier(Config{Session: 7})
	for range 2 * mostResults {
		c.reply(message.Result{Nonce: "n", Status: message.Done})
	}
	if n := len(c.results.queue); n != mostResults {
		t.Errorf("%d wait", n)
	}
	c = newCourier(Config{Session: 7})
	data, _ := json.Marshal(string(make([]byte, 100<<10)))
	for range 100 {
		c.reply(message.Result{Data: data})
	}
	if c.results.bytes > resultBytes || len(c.results.queue) < 2 {
		t.Errorf("%d bytes in %d results", c.results.bytes, len(c.results.queue))
	}
	c = newCourier(Config{Session: 7})
	for _, data := range []json.RawMessage{json.RawMessage("no JSON"), json.RawMessage(`"` + strings.Repeat("x", message.Most) + `"`)} {
		c.reply(message.Result{Nonce: "n", Status: message.Done, Data: data})
		r, err := message.Decode[message.Result](c.results.oldest())
		if err != nil || r.Status != message.Failed || r.Session != 7 || r.Nonce != "n" || r.At.IsZero() {
			t.Errorf("%+v, %v", r, err)
		}
		c.results.arrived()
	}
}

func TestProblemsAreTheSameHoweverTheyCount(t *testing.T) {
	since := time.Unix(1000, 0)
	a := []message.Problem{{Name: "mysql", Code: "mysql_away", Severity: message.Warning, Since: since, Text: "1", Count: 1}}
	b := []message.Problem{{Name: "mysql", Code: "mysql_away", Severity: message.Warning, Since: since, Text: "2", Count: 2}}
	if digest(a) != digest(b) {
		t.Error("each failure is told at once")
	}
	for _, other := range []message.Problem{{Name: "certyo", Since: since}, {Name: "mysql", Code: "mysql_away", Severity: message.Critical, Since: since}, {Name: "mysql", Code: "mysql_away", Severity: message.Warning, Since: since.Add(1)}} {
		if digest(a) == digest([]message.Problem{other}) {
			t.Errorf("%+v isn't told", other)
		}
	}
	if digest(nil) != "" {
		t.Error(errors.New("no problem is one"))
	}
}
