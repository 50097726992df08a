package capture

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Purge warns when changes that capture has still to read are about to leave the source's log, or have left it, while
// capture stands still. It asks the source when it starts and then once a minute, but only while capture stands still: a
// server with hundreds of readers is not asked for nothing.
type Purge struct {
	runner *Runner
	cond   Condition
	warned bool
}

const (
	lookEvery = time.Minute
	lookTime  = 30 * time.Second // for one look
	stands    = time.Minute      // since capture last went on: from then on it stands still
	day       = 24 * time.Hour
)

// NewPurge makes the watch over what r has still to read. The Condition is its own: lost while changes are in danger.
func NewPurge(r *Runner, cond Condition) *Purge { return &Purge{runner: r, cond: cond} }

// Run looks until ctx ends, which is the all-clear: nobody reads the log any more then. It doesn't look at all if the source keeps
// no log.
func (p *Purge) Run(ctx context.Context) error {
	source, ok := p.runner.source.(Retainer)
	if !ok {
		return nil
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	defer p.say(nil)
	p.look(ctx, source, 0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if still := p.runner.Stalled(); still >= stands {
			p.look(ctx, source, still)
		} else {
			p.say(nil)
		}
	}
}

// look asks the source. If it doesn't answer, nothing new is known: that itself is said elsewhere.
func (p *Purge) look(ctx context.Context, source Retainer, still time.Duration) {
	from, err := p.runner.store.Position()
	if err != nil || from.Zero() || from.Way != "" {
		return // there is nothing of a log to be read, or not yet
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	switch r, err := source.Retention(ctx, from); {
	case err == nil:
		p.say(r.danger(still))
	case errors.Is(err, ErrGap):
		p.say(fmt.Errorf("%w: the rows will be compared when capture goes on, but what happened to them meanwhile can't be recorded", err))
	}
}

func (p *Purge) say(danger error) {
	if danger != nil {
		p.cond.Lost(danger)
	} else if p.warned {
		p.cond.Back()
	}
	p.warned = danger != nil
}

// Danger is a warning with the time that is left.
type Danger struct {
	error
	left time.Duration
}

// Left is how long the log is kept for certain; nothing if it may go at any moment.
func (d Danger) Left() time.Duration { return max(0, d.left) }

// danger says what is about to be lost, given how long capture has stood still: with less than half of the time left, or
// than a day once it stands still; or when more than half of the size is needed.
func (r Retention) danger(still time.Duration) error {
	least := r.Kept / 2
	if still >= stands {
		least = max(least, day)
	}
	const help = "see why capture stands still (if the card is full, make room), or have %s raised on the server"
	switch {
	case r.Bytes > 0 && r.Size > r.Bytes/2:
		return fmt.Errorf("%d MiB of the server's log are still to be read, and it removes the oldest when there are more than %d: "+help, r.Size>>20, r.Bytes>>20, r.Names)
	case r.Kept == 0 || r.Left >= least:
		return nil
	case r.Left <= 0:
		return Danger{fmt.Errorf("the server keeps its log for %s and may remove at any moment what is still to be read: "+help, span(r.Kept), r.Names), 0}
	}
	return Danger{fmt.Errorf("the server keeps its log for %s and may remove in %s what is still to be read: "+help, span(r.Kept), span(r.Left), r.Names), r.Left}
}

// span is a time for people, rounded down.
func span(d time.Duration) string {
	if d >= 2*day {
		return fmt.Sprintf("%d days", d/day)
	}
	return fmt.Sprintf("%d h %02d min", d/time.Hour, d%time.Hour/time.Minute)
}
