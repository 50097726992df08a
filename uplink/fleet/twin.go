package fleet

import (
	"fmt"
	"time"

	"station-agent/uplink/fleet/message"
)

// How the agents of one station look for each other.
const (
	askEvery    = time.Minute
	askAgain    = 2 * time.Second  // at the earliest, when another one asks
	freshFor    = 10 * time.Second // an answer after that is a replay
	answerEvery = time.Second
	clearAfter  = 3 // questions without an answer
	longestName = 64
)

// twin finds another agent that lives and goes by this station's uuid: a card that was copied, or one that was replaced and
// runs elsewhere. Only the answer to a fresh question of our own counts. What is retained, what was answered before and
// whatever somebody says without being asked proves nothing, so a replaced card that is switched off is no twin of the
// new one.
//
//	a: {instance a, nonce n}                  at the connect and each minute
//	b: {instance b, answers n}                a has a twin
//	b: {instance b, nonce m}                  and asks too, unless it knows
//	a: {instance a, answers m}                b has a twin
type twin struct {
	instance string
	cond     Condition // nil: it doesn't ask

	nonce    string
	asked    time.Time // zero: never
	answered time.Time
	due      time.Time // of the next question
	silent   int       // regular questions without an answer
	proven   bool      // the newest question was answered
	found    bool
}

func (t *twin) isDue(now time.Time) bool { return t.cond != nil && !now.Before(t.due) }

// ask makes the next question.
func (t *twin) ask(now time.Time) message.Challenge {
	if now.Sub(t.asked) >= askEvery { // others' questions don't hurry us to believe that the twin is gone
		t.silent++
	}
	if t.found && t.silent > clearAfter {
		t.found = false
		t.cond.Back()
	}
	t.nonce, t.asked, t.due, t.proven = token(), now, now.Add(askEvery), false
	return message.Challenge{Instance: t.instance, Nonce: t.nonce}
}

// heard takes a challenge from the topic and gives the answer to it, false for none.
func (t *twin) heard(c message.Challenge, station string, now time.Time) (answer message.Challenge, ok bool) {
	if c.Instance == t.instance || c.Instance == "" || len(c.Instance) > longestName || len(c.Nonce) > longestName {
		return answer, false
	}
	if c.Answers != "" {
		if c.Answers == t.nonce && now.Sub(t.asked) < freshFor {
			t.found, t.proven, t.silent = true, true, 0
			t.cond.Lost(fmt.Errorf("another agent (instance %q, this one is %s) works as station %s now: find the other card with this uuid and stop it, or give it a uuid of its own",
				c.Instance, t.instance, station))
		}
		return answer, false
	}
	if c.Nonce == "" || now.Sub(t.answered) < answerEvery {
		return answer, false
	}
	t.answered = now
	if again := t.asked.Add(askAgain); !t.proven && again.Before(t.due) { // it may not have heard our question
		t.due = again
	}
	return message.Challenge{Instance: t.instance, Answers: c.Nonce}, true
}
