package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
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
		b.after(alarmedWait, "0/0/0/1")
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
		b.after(alarmedWait, "0/0/1/2")
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
	run(t, Config{Budget: Budget{PerMinute: 1200, Verify: 20}}, func(b *bench) {
		b.verify = func(context.Context, record.Unproven) (record.Anchoring, error) { return record.Anchored, nil }
		b.Put(items(slices.Repeat([]string{"a"}, 250)...)...)
		b.after(2*time.Minute-time.Millisecond, "0/0/250/0")
		b.after(25*time.Second+time.Millisecond, "0/0/150/100")
		b.after(40*time.Second, "0/0/0/250")
	})
}

// A mismatch counts only if no later change of the row was sent: else it is asked again, ever more rarely, without an alarm, and
// retired after a day.
func TestASupersededMismatchIsNoAlarm(t *testing.T) {
	for _, said := range []record.Anchoring{record.Mismatch, record.Overtaken} {
		run(t, Config{}, func(b *bench) { superseded(t, b, said) })
	}
}

func superseded(t *testing.T, b *bench, said record.Anchoring) {
	looks := 0
	b.verify = func(_ context.Context, u record.Unproven) (record.Anchoring, error) {
		looks++
		if u.Record.Version == "2" {
			return record.Anchored, nil
		}
		return said, nil // the answer is about the latest
	}
	b.later["a"] = true
	b.Put(items("a", "a")...)
	b.after(3*time.Minute, "0/0/1/1")
	if tally := (book{b.memory}).Tally(); tally != (record.Tally{Superseded: 1}) || b.integrity.says() != "" {
		t.Fatalf("%+v, %q", tally, b.integrity.says())
	}
	b.after(23*time.Hour, "0/0/1/1")
	if b.integrity.says() != "" || b.anchoring.says() != "" || b.requests() != 1 {
		t.Fatal(b.integrity.says(), b.anchoring.says(), b.requests())
	}
	b.after(48*time.Hour, "0/0/0/1")
	b.still(func() {
		if last := b.looks[len(b.looks)-1]; last.State != record.Retired || looks > 20 {
			t.Errorf("%+v after %d looks", last, looks)
		}
	})
}

// An answer about another version of a row of which no later change was sent fits nothing.
func TestAnAnswerAboutAnotherVersionIsUnclear(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		b.verify = func(context.Context, record.Unproven) (record.Anchoring, error) { return record.Overtaken, nil }
		b.Put(items("a")...)
		b.after(3*time.Minute, "0/0/1/0")
		if tally := (book{b.memory}).Tally(); tally != (record.Tally{Unclear: 1}) {
			t.Fatalf("%+v", tally)
		}
	})
}

// What was found to differ is not excused by what is sent later, by an answer that tells nothing, or by an outage.
func TestAMismatchStays(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		state, fails := record.Mismatch, error(nil)
		b.verify = func(context.Context, record.Unproven) (record.Anchoring, error) { return state, fails }
		b.Put(items("a")...)
		b.after(3*time.Minute, "0/0/1/0")
		for _, step := range []func(){
			func() { b.later["a"] = true }, func() { state = record.Pending }, func() { fails = errors.New("connection refused") },
		} {
			b.memory.mu.Lock()
			b.vmu.Lock()
			step()
			b.vmu.Unlock()
			b.memory.mu.Unlock()
			b.after(3*time.Hour, "0/0/1/0")
			if tally := (book{b.memory}).Tally(); tally != (record.Tally{Mismatch: 1}) || b.integrity.says() == "" {
				t.Fatalf("%+v, %q", tally, b.integrity.says())
			}
		}
	})
}

// A record that Certyo doesn't know is only pending within the hour: some services know it when it is anchored. Then it is missing:
// told, and never sent again.
func TestAMissingRecordIsToldAndNeverSentAgain(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		state := record.Missing
		b.verify = func(context.Context, record.Unproven) (record.Anchoring, error) { return state, nil }
		b.Put(items("a")...)
		b.after(time.Hour, "0/0/1/0")
		if tally := (book{b.memory}).Tally(); tally != (record.Tally{Pending: 1}) || b.presence.says() != "" {
			t.Fatalf("within the hour: %+v, %q", tally, b.presence.says())
		}
		b.after(5*time.Hour, "0/0/1/0")
		if tally := (book{b.memory}).Tally(); tally != (record.Tally{Missing: 1}) || !strings.Contains(b.presence.says(), "1 record that Certyo accepted and doesn't know") ||
			b.anchoring.says() != "" || b.requests() != 1 {
			t.Fatalf("%+v, %q, %q, %d posts", tally, b.presence.says(), b.anchoring.says(), b.requests())
		}
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		b.presence.Back()
		b.start(Config{})
		b.after(0, "0/0/1/0")
		if !strings.Contains(b.presence.says(), "1 record that Certyo accepted and doesn't know") {
			t.Fatalf("after a restart: %q", b.presence.says())
		}
		b.still(func() { state = record.Anchored })
		b.after(2*time.Hour, "0/0/0/1")
		if b.presence.says() != "" {
			t.Fatal(b.presence.says())
		}
	})
}

