package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/station"
	"station-agent/station/feedback"
	"station-agent/station/gpio"
	"station-agent/store/record"
	"station-agent/uplink/fleet/message"
)

// leds makes LEDs of a pretended kernel, and adds them to the configuration as outputs.
func (p *place) leds(lamps ...string) gpio.Host {
	p.t.Helper()
	h := gpio.Host{Sys: p.path("sys")}
	for _, lamp := range lamps {
		folder := filepath.Join(h.Sys, "class/leds", lamp)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			p.t.Fatal(err)
		}
		write(p.t, filepath.Join(folder, "max_brightness"), "1\n")
		write(p.t, filepath.Join(folder, "brightness"), "0")
		p.cfg.Outputs = append(p.cfg.Outputs, outputConfig{Lamp: lamp, Pin: "led:" + lamp})
	}
	return h
}

// lit tells whether an LED is on.
func (p *place) lit(lamp string) bool {
	b, err := os.ReadFile(p.path("sys/class/leds/" + lamp + "/brightness"))
	if err != nil {
		p.t.Error(err)
	}
	return string(b) == "1"
}

// until waits for a condition.
func (p *place) until(what string, f func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("never: %s", what)
		}
	}
}

// lamps runs a bench with its lamps and the control socket.
func (p *place) lamps(h gpio.Host) (a *parts, stop func()) {
	p.t.Helper()
	clk, err := newClock()
	if err != nil {
		p.t.Fatal(err)
	}
	a = &parts{cfg: p.cfg, log: quiet(), clock: clk, board: newBoard(quiet()), store: p.open(), moving: newMoving(), panel: station.LogPanel{Log: quiet()},
		host: h, reads: newReads(time.Second, station.Rules{})}
	if err := errors.Join(a.addFeedback(), a.addBench()); err != nil {
		p.t.Fatal(err)
	}
	control := http.NewServeMux()
	lampDesk{a.player, p.cfg.Outputs}.change(control)
	a.add(&socketServer{p.cfg.Status.ControlSocket, controlMode, control, "status.control_socket", a.board.condition("control socket")})
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	p.await(p.cfg.Status.ControlSocket)
	return a, func() {
		p.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			p.t.Error(err)
		}
	}
}

// heldUp is a panel whose log nobody reads.
type heldUp struct {
	station.Panel
	until <-chan struct{}
}

func (h heldUp) Show(record.Scan, time.Duration) { <-h.until }

// TestTheLampDoesNotWaitForTheLog, which a card that is slow may hold up for seconds.
func TestTheLampDoesNotWaitForTheLog(t *testing.T) {
	p := newPlace(t)
	a := &parts{cfg: p.cfg, log: quiet(), board: newBoard(quiet()), store: p.open(), panel: heldUp{until: t.Context().Done()}, host: p.leds("green")}
	if err := a.addFeedback(); err != nil {
		t.Fatal(err)
	}
	go a.panel.Show(record.Scan{Verdict: record.Accepted}, 0)
	p.until("the lamp shows", func() bool { shown, _ := a.player.Shown(); return shown == string(record.Accepted) })
}

func TestLampsOfARunningAgent(t *testing.T) {
	p := newPlace(t)
	for _, signal := range []string{"accepted", "opened", "undone"} { // long enough to be seen by whoever looks now and then
		p.cfg.Patterns = append(p.cfg.Patterns, patternConfig{Signal: signal, Green: "3000", Lasts: "3s"})
	}
	a, stop := p.lamps(p.leds("red", "green", "white"))
	shows := func(signal string) {
		t.Helper()
		p.until("shown is "+signal, func() bool { got, _ := a.player.Shown(); return got == signal })
	}
	p.until("the lamp test at the start lights red", func() bool { return p.lit("red") })
	shows(feedback.Offline) // there is no database

	p.want(0, []string{"in 3.6 s", "red at led:red, green at led:green"}, "lamp-test")
	shows(feedback.LampTest)
	p.want(0, []string{"accepted; outputs: "}, "lamp-test", "accepted")
	p.until("green", func() bool { return p.lit("green") })
	p.want(exitFailed, []string{"there is no such signal"}, "lamp-test", "disco")
	p.want(exitUsage, []string{`put "no package" into quotes`}, "lamp-test", "no", "package")
	p.want(0, nil, "mute")
	if _, muted := a.player.Shown(); !muted {
		t.Error("not muted")
	}
	p.want(0, nil, "mute", "--off")
	if _, muted := a.player.Shown(); muted {
		t.Error("still muted")
	}

	a.pressed(t.Context(), "close")
	shows("no package open")
	p.until("red stays", func() bool { return p.lit("red") })
	if seen := a.reads.list(); len(seen) != 1 || seen[0].Code != "close" {
		t.Errorf("reads: %+v", seen)
	}
	a.bench.Reads() <- station.Read{Tag: record.Tag{Reader: "scanner", Code: "PKG-0000-0001"}, At: time.Now()}
	shows("opened")
	shows(feedback.Open)
	a.pressed(t.Context(), "undo")
	shows("undone")
	a.pressed(t.Context(), doesTest)
	shows(feedback.LampTest)
	a.pressed(t.Context(), doesMute)
	if _, muted := a.player.Shown(); !muted {
		t.Error("the button does not mute")
	}
	if err := os.RemoveAll(p.path("sys/class/leds/white")); err != nil {
		t.Fatal(err)
	}
	var told *lamps
	p.until("white is lost", func() bool { told = lampsOf(a.player, a.board.problems()); return len(told.Lost) > 0 })
	if text := told.String(); !strings.HasSuffix(text, ", muted; lost: white at led:white") || told.Shows == "" {
		t.Error(text)
	}
	stop()
	for _, lamp := range []string{"red", "green"} {
		if p.lit(lamp) {
			t.Errorf("%s is on after the end", lamp)
		}
	}
}

