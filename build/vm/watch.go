package vm

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Watch keeps what the lamps showed.
type Watch struct {
	mu      sync.Mutex
	changes []Lamps // what was lit, from the dark on, each time that it was something else
	err     error
}

// glance is how often the lamps are looked at: the shortest flash has 50 ms.
const glance = 4 * time.Millisecond

// WatchLamps looks at the lamps until ctx ends.
func WatchLamps(ctx context.Context, p Pins) *Watch {
	w := &Watch{changes: []Lamps{0}}
	go func() {
		tick := time.NewTicker(glance)
		defer tick.Stop()
		for ctx.Err() == nil {
			lit, err := p.Lamps()
			w.note(lit, err)
			if err != nil {
				return
			}
			<-tick.C
		}
	}()
	return w
}

func (w *Watch) note(lit Lamps, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	if err == nil && lit != w.changes[len(w.changes)-1] {
		w.changes = append(w.changes, lit)
	}
}

// Mark is this moment, for Seen.
func (w *Watch) Mark() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.changes)
}

// Seen gives what was lit at mark and since, and the error with which looking ended.
func (w *Watch) Seen(mark int) (Showing, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append(Showing{}, w.changes[mark-1:]...), w.err
}

// Showing is what the lamps showed one after another.
type Showing []Lamps

// Flashes counts how often each of these lamps went on, in words from the top: "green 2, blue 1".
func (s Showing) Flashes(of Lamps) string {
	var words []string
	for lamp := Red; lamp <= Buzzer; lamp <<= 1 {
		n := 0
		for i := 1; i < len(s); i++ {
			if s[i]&^s[i-1]&lamp&of != 0 {
				n++
			}
		}
		if n > 0 {
			words = append(words, fmt.Sprint(lamp, " ", n))
		}
	}
	return strings.Join(words, ", ")
}

// inTurn tells whether each lamp was lit alone, one after the other from the top.
func (s Showing) inTurn() bool {
	next := Red
	for _, lit := range s {
		if next <= White && lit&^Buzzer == next {
			next <<= 1
		}
	}
	return next > White
}

// Now is what is lit in the end.
func (s Showing) Now() Lamps { return s[len(s)-1] }

// String is for people.
func (s Showing) String() string {
	var words []string
	for _, l := range s {
		words = append(words, l.String())
	}
	return strings.Join(words, " | ")
}
