package deliver

import "time"

// wish is what a person wants for a while.
type wish struct {
	rest time.Time // nothing is sent before
	now  bool      // what waits goes out whatever the hours are, and without company
}

// Rest lets nothing begin to be sent before until; the zero time ends it. What is under way is settled.
func (c *Courier) Rest(until time.Time) { c.want(func(w *wish) { w.rest = until }) }

// Hurry sends what waits though it is outside of the hours, and doesn't let it linger, until it is told otherwise. What goes wrong
// is still waited for, and Certyo's limits and those of a day are kept.
func (c *Courier) Hurry(on bool) { c.want(func(w *wish) { w.now = on }) }

func (c *Courier) want(change func(*wish)) {
	c.limiter.mu.Lock()
	change(&c.limiter.wish)
	c.limiter.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// wished is what is wanted now.
func (l *limiter) wished() wish {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wish
}
