package deliver

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"station-agent/store/record"
)

const (
	firstWait   = 500 * time.Millisecond // ceiling of the first back-off
	longestWait = time.Minute            // ceiling of all
	heldWait    = 30 * time.Second       // ceiling while a key is waited for
	longestAsk  = 10 * time.Minute       // the most that a Retry-After is granted
)

// backoff spaces repetitions: full jitter below a ceiling that doubles, behind whatever the service asked for.
type backoff struct{ failures int }

func (b *backoff) reset() { b.failures = 0 }

func (b *backoff) next(err error) time.Duration {
	ceiling := longestWait
	if isHeld(err) {
		ceiling = heldWait
	}
	if b.failures < 10 {
		ceiling = min(ceiling, firstWait<<b.failures)
		b.failures++
	}
	return min(record.RetryAfter(err), longestAsk) + rand.N(ceiling)
}

// isHeld tells whether err asks for another key.
func isHeld(err error) bool {
	var h interface{ Held() bool }
	return errors.As(err, &h) && h.Held()
}

// isTooLarge tells whether a request was refused for its size.
func isTooLarge(err error) bool {
	var e interface{ TooLarge() bool }
	return errors.As(err, &e) && e.TooLarge()
}

// isLimited tells whether Certyo had enough of this client's requests.
func isLimited(err error) bool {
	var e interface{ Limited() bool }
	return errors.As(err, &e) && e.Limited()
}

// isFaulty tells whether the service itself failed on a request: an error of its own, not of the way to it.
func isFaulty(err error) bool {
	var e interface{ Faulty() bool }
	return errors.As(err, &e) && e.Faulty()
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
