package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/fleet/message"
)

// When a problem becomes an alarm, and when an alarm is over. A cable that is loose for a second is nobody's business, and one
// that is loose all day is one alarm: each time that it comes back within an hour, it has to be calm for twice as long.
const (
	alarmLook    = time.Second // one commit to the card at most
	raiseAfter   = 5 * time.Second
	raiseTimes   = 3 // problems that never stand so long are an alarm when they come so often within flapWithin
	flapWithin   = time.Minute
	calmAfter    = 30 * time.Second
	calmMost     = 16 * time.Minute
	calmWithin   = time.Hour
	restoreGrace = time.Minute // after a start nothing is known yet: an alarm of before gets so long to be found again
	eventBurst   = 30
	eventsMinute = 10 // on average: what is more waits, and may be over by then
	lateAfter    = 30 * time.Second
	eventText    = 500 // characters
)

// eventLog is the store's list of events; its comments say what the methods do.
type eventLog interface {
	Add(events ...store.Event) error
	Next(after uint64) (store.Event, bool)
	Told(seq uint64)
	Changed() <-chan struct{}
	Last() uint64
	Kept() []store.Event
	Standing() []store.Event
	Dropped() uint64
}

// alarms makes alarms and events of what the board says: each is raised once and cleared once, whatever flaps, and what happened
// without lasting is told once. It is where publisher and commands find them.
type alarms struct {
	board   *board
	events  eventLog
	cond    *condition // of the list on the card
	now     func() record.Stamp
	session uint64
	told    bool // nobody takes the events: they are as good as told

	known   map[string]*alarm // by the name of the problem; only Run's
	budget  float64           // events that may be told now; only Run's
	filled  time.Time
	lost    uint64 // dropped events that were told of; only Run's
	lostAt  time.Time
	batch   []store.Event
	changes bool

	mu      sync.Mutex
	list    message.Alarms
	waiting []message.Event // to be told once
}

// alarm is what is known of one problem.
type alarm struct {
	message.Problem
	raised bool
	here   bool        // it stands now
	came   []time.Time // when it came, within calmWithin
	times  int         // how often it came since it was raised
	gone   time.Time   // since when it doesn't stand
	rose   []time.Time // when it was raised, within calmWithin
}

func newAlarms(b *board, events eventLog, now func() record.Stamp, session uint64, told bool) *alarms {
	a := &alarms{board: b, events: events, cond: b.condition("list of events"), now: now, session: session, told: told,
		known: map[string]*alarm{}, budget: eventBurst, filled: time.Now()}
	for _, e := range events.Standing() {
		m := readEvent(e)
		at := time.Now()
		a.known[m.Name] = &alarm{raised: true, times: 1, gone: at.Add(restoreGrace), rose: []time.Time{at},
			Problem: message.Problem{Name: m.Name, Code: m.Code, Severity: m.Severity, Since: m.At, Text: m.Text, Hint: m.Hint}}
	}
	a.publish()
	return a
}

// Run looks each second until ctx ends. It tells of its start and its end.
func (a *alarms) Run(ctx context.Context) error {
	a.once("agent", "agent_started", message.Info, fmt.Sprintf("the agent started, version %s, session %d", version, a.session))
	tick := time.NewTicker(alarmLook)
	defer tick.Stop()
	for {
		a.look(time.Now())
		select {
		case <-ctx.Done():
			a.once("agent", "agent_stopped", message.Info, "the agent was stopped")
			a.write()
			return nil
		case <-tick.C:
		}
	}
}

// once tells of something that happened and doesn't last, such as a command.
func (a *alarms) once(name, code string, severity message.Severity, text string) {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) < eventBurst { // more in a second is an attack, not news
		a.waiting = append(a.waiting, message.Event{Kind: message.Once, At: now.Wall.UTC(), ClockTrusted: now.Trusted, Session: a.session,
			Name: name, Code: code, Severity: severity, Text: cut(oneLine(text), eventText)})
	}
}

// look takes in what stands now.
func (a *alarms) look(now time.Time) {
	a.budget = min(eventBurst, a.budget+now.Sub(a.filled).Minutes()*eventsMinute)
	a.filled = now
	stands := map[string]bool{}
	for _, p := range a.board.problems() {
		stands[p.Name] = true
		k := a.known[p.Name]
		if k == nil {
			k = &alarm{}
			a.known[p.Name] = k
		}
		k.stand(p, now)
		if !k.raised && k.lasts(now) && a.afford() {
			k.raised, k.times, k.rose = true, len(k.came), append(k.rose, now)
			a.tell(message.Raised, k, k.Text)
		}
	}
	for name, k := range a.known {
		if stands[name] {
			continue
		}
		k.leave(now)
		switch {
		case k.raised && now.Sub(k.gone) >= k.calm() && a.afford():
			k.raised = false
			a.tell(message.Cleared, k, k.farewell())
		case !k.raised && len(k.rose)+len(k.came) == 0:
			delete(a.known, name)
		}
	}
	a.write()
	a.publish()
}

// afford takes one event of what may be told in a minute.
func (a *alarms) afford() bool {
	if a.budget < 1 {
		return false
	}
	a.budget--
	return true
}

