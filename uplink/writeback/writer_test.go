package writeback

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
)

// log is a Log whose standings are numbers.
type log struct {
	n      atomic.Uint64
	mark   uint64
	broken error
}

func (l *log) Standings(mark uint64, chunk int, f func([]record.Standing) error) (uint64, error) {
	if l.broken != nil {
		return mark, l.broken
	}
	next := min(mark+uint64(chunk), l.n.Load())
	var list []record.Standing
	for seq := mark + 1; seq <= next; seq++ {
		list = append(list, record.Standing{Seq: seq})
	}
	if len(list) == 0 {
		return mark, nil
	}
	if err := f(list); err != nil {
		return mark, err
	}
	return next, nil
}

func (l *log) Mark() (uint64, error)  { return l.mark, nil }
func (l *log) Keep(mark uint64) error { l.mark = mark; return nil }

// target notes what it is given.
type target struct {
	got   []string
	fails error
	tries int
}

func (g *target) Write(_ context.Context, list []record.Standing) error {
	g.tries++
	if g.fails != nil {
		return g.fails
	}
	g.got = append(g.got, fmt.Sprintf("%d-%d", list[0].Seq, list[len(list)-1].Seq))
	return nil
}

func (g *target) String() string { return "a table" }

type cond struct{ err error }

func (c *cond) Lost(err error) { c.err = err }
func (c *cond) Back()          { c.err = nil }

// With MySQL down nothing is lost and nobody is pestered; after a restart, with the mark as it was kept, it goes on.
func TestNothingIsLostWhileMySQLIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, g, c := &log{}, &target{fails: errors.New("connection refused")}, &cond{}
		l.n.Store(250)
		start := func() (stop func()) {
			w := New(Config{Log: l, Target: g, Condition: c, Explain: func(err error) error { return err }})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- w.Run(ctx) }()
			return func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}
		says := func(want string, after time.Duration) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := strings.Join(g.got, " "); got != want {
				t.Fatalf("written %q, want %q", got, want)
			}
		}
		stop := start()
		says("", 8*time.Hour)
		if c.err == nil || !strings.Contains(c.err.Error(), "write back into a table: connection refused") || g.tries > 8*12+10 || l.mark != 0 {
			t.Fatal(c.err, g.tries, l.mark)
		}
		stop()
		g.fails = nil
		stop = start()
		says("1-100 101-200 201-250", 0)
		l.n.Store(260)
		says("1-100 101-200 201-250 251-260", 11*time.Second)
		if c.err != nil || l.mark != 260 {
			t.Fatal(c.err, l.mark)
		}
		stop()
	})
}

// A store that is broken ends the agent.
func TestABrokenStoreEndsIt(t *testing.T) {
	l := &log{broken: record.Stop(errors.New("the card failed"))}
	w := New(Config{Log: l, Target: &target{}, Condition: &cond{}, Explain: func(err error) error { return err }})
	if err := w.Run(t.Context()); record.ClassOf(err) != record.StopHere {
		t.Fatal(err)
	}
}
