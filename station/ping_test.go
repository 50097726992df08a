package station

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
)

// A sign of life must be the bench's own: a card that takes no flush any more holds it up.
func TestABenchThatHangsDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, record.State{})
		flush := make(chan struct{})
		r.memory.before = func() error { <-flush; return nil }
		r.start(t)
		ask := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return r.Bench.Ping(ctx)
		}
		if err := ask(); err != nil {
			t.Errorf("an idle bench: %v", err)
		}
		r.scan("PKG-1")
		if err := ask(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a bench that hangs: %v", err)
		}
		close(flush)
		if err := ask(); err != nil {
			t.Errorf("after it went on: %v", err)
		}
		r.stop()
	})
}