// stand notes that the problem stands.
func (k *alarm) stand(p message.Problem, now time.Time) {
	since := k.Since
	if !k.here || k.Problem.Name == "" {
		k.came = append(k.came, now)
		k.times++
	}
	k.Problem, k.here, k.gone = p, true, time.Time{}
	if k.raised {
		k.Since = since // of the alarm, not of the last time that it came
	}
	k.forget(now)
}

// leave notes that the problem doesn't stand.
func (k *alarm) leave(now time.Time) {
	if k.here || k.gone.IsZero() {
		k.here, k.gone = false, now
	}
	k.forget(now)
}

func (k *alarm) forget(now time.Time) {
	old := func(at time.Time) bool { return now.Sub(at) > calmWithin }
	k.rose = slices.DeleteFunc(k.rose, old)
	k.came = slices.DeleteFunc(k.came, func(at time.Time) bool { return now.Sub(at) > flapWithin && (!k.here || at != k.came[len(k.came)-1]) })
}

// lasts tells whether the problem stands for long enough, or comes too often.
func (k *alarm) lasts(now time.Time) bool {
	return len(k.came) >= raiseTimes || len(k.came) > 0 && now.Sub(k.came[len(k.came)-1]) >= raiseAfter
}

// calm is how long the problem has to be away.
func (k *alarm) calm() time.Duration {
	return min(calmMost, calmAfter<<max(0, min(len(k.rose), 8)-1))
}

// farewell says how it was.
func (k *alarm) farewell() string {
	text := "it works again"
	if k.times > 1 {
		text += fmt.Sprintf("; it came %d times", k.times)
	}
	return text + "; it was: " + k.Text
}

// tell adds an event to those of this look.
func (a *alarms) tell(kind message.Kind, k *alarm, text string) {
	now := a.now()
	m := message.Event{Kind: kind, At: now.Wall.UTC(), ClockTrusted: now.Trusted, Session: a.session,
		Name: k.Name, Code: k.Code, Severity: k.Severity, Text: cut(text, eventText), Hint: k.Hint, LeftS: k.LeftS}
	e := event(m)
	if kind == message.Raised {
		e.Raises = k.Name
	} else {
		e.Clears = k.Name
	}
	a.batch, a.changes = append(a.batch, e), true
}

// event makes what the store keeps of m; number and list are the store's.
func event(m message.Event) store.Event {
	b, _ := json.Marshal(m) // of texts and times: it can't fail
	return store.Event{Body: b, Warning: m.Severity != message.Info}
}

// readEvent makes a message of what the store kept.
func readEvent(e store.Event) (m message.Event) {
	_ = json.Unmarshal(e.Body, &m) // it was written here; of an older agent's, what is known
	m.Seq, m.Store = e.Seq, e.Log
	m.Historical = e.Added.IsZero() || time.Since(e.Added) > lateAfter
	return m
}

// write brings the events of this look onto the card, in one commit.
func (a *alarms) write() {
	if n := a.events.Dropped(); n > a.lost && time.Since(a.lostAt) > calmWithin {
		a.once("list of events", "events_dropped", message.Warning, fmt.Sprintf("%d events were given up before the fleet was told, the oldest, for want of room", n-a.lost))
		a.lost, a.lostAt = n, time.Now()
	}
	a.mu.Lock()
	for _, m := range a.waiting {
		a.batch = append(a.batch, event(m))
	}
	a.waiting = nil
	a.mu.Unlock()
	if len(a.batch) == 0 {
		return
	}
	if err := a.events.Add(a.batch...); err != nil {
		a.cond.Lost(err)
	} else {
		a.cond.Back()
	}
	a.batch = nil
	if a.told {
		a.events.Told(a.events.Last())
	}
}

// publish makes the list of what stands.
func (a *alarms) publish() {
	list := []message.Problem{}
	for _, k := range a.known {
		if k.raised {
			list = append(list, k.Problem)
		}
	}
	sort.Slice(list, func(i, k int) bool {
		return cmp.Or(list[i].Since.Compare(list[k].Since), cmp.Compare(list[i].Name, list[k].Name)) < 0
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list.Session, a.list.Alarms = a.session, list
	if a.changes || a.list.At.IsZero() {
		a.list.At, a.list.Seq, a.changes = a.now().Wall.UTC(), a.events.Last(), false
	}
}

// standing is what the alarms topic says.
func (a *alarms) standing() message.Alarms {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.list
	list.Alarms = slices.Clone(list.Alarms)
	return list
}

// kept lists the events that are on the card: the last warnings, and what the fleet wasn't told yet.
func kept(events []store.Event) []message.Event {
	list := make([]message.Event, 0, len(events))
	for _, e := range events {
		list = append(list, readEvent(e))
	}
	return list
}

// Next gives the oldest event with a higher number that the broker doesn't have.
func (a *alarms) Next(after uint64) (message.Event, bool, error) {
	e, ok := a.events.Next(after)
	if !ok {
		return message.Event{}, false, nil
	}
	return readEvent(e), true, nil
}

// Told notes that the broker has all events up to that number.
func (a *alarms) Told(seq uint64) error {
	a.events.Told(seq)
	return nil
}

// Changed holds a signal after an event.
func (a *alarms) Changed() <-chan struct{} { return a.events.Changed() }
