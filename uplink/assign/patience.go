package assign

import (
	"errors"
	"time"
)

const (
	contendedTells = 3  // passes in a row
	unknownTells   = 10 // passes in a row
)

// patience is how failures are borne: the pause after each, and whether it is worth telling.
//
//	failure      pause                            told
//	any other    250 ms, growing to 15 s          at once
//	unknown      the same                         from the tenth in a row on: it may pass
//	contended    50 to 250 ms, growing to 2 s     from the third in a row on: every row is locked for a moment now and then
type patience struct {
	failed      int // passes in a row: what is settled in a pass before it fails doesn't count
	usual, soon backoff
}

func newPatience() patience {
	return patience{usual: backoff{max: 15 * time.Second}, soon: backoff{least: 50 * time.Millisecond, max: 2 * time.Second}}
}

func (p *patience) fail(err error) (pause time.Duration, tell bool) {
	p.failed++
	switch {
	case contended(err):
		return p.soon.next(), p.failed >= contendedTells
	case unknown(err):
		return p.usual.next(), p.failed >= unknownTells
	}
	return p.usual.next(), true
}

// reset makes the next pause a short one: the database answers.
func (p *patience) reset() {
	p.usual.reset()
	p.soon.reset()
}

// over ends the row: everything open was settled.
func (p *patience) over() { p.failed = 0 }

// contended tells whether another transaction was in the way, which is soon over. It takes the word of the error, as
// uplink/mysql gives it.
func contended(err error) bool {
	e, ok := errors.AsType[interface {
		error
		Contended() bool
	}](err)
	return ok && e.Contended()
}

// unknown tells whether the database gave an error that nobody knows, in the same way.
func unknown(err error) bool {
	e, ok := errors.AsType[interface {
		error
		Unknown() bool
	}](err)
	return ok && e.Unknown()
}
