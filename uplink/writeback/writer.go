package writeback

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"station-agent/store/record"
)

// Log is where it is read what became of records, in order.
type Log interface {
	// Standings gives f what happened behind a mark, each record once, in chunks, and returns the mark behind that: the same one if
	// there was nothing. An error of f is returned, with the old mark.
	Standings(mark uint64, chunk int, f func([]record.Standing) error) (next uint64, err error)
	// Mark is the one that was kept last, 0 if none was.
	Mark() (uint64, error)
	// Keep keeps a mark, durably.
	Keep(mark uint64) error
}

// Target is where it is written. To write twice is to write once. An error means that perhaps not all of the list is written.
type Target interface {
	Write(ctx context.Context, list []record.Standing) error
	fmt.Stringer
}

// Condition is the state of the target: it is lost with a reason, or it is back.
type Condition interface {
	Lost(err error)
	Back()
}

// Config is what a Writer needs. The zero value of a duration or number stands for its default.
type Config struct {
	Log       Log
	Target    Target
	Condition Condition
	Explain   func(error) error // makes an error of the target one that a person can act on
	Every     time.Duration     // how long what happens is gathered; default 10 s
	Batch     int               // most records in a transaction; default 100
}

const (
	writeFor    = 30 * time.Second // a batch may take
	longestWait = 5 * time.Minute  // until the next try
)

// Writer writes into one target.
type Writer struct{ cfg Config }

// New makes a writer; Run sets it to work.
func New(cfg Config) *Writer {
	if cfg.Every <= 0 {
		cfg.Every = 10 * time.Second
	}
	if cfg.Batch <= 0 {
		cfg.Batch = 100
	}
	return &Writer{cfg}
}

// Run writes until ctx ends. It returns an error only of class record.Stop, from the log.
func (w *Writer) Run(ctx context.Context) error {
	wait := w.cfg.Every
	for {
		more, err := w.once(ctx)
		switch {
		case record.ClassOf(err) == record.StopHere:
			return err
		case ctx.Err() != nil:
			return nil
		case err != nil:
			w.cfg.Condition.Lost(fmt.Errorf("write back into %s: %w", w.cfg.Target, err))
			wait = min(2*wait, longestWait)
		default:
			w.cfg.Condition.Back()
			wait = w.cfg.Every
		}
		if !more && !rest(ctx, wait+rand.N(wait/10+1)) {
			return nil
		}
	}
}

// once writes some of what happened since the mark, and tells whether there may be more.
func (w *Writer) once(ctx context.Context) (more bool, err error) {
	mark, err := w.cfg.Log.Mark()
	if err != nil {
		return false, fmt.Errorf("read mark: %w", err)
	}
	next, err := w.cfg.Log.Standings(mark, w.cfg.Batch, func(list []record.Standing) error {
		ctx, cancel := context.WithTimeout(ctx, writeFor)
		defer cancel()
		return w.cfg.Explain(w.cfg.Target.Write(ctx, list))
	})
	if err != nil || next == mark {
		return false, err
	}
	return true, w.cfg.Log.Keep(next)
}

// rest waits for d; false if ctx ended before.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
