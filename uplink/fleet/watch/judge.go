package watch

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"station-agent/uplink/fleet/message"
)

// Standing is how a station stands, in one word: a message.Mode, or what only who watches can tell.
type Standing string

// The standings that no station says.
const (
	Twin   Standing = "twin"   // two live agents have this uuid
	Silent Standing = "silent" // its state says that it works, and it tells no health
	Never  Standing = "never"  // in the inventory, and not a word of it
)

// Standings are all of them, worst first.
var Standings = []Standing{Twin, Standing(message.Lost), Silent, Standing(message.Alert), Never, Standing(message.Disconnected),
	Standing(message.Updating), Standing(message.Init), Standing(message.Ready), Standing(message.Closed)}

const (
	silentAfter     = 3 // intervals of health
	usualInterval   = 30 * time.Second
	longestUpdating = 15 * time.Minute
)

// The codes of the troubles that who watches finds.
const (
	codeUpdating = "updating_long"
	codeGap      = "events_missing"
)

// Trouble is one thing that somebody has to look at: an alarm of the station, or what was found from outside.
type Trouble struct {
	message.Problem
	ForS         float64 `json:"for_s"`
	Exact        bool    `json:"-"`            // false: it stands for longer, nobody saw since when
	Acknowledged bool    `json:"acknowledged"` // somebody knows, until it clears
	Over         bool    `json:"over"`         // it doesn't stand now, and is cleared if it stays away
	Shared       int     `json:"shared"`       // so many stations have it from the same cause; 0: it alone
	mark         string  // tells one occurrence from the next
}

// interval is how often the station tells its health.
func (s *station) interval() time.Duration {
	if v := s.state.IntervalS; v >= 1 && v <= 3600 {
		return time.Duration(v * float64(time.Second))
	}
	return usualInterval
}

// working tells whether the station says that it works.
func (s *station) working() bool {
	switch s.state.State {
	case message.Init, message.Ready, message.Alert:
		return true
	}
	return false
}

// codeTwin is what a station itself says of another one with its uuid.
const codeTwin = "twin_station"

func (s *station) toldTwin() bool {
	for _, p := range s.alarms {
		if p.Code == codeTwin {
			return true
		}
	}
	return false
}

// quietSince is when the last sign of work came that could have been heard.
func (s *station) quietSince(up time.Time) time.Time {
	at := s.stateAt
	for _, t := range []time.Time{s.healthAt, up} {
		if t.After(at) {
			at = t
		}
	}
	return at
}

// standing judges the station at a time.
func (f *Fleet) standing(s *station, now time.Time) Standing {
	switch {
	case !s.known && s.health == nil && s.listed:
		return Never
	case !s.twinAt.IsZero() && now.Sub(s.twinAt) <= twinFor, s.toldTwin() && s.working():
		return Twin
	case s.state.State == message.Lost || s.state.State == message.Disconnected:
		if !f.cfg.Open(s.state, now) {
			return Standing(message.Closed)
		}
	case s.working() && f.Up() && now.Sub(s.quietSince(f.up)) > silentAfter*s.interval():
		if !f.cfg.Open(s.state, now) {
			return Standing(message.Closed)
		}
		return Silent
	}
	return Standing(cmp.Or(s.state.State, message.Init))
}

// outsider is what a trouble is about that no station says.
const outsider = "station"

// found makes a trouble that was seen from outside.
func found(code string, severity message.Severity, since time.Time, exact bool, mark, text, hint string) Trouble {
	return Trouble{Problem: message.Problem{Name: outsider, Code: code, Severity: severity, Since: since, Text: text, Hint: hint, Count: 1}, Exact: exact, mark: mark}
}

// outside gives what is found from outside.
func (f *Fleet) outside(s *station, standing Standing, now time.Time) (list []Trouble) {
	since, exact := s.stateSince, s.since
	mark := strconv.FormatUint(s.state.Session, 10) + "." + strconv.FormatUint(s.state.Connection, 10) + "." + s.state.Instance
	switch standing {
	case Twin:
		if s.toldTwin() {
			break // it says so itself
		}
		list = append(list, found(codeTwin, message.Critical, s.twinAt, false, "", fmt.Sprintf("two live agents have this uuid (%d instances seen)", len(s.instances)),
			"find the second card with this uuid and switch it off, or give it a uuid of its own"))
	case Standing(message.Lost):
		list = append(list, found("lost", message.Critical, since, exact, mark, "no word from the agent: the broker lost it",
			"check its power and its network; what was scanned is on its card"))
	case Silent:
		list = append(list, found("silent", message.Critical, s.quietSince(f.up), true, mark, "its state says that it works, but no health came for three intervals",
			"look at the station: it may hang; see its journal and restart it"))
	case Never:
		list = append(list, found("never_seen", message.Warning, f.up, false, "", "in the inventory, and never seen at this broker",
			"check that it is installed, its environment and its access to the broker; or take it out of the inventory"))
	case Standing(message.Disconnected):
		list = append(list, found("disconnected", message.Warning, since, exact, mark, "the agent was stopped in opening hours", "start it again: systemctl start station-agent"))
	case Standing(message.Updating):
		if now.Sub(since) > longestUpdating {
			list = append(list, found(codeUpdating, message.Warning, since, exact, mark, "it stopped for a new version and did not come back", "look at the station: see its journal"))
		}
	}
	if len(s.gaps) > 0 {
		g := s.gaps[len(s.gaps)-1]
		list = append(list, found(codeGap, message.Info, g.Found, true, strconv.FormatUint(g.From, 10), fmt.Sprintf("events %d to %d did not come", g.From, g.To),
			"see them at the station: station-agent events"))
	}
	return list
}

// over tells whether a station that works says in its health, since it told its alarms, that a problem doesn't stand.
func (s *station) over(name string) bool {
	return s.working() && s.health != nil && s.healthAt.After(s.alarmsAt) &&
		!slices.ContainsFunc(s.health.Problems, func(p message.Problem) bool { return p.Name == name })
}

// troubles gives all that somebody has to look at now.
func (f *Fleet) troubles(s *station, standing Standing, now time.Time) []Trouble {
	list := f.outside(s, standing, now)
	alarms, at := s.alarms, s.alarmsAt
	if !s.alarmsKnown && s.health != nil { // an agent that says no alarms
		alarms, at = s.health.Problems, s.healthAt
	}
	for _, p := range alarms {
		if p.LeftS != nil {
			left := max(0, *p.LeftS-now.Sub(at).Seconds())
			p.LeftS = &left
		} else if standing == Standing(message.Closed) {
			continue // it was so when they went home; only what runs out does so at night, too
		}
		list = append(list, Trouble{Problem: p, Exact: true, Over: s.over(p.Name), mark: strconv.FormatInt(p.Since.Unix(), 10)})
	}
	for i := range list {
		t := &list[i]
		if !t.Since.IsZero() {
			t.ForS = max(0, now.Sub(t.Since).Round(time.Millisecond).Seconds())
		}
		t.Acknowledged = f.cfg.Book.acknowledged(s.id, *t)
	}
	return list
}
