package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"station-agent/uplink/fleet/message"
)

// digest is what of problems is told at once when it changes: which there are. Their texts, counts and times left change all
// the time.
func digest(problems []message.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%q %q %q %d\n", p.Name, p.Code, p.Severity, p.Since.UnixNano())
	}
	return b.String()
}

// alarms is what was last said on the alarms topic.
type alarms struct {
	at   time.Time
	list []message.Problem
	seq  uint64
}

// sayAlarms says what stands now: on a new connection, at once when something is raised or cleared, and at health's interval
// if anything else of it changed.
func (p *Publisher) sayAlarms(ctx context.Context, l *link, anew bool) error {
	if p.cfg.Alarms == nil {
		return nil
	}
	a, now := p.cfg.Alarms(), time.Now()
	old := &p.alarms
	if !anew && a.Seq == old.seq && digest(a.Alarms) == digest(old.list) &&
		(now.Sub(old.at) < p.cfg.Interval || slices.EqualFunc(a.Alarms, old.list, same)) {
		return nil
	}
	a.Session = p.cfg.Session
	if a.At.IsZero() {
		a.At = now.UTC()
	}
	if a.Alarms == nil {
		a.Alarms = []message.Problem{} // a list in JSON too
	}
	payload, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode alarms: %w", err)
	}
	if err := l.retain(ctx, p.cfg.topic(message.AlarmsLeaf), payload); err != nil {
		return err
	}
	*old = alarms{now, slices.Clone(a.Alarms), a.Seq}
	return nil
}

// same tells whether a reader would see no other thing.
func same(a, b message.Problem) bool {
	left := func(p message.Problem) float64 {
		if p.LeftS == nil {
			return -1
		}
		return *p.LeftS
	}
	return a.Text == b.Text && a.Count == b.Count && left(a) == left(b)
}
