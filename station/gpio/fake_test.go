package gpio

import (
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
	pins "periph.io/x/conn/v3/pin"
)

// fakeLine is a line as gpioioctl v3.8.5 has it, with its defects: what a kinder fake would hide shows as misuse.
type fakeLine struct {
	t      *testing.T
	name   string
	edges  chan struct{} // 16 deep, as the kernel's queue
	mu     sync.Mutex
	wire   gpio.Level // what the outside makes of an input
	driven gpio.Level // what an output shows
	fail   error      // of the next request
	asked  bool       // the line is requested: without it descriptor 0 is used
	claims bool       // In or Out was called since Close, also in vain
	output bool
	dead   bool
	stale  bool // it was dead while requested: it works again only when it is requested anew
	closed int
	writes int
	pull   gpio.Pull
}

func newLine(t *testing.T, name string) *fakeLine {
	return &fakeLine{t: t, name: name, edges: make(chan struct{}, 16), wire: gpio.High}
}

// request is what both directions begin with.
func (l *fakeLine) request() error {
	if l.fail != nil {
		return l.fail
	}
	l.asked = true
	return nil
}

func (l *fakeLine) Out(level gpio.Level) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.claims || !l.output {
		l.claims, l.output = true, true // before it is known to work
		if err := l.request(); err != nil {
			return err
		}
	} else if !l.asked {
		l.t.Errorf("%s: defect l: set through descriptor 0", l.name)
	}
	if l.dead || l.stale {
		return unix.ENODEV
	}
	l.driven = level
	l.writes++
	return nil
}

func (l *fakeLine) In(pull gpio.Pull, _ gpio.Edge) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if pull == gpio.Float {
		l.t.Errorf("%s: defect f: floating", l.name)
	}
	l.claims, l.output, l.pull = true, false, pull
	return l.request()
}

func (l *fakeLine) Read() gpio.Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.output {
		l.t.Errorf("%s: defect c: an output was read, and is an input now", l.name)
		l.output = false
	}
	if l.dead || l.stale { // defect m
		return gpio.Low
	}
	return l.wire
}

func (l *fakeLine) WaitForEdge(d time.Duration) bool {
	l.mu.Lock()
	dead := l.dead || l.stale
	l.mu.Unlock()
	switch {
	case d <= 0:
		l.t.Errorf("%s: defect a: waits %v for an edge", l.name, d)
		return false
	case dead:
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.edges:
		return true
	case <-timer.C:
		return false
	}
}

// to changes the level from outside. The edge is lost where the queue is full.
func (l *fakeLine) to(level gpio.Level) {
	l.mu.Lock()
	l.wire = level
	l.mu.Unlock()
	select {
	case l.edges <- struct{}{}:
	default:
	}
}

func (l *fakeLine) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked, l.claims, l.output, l.stale = false, false, false, false
	l.closed++
}

// breaks makes the line fail (or work again) from now on.
func (l *fakeLine) breaks(fail error, dead bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail, l.dead = fail, dead
	l.stale = l.stale || dead && l.asked
	if dead {
		select { // whoever waits is woken, as by a hang-up
		case l.edges <- struct{}{}:
		default:
		}
	}
}

func (l *fakeLine) level() gpio.Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.driven
}

func (l *fakeLine) Name() string                          { return l.name }
func (l *fakeLine) Number() int                           { return 0 }
func (l *fakeLine) String() string                        { l.misuse("String"); return "" }
func (l *fakeLine) Function() string                      { l.misuse("Function"); return "" }
func (l *fakeLine) Func() pins.Func                       { l.misuse("Func"); return "" }
func (l *fakeLine) Halt() error                           { l.misuse("Halt"); return nil }
func (l *fakeLine) Pull() gpio.Pull                       { return l.pull }
func (l *fakeLine) DefaultPull() gpio.Pull                { return gpio.PullNoChange }
func (l *fakeLine) PWM(gpio.Duty, physic.Frequency) error { l.misuse("PWM"); return nil }
func (l *fakeLine) misuse(what string) {
	l.t.Errorf("%s: %s was called: defects c, e, h", l.name, what)
}

// board is a chip as of a Pi 5: line n is pin n, and the kernel's names are of no use.
func board(t *testing.T, label string) ([]*fakeLine, Host) {
	c := chip{name: "gpiochip0", label: label}
	var lines []*fakeLine
	for range 54 {
		l := newLine(t, "-")
		lines, c.pins = append(lines, l), append(c.pins, l)
	}
	return lines, Host{chips: func() ([]chip, error) { return []chip{c}, nil }}
}
