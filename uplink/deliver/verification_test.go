package deliver

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

func TestVerificationKeepsTheSchedule(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		var at []time.Duration
		began := time.Now()
		b.verify = func(context.Context, record.Unproven) (record.Anchoring, error) {
			if at = append(at, time.Since(began)); len(at) == 8 {
				return record.Anchored, nil
			}
			return []record.Anchoring{record.Pending, record.Unclear}[len(at)%2], nil
		}
		b.Put(items("a")...)
		b.after(5*time.Hour, "0/0/0/1")
		earliest, m := time.Duration(0), time.Minute
		for i, gap := range []time.Duration{2 * m, 150 * time.Second, 4 * m, 8 * m, 15 * m, 30 * m, 30 * m, 30 * m} {
			if i > 0 {
				earliest = at[i-1] + gap
			} else {
				earliest = gap
			}
			if at[i] < earliest || at[i] > earliest+gap/10+time.Second {
				t.Errorf("look %d came after %s, not within a tenth behind %s", i, at[i], earliest)
			}
		}
	})
}

func TestANewRecordIsLookedAtInTime(t *testing.T) {
	run(t, Config{Schedule: []time.Duration{5 * time.Second}}, func(b *bench) {
		b.firstLook = 5 * time.Second
		b.verify = func(context.Context, record.Unproven) (record.Anchoring, error) { return record.Anchored, nil }
		b.after(time.Second, "0/0/0/0") // the loop has gone to rest
		b.Put(items("a")...)
		b.after(4999*time.Millisecond, "0/0/1/0")
		b.after(time.Millisecond, "0/0/0/1")
	})
}

func TestAMismatchIsToldAndNeverSentAgain(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		state, looks, seen := record.Mismatch, 0, 0
		b.verify = func(context.Context, record.Unproven) (record.Anchoring, error) { looks++; return state, nil }
		b.Put(items("a")...)
		b.after(5*time.Hour, "0/0/1/0")
		if b.still(func() { seen = looks }); seen != 5 || b.requests() != 1 || !strings.Contains(b.integrity.says(), "1 record whose content") || b.anchoring.says() != "" {
			t.Fatalf("%d looks, %d posts, %q, %q", seen, b.requests(), b.integrity.says(), b.anchoring.says())
		}
		b.still(func() { state = record.Anchored })
		b.after(mismatchWait, "0/0/0/1")
		if b.integrity.says() != "" {
			t.Fatal(b.integrity.says())
		}
	})
}

// A restart forgets nobody: what the ledger holds as a mismatch is told before it is looked at again.
func TestAMismatchOutlivesARestart(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		state := map[string]record.Anchoring{"a": record.Mismatch, "b": record.Pending, "c": record.Anchored}
		b.verify = func(_ context.Context, u record.Unproven) (record.Anchoring, error) { return state[u.Record.ID], nil }
		b.Put(items("a", "b")...)
		b.after(3*time.Minute, "0/0/2/0")
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		b.integrity.Back() // the board of the next run is empty
		b.start(Config{})
		b.after(0, "0/0/2/0")
		if !strings.Contains(b.integrity.says(), "1 record whose content") {
			t.Fatalf("at the start: %q", b.integrity.says())
		}
		b.Put(items("c")...)
		b.after(10*time.Minute, "0/0/2/1")
		if !strings.Contains(b.integrity.says(), "1 record whose content") {
			t.Fatalf("after looks at others: %q", b.integrity.says())
		}
		b.still(func() { state["a"] = record.Anchored })
		b.after(mismatchWait, "0/0/1/2")
		if b.integrity.says() != "" {
			t.Fatal(b.integrity.says())
		}
	})
}

func TestOverdueIsTold(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		state := record.Pending
		b.verify = func(context.Context, record.Unproven) (record.Anchoring, error) { return state, nil }
		b.Put(items("a", "b")...)
		b.after(time.Hour, "0/0/2/0")
		if b.anchoring.says() != "" {
			t.Fatal(b.anchoring.says())
		}
		b.after(40*time.Minute, "0/0/2/0")
		if !strings.Contains(b.anchoring.says(), "2 records accepted but not proven anchored after 1h0m0s") {
			t.Fatal(b.anchoring.says())
		}
		b.still(func() { state = record.Anchored })
		b.after(40*time.Minute, "0/0/0/2")
		if b.anchoring.says() != "" {
			t.Fatal(b.anchoring.says())
		}
	})
}

func TestVerificationErrors(t *testing.T) {
	t.Run("away", func(t *testing.T) {
		run(t, Config{}, func(b *bench) {
			fails := error(errors.New("connection refused"))
			calls := 0
			b.verify = func(context.Context, record.Unproven) (record.Anchoring, error) {
				calls++
				return record.Anchored, fails
			}
			b.Put(items("a", "b", "c")...)
			b.after(8*time.Hour, "0/0/3/0")
			if b.verification.says() == "" || calls > 8*60*4 {
				t.Fatalf("%q, %d calls", b.verification.says(), calls)
			}
			b.still(func() { fails = nil })
			b.after(3*time.Minute, "0/0/0/3") // an outage is over soon after it is over
			if b.verification.says() != "" {
				t.Fatal(b.verification.says())
			}
		})
	})
	t.Run("one that always fails stops nobody", func(t *testing.T) {
		for _, err := range []error{errors.New("500"), record.Never(errors.New("400"))} {
			run(t, Config{}, func(b *bench) {
				b.verify = func(_ context.Context, u record.Unproven) (record.Anchoring, error) {
					if strings.HasPrefix(u.Record.ID, "bad") {
						return "", err
					}
					return record.Anchored, nil
				}
				b.Put(items("bad1", "bad2", "a", "b")...)
				b.after(10*time.Minute, "0/0/2/2")
			})
		}
	})
	t.Run("no key", func(t *testing.T) {
		run(t, Config{}, func(b *bench) {
			b.verify = func(context.Context, record.Unproven) (record.Anchoring, error) { return "", waitError{held: true} }
			b.Put(items("a")...)
			b.after(time.Hour, "0/0/1/0")
			if len(b.looks) != 0 || b.verification.lost < 60 {
				t.Fatalf("%d looks written, %d tries", len(b.looks), b.verification.lost)
			}
		})
	})
}

func TestVerificationNeverDelaysDelivery(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		b.verify = func(ctx context.Context, _ record.Unproven) (record.Anchoring, error) {
			<-ctx.Done() // a service that never answers
			return "", ctx.Err()
		}
		b.Put(items("a")...)
		b.after(10*time.Minute, "0/0/1/0")
		b.Put(items("b")...)
		b.after(0, "0/0/2/0")
	})
}

func TestVerificationRate(t *testing.T) {
	run(t, Config{VerifyPerSecond: 4}, func(b *bench) {
		b.verify = func(context.Context, record.Unproven) (record.Anchoring, error) { return record.Anchored, nil }
		b.Put(items(slices.Repeat([]string{"a"}, 250)...)...)
		b.after(2*time.Minute-time.Millisecond, "0/0/250/0")
		b.after(25*time.Second+time.Millisecond, "0/0/150/100")
		b.after(40*time.Second, "0/0/0/250")
	})
}
