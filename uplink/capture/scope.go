package capture

import (
	"strings"
	"time"

	"station-agent/store/record"
)

// Scope decides whose change a change is. Exactly one station of a site reports it:
//
//  1. the station in the after image, if it runs an agent;
//  2. else the one in the before image, if it runs an agent;
//  3. else the one that held the row last: its Shadow has the row.
//
// A station drops a row from its Shadow when another agent's station takes the row over, when the row is deleted, and
// when it left the station longer than Keep ago.
//
// Why all stations come to the same owner: 1 and 2 look at the images alone, which are the same for every reader. For 3,
// "held last" is the last change of the row before this one that named a station with an agent; by 1 and 2 exactly that
// station took the row into its Shadow then, and every other one that had it let go of it at the same change. All read
// the same log in the same order and compare commit times, not clocks, so all agree without talking to one another.
//
// The limits: all stations need the same list of agents. A station that began to read later, or lost a part of the log,
// knows only the rows that stood on it when it read them: a change of a row that had left before is then reported by
// nobody; and a row that left, was elsewhere and came to stand nowhere while a station couldn't read is held by two until
// it next stands at a station. Both report its changes meanwhile, under the same keys.
type Scope struct {
	Station string        // our UUID
	Agents  []string      // UUIDs of the stations that run an agent, ours is always one; empty: all stations do
	Keep    time.Duration // how long a row that left stays ours; 0 means 30 days

	agents map[string]bool
	all    bool // the table has no stations: each row is ours
}

const keepDefault = 30 * 24 * time.Hour

// ready is the scope with its defaults and in the form that decide needs.
func (s Scope) ready() Scope {
	s.Station = strings.ToLower(s.Station)
	if s.Keep == 0 {
		s.Keep = keepDefault
	}
	s.agents = make(map[string]bool)
	for _, a := range s.Agents {
		s.agents[strings.ToLower(a)] = true
	}
	return s
}

// hasAgent tells whether the station with this UUID runs an agent.
func (s *Scope) hasAgent(uuid string) bool {
	return uuid != "" && (uuid == s.Station || len(s.agents) == 0 || s.agents[uuid])
}

// fate is what becomes of one change here.
type fate struct {
	report bool      // we own it
	forget bool      // the row is no concern of ours from now on
	left   time.Time // when the row left us; zero if it is here
}

// decide tells the fate of a change by the stations in its images ("" for none or no image), by our Shadow of the row
// (nil if there is none) and by the time of the commit.
func (s *Scope) decide(before, after string, held *record.ShadowRow, at time.Time) fate {
	if s.all {
		return fate{report: true}
	}
	switch owner := s.named(before, after); {
	case owner == s.Station && after == owner:
		return fate{report: true}
	case owner == s.Station:
		return fate{report: true, left: at}
	case owner != "" || held == nil || s.expired(held, at):
		return fate{forget: true}
	case held.Left.IsZero():
		return fate{report: true, left: at}
	}
	return fate{report: true, left: held.Left}
}

// named is the owner that the images name, "" if they name none.
func (s *Scope) named(before, after string) string {
	if s.hasAgent(after) {
		return after
	}
	if s.hasAgent(before) {
		return before
	}
	return ""
}

// expired tells whether the row left us too long ago.
func (s *Scope) expired(row *record.ShadowRow, at time.Time) bool {
	return !row.Left.IsZero() && at.Sub(row.Left) > s.Keep
}
