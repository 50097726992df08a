package gpio

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
)

// cond notes what it is told.
type cond struct {
	mu   sync.Mutex
	said []string
}

func (c *cond) Lost(err error) { c.say(err.Error()) }
func (c *cond) Back()          { c.say("back") }

func (c *cond) say(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = append(c.said, s)
}

func (c *cond) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.said) == 0 {
		return ""
	}
	return c.said[len(c.said)-1]
}

// bench is a button under test: everything in it happens in a bubble of time.
type bench struct {
	line    *fakeLine
	cond    *cond
	mu      sync.Mutex
	changes []bool
}

// with runs f beside a button at a line that rests high.
func with(t *testing.T, b Button, prepare func(l *fakeLine), f func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		lines, h := board(t, "pinctrl-rp1")
		x := &bench{line: lines[5], cond: &cond{}}
		prepare(x.line)
		b.Name, b.Pin = "close", "GPIO5"
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- b.Run(ctx, h, x.cond, func(pressed bool) {
				x.mu.Lock()
				defer x.mu.Unlock()
				x.changes = append(x.changes, pressed)
			})
		}()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		f(x)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if x.line.closed == 0 {
			t.Error("the line was not given back")
		}
	})
}

func rests(*fakeLine) {}

// told gives what was told, after a while.
func (b *bench) told(after time.Duration) []bool {
	time.Sleep(after)
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.changes)
}

func TestAPressIsToldOnceAndTheReleaseToo(t *testing.T) {
	with(t, Button{}, rests, func(b *bench) {
		if b.line.pull != gpio.PullUp || b.cond.last() != "back" {
			t.Errorf("pull %v, condition %q", b.line.pull, b.cond.last())
		}
		b.line.to(gpio.Low)
		if got := b.told(time.Second); !slices.Equal(got, []bool{true}) {
			t.Errorf("pressed: %v", got)
		}
		b.line.to(gpio.High)
		if got := b.told(time.Second); !slices.Equal(got, []bool{true, false}) {
			t.Errorf("let go: %v", got)
		}
	})
}

func TestAButtonToTheSupply(t *testing.T) {
	with(t, Button{ActiveHigh: true}, func(l *fakeLine) { l.wire = gpio.Low }, func(b *bench) {
		b.line.to(gpio.High)
		if got := b.told(time.Second); !slices.Equal(got, []bool{true}) || b.line.pull != gpio.PullDown {
			t.Errorf("pressed: %v, pull %v", got, b.line.pull)
		}
	})
}

func TestABouncingContactIsOnePress(t *testing.T) {
	with(t, Button{}, rests, func(b *bench) {
		for n := range 21 {
			b.line.to(gpio.Level(n%2 == 1)) // ends low
			time.Sleep(3 * time.Millisecond)
		}
		if got := b.told(time.Second); !slices.Equal(got, []bool{true}) {
			t.Errorf("%v", got)
		}
	})
}

func TestASparkIsNoPress(t *testing.T) {
	with(t, Button{}, rests, func(b *bench) {
		for range 5 {
			b.line.to(gpio.Low)
			time.Sleep(4 * time.Millisecond)
			b.line.to(gpio.High)
			time.Sleep(40 * time.Millisecond)
		}
		if got := b.told(time.Second); len(got) != 0 {
			t.Errorf("%v", got)
		}
	})
}

// The kernel queues 16 edges of a line (defect g): what counts after a burst is the level.
func TestAfterABurstTheBelievedLevelIsTheRealOne(t *testing.T) {
	with(t, Button{}, rests, func(b *bench) {
		for n := range 40 {
			b.line.to(gpio.Level(n%2 == 0))
		}
		b.line.to(gpio.Low)
		if got := b.told(time.Second); !slices.Equal(got, []bool{true}) {
			t.Errorf("%v", got)
		}
	})
}

func TestALostEdgeIsMadeUpFor(t *testing.T) {
	with(t, Button{}, rests, func(b *bench) {
		b.line.mu.Lock()
		b.line.wire = gpio.Low // and nobody says so
		b.line.mu.Unlock()
		if got := b.told(2 * time.Second); !slices.Equal(got, []bool{true}) {
			t.Errorf("%v", got)
		}
	})
}

func TestAButtonHeldAtTheStartIsNoPress(t *testing.T) {
	with(t, Button{}, func(l *fakeLine) { l.wire = gpio.Low }, func(b *bench) {
		if got := b.told(time.Minute); len(got) != 0 {
			t.Errorf("held: %v", got)
		}
		b.line.to(gpio.High)
		b.told(time.Second)
		b.line.to(gpio.Low)
		if got := b.told(time.Second); !slices.Equal(got, []bool{false, true}) {
			t.Errorf("let go and pressed: %v", got)
		}
	})
}

func TestADeadLineIsATroubleAndNoPress(t *testing.T) {
	with(t, Button{}, rests, func(b *bench) {
		b.line.breaks(unix.ENODEV, true)
		if got := b.told(time.Minute); len(got) != 0 { // a busy loop would never get here
			t.Errorf("%v", got)
		}
		if said := b.cond.last(); !strings.Contains(said, "button close at GPIO5") || !strings.Contains(said, "restart the agent") {
			t.Errorf("condition: %q", said)
		}
		b.line.breaks(nil, false)
		b.told(10 * time.Second)
		if said := b.cond.last(); said != "back" {
			t.Errorf("condition: %q", said)
		}
		b.line.to(gpio.Low)
		if got := b.told(time.Second); !slices.Equal(got, []bool{true}) {
			t.Errorf("after it came back: %v", got)
		}
	})
}

func TestAPinInUseIsTriedAgain(t *testing.T) {
	with(t, Button{}, func(l *fakeLine) { l.fail = unix.EBUSY }, func(b *bench) {
		if said := b.cond.last(); !strings.Contains(said, "another program") {
			t.Errorf("condition: %q", said)
		}
		b.line.breaks(nil, false)
		b.told(10 * time.Second)
		if said := b.cond.last(); said != "back" {
			t.Errorf("condition: %q", said)
		}
	})
}

// Both edges of a spark may lie between two looks, which then see the same level.
func TestAnEdgeBeginsTheWaitAnew(t *testing.T) {
	d, began := debounce{settle: defaultSettle}, time.Unix(0, 0)
	for _, s := range []struct {
		ms   int
		edge bool
		want bool
	}{{0, false, false}, {10, true, false}, {20, true, false}, {30, false, false}, {44, false, false}, {45, false, true}, {90, false, false}} {
		if got := d.see(true, s.edge, began.Add(time.Duration(s.ms)*time.Millisecond)); got != s.want {
			t.Errorf("after %d ms: %v", s.ms, got)
		}
	}
}

func TestNoWaitIsShorterThanPeriphTakes(t *testing.T) {
	d, began := debounce{settle: defaultSettle}, time.Unix(0, 0)
	d.see(true, true, began)
	for _, late := range []time.Duration{0, 24500 * time.Microsecond, defaultSettle, time.Second} {
		if got := d.wait(began.Add(late)); got < shortest || got > defaultSettle {
			t.Errorf("after %v: waits %v", late, got)
		}
	}
}
