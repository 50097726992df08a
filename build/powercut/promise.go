package powercut

import (
	"slices"
	"strings"

	"station-agent/store/record"
)

// place is where the store keeps a record.
type place string

const (
	waiting  place = "outbox"
	refused  place = "dead letters"
	ledger   place = "ledger"
	evidence place = "evidence"
	dropped  place = "nowhere"
)

// promise is what a store must hold after a power cut. The first done steps were acknowledged and the one behind them may
// have been under way.
type promise struct {
	steps []Step
	done  int
}

// begun is the number of steps that may have left something.
func (p promise) begun() int { return min(p.done+1, len(p.steps)) }

// after gives the number of steps up to the last acknowledged one of these acts, with it.
func (p promise) after(acts ...Act) int {
	for n := p.done; n > 0; n-- {
		if slices.Contains(acts, p.steps[n-1].Act) {
			return n
		}
	}
	return 0
}

// firm is the number of steps of which nothing may be left to be written later.
func (p promise) firm() int { return p.after(Close, Rest) }

// states are those that the journal may add up to. Outcomes wait for the flush of somebody else: until then any of them may
// be missing, because an intent that is open again is decided again.
func (p promise) states() []record.State {
	var sure record.State
	flushed := p.after(Scan, Dismiss, Close, Rest)
	for _, s := range p.steps[:flushed] {
		fold(&sure, s)
	}
	states := []record.State{sure}
	for _, s := range p.steps[flushed:p.begun()] {
		for _, without := range states {
			with := without.Clone()
			if fold(&with, s) {
				states = append(states, with)
			}
		}
	}
	return states
}

// fold adds what a step did at the bench to s and tells whether that was something. It leaves out what only the journal
// knows.
func fold(s *record.State, step Step) bool {
	switch step.Act {
	case Scan:
		e := packed(step.From)
		e.Intents[0].ID = uint64(step.From + 1)
		s.Apply(e)
	case Settle, Park, Dismiss:
		o := outcome(step.Act, step.From)
		s.Apply(record.Entry{Outcome: &o})
	default:
		return false
	}
	return true
}

// puts counts the records that were put by the first n steps.
func (p promise) puts(n int) int { return last(p.steps[:n], Put) }

// last is the end of the last step of this act, 0 if there is none.
func last(steps []Step, act Act) int {
	for _, s := range slices.Backward(steps) {
		if s.Act == act {
			return s.To
		}
	}
	return 0
}

// places are those where a record may be: all on its way since what is firm.
func (p promise) places(n int) []place {
	way, firm := way(p.steps[:p.begun()], n), way(p.steps[:p.firm()], n)
	return way[max(0, len(firm)-1):]
}

// way lists the places of a record in their order.
func way(steps []Step, n int) []place {
	var way []place
	for _, s := range steps {
		if n < s.From || n >= s.To {
			continue
		}
		switch s.Act {
		case Put, Retry:
			way = append(way, waiting)
		case Accept:
			way = append(way, ledger)
		case Refuse:
			way = append(way, refused)
		case Anchor:
			way = append(way, evidence)
		case Drop:
			way = append(way, dropped)
		}
	}
	return way
}

// old tells whether a record's evidence may have been dropped for its age.
func (p promise) old(n int) bool {
	steps := p.steps[:p.begun()]
	for i, s := range steps {
		if s.Act == Days && slices.Contains(way(steps[:i], n), evidence) {
			return true
		}
	}
	return false
}

// parked tells whether the row of a scan may have turned out not to be ours.
func (p promise) parked(n int) bool {
	return slices.Contains(p.steps[:p.begun()], Step{Park, n, n + 1})
}

// longAgo tells whether the label of a scan may have been forgotten for its age.
func (p promise) longAgo(n int) bool {
	steps := p.steps[:p.begun()]
	at := slices.Index(steps, Step{Scan, n, n + 1})
	return at >= 0 && slices.ContainsFunc(steps[at:], func(s Step) bool { return s.Act == Days })
}

func names(places []place) string {
	var b []string
	for _, p := range places {
		b = append(b, string(p))
	}
	return strings.Join(b, " or ")
}