func TestWithoutOutputsNothingChanges(t *testing.T) {
	p := newPlace(t)
	a, stop := p.lamps(gpio.Host{})
	defer stop()
	if _, ok := a.panel.(station.LogPanel); !ok || a.player != nil {
		t.Errorf("the panel is %T", a.panel)
	}
	p.want(exitFailed, []string{"no lamp is configured"}, "lamp-test")
	p.want(exitFailed, []string{"no lamp is configured"}, "mute")
	a.pressed(t.Context(), doesMute) // nothing to mute, and no panic
	a.pressed(t.Context(), doesTest)
}

func TestLampsOffDarkensAllOfThemEvenIfOneFails(t *testing.T) {
	p := newPlace(t)
	h := p.leds("red", "green")
	for _, lamp := range []string{"red", "green"} {
		write(t, p.path("sys/class/leds/"+lamp+"/brightness"), "1")
	}
	p.cfg.Outputs = append([]outputConfig{{Lamp: "blue", Pin: "led:blue"}, {Lamp: "white", Pin: "led:white"}}, p.cfg.Outputs...)
	if err := p.cfg.darken(h); err == nil || !strings.Contains(err.Error(), "led:blue") || !strings.Contains(err.Error(), "led:white") || strings.Contains(err.Error(), "\n") {
		t.Errorf("an output that is missing: %v", err)
	}
	if p.lit("red") || p.lit("green") {
		t.Error("still on")
	}
}

// What patterns prints can be put into the configuration as it is, and changes nothing.
func TestPatternsArePrintedAsTheyAreWritten(t *testing.T) {
	p := newPlace(t)
	out := p.want(0, []string{`signal = "table not empty"`}, "patterns")
	c, err := parseConfig("f.toml", []byte(sample+"\n"+out))
	if err != nil {
		t.Fatal(err)
	}
	book, err := c.book()
	if err != nil || len(c.Patterns) != len(feedback.Defaults()) || !slices.Equal(book.Patterns(), feedback.Defaults()) {
		t.Errorf("%d patterns, %v", len(c.Patterns), err)
	}
	if one := p.want(0, nil, "patterns", "closed"); strings.Count(one, "signal") != 1 {
		t.Error(one)
	}
	p.want(exitUsage, []string{"no signal"}, "patterns", "disco")
}

