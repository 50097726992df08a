package assign

import (
	"errors"
	"maps"
	"time"

	"station-agent/store/record"
)

// lockWait is how long a statement waits at the server for a lock, at most (uplink/mysql sets it for every connection).
const lockWait = 5 * time.Second

// doubts are the statements that got no answer, and the time until which each may still run: held back by the network, or
// by a lock at the server.
//
//	pack  ── UPDATE NULL → P ──✂ no answer ┄┄┄┄┄┄┄┄┄┄┄┄┄┄▶ runs: the row shows P
//	undo  ──────────── row shows NULL: same? ─ in doubt ─ looked at again ─▶ P → NULL: settled
//
// Of a package it is COMMIT that may still run, and with it all that was written before: it comes while the server waits
// for it (see transaction), or never.
//
// A statement changes only a row that shows the value it replaces. So an intent is held open as long as one may run that
// replaces the value the intent wants; most want a value that none replaces, and end at once.
//
// They are kept in memory. After a start every open intent may have been tried, and what a held intent replaces stays open
// with it for that. What was tried without an answer and ended before the start isn't known any more.
type doubts map[doubt]time.Time

// doubt is the row and the value that the statement replaces.
type doubt struct {
	hash, expect string
	null         bool
}

func doubtOf(hash string, expect record.Value) doubt {
	if expect == nil {
		return doubt{hash: hash, null: true}
	}
	return doubt{hash: hash, expect: *expect}
}

func (d doubts) add(hash string, expect record.Value, until time.Time) {
	d[doubtOf(hash, expect)] = until
}

// assume adds what may have been tried for open intents by a process before this one.
func (d doubts) assume(open []record.Intent, until time.Time) {
	for _, i := range open {
		for _, r := range i.Replaces {
			if !record.Same(r, i.Package) {
				d.add(i.Hash, r, until)
			}
		}
	}
}

// hold tells whether i must not end yet.
func (d doubts) hold(i record.Intent, now time.Time) bool {
	return now.Before(d[doubtOf(i.Hash, i.Package)])
}

// forget drops what can't run any more.
func (d doubts) forget(now time.Time) {
	maps.DeleteFunc(d, func(_ doubt, until time.Time) bool { return !now.Before(until) })
}

// notDone tells whether the statement that gave err did nothing and never will. It takes the word of the error, as
// uplink/mysql gives it; what says nothing leaves a doubt.
func notDone(err error) bool {
	e, ok := errors.AsType[interface {
		error
		NotDone() bool
	}](err)
	return ok && e.NotDone()
}
