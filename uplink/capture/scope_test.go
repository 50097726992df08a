package capture

import (
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

const (
	here      = "aaaaaaaa-0000-4000-8000-000000000001"
	there     = "bbbbbbbb-0000-4000-8000-000000000002"
	agentless = "ffffffff-0000-4000-8000-000000000009"
)

func TestDecide(t *testing.T) {
	now := time.Date(2026, 5, 19, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	standing := &record.ShadowRow{ID: "x"}
	left := &record.ShadowRow{ID: "x", Left: now.Add(-29 * day)}
	long := &record.ShadowRow{ID: "x", Left: now.Add(-31 * day)}
	for _, c := range []struct {
		name          string
		before, after string
		held          *record.ShadowRow
		want          fate
	}{
		{"arrives", "", here, nil, fate{report: true}},
		{"stays", here, here, standing, fate{report: true}},
		{"comes back", "", here, left, fate{report: true}},
		{"comes from another agent", there, here, nil, fate{report: true}},
		{"leaves", here, "", standing, fate{report: true, left: now}},
		{"leaves for a station without agent", here, agentless, standing, fate{report: true, left: now}},
		{"leaves for another agent", here, there, standing, fate{forget: true}},
		{"is elsewhere", there, there, nil, fate{forget: true}},
		{"leaves elsewhere", there, "", nil, fate{forget: true}},
		{"left elsewhere though we hold it", there, "", left, fate{forget: true}},
		{"changes after it left", "", "", left, fate{report: true, left: left.Left}},
		{"changes long after it left", "", "", long, fate{forget: true}},
		{"was never ours", "", "", nil, fate{forget: true}},
		{"is at a station without agent, and left us before", agentless, agentless, left, fate{report: true, left: left.Left}},
	} {
		s := Scope{Station: strings.ToUpper(here), Agents: []string{there}}.ready()
		if got := s.decide(c.before, c.after, c.held, now); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	all := Scope{Station: here}.ready()
	if got := all.decide(here, agentless, standing, now); !got.forget {
		t.Error("without a list every station has an agent")
	}
}

func TestKeys(t *testing.T) {
	at := time.UnixMicro(1773920461000042)
	if got, want := changeKey("0-1-5", at, 3, "a"), "b:0-1-5/1773920461000042/3a"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := foundKey("run", "c", "id"), "s:run/c/id"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	long := strings.Repeat("x", 500)
	for _, key := range []string{changeKey(long, at, 1<<31-1, "b"), foundKey("0f0e0d0c-0000-4000-8000-000000000000", "buylo_products", long)} {
		if len(key) >= 200 {
			t.Errorf("%d bytes: %s", len(key), key)
		}
	}
	if changeKey(long, at, 0, "") == changeKey(long+"y", at, 0, "") {
		t.Error("two long names have one key")
	}
}

func TestVersionRises(t *testing.T) {
	for _, c := range []struct {
		held string
		tick int64
		want string
	}{{"", 5, "5"}, {"4", 5, "5"}, {"5", 5, "6"}, {"9", 5, "10"}, {"strange", 5, "5"}} {
		var row *record.ShadowRow
		if c.held != "" {
			row = &record.ShadowRow{Version: c.held}
		}
		if got := nextVersion(row, c.tick); got != c.want {
			t.Errorf("after %q at %d: %s, want %s", c.held, c.tick, got, c.want)
		}
	}
}
