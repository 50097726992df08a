package feedback

import (
	"slices"
	"time"
)

// State is what is to be shown. Its methods change nothing but give another State; times are since any moment that stays.
type State struct {
	event    playing
	test     playing
	standing []playing // what stands, the newest last
	quiet    bool      // what stands makes no sound
}

// playing is a signal since a time; the zero value is none.
type playing struct {
	signal string
	since  time.Duration
	count  int
}

// Event is a state in which something happened: it takes the place of what happened before, and ends a lamp test.
func (s State) Event(signal string, count int, t time.Duration) State {
	s.event, s.test = playing{signal, t, count}, playing{}
	return s
}

// Test is a state in which the lamp test begins.
func (s State) Test(t time.Duration) State {
	s.test = playing{signal: LampTest, since: t}
	return s
}

// retest is a state in which a lamp test that nothing has ended begins anew.
func (s State) retest(t time.Duration) State {
	if s.test.signal != "" {
		s.test.since = t
	}
	return s
}

// Mute is a state in which what stands is silent, or not. What is new is heard again.
func (s State) Mute(quiet bool) State {
	s.quiet = quiet
	return s
}

// Muted tells whether what stands is silent.
func (s State) Muted() bool { return s.quiet }

// Stand is a state in which a signal stands, or does not any more.
func (b *Book) Stand(s State, signal string, on bool, t time.Duration) State {
	is := func(p playing) bool { return p.signal == signal }
	switch stood := slices.ContainsFunc(s.standing, is); {
	case stood == on:
	case on:
		s.standing = append(slices.Clone(s.standing), playing{signal: signal, since: t})
		if len(b.patterns[signal].lanes[Buzzer].beats) > 0 {
			s.quiet = false
		}
	default:
		s.standing = slices.DeleteFunc(slices.Clone(s.standing), is)
	}
	return s
}

// stage is where a signal has got to.
type stage struct {
	pattern
	began, ends time.Duration
}

// stage follows a signal through its pattern and those after it; false if all is over.
func (b *Book) stage(p playing, t time.Duration) (stage, bool) {
	for p.signal != "" {
		at := b.patterns[p.signal]
		whole := at.Lasts
		if at.Counts {
			whole *= time.Duration(min(p.count, mostCounted))
		}
		if at.Lasts == 0 {
			return stage{at, p.since, Never}, true
		}
		if end := p.since + whole; t < end {
			begun := p.since
			if at.Counts { // each beat begins anew
				begun = t - (t-p.since)%at.Lasts
				end = begun + at.Lasts
			}
			return stage{at, begun, end}, true
		}
		p.signal, p.since = at.Then, p.since+whole
	}
	return stage{}, false
}

// top finds what is shown at t, whether it is one of those that stand, and when another one may be.
func (b *Book) top(s State, t time.Duration) (shown stage, stands bool, until time.Duration) {
	until = Never
	look := func(p playing, standing bool) {
		st, on := b.stage(p, t)
		if !on {
			return
		}
		until = min(until, st.ends)
		if shown.Signal == "" || st.Priority >= shown.Priority {
			shown, stands = st, standing
		}
	}
	for _, p := range s.standing {
		look(p, true)
	}
	look(s.event, false)
	look(s.test, false)
	return shown, stands, until
}

// Look tells what is on at t, and when that may change though nothing happens: Never if not at all.
func (b *Book) Look(s State, t time.Duration) (f Frame, until time.Duration) {
	shown, stands, until := b.top(s, t)
	for c, lane := range shown.lanes {
		level, change := lane.At(t - shown.began)
		if f[c] = level; change != Never {
			until = min(until, shown.began+change)
		}
	}
	if stands && s.quiet {
		f[Buzzer] = 0
	}
	return f, until
}

// Shown is the signal that Look shows at t, "" for none.
func (b *Book) Shown(s State, t time.Duration) string {
	shown, _, _ := b.top(s, t)
	return shown.Signal
}
