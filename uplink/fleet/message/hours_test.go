package message_test

import (
	"strings"
	"testing"
	"time"

	"station-agent/uplink/fleet/message"
)

func TestHoursAreOpenByTheClockOnTheWall(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("skipped: this machine has no time zones:", err)
	}
	week, night, always := []string{"Mon-Fri 06:00-22:00", "sat 07:00-12:00"}, []string{"Sun-Thu 22:00-06:00"}, []string{"00:00-24:00"}
	for _, c := range []struct {
		hours []string
		at    string
		want  bool
	}{
		{nil, "2026-11-29 03:00", true},
		{week, "2026-11-27 06:00", true}, // a Friday
		{week, "2026-11-27 05:59", false},
		{week, "2026-11-27 21:59", true},
		{week, "2026-11-27 22:00", false},
		{week, "2026-11-28 07:00", true},
		{week, "2026-11-28 12:00", false},
		{week, "2026-11-29 10:00", false},
		{night, "2026-11-26 23:00", true}, // Thursday's shift
		{night, "2026-11-27 05:59", true},
		{night, "2026-11-27 06:00", false},
		{night, "2026-11-27 23:00", false}, // none on Fridays
		{night, "2026-11-28 01:00", false},
		{night, "2026-11-30 00:00", true}, // Sunday's
		{[]string{"Sat-Mon 08:00-09:00"}, "2026-11-29 08:30", true},
		{[]string{"Sat-Mon 08:00-09:00"}, "2026-12-01 08:30", false},
		{[]string{"20:00-00:00"}, "2026-11-29 23:59", true},
		{[]string{"20:00-00:00"}, "2026-11-30 00:00", false},
		{always, "2026-11-30 00:00", true},
		{always, "2026-11-30 23:59", true},
		// 02:00 to 03:00 doesn't exist on 29 March, and comes twice on 25 October
		{[]string{"Sun 02:30-04:00"}, "2026-03-29 03:00", true},
		{[]string{"Sun 01:00-02:30"}, "2026-03-29 03:00", false},
		{night, "2026-03-29 22:00", true},
		{night, "2026-10-25 22:00", true},
	} {
		at, err := time.ParseInLocation("2006-01-02 15:04", c.at, berlin)
		if err != nil {
			t.Fatal(err)
		}
		h, err := message.NewHours(c.hours, "Europe/Berlin")
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Open(at.UTC()); got != c.want {
			t.Errorf("%v at %s: open is %v", c.hours, c.at, got)
		}
		if got := (message.State{Hours: c.hours, TimeZone: "Europe/Berlin"}).Open(at); got != c.want {
			t.Errorf("%v at %s: the state's hall is open: %v", c.hours, c.at, got)
		}
	}
	twice, err := message.NewHours([]string{"02:00-03:00"}, "Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	first := time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC) // 02:30 in summer, and again an hour later in winter
	if !twice.Open(first) || !twice.Open(first.Add(time.Hour)) || twice.Open(first.Add(2*time.Hour)) {
		t.Error("the hour that comes twice isn't open twice")
	}
}

func TestHoursThatAreNoneAreRefused(t *testing.T) {
	for _, c := range []struct{ hours, zone, want string }{
		{"Mon-Fri", "Europe/Berlin", "no opening hours"},
		{"Mon-Fri 6-22", "Europe/Berlin", "no opening hours"},
		{"Mon-Fri 06:00-06:00", "Europe/Berlin", "no opening hours"},
		{"Mon-Fri 06:00-25:00", "Europe/Berlin", "no opening hours"},
		{"Mon-Fri 24:00-06:00", "Europe/Berlin", "no opening hours"},
		{"Mo-Fr 06:00-22:00", "Europe/Berlin", "no opening hours"},
		{"Mon-Fri 06:00 - 22:00", "Europe/Berlin", "no opening hours"},
		{"", "Europe/Berlin", "no opening hours"},
		{"Mon-Fri 06:00-22:00", "", "no time zone"},
		{"Mon-Fri 06:00-22:00", "Local", "no time zone"},
		{"Mon-Fri 06:00-22:00", "Europe/Nowhere", "no time zone"},
		{"Mon-Fri 06:00-22:00", "../../etc/passwd", "no time zone"},
	} {
		if _, err := message.NewHours([]string{c.hours}, c.zone); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q in %q: %v", c.hours, c.zone, err)
		}
		if !(message.State{Hours: []string{c.hours}, TimeZone: c.zone}).Open(time.Now()) {
			t.Errorf("%q in %q: what can't be read hides a loss", c.hours, c.zone)
		}
	}
}

func FuzzHours(f *testing.F) {
	f.Add("Mon-Fri 06:00-22:00", int32(0))
	f.Add("22:00-06:00", int32(1<<30))
	f.Fuzz(func(t *testing.T, text string, at int32) {
		h, err := message.NewHours([]string{text}, "UTC")
		if err == nil && h.Open(time.Unix(int64(at), 0)) != h.Open(time.Unix(int64(at)+7*24*60*60, 0)) {
			t.Errorf("%q differs from week to week", text)
		}
	})
}

func TestLostOfAnotherConnectionIsStale(t *testing.T) {
	now := message.State{State: message.Ready, Session: 7, Instance: "a", Connection: 3}
	for _, c := range []struct {
		lost message.State
		want bool
	}{
		{message.State{State: message.Lost, Session: 7, Instance: "a", Connection: 3}, false},
		{message.State{State: message.Lost, Session: 7, Instance: "a", Connection: 2}, true},
		{message.State{State: message.Lost, Session: 6, Instance: "b", Connection: 9}, true},
		{message.State{State: message.Lost, Session: 900, Instance: "c", Connection: 1}, true}, // of the card that was replaced
		{message.State{State: message.Ready, Session: 6, Instance: "b", Connection: 9}, false},
	} {
		if got := c.lost.Stale(now); got != c.want {
			t.Errorf("%+v: stale is %v", c.lost, got)
		}
	}
}
