package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/uplink/fleet/message"
	"station-agent/uplink/fleet/metrics"
	"station-agent/uplink/fleet/watch"
)

var watched = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// fleetOf makes stations of modes, named by their place in the list, and what alarms they have.
func fleetOf(t *testing.T, book *watch.Book, modes []message.Mode, alarms map[int][]message.Problem) *watch.Fleet {
	t.Helper()
	f := watch.New(watch.Config{Environment: "test", Book: book})
	f.Connected(watched)
	for i, mode := range modes {
		p := message.Place{Environment: "test", Station: fleetID(i)}
		say := func(leaf string, v any) {
			payload, err := json.Marshal(v)
			if err != nil || f.Hear(watch.Message{Topic: p.Topic(leaf), Payload: payload, At: watched}) == "" {
				t.Fatalf("%s: %v", payload, err)
			}
		}
		say(message.StateLeaf, message.State{State: mode, Session: 1, Connection: 1, Instance: "a", At: watched, Name: fmt.Sprintf("Bänch 東京 %d", i), IntervalS: 30})
		say(message.HealthLeaf, message.Health{})
		say(message.AlarmsLeaf, message.Alarms{At: watched, Alarms: alarms[i]})
	}
	return f
}

func fleetID(i int) string { return fmt.Sprintf("%08x-3a51-4a3e-9d0f-6f6f3b1f0a11", i) }

func troubled(code string, text string) message.Problem {
	return message.Problem{Name: "thing", Code: code, Severity: message.Critical, Since: watched.Add(-time.Minute), Text: text}
}

func TestTheTableFitsTheTerminal(t *testing.T) {
	modes := make([]message.Mode, 60)
	alarms := map[int][]message.Problem{}
	for i := range modes {
		modes[i] = message.Ready
		if i%2 == 0 {
			alarms[i] = []message.Problem{troubled(fmt.Sprint("code_", i), strings.Repeat("とても長い ", 40))}
		}
	}
	v := fleetOf(t, nil, modes, alarms).View(watched)
	for _, size := range [][2]int{{80, 24}, {40, 10}, {200, 50}, {10, 4}, {1, 1}} {
		lines := draw(picture{view: v, environment: "test", live: true, width: size[0], height: size[1], at: 59, foot: strings.Repeat("f", 300)})
		if len(lines) > max(4, size[1]) {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, l := range lines {
			if n := columns(strings.NewReplacer(inverse, "", inverseEnd, "").Replace(l)); n > size[0] {
				t.Errorf("%v: %d columns: %q", size, n, l)
			}
		}
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, inverse) }) {
			t.Errorf("%v: what is at hand isn't shown", size)
		}
	}
}

func TestASharedCauseIsOneLineWithACount(t *testing.T) {
	modes := []message.Mode{message.Alert, message.Alert, message.Alert, message.Alert, message.Ready}
	same := troubled("mysql_away", "the server is away")
	alarms := map[int][]message.Problem{0: {same}, 1: {same}, 2: {same, troubled("reader_away", "scanner")}, 3: {same}}
	p := picture{view: fleetOf(t, nil, modes, alarms).View(watched), environment: "test"}
	text := strings.Join(draw(p), "\n")
	for want, n := range map[string]int{"4 stations": 1, "mysql_away: the server is away": 1, "reader_away: scanner": 1, "Bänch": 2, "5 stations: 4 alert, 1 ready": 1} {
		if strings.Count(text, want) != n {
			t.Errorf("want %d times %q:\n%s", n, want, text)
		}
	}
	p.filter = parseFilter("mysql")
	if text = strings.Join(draw(p), "\n"); strings.Count(text, "Bänch") != 4 || strings.Contains(text, "4 stations ") {
		t.Errorf("a filter shows who it is about:\n%s", text)
	}
	p.filter = parseFilter(":al nothing")
	if text = strings.Join(draw(p), "\n"); !strings.Contains(text, "no station that fits the filter") {
		t.Error(text)
	}
}

func TestABrokerThatIsAwayIsTheFirstWord(t *testing.T) {
	lines := draw(picture{away: "no route", environment: "test", width: 40, height: 5, live: true})
	if !strings.HasPrefix(lines[0], "THE BROKER IS AWAY") {
		t.Error(lines[0])
	}
}

