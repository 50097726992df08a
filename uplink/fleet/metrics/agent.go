package metrics

import (
	"cmp"
	"time"

	"station-agent/uplink/fleet/message"
)

// Agent is what one agent tells of itself. Nobody watches it from outside, so it is ready or has alarms.
func Agent(s message.State, h message.Health, alarms []message.Problem, open bool, now time.Time) Station {
	m := Station{Environment: s.Environment, Station: s.Station, Name: s.Name, Version: h.Version, Standing: string(h.Mode()), Open: open,
		Session: s.Session, Health: &h}
	for _, p := range alarms {
		p.Code = cmp.Or(p.Code, p.Name)
		m.Alarms = append(m.Alarms, Alarm{Problem: p, ForS: max(0, now.Sub(p.Since).Seconds())})
	}
	return m
}