// What a full ledger gave up is not named by an alarm any more.
func TestAnAlarmForgetsWhatWasGivenUp(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		b.verify = func(context.Context, record.Unproven) (record.Anchoring, error) { return record.Pending, nil }
		b.Put(items("a", "b")...)
		b.after(2*time.Hour, "0/0/2/0")
		b.giveUp("a")
		b.after(time.Hour, "0/0/1/0")
		if !strings.Contains(b.anchoring.says(), "1 record accepted but not proven anchored") || strings.Contains(b.anchoring.says(), "c/a") {
			t.Fatal(b.anchoring.says())
		}
	})
}

// snapshots is a service that can be asked for a snapshot.
type snapshots struct {
	*service
	state  record.Anchoring
	answer string
	err    error
	asked  int
}

func (s *snapshots) VerifySnapshot(context.Context, string) (record.Anchoring, json.RawMessage, error) {
	s.vmu.Lock()
	defer s.vmu.Unlock()
	s.asked++
	return s.state, json.RawMessage(s.answer), s.err
}

// An anchored snapshot proves those records that the answer names with the hash of their receipts, the others are asked for one by
// one; one that isn't anchored yet speaks for all if one of its records agrees.
func TestASnapshotProvesItsRecords(t *testing.T) {
	named := func(hash func(n int) string) string {
		var list []string
		for n := range 50 {
			list = append(list, fmt.Sprintf(`{"recordId":"a","recordVersion":"%d","recordHash":%q}`, n+1, hash(n)))
		}
		return `{"verified":true,"snapshot":{"items":[` + strings.Join(list, ",") + `]}}`
	}
	ours := named(func(n int) string { return fmt.Sprint("SHA256:H", n) })
	oneOff := named(func(n int) string {
		if n == 7 {
			return "another"
		}
		return fmt.Sprint("h", n)
	})
	for _, c := range []struct {
		name     string
		snapshot record.Anchoring
		answer   string
		err      error
		single   record.Anchoring
		want     string
		asked    int // snapshots
		verified int // records
	}{
		{"anchored, all named", record.Anchored, ours, nil, record.Pending, "0/0/0/50", 2, 0},
		{"anchored, one differs", record.Anchored, oneOff, nil, record.Mismatch, "0/0/1/49", 2, 1},
		{"anchored, nobody named", record.Anchored, `{"verified":true}`, nil, record.Pending, "0/0/50/0", 2, 50},
		{"not yet", record.Pending, `{}`, nil, record.Pending, "0/0/50/0", 2, 2},
		{"the record is, its snapshot isn't", record.Pending, `{}`, nil, record.Anchored, "0/0/0/50", 2, 50},
		{"unclear", record.Unclear, ours, nil, record.Anchored, "0/0/0/50", 2, 50},
		{"not known", record.Missing, `"404"`, nil, record.Anchored, "0/0/0/50", 2, 50},
		{"no such question", "", ``, record.Never(errors.New("405")), record.Anchored, "0/0/0/50", 1, 50},
		{"away", "", ``, errors.New("refused"), record.Anchored, "0/0/50/0", 4, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bench{t: t, memory: newMemory(t), service: &service{}}
				s := &snapshots{service: b.service, state: c.snapshot, answer: c.answer, err: c.err}
				verified := 0
				b.verify = func(context.Context, record.Unproven) (record.Anchoring, error) { verified++; return c.single, nil }
				b.post = func(records []record.Record) (out []record.Delivery, _ error) {
					for i := range records {
						out = append(out, record.Delivery{Receipt: &record.Receipt{Hash: fmt.Sprint("h", i), Snapshot: []string{"s1", "s2"}[i%2]}})
					}
					return out, nil
				}
				courier := New(Config{}, b.memory, book{b.memory}, s, b.conditions())
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- courier.Run(ctx) }()
				b.Put(items(slices.Repeat([]string{"a"}, 50)...)...)
				b.after(150*time.Second, c.want)
				b.still(func() {
					if c.name == "away" && s.asked < c.asked || c.name != "away" && s.asked != c.asked || verified != c.verified {
						t.Errorf("asked for %d snapshots and %d records", s.asked, verified)
					}
					for _, l := range b.looks {
						if l.State == record.Anchored && c.verified < 2 && !strings.Contains(string(l.Answer), fmt.Sprintf(`"recordVersion":"%d"`, l.Seq)) || len(l.Answer) > 200 {
							t.Errorf("record %d is proven by %s", l.Seq, l.Answer)
						}
					}
				})
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
