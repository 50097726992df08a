package deliver

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
)

func TestFewRecordsLinger(t *testing.T) {
	run(t, Config{Linger: 2 * time.Second, Batch: 3}, func(b *bench) {
		b.Put(items("a")...)
		b.after(time.Second, "1/0/0/0")
		b.Put(items("b")...)
		b.after(999*time.Millisecond, "2/0/0/0")
		b.after(time.Millisecond, "0/0/2/0")
		b.Put(items("c", "d", "e", "f")...) // a full batch goes at once, the rest lingers
		b.after(0, "1/0/5/0")
		b.after(2*time.Second, "0/0/6/0")
		if got := b.log(); got != "a b|c d e|f" {
			t.Fatal(got)
		}
	})
}

func TestBatchesKeepTheLimits(t *testing.T) {
	run(t, Config{MaxBytes: 100}, func(b *bench) {
		records := items("a", "b", "huge", "c", "a", "d")
		records[0].Payload, records[1].Payload, records[2].Payload = make([]byte, 60), make([]byte, 60), make([]byte, 500)
		records[4].Key = records[3].Key // the source gave a change twice: never twice in one request
		b.Put(records...)
		b.after(0, "0/0/6/0")
		if got := b.log(); got != "a|b|huge|c|a d" {
			t.Fatal(got)
		}
	})
}

func TestABadRecordIsParkedAlone(t *testing.T) {
	bad := func(r record.Record) bool { return r.ID == "bad" }
	for name, post := range map[string]func([]record.Record) ([]record.Delivery, error){
		"request refused": whole(bad),
		"result says so":  each(func(r record.Record) string { return map[string]string{"bad": "no"}[r.ID] }),
		"only failures listed": func(records []record.Record) ([]record.Delivery, error) {
			open := ""
			for _, r := range records {
				if bad(r) {
					open = "?"
				}
			}
			return each(func(r record.Record) string { return map[bool]string{true: "no", false: open}[bad(r)] })(records)
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, Config{}, func(b *bench) {
				b.still(func() { b.post = post })
				b.Put(items("a", "b", "bad", "c", "bad", "d")...)
				b.after(0, "0/2/4/0")
				if b.parked[0].Seq != 3 || b.parked[1].Seq != 5 || b.delivery.says() != "" {
					t.Fatalf("%+v, delivery: %s", b.parked, b.delivery.says())
				}
				b.Put(items("bad")...) // alone: it waits for company, whatever was taken before
				b.after(time.Hour, "1/2/4/0")
				if !strings.Contains(b.delivery.says(), "nothing is parked") {
					t.Fatal(b.delivery.says())
				}
				b.Put(items("e")...)
				b.after(longestWait, "0/3/5/0")
				if b.delivery.says() != "" {
					t.Fatal(b.delivery.says())
				}
			})
		})
	}
}

// No record is posted before one of its row that is older and unanswered.
func TestOrderPerRow(t *testing.T) {
	t.Run("an open record", func(t *testing.T) {
		run(t, Config{Batch: 2}, func(b *bench) {
			open := true
			b.post = each(func(r record.Record) string { return map[bool]string{true: "?"}[open && r.Key == "a-1"] })
			b.Put(items("a", "b", "a", "a")...)
			b.after(2*time.Minute, "3/0/1/0") // "a b" told that answers may be mixed: the other changes of a wait for the first
			b.still(func() { open = false })
			b.after(time.Minute, "0/0/4/0")
			if keys := b.keys(); !slices.Equal(keys, []string{"b-1", "a-1", "a-2", "a-3"}) {
				t.Fatal("accepted in the order", keys)
			}
			posts := strings.Split(b.log(), "|")
			for i, p := range posts[:len(posts)-1] {
				if !strings.HasPrefix(p, "a") {
					t.Fatalf("request %d, %q, passes the open record", i, p)
				}
			}
		})
	})
	t.Run("a half that fails", func(t *testing.T) {
		run(t, Config{}, func(b *bench) {
			fails := true
			b.post = func(records []record.Record) ([]record.Delivery, error) {
				switch {
				case len(records) > 2:
					return nil, record.Never(errors.New("413"))
				case fails:
					return nil, errors.New("503")
				}
				return each(accept)(records)
			}
			b.Put(items("a", "b", "a", "c")...)
			b.after(0, "4/0/0/0")
			if got := b.log(); got != "a b a c|a b" {
				t.Fatalf("%s: the second half must wait for the first", got)
			}
			b.still(func() { fails = false })
			b.after(time.Second, "0/0/4/0")
		})
	})
}

type waitError struct {
	after time.Duration
	held  bool
}