func TestKeysOfTheWatch(t *testing.T) {
	book := &watch.Book{}
	modes := []message.Mode{message.Alert, message.Lost, message.Alert, message.Alert}
	same := troubled("mysql_away", "away")
	f := fleetOf(t, book, modes, map[int][]message.Problem{0: {same}, 2: {same, troubled("reader_lost", "scanner")}, 3: {same}})
	s := &screen{w: &follower{fleet: f, book: book}}
	see := func() { s.items = picture{view: f.View(watched), filter: s.filter()}.items() }
	typed := func(text string) {
		for _, k := range text {
			if s.press(k) {
				t.Fatalf("%q ended it", text)
			}
			see()
		}
	}
	open := func() (n int) {
		for _, r := range f.View(watched).Rows {
			n += len(r.Open())
		}
		return n
	}
	see()
	if typed("a"); open() != 2 || !strings.Contains(s.note, "3 troubles") {
		t.Fatalf("%d open, %q", open(), s.note) // the cause of three stations, and nothing else of them
	}
	if typed("/:lo\r"); len(s.items) != 1 || s.items[0].rows[0].Standing != watch.Standing(message.Lost) {
		t.Fatalf("filter: %+v", s.items)
	}
	if typed("m\x7f\x7f\x7f90 new card\r"); !strings.Contains(s.note, "1 stations for 90 minutes") {
		t.Errorf("maintenance: %q", s.note)
	}
	if r, _ := f.Row(fleetID(1), time.Now().Add(time.Hour)); r.Maintenance == nil || *r.Maintenance != "new card" {
		t.Errorf("%+v", r.Maintenance)
	}
	if typed("m\x7f\x7f\x7fsoon\r"); !strings.Contains(s.note, "for how many minutes") {
		t.Errorf("%q", s.note)
	}
	typed("\x1bjjjjjjkG")
	if s.text != "" || s.at != len(s.items)-1 {
		t.Errorf("at %d of %d, filter %q", s.at, len(s.items), s.text)
	}
	if typed("/q\x1b"); !s.press('q') {
		t.Error("q doesn't end it")
	}
}

func TestReadKeys(t *testing.T) {
	for in, want := range map[string][]rune{
		"a\x1b[A\x1b[6~q": {'a', keyUp, keyPageDn, 'q'}, "é": {'é'}, "\x1b[99;99Xz": {'z'}, "\x1bOB": {keyDown}, "\x1bx": {keyEscape, 'x'},
	} {
		var got []rune
		var rest []byte
		for i := range len(in) { // however it is cut
			var keys []rune
			keys, rest = readKeys(append(rest, in[i]), false)
			got = append(got, keys...)
		}
		if !slices.Equal(got, want) || len(rest) > 0 {
			t.Errorf("%q: %q, left %q", in, string(got), rest)
		}
	}
	if keys, rest := readKeys([]byte{byte(keyEscape)}, true); len(keys) != 1 || keys[0] != keyEscape || rest != nil {
		t.Errorf("Escape alone: %q %q", string(keys), rest)
	}
}

func TestShortTimes(t *testing.T) {
	for s, want := range map[float64]string{0: "0s", -5: "0s", 59.9: "59s", 61: "1m01s", 3600: "1h00m", 90000: "1d01h", 1e300: "9999d00h"} {
		if got := short(s); got != want {
			t.Errorf("%g: %s, want %s", s, got, want)
		}
	}
}

func TestStandingsOfWatchAndMetricsAreTheSame(t *testing.T) {
	var list []string
	for _, s := range watch.Standings {
		list = append(list, string(s))
	}
	if !slices.Equal(list, metrics.Standings) {
		t.Errorf("%q and %q", list, metrics.Standings)
	}
}

// Who watches tells an alarm that stands from one that only waits for calm.
func TestWhatIsOverIsSaid(t *testing.T) {
	r := watch.Row{Name: "Bench 1", Standing: watch.Standing(message.Ready), Troubles: []watch.Trouble{{Problem: troubled("mysql_away", "the server is away"), Over: true}}}
	var shown strings.Builder
	if err := showStation(&shown, r, nil); err != nil {
		t.Fatal(err)
	}
	if line := (entry{rows: []watch.Row{r}}).line(8); !strings.Contains(line, "(over, if it stays so) mysql_away") || !strings.Contains(shown.String(), "over if it stays so") {
		t.Errorf("%s\n%s", line, shown.String())
	}
}