func TestASiteSaysWhatIsLeftOfAPattern(t *testing.T) {
	c, err := parseConfig("f.toml", []byte(sample+"\n[[pattern]]\nsignal = \"unknown\"\nyellow = \"500\"\nthen = \"none\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	book, err := c.book()
	if err != nil {
		t.Fatal(err)
	}
	s := book.Stand(feedback.State{}, feedback.Broken, true, 0).Event("unknown", 0, 0) // is still shown above a fault
	if f, _ := book.Look(s, 0); f != (feedback.Frame{feedback.Yellow: 1}) {
		t.Errorf("shown: %v", f)
	}
	if got := book.Shown(s, time.Second); got != "unknown" { // it lasts as long as before
		t.Errorf("after a second: %q", got)
	}
	if got := book.Shown(s, 2*time.Second); got != feedback.Broken {
		t.Errorf("after two: %q", got)
	}
}

// stood notes what stands.
type stood map[string]bool

func (s stood) Stand(signal string, on bool) { s[signal] = on }

func TestWhatStands(t *testing.T) {
	now := time.Now()
	parked := func(seen bool) record.State {
		return record.State{Parked: []record.Parked{{Seen: seen}}}
	}
	for name, c := range map[string]struct {
		state   record.State
		problem string
		since   time.Duration
		offline bool
		dead    bool
		want    []string
	}{
		"all is well":              {want: []string{"idle"}},
		"a package is open":        {state: record.State{Session: record.Session{Package: "P"}}, want: []string{"idle", "package open"}},
		"items are gathered":       {state: record.State{Session: record.Session{Items: []record.Packed{{}}}}, want: []string{"idle", "package open"}},
		"no database":              {offline: true, want: []string{"idle", "offline"}},
		"a call-back":              {state: parked(false), want: []string{"call-back", "idle"}},
		"a call-back that is seen": {state: parked(true), want: []string{"idle"}},
		"a reader away":            {problem: "reader scanner", want: []string{"fault", "idle"}},
		"a lamp just lost":         {problem: "output red", since: time.Second, want: []string{"idle"}},
		"a lamp away":              {problem: "output red", since: 2 * time.Second, want: []string{"fault", "idle"}},
		"the card is full":         {problem: "journal", since: time.Minute, want: []string{"fault", "idle"}},
		"Certyo is away":           {problem: "certyo", since: time.Hour, want: []string{"idle"}},
		"the bench hangs":          {dead: true, offline: true, want: []string{"fault"}},
	} {
		got := stood{}
		s := stands{player: got, state: func() record.State { return c.state }, online: func() bool { return !c.offline }, now: func() time.Time { return now },
			problems: func() []message.Problem { return []message.Problem{{Name: c.problem, Since: now.Add(-c.since)}} }}
		s.look(!c.dead)
		var on []string
		for signal, is := range got {
			if is {
				on = append(on, signal)
			}
		}
		if slices.Sort(on); !slices.Equal(on, c.want) {
			t.Errorf("%s: %v", name, on)
		}
	}
}

// TestAButtonThatIsHeld does its other act after 3 s and nothing when it is let go then; pressed shortly it does its own, at the latest
// when it is let go.
func TestAButtonThatIsHeld(t *testing.T) {
	for name, c := range map[string]struct {
		held  string
		press []time.Duration
		want  string
	}{
		"plain":            {"", []time.Duration{time.Second, time.Minute}, "0s close;2s close;"},
		"short":            {"lamp-test", []time.Duration{time.Second, 2900 * time.Millisecond}, "1s close;4.9s close;"},
		"long":             {"lamp-test", []time.Duration{time.Minute, time.Second}, "3s lamp-test;1m2s close;"},
		"long, and longer": {"lamp-test", []time.Duration{4 * time.Second, 4 * time.Second}, "3s lamp-test;8s lamp-test;"},
	} {
		synctest.Test(t, func(t *testing.T) {
			began, got := time.Now(), ""
			f := finger{does: "close", held: c.held, act: func(does string) { got += fmt.Sprintf("%v %s;", time.Since(began), does) }}
			f.changed(false) // as nothing was pressed
			for _, long := range c.press {
				f.changed(true)
				time.Sleep(long)
				synctest.Wait()
				f.changed(false)
				time.Sleep(time.Second)
			}
			if got != c.want {
				t.Errorf("%s: %s", name, got)
			}
		})
	}
}

// TestAButtonWhosePinIsLostIsNotHeld: what can't be seen any more does nothing, neither then nor when the pin is back.
func TestAButtonWhosePinIsLostIsNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := ""
		f := finger{does: "close", held: "lamp-test", act: func(does string) { got += does + ";" }}
		b := newBoard(quiet())
		c := felt{b.condition("button"), &f}
		f.changed(true)
		time.Sleep(time.Second)
		c.Lost(errors.New("no such chip"))
		time.Sleep(time.Minute)
		synctest.Wait()
		c.Back()
		f.changed(false)
		if got != "" {
			t.Errorf("did %s", got)
		}
		if f.changed(true); len(b.problems()) > 0 {
			t.Errorf("%+v", b.problems())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got != "lamp-test;" {
			t.Errorf("and then %s", got)
		}
	})
}

// guarded is a stood for two goroutines.
type guarded struct {
	mu sync.Mutex
	stood
}

func (g *guarded) Stand(signal string, on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stood.Stand(signal, on)
}

func (g *guarded) is(signal string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stood[signal]
}

// TestABenchThatHangsShowsNoLife holds that the sign of life is the bench's, not that of what lights the lamps.
func TestABenchThatHangsShowsNoLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := &guarded{stood: stood{}}
		var hangs atomic.Bool
		s := stands{player: got, state: func() record.State { return record.State{} }, online: func() bool { return true }, now: time.Now,
			problems: func() []message.Problem { return nil }, ping: func(ctx context.Context) error {
				if !hangs.Load() {
					return nil
				}
				<-ctx.Done()
				return fmt.Errorf("ask the bench: %w", ctx.Err())
			}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		for _, want := range []bool{false, true, false} {
			hangs.Store(want)
			time.Sleep(2 * pingTime)
			synctest.Wait()
			if got.is(feedback.Broken) != want || got.is(feedback.Idle) == want {
				t.Errorf("hangs %v: fault %v, idle %v", want, got.is(feedback.Broken), got.is(feedback.Idle))
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
