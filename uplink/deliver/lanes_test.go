package deliver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
)

func TestHistoryGoesBehindAllThatWaits(t *testing.T) {
	run(t, Config{Batch: 2}, func(b *bench) {
		records := items("h", "i", "j", "a", "b", "c")
		for i := range 3 {
			records[i].Key = record.FoundPrefix + records[i].Key
		}
		b.Put(records...)
		b.after(0, "0/0/6/0")
		if got := b.log(); got != "a b|c h|i j" {
			t.Fatal(got)
		}
	})
}

// A row whose oldest record is left open again and again holds its own changes, and no others.
func TestAStuckRowHoldsOnlyItself(t *testing.T) {
	run(t, Config{Batch: 3}, func(b *bench) {
		open := true
		b.post = func(records []record.Record) ([]record.Delivery, error) {
			answers, err := each(func(r record.Record) string { return map[bool]string{true: "?"}[open && r.ID == "stuck"] })(records)
			for i := range answers {
				answers[i].Open = map[bool]string{true: "its result is missing"}[answers[i].Receipt == nil]
			}
			return answers, err
		}
		ids := []string{"stuck", "a"}
		for n := range 30 {
			ids = append(ids, "stuck", fmt.Sprint("r", n))
		}
		b.Put(items(ids...)...)
		b.after(time.Second, "31/0/31/0")
		if says := b.delivery.says(); !strings.Contains(says, "1 rows (c/stuck): its result is missing") || !strings.Contains(says, "all other rows go on") {
			t.Fatal(says)
		}
		b.after(time.Hour, "31/0/31/0")
		n := b.requests()
		b.Put(items("new")...)
		b.after(0, "31/0/32/0")
		if n > 60*4+20 {
			t.Fatalf("%d requests", n)
		}
		b.still(func() { open = false })
		b.after(longestWait, "0/0/63/0")
		if keys := b.keys(); !slices.IsSortedFunc(slices.DeleteFunc(keys, func(k string) bool { return !strings.HasPrefix(k, "stuck") }),
			func(a, c string) int { return len(a) - len(c) }) {
			t.Fatal(keys)
		}
		if b.delivery.says() != "" {
			t.Fatal(b.delivery.says())
		}
	})
}

func TestPostsInParallelAreOfDifferentRows(t *testing.T) {
	run(t, Config{Batch: 2, Parallel: 3}, func(b *bench) {
		b.slow = time.Second
		var ids []string
		for n := range 60 {
			ids = append(ids, fmt.Sprint("row", n%7))
		}
		b.Put(items(ids...)...)
		b.after(time.Minute, "0/0/60/0")
		if b.most != 3 {
			t.Fatalf("%d at once", b.most)
		}
		of := map[string]int{}
		for _, u := range b.ledger {
			n := 0
			fmt.Sscan(u.Record.Version, &n)
			if of[u.Record.ID]++; n != of[u.Record.ID] {
				t.Fatalf("version %d of %s came as number %d", n, u.Record.ID, of[u.Record.ID])
			}
		}
	})
}

// Behind an outage a few records go first; a batch of few goes as it was, as it may have arrived.
func TestAProbeGoesFirstBehindAnOutage(t *testing.T) {
	for n, want := range map[int]string{1: "1", 2: "2", 11: "11", 12: "10 2", 40: "10 20 10"} {
		run(t, Config{Batch: 20}, func(b *bench) {
			away := true
			b.post = func(records []record.Record) ([]record.Delivery, error) {
				if away {
					return nil, errors.New("connection refused")
				}
				return each(accept)(records)
			}
			var ids []string
			for i := range n {
				ids = append(ids, fmt.Sprint(i))
			}
			b.Put(items(ids...)...)
			b.after(time.Minute, fmt.Sprintf("%d/0/0/0", n))
			b.still(func() { away, b.posts = false, nil })
			b.after(longestWait, fmt.Sprintf("0/0/%d/0", n))
			var sizes []string
			for _, p := range b.posts {
				sizes = append(sizes, fmt.Sprint(len(strings.Fields(p))))
			}
			if got := strings.Join(sizes, " "); got != want {
				t.Errorf("%d records went as %s, want %s", n, got, want)
			}
		})
	}
}

// After a start a few records go at once, and the rest within the jitter.
func TestAStartIsSpread(t *testing.T) {
	run(t, Config{Batch: 20, Spread: time.Minute}, func(b *bench) {
		b.Put(items(strings.Fields(strings.Repeat("x ", 50))...)...)
		b.after(0, "40/0/10/0")
		b.after(2*time.Minute, "0/0/50/0")
		b.Put(items("y")...) // only once
		b.after(8*time.Second, "0/0/51/0")
	})
}

