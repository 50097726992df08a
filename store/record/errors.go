package record

import (
	"errors"
	"time"
)

// Class says what to do about an error. It is decided where the knowledge is: the numbers of MySQL in uplink/mysql, the
// statuses of HTTP in uplink/certyo. An error without a class is to be tried again.
type Class int

const (
	Again    Class = iota // try again later; the default
	ThisOne               // this one never: park it, list it, go on with the others
	StopHere              // the agent can't go on: return it from Run
)

type classed struct {
	error
	class Class
}

func (c classed) Unwrap() error { return c.error }

// Never marks err as one that no repetition mends: the thing it is about is parked.
func Never(err error) error { return mark(err, ThisOne) }

// Stop marks err as one that ends the agent.
func Stop(err error) error { return mark(err, StopHere) }

func mark(err error, class Class) error {
	if err == nil {
		return nil
	}
	return classed{err, class}
}

// ClassOf tells the class of err; the outermost mark counts.
func ClassOf(err error) Class {
	if c, ok := errors.AsType[classed](err); ok {
		return c.class
	}
	return Again
}

// RetryAfter tells how long the other side asked to be left alone, 0 if it didn't say. An error says so by a method
// RetryAfter() time.Duration.
func RetryAfter(err error) time.Duration {
	var asked interface{ RetryAfter() time.Duration }
	if errors.As(err, &asked) {
		return asked.RetryAfter()
	}
	return 0
}