func (waitError) Error() string               { return "wait" }
func (e waitError) RetryAfter() time.Duration { return e.after }
func (e waitError) Held() bool                { return e.held }

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		err      error
		least    time.Duration
		ceilings []time.Duration
	}{
		{errors.New("x"), 0, []time.Duration{firstWait, 2 * firstWait, 4 * firstWait, 8 * firstWait, 16 * firstWait, 32 * firstWait, 64 * firstWait, longestWait, longestWait, longestWait, longestWait, longestWait}},
		{waitError{after: 7 * time.Second}, 7 * time.Second, []time.Duration{firstWait, 2 * firstWait}},
		{waitError{after: 24 * time.Hour}, longestAsk, []time.Duration{firstWait, 2 * firstWait}},
		{waitError{held: true}, 0, []time.Duration{firstWait, 2 * firstWait, 4 * firstWait, 8 * firstWait, 16 * firstWait, 32 * firstWait, heldWait, heldWait}},
	} {
		longest := make([]time.Duration, len(c.ceilings))
		for range 200 {
			var b backoff
			for i, ceiling := range c.ceilings {
				d := b.next(c.err)
				if d < c.least || d >= c.least+ceiling {
					t.Fatalf("%v: wait %d is %s, not in %s+[0, %s)", c.err, i, d, c.least, ceiling)
				}
				longest[i] = max(longest[i], d-c.least)
			}
		}
		for i, d := range longest {
			if d < c.ceilings[i]/2 {
				t.Errorf("%v: wait %d was never longer than %s: no full jitter", c.err, i, d)
			}
		}
	}
}

func TestFailuresAreToldAndTriedAgain(t *testing.T) {
	run(t, Config{Linger: 30 * time.Minute}, func(b *bench) { // a record waits for company once, not after each failure
		b.post = func([]record.Record) ([]record.Delivery, error) { return nil, errors.New("connection refused") }
		b.Put(items("a")...)
		b.after(8*time.Hour, "1/0/0/0")
		if b.delivery.says() != "connection refused" || b.requests() > 8*60*4 || b.requests() < 7*60 {
			t.Fatalf("%s, %d posts", b.delivery.says(), b.requests())
		}
		b.still(func() { b.post = each(accept) })
		b.after(longestWait, "0/0/1/0")
		if b.delivery.says() != "" {
			t.Fatal(b.delivery.says())
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		b.post = func([]record.Record) ([]record.Delivery, error) { return nil, waitError{after: 90 * time.Second} }
		b.Put(items("a")...)
		b.after(89*time.Second, "1/0/0/0")
		if b.requests() != 1 {
			t.Fatalf("%d posts", b.requests())
		}
	})
}

func TestAShortAnswerIsNone(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		b.post = func(records []record.Record) ([]record.Delivery, error) { return each(accept)(records[1:]) }
		b.Put(items("a", "b")...)
		b.after(time.Minute, "2/0/0/0")
	})
}

// Each wait ends with the context; bench.stop allows no time at all.
func TestRunEndsAtOnce(t *testing.T) {
	for name, set := range map[string]func(b *bench){
		"idle":      func(*bench) {},
		"lingering": func(b *bench) { b.Put(items("a")...) },
		"backing off": func(b *bench) {
			b.post = func([]record.Record) ([]record.Delivery, error) { return nil, errors.New("x") }
			b.Put(items("a", "b")...)
		},
		"asked to wait": func(b *bench) {
			b.post = func([]record.Record) ([]record.Delivery, error) { return nil, waitError{after: time.Hour} }
			b.Put(items("a", "b")...)
		},
		"store away": func(b *bench) { b.fail(errors.New("disk")); b.Put(items("a", "b")...) },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, Config{Linger: time.Hour, Batch: 2}, func(b *bench) {
				set(b)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
			})
		})
	}
}

func TestAnUnusableStoreEndsTheAgent(t *testing.T) {
	readOnly := record.Stop(errors.New("read-only"))
	for name, set := range map[string]func(b *bench){
		"outbox": func(b *bench) { b.fail(readOnly) },
		"ledger": func(b *bench) { b.unread = readOnly },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bench{t: t, memory: newMemory(t), service: &service{post: each(accept)}}
				set(b)
				c := New(Config{}, b.memory, book{b.memory}, b.service, b.conditions())
				if err := c.Run(t.Context()); record.ClassOf(err) != record.StopHere {
					t.Fatal(err)
				}
			})
		})
	}
}

func TestReceiptsOfAPartAreKeptWhenTheRestFails(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		b.post = func(records []record.Record) ([]record.Delivery, error) {
			switch {
			case len(records) > 2:
				return nil, record.Never(errors.New("413"))
			case records[0].ID == "c":
				return nil, errors.New("503")
			}
			return each(accept)(records)
		}
		b.Put(items("a", "b", "c", "d")...)
		b.after(0, "2/0/2/0")
		if b.delivery.says() != "503" || b.requests() != 3 {
			t.Fatalf("%q, %s", b.delivery.says(), b.log())
		}
	})
}