// A record that may have been posted more than 23 hours ago is asked for first.
func TestWhatCertyoMayHaveForgottenIsAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		known   record.Known
		receipt *record.Receipt
		err     error
		want    string // what was asked and posted
		doubled bool
		hash    string
		state   string
	}{
		"it is there":       {record.KnownYes, &record.Receipt{Hash: "there"}, nil, "?a|?b|c", false, "there", "0/0/3/0"},
		"it is not":         {record.KnownNo, nil, nil, "?a|?b|a b c", false, "ha", "0/0/3/0"},
		"nobody knows":      {record.KnownUnclear, nil, nil, "?a|?b|a b c", true, "ha", "0/0/3/0"},
		"no such question":  {record.KnownUnclear, nil, record.Never(errors.New("400")), "?a|?b|a b c", true, "ha", "0/0/3/0"},
		"the answer failed": {record.KnownUnclear, nil, errors.New("503"), "?a", false, "", "3/0/0/0"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, Config{}, func(b *bench) {
				b.post = func([]record.Record) ([]record.Delivery, error) { return nil, errors.New("the answer was lost") }
				b.Put(items("a", "b")...)
				b.after(22*time.Hour, "2/0/0/0")
				if strings.Contains(b.log(), "?") {
					t.Fatal("asked before it was needed")
				}
				b.after(2*time.Hour, "2/0/0/0")
				if err := b.stop(); err != nil {
					t.Fatal(err)
				}
				b.still(func() {
					b.post, b.posts = each(accept), nil
					b.lookup = func(record.Record) (record.Known, *record.Receipt, error) { return c.known, c.receipt, c.err }
				})
				b.Put(items("c")...)
				b.start(Config{})
				b.after(0, c.state)
				if got := b.log(); got != c.want {
					t.Fatal(got)
				}
				for _, u := range b.ledger {
					if old := u.Record.ID != "c"; u.Receipt.Doubled != (old && c.doubled) || old && u.Receipt.Hash[:1] != c.hash[:1] {
						t.Errorf("%s: %+v", u.Record.ID, u.Receipt)
					}
				}
			})
		})
	}
}

// What Certyo says it has already is not doubled.
func TestAReplayIsNotDoubled(t *testing.T) {
	p := parcel{doubted: []uint64{7}}
	if p.receipt(7, &record.Receipt{Replayed: true}).Doubled || p.receipt(8, &record.Receipt{}).Doubled || !p.receipt(7, &record.Receipt{}).Doubled {
		t.Fatal("marks are wrong")
	}
}

func TestHours(t *testing.T) {
	day := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)
	h := Hours{{22 * time.Hour, 5 * time.Hour}, {12 * time.Hour, 12*time.Hour + 30*time.Minute}}
	for at, want := range map[string]string{"00:00": "00:00", "04:59": "04:59", "05:00": "12:00", "12:10": "12:10", "12:30": "22:00", "23:00": "23:00"} {
		parse := func(s string) time.Time {
			p, err := time.Parse("15:04", s)
			if err != nil {
				t.Fatal(err)
			}
			return day.Add(time.Duration(p.Hour())*time.Hour + time.Duration(p.Minute())*time.Minute)
		}
		if got := h.opens(parse(at)); !got.Equal(parse(want)) {
			t.Errorf("at %s it opens at %s, want %s", at, got, want)
		}
	}
	if late := (Hours{{time.Hour, 2 * time.Hour}}).opens(day.Add(3 * time.Hour)); !late.Equal(day.Add(25 * time.Hour)) {
		t.Error(late)
	}
}

func TestOnlyInItsHours(t *testing.T) {
	run(t, Config{Hours: Hours{{2 * time.Hour, 3 * time.Hour}}}, func(b *bench) { // fake time begins at midnight UTC
		now := time.Now()
		opens := Hours{{2 * time.Hour, 3 * time.Hour}}.opens(now)
		b.Put(items("a")...)
		b.after(opens.Sub(now)-time.Second, "1/0/0/0")
		b.after(time.Second, "0/0/1/0")
		b.after(time.Hour, "0/0/1/0")
		b.Put(items("b")...)
		b.after(22*time.Hour, "1/0/1/0")
		looks := 0
		b.still(func() { looks = len(b.looks) })
		b.after(time.Hour+time.Second, "0/0/2/0")
		if b.delivery.says() != "" || looks == 0 {
			t.Fatal(b.delivery.says(), looks)
		}
	})
}

func TestBytesOfADay(t *testing.T) {
	run(t, Config{DayBytes: 3000, Batch: 1}, func(b *bench) {
		var ids []string
		for n := range 15 {
			ids = append(ids, fmt.Sprint(n))
		}
		b.Put(items(ids...)...)
		b.after(time.Minute, "5/0/10/0") // 300 each, with what goes around a payload
		b.after(25*time.Hour, "0/0/15/0")
	})
}

// Each 429 halves the pace; what is taken brings it up again.
func TestA429SlowsAllRequests(t *testing.T) {
	run(t, Config{Batch: 1, Budget: Budget{PerMinute: 750, Verify: 20}}, func(b *bench) { // ten posts a second
		tired := true
		b.post = func(records []record.Record) ([]record.Delivery, error) {
			if tired {
				return nil, limited{}
			}
			return each(accept)(records)
		}
		b.Put(items(strings.Fields(strings.Repeat("x ", 300))...)...)
		b.after(10*time.Minute, "300/0/0/0")
		b.still(func() { tired, b.posts = false, nil })
		time.Sleep(longestWait + time.Minute)
		synctest.Wait()
		if n := b.requests(); n < 1 || n > 60 {
			t.Fatalf("%d requests in the first minutes behind it", n)
		}
		b.after(2*time.Hour, "0/0/300/0")
	})
}

