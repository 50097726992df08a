package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"station-agent/uplink/fleet/message"
)

// longestWord is the longest state or challenge that is read: ours are below 1 KiB.
const longestWord = 4 << 10

// topics are those of the station that it listens to.
func (p *Publisher) topics() []string {
	list := []string{p.cfg.topic(message.StateLeaf)}
	if p.cfg.Twin != nil {
		list = append(list, p.cfg.topic(message.ChallengeLeaf))
	}
	if p.cfg.Command != nil {
		list = append(list, p.cfg.topic(message.CommandLeaf))
	}
	return list
}

// hear takes what the broker hands over, and returns at once: whatever comes in floods is left out, the state's last
// because it is one of many that ours has to replace.
func (p *Publisher) hear(s Said) (known bool) {
	switch s.Topic {
	case p.cfg.topic(message.StateLeaf):
		if len(s.Payload) > longestWord {
			s.Payload = nil // none of ours
		}
	case p.cfg.topic(message.ChallengeLeaf):
		if len(s.Payload) > longestWord || len(p.said) > cap(p.said)/2 {
			return true
		}
	case p.cfg.topic(message.CommandLeaf):
		if p.cfg.Command == nil {
			return false
		}
		if !s.Retained && p.budget.take(time.Now()) { // a command that the broker keeps would come again and again
			p.cfg.Command(s.Payload, false, p.courier.reply)
		}
		return true
	default:
		return false
	}
	if s.Retained {
		return true
	}
	select {
	case p.said <- s:
	default:
	}
	return true
}

// heed looks at what was said on a topic of ours.
func (p *Publisher) heed(ctx context.Context, l *link, s Said) error {
	if s.Topic == p.cfg.topic(message.ChallengeLeaf) {
		return p.heedChallenge(ctx, l, s.Payload)
	}
	state, err := message.Decode[message.State](s.Payload)
	switch {
	case err == nil && state.Instance == p.instance && state.State != message.Lost:
		return nil // our own word
	case err == nil && (state.State == message.Init || state.State == message.Ready || state.State == message.Alert):
		p.claim.contest(time.Now())
	default:
		p.claim.bury(time.Now())
	}
	return p.reclaim(ctx, l)
}

// reclaim says the state again if it is time to.
func (p *Publisher) reclaim(ctx context.Context, l *link) error {
	now := time.Now()
	if !p.claim.isDue(now) {
		return nil
	}
	p.claim.stress(now)
	return p.sayState(ctx, l)
}

// heedChallenge answers another agent of this station, or takes its answer.
func (p *Publisher) heedChallenge(ctx context.Context, l *link, payload []byte) error {
	c, err := message.Decode[message.Challenge](payload)
	if err != nil {
		return nil
	}
	answer, ok := p.twin.heard(c, p.cfg.Station, time.Now())
	if !ok {
		return nil
	}
	return errors.Join(p.sayChallenge(ctx, l, answer), p.challenge(ctx, l))
}

// challenge asks whether there is another agent of this station, if it is time to.
func (p *Publisher) challenge(ctx context.Context, l *link) error {
	if !p.twin.isDue(time.Now()) {
		return nil
	}
	return p.sayChallenge(ctx, l, p.twin.ask(time.Now()))
}

func (p *Publisher) sayChallenge(ctx context.Context, l *link, c message.Challenge) error {
	payload, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode challenge: %w", err)
	}
	return l.publish(ctx, p.cfg.topic(message.ChallengeLeaf), payload)
}

// How soon somebody else's word on the state's topic is replaced.
const (
	firstClaim   = time.Second
	longestClaim = 5 * time.Minute
)

// claim tells when the state has to be said again because a word of somebody else's stands in its place. A word that buries
// the station (the late will of a connection before) is replaced at once, and at most once in firstClaim. One of an
// agent that lives is contested: two agents of one station would go on like that for ever, so each waits twice as long
// each time.
type claim struct {
	due  time.Time // zero: as far as we know our word stands
	last time.Time // when it was last said again
	wait time.Duration
	live bool // the word to replace is that of one who lives
}

func (c *claim) bury(now time.Time) {
	c.want(now, firstClaim)
	c.live = false
}

func (c *claim) contest(now time.Time) {
	if c.wait == 0 || now.Sub(c.last) > 2*longestClaim { // a fight of long ago
		c.wait = firstClaim
	}
	c.live = c.live || c.due.IsZero()
	c.want(now, c.wait)
}

// want sets the time, unless there is an earlier one.
func (c *claim) want(now time.Time, wait time.Duration) {
	due := c.last.Add(wait)
	if due.Before(now) {
		due = now
	}
	if c.due.IsZero() || due.Before(c.due) {
		c.due = due
	}
}

func (c *claim) isDue(now time.Time) bool { return !c.due.IsZero() && !now.Before(c.due) }

// stress notes that the state is said again.
func (c *claim) stress(now time.Time) {
	if c.live {
		c.wait = min(2*c.wait, longestClaim)
	}
	c.due, c.last, c.live = time.Time{}, now, false
}

// Commands are taken at this pace, and so many at once. Nobody who runs a fleet gives more to one station; a flood of
// garbage costs no more than that.
const (
	commandsAtOnce   = 100
	commandsASecond  = 10
	commandAllowance = time.Second / commandsASecond
)

// budget is how many commands are taken.
type budget struct {
	spent time.Time // the allowance is spent up to then
}

func (b *budget) take(now time.Time) bool {
	if full := now.Add(-commandsAtOnce * commandAllowance); b.spent.Before(full) {
		b.spent = full
	}
	if b.spent.After(now.Add(-commandAllowance)) {
		return false
	}
	b.spent = b.spent.Add(commandAllowance)
	return true
}
