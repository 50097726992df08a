package watch

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"station-agent/uplink/fleet/message"
)

const (
	one   = "0d9c6f0e-3a51-4a3e-9d0f-6f6f3b1f0a11"
	two   = "1d9c6f0e-3a51-4a3e-9d0f-6f6f3b1f0a12"
	three = "2d9c6f0e-3a51-4a3e-9d0f-6f6f3b1f0a13"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// hall is a Fleet with an hour hand.
type hall struct {
	*Fleet
	t   *testing.T
	now time.Time
}

func newHall(t *testing.T, cfg Config) *hall {
	cfg.Environment = "test"
	h := &hall{New(cfg), t, noon}
	h.Connected(noon)
	return h
}

func (h *hall) say(id, leaf string, v any, retained bool) string {
	h.t.Helper()
	payload, err := json.Marshal(v)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.Hear(Message{Topic: message.Place{Environment: "test", Station: id}.Topic(leaf), Payload: payload, Retained: retained, At: h.now})
}

func (h *hall) state(id string, mode message.Mode, session, connection uint64, instance string, at time.Time) {
	h.t.Helper()
	h.say(id, message.StateLeaf, message.State{State: mode, Session: session, Connection: connection, Instance: instance, At: at, Station: id,
		Environment: "test", Name: "Bench " + id[:1], IntervalS: 30}, false)
}

func (h *hall) alarm(id, code string, severity message.Severity, since time.Time, left *float64) {
	h.t.Helper()
	h.say(id, message.AlarmsLeaf, message.Alarms{Session: 1, At: h.now, Alarms: []message.Problem{{Name: code, Code: code, Severity: severity, Since: since,
		Text: code + " is wrong", LeftS: left}}}, false)
}

func (h *hall) standing(id string) Standing {
	h.t.Helper()
	r, ok := h.Row(id, h.now)
	if !ok {
		return "gone"
	}
	return r.Standing
}

func (h *hall) want(id string, want Standing) {
	h.t.Helper()
	if got := h.standing(id); got != want {
		h.t.Errorf("%s is %q, want %q", id[:1], got, want)
	}
}

func order(v View) string {
	var list []string
	for _, r := range v.Rows {
		list = append(list, r.Station[:1])
	}
	return strings.Join(list, "")
}

func TestAnOldWillNeverBuriesANewerState(t *testing.T) {
	h := newHall(t, Config{})
	h.state(one, message.Ready, 7, 2, "a", noon)
	for name, will := range map[string]message.State{
		"connection before":  {Session: 7, Connection: 1, Instance: "a", At: noon.Add(-time.Hour)},
		"session before":     {Session: 6, Connection: 9, Instance: "z", At: noon.Add(-time.Hour)},
		"card before":        {Session: 57, Connection: 1, Instance: "y", At: noon.Add(-time.Minute)},
		"agent without name": {Session: 7, Connection: 1},
	} {
		will.State, will.Station = message.Lost, one
		h.say(one, message.StateLeaf, will, false)
		if got := h.standing(one); got != Standing(message.Ready) {
			t.Fatalf("%s: %s", name, got)
		}
	}
	h.state(one, message.Lost, 7, 2, "a", noon)
	h.want(one, Standing(message.Lost))
	h.state(one, message.Ready, 8, 1, "b", noon) // started again
	h.want(one, Standing(message.Ready))
	h.state(one, message.Lost, 9, 1, "c", noon.Add(time.Second)) // its start was missed
	h.want(one, Standing(message.Lost))
	h.state(one, message.Alert, 1, 1, "n", noon.Add(time.Minute)) // a replaced card counts from one
	h.want(one, Standing(message.Alert))
}

func TestOutsideOfOpeningHoursAHallIsClosedAndNotLost(t *testing.T) {
	open := true
	h := newHall(t, Config{Open: func(message.State, time.Time) bool { return open }})
	h.state(one, message.Ready, 1, 1, "a", noon)
	h.state(two, message.Ready, 1, 1, "a", noon)
	h.state(three, message.Ready, 1, 1, "a", noon)
	left := 3600.0
	h.alarm(two, "mysql_away", message.Critical, noon, nil)
	h.alarm(three, "key_window", message.Warning, noon, &left)
	for _, id := range []string{one, two, three} {
		h.state(id, message.Lost, 1, 1, "a", noon)
	}
	h.want(one, Standing(message.Lost))
	open = false
	h.want(one, Standing(message.Closed))
	v := h.View(h.now)
	if v.Rows[0].Station != three {
		t.Errorf("what runs out at night stands first: %s", order(v))
	}
	for _, r := range v.Rows {
		if n := len(r.Open()); n != map[string]int{one: 0, two: 0, three: 1}[r.Station] {
			t.Errorf("%s has %d troubles while closed: %+v", r.Station[:1], n, r.Troubles)
		}
	}
	h.state(one, message.Disconnected, 2, 1, "b", noon)
	h.want(one, Standing(message.Closed))
	open = true
	h.want(one, Standing(message.Disconnected))
}

func TestWhoSaysReadyAndNoHealthIsSilent(t *testing.T) {
	h := newHall(t, Config{})
	h.state(one, message.Ready, 1, 1, "a", noon)
	h.say(one, message.HealthLeaf, message.Health{Session: 1}, false)
	h.now = noon.Add(90 * time.Second)
	h.want(one, Standing(message.Ready))
	h.now = noon.Add(91 * time.Second)
	h.want(one, Silent)
	h.Away() // now nobody can be heard
	h.want(one, Standing(message.Ready))
	h.now = noon.Add(200 * time.Second)
	h.Connected(h.now)
	h.want(one, Standing(message.Ready))
	h.now = h.now.Add(91 * time.Second)
	h.want(one, Silent)
	h.say(one, message.HealthLeaf, message.Health{}, false)
	h.want(one, Standing(message.Ready))
}

func TestTheInventoryShowsWhoWasNeverSeen(t *testing.T) {
	h := newHall(t, Config{})
	h.Expect([]Listed{{one, "Line 1"}, {two, "Line 2"}})
	h.want(one, Never)
	h.state(one, message.Ready, 1, 1, "a", noon)
	h.want(one, Standing(message.Ready))
	h.want(two, Never)
	if r, _ := h.Row(two, noon); r.Name != "Line 2" || len(r.Open()) != 1 {
		t.Errorf("%+v", r)
	}
}

func TestAStationThatIsRemovedIsGone(t *testing.T) {
	h := newHall(t, Config{})
	h.Expect([]Listed{{two, ""}})
	for _, id := range []string{one, two} {
		h.state(id, message.Lost, 1, 1, "a", noon)
		h.Hear(Message{Topic: message.Place{Environment: "test", Station: id}.Topic(message.StateLeaf), At: noon})
	}
	h.want(one, "gone")
	h.want(two, Never)
}

func TestTwoThatLiveAtATimeAreTwins(t *testing.T) {
	h := newHall(t, Config{})
	h.state(one, message.Ready, 1, 1, "a", noon)
	h.say(one, message.ChallengeLeaf, message.Challenge{Instance: "a", Nonce: "n1"}, false)
	h.say(one, message.ChallengeLeaf, message.Challenge{Instance: "b", Nonce: "n2", Answers: "n1"}, true)
	h.want(one, Standing(message.Ready)) // a broker's copy proves nothing
	h.say(one, message.ChallengeLeaf, message.Challenge{Instance: "b", Nonce: "n2", Answers: "n0"}, false)
	h.want(one, Standing(message.Ready)) // nobody asked
	h.say(one, message.ChallengeLeaf, message.Challenge{Instance: "a", Nonce: "n2", Answers: "n1"}, false)
	h.want(one, Standing(message.Ready)) // itself
	h.now = noon.Add(time.Hour)
	h.say(one, message.HealthLeaf, message.Health{}, false)
	h.say(one, message.ChallengeLeaf, message.Challenge{Instance: "b", Nonce: "n2", Answers: "n1"}, false)
	h.want(one, Standing(message.Ready)) // an answer said again
	h.say(one, message.ChallengeLeaf, message.Challenge{Instance: "a", Nonce: "n3"}, false)
	h.say(one, message.ChallengeLeaf, message.Challenge{Instance: "b", Nonce: "n4", Answers: "n3"}, false)
	h.want(one, Twin)
	if r, _ := h.Row(one, h.now); !slices.Equal(r.Instances, []string{"a", "b"}) {
		t.Errorf("instances: %q", r.Instances)
	}
	h.alarm(one, "twin_station", message.Critical, h.now, nil) // one trouble is one line, whoever found it
	if r, _ := h.Row(one, h.now); r.Standing != Twin || len(r.Troubles) != 1 {
		t.Errorf("%s: %+v", r.Standing, r.Troubles)
	}
	h.now = h.now.Add(twinFor + time.Second)
	h.say(one, message.HealthLeaf, message.Health{}, false)
	h.want(one, Twin) // it says so itself
	h.say(one, message.AlarmsLeaf, message.Alarms{}, false)
	h.want(one, Standing(message.Ready))
}

func TestAMissingEventIsAGapUntilItComes(t *testing.T) {
	h := newHall(t, Config{Events: 5})
	event := func(seq uint64, store string) {
		h.say(one, message.EventsLeaf, message.Event{Seq: seq, Store: store, Kind: message.Once, Code: "start"}, false)
	}
	gaps := func(want string) {
		t.Helper()
		r, _ := h.Row(one, h.now)
		got := ""
		for _, g := range r.Gaps {
			got += fmt.Sprintf("%d-%d ", g.From, g.To)
		}
		if got != want {
			t.Errorf("gaps %q, want %q", got, want)
		}
	}
	event(40, "s") // who begins to listen doesn't know what was before
	event(41, "s")
	event(41, "s") // twice is no gap
	gaps("")
	event(46, "s")
	gaps("42-45 ")
	event(44, "s")
	gaps("42-43 45-45 ")
	event(42, "s")
	event(43, "s")
	event(45, "s")
	gaps("")
	if r, _ := h.Row(one, h.now); r.Event.Seq != 46 {
		t.Errorf("the newest is %d", r.Event.Seq)
	}
	h.Connected(h.now) // what passed while nobody listened is no fault of the station
	event(60, "s")
	gaps("")
	event(1, "another")
	event(3, "another")
	gaps("2-2 ")
	if r, _ := h.Row(one, h.now); r.Event == nil || r.Event.Seq != 3 || len(h.Events(one)) != 5 {
		t.Errorf("newest %+v of %d", r.Event, len(h.Events(one)))
	}
}

func TestAgesGoOnBetweenMessages(t *testing.T) {
	h := newHall(t, Config{})
	h.state(one, message.Alert, 1, 1, "a", noon)
	scan, left := 5.0, 100.0
	h.say(one, message.HealthLeaf, message.Health{LastScanS: &scan, OldestUnsentS: 10, Readers: []message.Reader{{Name: "r", LastReadS: &scan}}}, false)
	h.alarm(one, "card_full", message.Critical, noon.Add(-time.Minute), &left)
	h.now = noon.Add(40 * time.Second)
	r, _ := h.Row(one, h.now)
	if got := fmt.Sprint(*r.Health.LastScanS, r.Health.OldestUnsentS, r.Health.OldestDeadS, *r.Health.Readers[0].LastReadS, *r.HealthAgeS, r.Troubles[0].ForS, *r.Troubles[0].LeftS); got != "45 50 0 45 40 100 60" {
		t.Errorf("after 40 s: %s", got)
	}
	h.now = noon.Add(time.Hour)
	if r, _ := h.Row(one, h.now); *r.Troubles[0].LeftS != 0 || *r.Health.LastScanS != 3605 {
		t.Errorf("after an hour: %+v", r)
	}
	if r, _ := h.Row(one, noon); *r.Health.LastScanS != 5 {
		t.Error("a row changed what is kept")
	}
}

// A station without a clock says when something began by a wrong one, and what it says for how long is right all the same.
func TestAgesAreByOurClock(t *testing.T) {
	h := newHall(t, Config{})
	then := time.Date(1970, 1, 1, 0, 5, 0, 0, time.UTC)
	h.state(one, message.Alert, 1, 1, "a", then)
	h.say(one, message.AlarmsLeaf, message.Alarms{At: then, Alarms: []message.Problem{{Name: "x", Code: "x", Since: then.Add(-time.Minute)}}}, false)
	if r, _ := h.Row(one, h.now); r.Troubles[0].ForS != 60 || r.ForS != 0 {
		t.Errorf("alarm for %v s, state for %v s", r.Troubles[0].ForS, r.ForS)
	}
}

func TestTheWorstTroubleComesFirst(t *testing.T) {
	h := newHall(t, Config{})
	ids := make([]string, 6)
	for i := range ids {
		ids[i] = fmt.Sprint(i) + one[1:]
		h.state(ids[i], message.Ready, 1, 1, "a", noon)
	}
	long, soon := 5000.0, 50.0
	h.alarm(ids[1], "old", message.Warning, noon.Add(-time.Hour), nil)
	h.alarm(ids[2], "card", message.Warning, noon, &long)
	h.alarm(ids[3], "purge", message.Warning, noon, &soon)
	h.alarm(ids[4], "mysql", message.Critical, noon, nil)
	h.alarm(ids[5], "young", message.Warning, noon, nil)
	if got := order(h.View(h.now)); got != "432150" {
		t.Errorf("order %s", got)
	}
}

func TestWhatIsOverAndWhatIsSeenFromOutside(t *testing.T) {
	h := newHall(t, Config{})
	h.state(one, message.Ready, 1, 1, "a", noon)
	h.say(one, message.AlarmsLeaf, message.Alarms{Session: 1, At: h.now, Alarms: []message.Problem{
		{Name: "mysql", Code: "mysql_away", Severity: message.Critical, Since: noon}, {Name: "certyo", Code: "certyo_away", Severity: message.Warning, Since: noon}}}, false)
	want := func(want string) {
		t.Helper()
		r, _ := h.Row(one, h.now)
		var got []string
		for _, x := range r.Troubles {
			got = append(got, x.Code+map[bool]string{true: " over"}[x.Over])
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	want("mysql_away, certyo_away")
	h.now = noon.Add(30 * time.Second)
	h.say(one, message.HealthLeaf, message.Health{Problems: []message.Problem{{Name: "certyo"}}}, false)
	want("certyo_away, mysql_away over")
	h.now = noon.Add(time.Minute)
	h.state(one, message.Lost, 1, 1, "a", noon)
	want("lost, mysql_away, certyo_away") // what it said last may not be over
}

func TestOneCauseOfManyStationsIsOneLine(t *testing.T) {
	h := newHall(t, Config{})
	h.now = noon.Add(3 * time.Hour)
	for i := range 12 {
		id := fmt.Sprintf("%c", "0123456789ab"[i]) + one[1:]
		h.state(id, message.Alert, 1, 1, "a", noon)
		since := noon.Add(time.Duration(i) * time.Minute)
		switch {
		case i >= 10:
			since = noon.Add(2 * time.Hour) // two are no cause that is shared
		case i >= 6:
			since = since.Add(time.Hour)
		}
		h.alarm(id, "mysql_away", message.Critical, since, nil)
	}
	v := h.View(h.now)
	if len(v.Causes) != 2 || len(v.Causes[0].Stations) != 6 || len(v.Causes[1].Stations) != 4 || v.Causes[0].Code != "mysql_away" || v.Causes[0].ForS != 3*3600 {
		t.Fatalf("%+v", v.Causes)
	}
	shared := map[int]int{}
	for _, r := range v.Rows {
		shared[r.Troubles[0].Shared]++
	}
	if shared[6] != 6 || shared[4] != 4 || shared[0] != 2 {
		t.Errorf("%v", shared)
	}
}

func TestAcknowledgedUntilItClears(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes", "n.json")
	book, err := OpenBook(file)
	if err != nil {
		t.Fatal(err)
	}
	h := newHall(t, Config{Book: book})
	h.state(one, message.Alert, 1, 1, "a", noon)
	h.state(two, message.Alert, 1, 1, "a", noon)
	h.alarm(one, "mysql_away", message.Critical, noon, nil)
	h.alarm(two, "mysql_away", message.Critical, noon, nil)
	r, _ := h.Row(one, noon)
	if n, err := book.Acknowledge([]Row{r}, "", noon); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	open := func() string {
		s := ""
		for _, id := range []string{one, two} {
			r, _ := h.Row(id, h.now)
			s += fmt.Sprint(len(r.Open()))
		}
		return s
	}
	if got := open(); got != "01" || order(h.View(noon)) != "10" {
		t.Errorf("open %s", got)
	}
	other, err := OpenBook(file) // after a start
	if err != nil || !slices.Equal(other.notes.Acknowledged, book.notes.Acknowledged) {
		t.Errorf("%+v %v", other, err)
	}
	h.alarm(one, "mysql_away", message.Critical, noon.Add(time.Minute), nil) // it came again
	if got := open(); got != "11" {
		t.Errorf("open after it came again: %s", got)
	}
	if err := book.Settle(h.View(noon).Rows, noon); err != nil || len(book.notes.Acknowledged) != 0 {
		t.Errorf("%+v %v", book.notes, err)
	}
	if other.Refresh() != nil || len(other.notes.Acknowledged) != 0 {
		t.Errorf("the file still has %+v", other.notes)
	}
}

func TestLostIsAcknowledgedForThisTimeOnly(t *testing.T) {
	h := newHall(t, Config{Book: &Book{}})
	h.state(one, message.Lost, 1, 1, "a", noon)
	r, _ := h.Row(one, noon)
	if n, err := h.cfg.Book.Acknowledge([]Row{r}, "", noon); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if r, _ = h.Row(one, noon); len(r.Open()) != 0 {
		t.Error("not acknowledged")
	}
	h.state(one, message.Ready, 2, 1, "b", noon)
	h.state(one, message.Lost, 2, 1, "b", noon)
	if r, _ = h.Row(one, noon); len(r.Open()) != 1 {
		t.Error("it was lost again and nobody would know")
	}
}

func TestMaintenanceCoversItsStationsForItsTime(t *testing.T) {
	h := newHall(t, Config{Book: &Book{}})
	h.state(one, message.Lost, 1, 1, "a", noon)
	h.state(two, message.Lost, 1, 1, "a", noon)
	if err := h.cfg.Book.Maintain(Window{Stations: "bench 0*", From: noon, To: noon.Add(time.Hour), Why: "new scanner\x1b[2J"}); err != nil {
		t.Fatal(err)
	}
	v := h.View(noon)
	if order(v) != "10" || v.Rows[1].Maintenance == nil || *v.Rows[1].Maintenance != "new scanner [2J" || v.Rows[0].Maintenance != nil {
		t.Errorf("%s %+v", order(v), v.Rows)
	}
	if r, _ := h.Row(one, noon.Add(time.Hour)); r.Maintenance != nil {
		t.Error("it is over")
	}
	for _, w := range []Window{{Stations: "[", From: noon, To: noon.Add(1)}, {Stations: " ", From: noon, To: noon.Add(1)}, {Stations: "a", From: noon, To: noon}, {Stations: "a", From: noon, To: noon.AddDate(1, 0, 0)}} {
		if h.cfg.Book.Maintain(w) == nil {
			t.Errorf("taken: %+v", w)
		}
	}
}

func TestTheFilterTakesTextAndStandings(t *testing.T) {
	h := newHall(t, Config{})
	h.state(one, message.Lost, 1, 1, "a", noon)
	h.state(two, message.Alert, 1, 1, "a", noon)
	h.alarm(two, "mysql_away", message.Critical, noon, nil)
	for text, want := range map[string]string{"": "10", "BENCH mysql_AWAY": "1", "mysql": "1", "lost": "0", "bench nothing": "", one: "0"} {
		got := ""
		for _, r := range h.View(noon).Rows {
			if (Filter{Text: text}).Takes(r) {
				got += r.Station[:1]
			}
		}
		if len(got) != len(want) || strings.Trim(got, want) != "" {
			t.Errorf("%q takes %q", text, got)
		}
	}
	r, _ := h.Row(one, noon)
	if !(Filter{Standings: []Standing{Standing(message.Lost)}}).Takes(r) || (Filter{Standings: []Standing{Twin}}).Takes(r) {
		t.Error("by standing")
	}
}

// TestHostileMessagesHurtNobody holds that nothing that was sent gets to a terminal as more than a short line, and that no
// list grows with it.
func TestHostileMessagesHurtNobody(t *testing.T) {
	h := newHall(t, Config{Events: 200})
	many := make([]message.Problem, 5000)
	evil := "\x1b]0;owned\a\u202e\r\n" + strings.Repeat("東", 3000)
	for i := range many {
		many[i].Name = "n"
	}
	h.say(one, message.AlarmsLeaf, message.Alarms{Alarms: many}, false)
	if r, _ := h.Row(one, noon); len(r.Troubles) != mostProblems {
		t.Errorf("%d alarms", len(r.Troubles))
	}
	for i := range many[:20] {
		many[i] = message.Problem{Name: evil, Code: evil, Severity: message.Severity(evil), Text: evil, Hint: evil, Since: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	}
	h.say(one, message.StateLeaf, message.State{State: message.Mode(evil), Name: evil, Instance: evil, Version: evil, IntervalS: -1e300, TimeZone: evil, Hours: []string{evil}}, false)
	if h.say(one, message.AlarmsLeaf, message.Alarms{Alarms: many[:20]}, false) == "" {
		t.Fatal("left out as a whole: the test looks at nothing")
	}
	h.say(one, message.HealthLeaf, message.Health{Version: evil, System: evil, UptimeS: 1e300, Readers: make([]message.Reader, 5000)}, false)
	for i := range 300 {
		h.say(one, message.EventsLeaf, message.Event{Seq: uint64(i*3 + 1), Store: "s", Code: "x", Text: "short", Hint: ""}, false)
		h.say(one, message.ChallengeLeaf, message.Challenge{Instance: fmt.Sprint(i), Nonce: fmt.Sprint(i)}, false)
	}
	r, ok := h.Row(one, noon)
	if !ok || len(r.Health.Readers) > mostParts || len(h.Events(one)) > mostEvents || len(r.Gaps) > mostGaps || len(r.Instances) > mostAsked {
		t.Errorf("%d readers, %d events, %d gaps, %d instances", len(r.Health.Readers), len(h.Events(one)), len(r.Gaps), len(r.Instances))
	}
	text := []string{r.Name, string(r.Standing), r.State.Version, r.Health.System}
	for _, p := range r.Troubles {
		text = append(text, p.Name, p.Code, p.Text, p.Hint, string(p.Severity))
	}
	for _, s := range text {
		if utf8.RuneCountInString(s) > textLength || strings.ContainsAny(s, "\x1b\a\r\n\u202e") {
			t.Errorf("kept: %.60q of %d bytes", s, len(s))
		}
	}
	_, before := h.Counts()
	for _, m := range []Message{
		{Topic: "station-agent/test/" + one + "/state", Payload: []byte("{")},
		{Topic: "station-agent/test/" + one + "/state", Payload: []byte(`{"state":"ready","station":"` + two + `"}`)},
		{Topic: "station-agent/test/" + one + "/health", Payload: []byte(`{}`), Retained: true},
		{Topic: "station-agent/test/" + one + "/command", Payload: []byte(`{}`)},
		{Topic: "station-agent/test/" + one + "/alarms", Payload: slices.Concat([]byte(`{"alarms":[]`), make([]byte, message.Most))},
		{Topic: "station-agent/other/" + one + "/state", Payload: []byte(`{"state":"ready"}`)},
		{Topic: "station-agent/test/Line 1/state", Payload: []byte(`{"state":"ready"}`)},
		{Topic: "\x00", Payload: []byte(`{}`)},
	} {
		if id := h.Hear(m); id != "" {
			t.Errorf("taken: %.80q of %q", m.Payload, m.Topic)
		}
	}
	if _, refused := h.Counts(); refused != before+8 {
		t.Errorf("counted %d of 8", refused-before)
	}
	h.Hear(Message{Topic: "station-agent/test/" + three + "/state", Payload: []byte("garbage")})
	h.want(three, "gone")
}

func TestReadInventory(t *testing.T) {
	for text, want := range map[string]string{
		"uuid,name\n" + one + ",\"Line 1, bench 2\"\n":                "0:Line 1, bench 2 ",
		"# ours\n" + strings.ToUpper(one) + "\n\n" + two + ",B,x,y\n": "0: 1:B ",
		"\ufeffuuid;name\n" + one + ";Straße 2\r\n":                   "0:Straße 2 ",
		"":                      "",
		one + "\n" + one + "\n": "error line 2: station " + one + " stands there twice",
		one + "\nnonsense\n":    `error line 2: "nonsense" is no uuid: write uuid,name`,
		"7D6F-wrong\n":          `error line 1: "7D6F-wrong" is no uuid: write uuid,name`,
	} {
		list, err := ReadInventory(strings.NewReader(text))
		got := ""
		for _, l := range list {
			got += l.Station[:1] + ":" + l.Name + " "
		}
		if err != nil {
			got = "error " + err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzHear(f *testing.F) {
	for _, leaf := range []string{message.StateLeaf, message.HealthLeaf, message.AlarmsLeaf, message.EventsLeaf, message.ChallengeLeaf} {
		f.Add(leaf, []byte(`{"state":"lost","session":18446744073709551615,"seq":1,"instance":"a","answers":"n","interval_s":1e308,"at":"0001-01-01T00:00:00Z","alarms":[{}],"problems":[{}]}`), false)
	}
	f.Fuzz(func(t *testing.T, leaf string, payload []byte, retained bool) {
		fleet := New(Config{Environment: "test", Events: 200})
		fleet.Connected(noon)
		for range 2 {
			fleet.Hear(Message{Topic: "station-agent/test/" + one + "/" + leaf, Payload: payload, Retained: retained, At: noon})
		}
		v := fleet.View(noon.Add(time.Hour))
		if _, err := json.Marshal(v.Rows); err != nil {
			t.Error(err)
		}
	})
}