type limited struct{}

func (limited) Error() string { return "429" }
func (limited) Limited() bool { return true }

type tooLarge struct{}

func (tooLarge) Error() string  { return "413" }
func (tooLarge) TooLarge() bool { return true }

// What is too large once isn't tried again and again.
func TestWhatIsTooLargeIsRemembered(t *testing.T) {
	run(t, Config{Batch: 100}, func(b *bench) {
		refused := 0
		b.post = func(records []record.Record) ([]record.Delivery, error) {
			if len(records) > 20 {
				refused++
				return nil, record.Never(tooLarge{})
			}
			return each(accept)(records)
		}
		b.Put(items(strings.Fields(strings.Repeat("x ", 1000))...)...)
		b.after(time.Second, "0/0/1000/0")
		if refused > 7 {
			t.Fatalf("%d requests were too large", refused)
		}
	})
}

// The clock may be set while the hours are waited for: a station that starts with yesterday's time doesn't wait for its morning.
func TestTheClockIsSetWhileHoursAreWaitedFor(t *testing.T) {
	cfg := Config{Hours: Hours{{8 * time.Hour, 18 * time.Hour}}}
	cfg.fill()
	l := newLimiter(&cfg)
	evening := time.Date(2026, 3, 10, 18, 5, 0, 0, time.UTC)
	for at, want := range map[time.Duration]time.Duration{0: askAgain, 13*time.Hour + 54*time.Minute + 50*time.Second: 10 * time.Second} {
		for _, p := range []*pace{&l.posts, &l.looks} {
			if now := evening.Add(at); p.shut(now) != now.Add(want) {
				t.Errorf("at %s it is looked again at %s", now, p.shut(now))
			}
		}
	}
	if again := l.posts.shut(evening.Add(16 * time.Hour)); !again.IsZero() {
		t.Error(again)
	}
}

// What is looked up is taken as well: the pace behind a careful start grows by it.
func TestLookupsRaiseThePace(t *testing.T) {
	run(t, Config{Spread: time.Second, Budget: Budget{PerMinute: 600, Verify: 20}}, func(b *bench) {
		b.lookup = func(record.Record) (record.Known, *record.Receipt, error) {
			return record.KnownYes, &record.Receipt{}, nil
		}
		var ids []string
		for n := range 500 {
			ids = append(ids, fmt.Sprint(n))
		}
		b.Put(items(ids...)...)
		b.memory.mu.Lock()
		for _, q := range b.queue {
			b.posted[q.Seq] = time.Now().Add(-forgets - time.Hour)
		}
		b.memory.mu.Unlock()
		b.after(40*time.Minute, "0/0/500/0")
	})
}

func TestA429AtAnyPace(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		n := 0
		b.post = func(records []record.Record) ([]record.Delivery, error) {
			if n++; n < 5 {
				return nil, limited{}
			}
			return each(accept)(records)
		}
		b.Put(items("a")...)
		b.after(time.Minute, "0/0/1/0")
	})
}

// What was read and can't go before the hours end is read again: a person may drop it meanwhile.
func TestWhatIsDroppedOutsideTheHoursDoesntGo(t *testing.T) {
	run(t, Config{Batch: 1, Hours: Hours{{0, time.Minute}}}, func(b *bench) { // fake time begins at midnight UTC
		b.slow = 2 * time.Minute
		b.Put(items("a", "b")...)
		b.after(3*time.Minute, "1/0/1/0")
		b.drop("b")
		b.after(24*time.Hour, "0/0/1/0")
		if got := b.log(); got != "a" {
			t.Fatal(got)
		}
	})
}

// drop is a person's word.
func (m *memory) drop(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue = slices.DeleteFunc(m.queue, func(q record.Queued) bool { return q.ID == id })
	signal(m.put)
}

// A limit that is for verifications alone slows no delivery.
func TestA429ToVerificationsSlowsNoDelivery(t *testing.T) {
	run(t, Config{Batch: 10, Budget: Budget{PerMinute: 600, Verify: 20}}, func(b *bench) {
		b.verify = func(context.Context, record.Unproven) (record.Anchoring, error) { return "", limited{} }
		b.Put(items("a")...)
		b.after(time.Hour, "0/0/1/0")
		looks := 0
		b.still(func() { looks = len(b.looks) })
		if looks > 3*60 {
			t.Fatalf("%d verifications were tried", looks)
		}
		var ids []string
		for n := range 200 {
			ids = append(ids, fmt.Sprint(n))
		}
		b.Put(items(ids...)...)
		b.after(5*time.Second, "0/0/201/0")
	})
}
