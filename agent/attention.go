package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"station-agent/store"
	"station-agent/store/record"
)

// attention makes what needs a person a problem that status and fleet see: assignments that went wrong after green, and
// records that Certyo refused for good, which stay until somebody acts; a card that lost something, and proofs that can't be
// exported.
type attention struct {
	store                      *store.Store
	parked, dead, card, export *condition
	reserve, unverified        *condition
	spilled, keys              *condition
	now                        func() record.Stamp

	lastParked listed // as reported
	lastDead   int    // how many dead letters were reported
	lastLost   int    // how many losses
	lastGiven  uint64 // how many records were given up unverified
	lastSpill  uint64 // how many dead letters were dropped for want of room
	lastExport string // why evidence could not be exported
	lastShort  bool   // whether the journal's reserve was spent
	lastKeys   int    // 1: half of the time is over in which Certyo knows a key, 2: all
}

// listed tells one list of parked intents from another.
type listed struct {
	count  int
	newest uint64
}

// Run looks each second until ctx ends.
func (a *attention) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		stats := a.store.DB.Counts()
		a.lookAtParked()
		a.lookAtDead(stats.DeadLetters)
		a.lookAtUnverified(stats.NewlyUnverified)
		a.lookAtSpilled(stats.NewlySpilled)
		a.lookAtStore(stats.Trouble)
		a.lookAtKeys(stats.OldestPosted)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (a *attention) lookAtParked() {
	list := a.store.Journal.State().Parked
	now := listed{count: len(list)}
	for _, p := range list {
		now.newest = max(now.newest, p.ID)
	}
	switch {
	case now == a.lastParked:
		return
	case len(list) == 0:
		a.parked.Back()
	default:
		a.parked.Lost(fmt.Errorf("assignments that need a person: %d, first item %s for package %s: %s; then station-agent intents drop %d, or retry %d",
			len(list), list[0].Hash, show(list[0].Package), list[0].Outcome.Text, list[0].ID, list[0].ID))
	}
	a.lastParked = now
}

var errFirst = errors.New("the first is enough")

func (a *attention) lookAtDead(n int) {
	if n == a.lastDead {
		return
	}
	a.lastDead = n
	var first store.DeadLetter
	err := a.store.DB.DeadLetters(func(d store.DeadLetter) error { first = d; return errFirst })
	switch {
	case err == nil:
		a.dead.Back()
	case errors.Is(err, errFirst):
		a.dead.Lost(fmt.Errorf("%d records were refused for good and are kept, first %s of %s: %s: "+
			"station-agent outbox list --refused, then outbox retry, drop or export", n, first.ID, first.Collection, first.Refusal))
	default:
		a.dead.Lost(fmt.Errorf("%d records were refused for good; read dead letters: %w", n, err))
	}
}

// lookAtUnverified says how many records were given up unproven, until a person acknowledges it.
func (a *attention) lookAtUnverified(n uint64) {
	if n == a.lastGiven {
		return
	}
	if a.lastGiven = n; n == 0 {
		a.unverified.Back()
		return
	}
	a.unverified.Lost(fmt.Errorf("%d records were accepted by Certyo and given up before they were proven, as more than certyo.max_unproven waited: "+
		"find out why Certyo proves so little, then station-agent store acknowledge", n))
}

// lookAtSpilled says how many refused records were dropped, until a person acknowledges it.
func (a *attention) lookAtSpilled(n uint64) {
	if n == a.lastSpill {
		return
	}
	if a.lastSpill = n; n == 0 {
		a.spilled.Back()
		return
	}
	a.spilled.Lost(fmt.Errorf("%d records that Certyo had refused were dropped, the oldest ones, as there were more than certyo.max_refused or certyo.max_refused_mb: "+
		"their changes will never be anchored: see to the others with station-agent outbox list --refused, then station-agent store acknowledge", n))
}

// lookAtStore says what could not be read, until a person acknowledges it, and what can't be exported.
func (a *attention) lookAtStore(failed string) {
	if losses := a.store.Losses(); len(losses) != a.lastLost {
		if a.lastLost = len(losses); len(losses) > 0 {
			a.card.Lost(lossesError(losses))
		} else {
			a.card.Back()
		}
	}
	if short := a.store.Journal.Short(); short != a.lastShort {
		if a.lastShort = short; short {
			a.reserve.Lost(errors.New("the room that is kept for scans is in use: make room on the card; scans are refused when it is spent"))
		} else {
			a.reserve.Back()
		}
	}
	if failed != a.lastExport {
		a.lastExport = failed
		if failed == "" {
			a.export.Back()
		} else {
			a.export.Lost(errors.New(failed))
		}
	}
}

const (
	keysKnown = 24 * time.Hour // so long Certyo knows an idempotency key (guide)
	keysSoon  = keysKnown / 2
)

// keyWindow is a warning with the time that is left.
type keyWindow struct {
	error
	left time.Duration
}

// Left is how long the key is known.
func (k keyWindow) Left() time.Duration { return k.left }

// lookAtKeys says once that a record was posted half a day ago and is not answered yet, and once that it is a day.
func (a *attention) lookAtKeys(posted time.Time) {
	since, stage := time.Duration(0), 0
	if !posted.IsZero() {
		since = a.now().Wall.Sub(posted)
	}
	if since >= keysSoon {
		stage = int(since / keysSoon)
	}
	if stage = min(stage, 2); stage == a.lastKeys {
		return
	}
	const text = "a record was posted to Certyo at %s and its answer is missing: "
	at := posted.UTC().Format(time.RFC3339)
	switch a.lastKeys = stage; stage {
	case 0:
		a.keys.Back()
	case 1:
		a.keys.Lost(keyWindow{fmt.Errorf(text+"it knows the key for 24 hours: make delivery go on before", at), keysKnown - since})
	default:
		a.keys.Lost(keyWindow{fmt.Errorf(text+"it may have forgotten the key: make delivery go on; Certyo is asked for the record before it is sent again", at), 0})
	}
}

// lossesError is one line of all losses.
func lossesError(losses []store.Loss) error {
	text := lossText(losses[0])
	if n := len(losses) - 1; n > 0 {
		text += fmt.Sprintf("; and %d more, see station-agent status", n)
	}
	return fmt.Errorf("the card is failing: %s: replace it soon: station-agent store export; then station-agent store acknowledge", text)
}
