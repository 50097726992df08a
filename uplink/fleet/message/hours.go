package message

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Hours are the opening hours of a hall. Outside of them nobody misses a station that is switched off.
type Hours struct {
	shifts []shift
	zone   *time.Location
}

// shift is open from a time of the day to another one, which is on the next day if it isn't later. It belongs to the day on
// which it begins.
type shift struct {
	days     [7]bool       // by time.Weekday
	from, to time.Duration // since midnight, by the clock on the wall
}

// NewHours reads opening hours and their time zone, such as "Mon-Fri 06:00-22:00", "Sat 07:00-12:00" or, for a night shift,
// "Sun-Thu 22:00-06:00"; without days it is each day. The zone is a name of the time zone database, such as
// "Europe/Berlin". No hours are always open, and need no zone.
func NewHours(hours []string, zone string) (h Hours, err error) {
	if len(hours) == 0 {
		return h, nil
	}
	for _, text := range hours {
		s, err := readShift(text)
		if err != nil {
			return Hours{}, err
		}
		h.shifts = append(h.shifts, s)
	}
	if h.zone, err = readZone(zone); err != nil {
		return Hours{}, err
	}
	return h, nil
}

// readZone wants a name that means the same on every machine.
func readZone(zone string) (*time.Location, error) {
	if zone == "" || zone == "Local" {
		return nil, errors.New("there is no time zone for the hours: name one, such as Europe/Berlin")
	}
	l, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("%q is no time zone that this machine knows: write it as Europe/Berlin, and install tzdata if it is right", zone)
	}
	return l, nil
}

func readShift(text string) (s shift, err error) {
	wrong := fmt.Errorf("%q are no opening hours: write them as Mon-Fri 06:00-22:00 or Sat 07:00-12:00", text)
	days, clock := "Mon-Sun", text
	if fields := strings.Fields(text); len(fields) == 2 {
		days, clock = fields[0], fields[1]
	}
	first, last, several := strings.Cut(days, "-")
	if !several {
		last = first
	}
	a, ok1 := weekday(first)
	b, ok2 := weekday(last)
	from, to, ok3 := strings.Cut(clock, "-")
	var ok4, ok5 bool
	s.from, ok4 = timeOfDay(from)
	s.to, ok5 = timeOfDay(to)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || s.from == s.to || s.from == 24*time.Hour {
		return s, wrong
	}
	for d := a; ; d = (d + 1) % 7 {
		s.days[d] = true
		if d == b {
			return s, nil
		}
	}
}

func weekday(text string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(text, d.String()[:3]) {
			return d, true
		}
	}
	return 0, false
}

// timeOfDay reads hours and minutes; 24:00 is the end of the day.
func timeOfDay(text string) (time.Duration, bool) {
	if text = strings.TrimSpace(text); text == "24:00" {
		return 24 * time.Hour, true
	}
	t, err := time.Parse("15:04", text)
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, err == nil
}

// Open tells whether the hall is open at a time. It goes by the clock on the wall: an hour that comes twice when summer time
// ends is open twice.
func (h Hours) Open(at time.Time) bool {
	if len(h.shifts) == 0 {
		return true
	}
	at = at.In(h.zone)
	hour, minute, second := at.Clock()
	now := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	today := at.Weekday()
	yesterday := (today + 6) % 7
	for _, s := range h.shifts {
		night := s.to <= s.from
		switch {
		case s.days[today] && now >= s.from && (night || now < s.to):
			return true
		case night && s.days[yesterday] && now < s.to:
			return true
		}
	}
	return false
}

// Open tells whether the hall of this station is open at a time. Hours that can't be read are always open: a station that is
// lost is told rather than not.
func (s State) Open(at time.Time) bool {
	h, err := NewHours(s.Hours, s.TimeZone)
	return err != nil || h.Open(at)
}

// Stale tells whether s, a "lost", says nothing about the station: it is the will of another agent than the one that spoke
// last, or of a connection before its newest. Numbers of sessions don't tell: those of a new card begin anew.
func (s State) Stale(last State) bool {
	return s.State == Lost && (s.Instance != last.Instance || s.Connection < last.Connection)
}
