package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"slices"
	"strings"
	"time"

	"station-agent/station"
	"station-agent/station/feedback"
	"station-agent/station/gpio"
	"station-agent/store/record"
	"station-agent/uplink/fleet/message"
)

type feedbackConfig struct {
	LampTest bool `toml:"lamp_test"`
	Silent   bool `toml:"silent"`
	Pitch    int  `toml:"pitch"`
}

type outputConfig struct {
	Lamp      string `toml:"lamp"`
	Pin       string `toml:"pin"`
	ActiveLow bool   `toml:"active_low"`
}

type buttonConfig struct {
	Does       string `toml:"does"`
	Held       string `toml:"held"`
	Pin        string `toml:"pin"`
	ActiveHigh bool   `toml:"active_high"`
}

type patternConfig struct {
	Signal   string   `toml:"signal"`
	Red      string   `toml:"red"`
	Yellow   string   `toml:"yellow"`
	Green    string   `toml:"green"`
	Blue     string   `toml:"blue"`
	White    string   `toml:"white"`
	Sound    string   `toml:"sound"`
	Lasts    duration `toml:"lasts"`
	Then     string   `toml:"then"`
	Priority int      `toml:"priority"`
}

// What a button may do besides the commands of the bench, and what no pattern may be followed by.
const (
	doesMute = "mute"
	doesTest = "lamp-test"
	thenNone = "none"
)

// buttonActs lists what a button may do.
func buttonActs() (list []string) {
	for _, c := range station.Commands() {
		list = append(list, string(c))
	}
	return append(list, doesMute, doesTest)
}

// checkFeedback reports what can't be right of lamps, buttons and patterns.
func (c *config) checkFeedback(r report) {
	r.number("feedback.pitch", c.Feedback.Pitch, 50, 200)
	used := map[string]string{}
	pin := func(at, name string, err error) {
		if !r.need(at+"pin", name) {
			return
		}
		if err != nil {
			r(at+"pin", err)
		} else if used[name] != "" {
			r(at+"pin", fmt.Errorf("%q is the pin of %s too", name, used[name]))
		}
		used[name] = strings.TrimSuffix(at, ".")
	}
	for i, o := range c.Outputs {
		at := fmt.Sprintf("output[%d].", i)
		r.oneOf(at+"lamp", o.Lamp, feedback.ChannelNames()...)
		pin(at, o.Pin, gpio.CheckOutput(o.Pin, false))
		if err := gpio.CheckOutput(o.Pin, o.ActiveLow); err != nil && gpio.CheckOutput(o.Pin, false) == nil {
			r(at+"active_low", err)
		}
		if gpio.CheckSound(o.Pin) && o.Lamp != "buzzer" {
			r(at+"pin", fmt.Errorf("%q sounds: it is for the buzzer", o.Pin))
		}
	}
	for i, b := range c.Buttons {
		at := fmt.Sprintf("button[%d].", i)
		r.oneOf(at+"does", b.Does, buttonActs()...)
		if b.Held != "" {
			r.oneOf(at+"held", b.Held, buttonActs()...)
		}
		pin(at, b.Pin, gpio.CheckInput(b.Pin))
	}
	c.checkPatterns(r)
}

func (c *config) checkPatterns(r report) {
	sound := true
	seen := map[string]bool{}
	for i, p := range c.Patterns {
		at := fmt.Sprintf("pattern[%d]", i)
		standard, known := p.standard()
		if !known {
			r(at+".signal", fmt.Errorf("%q is no signal: station-agent patterns lists them", p.Signal))
		} else if seen[p.Signal] {
			r(at+".signal", fmt.Errorf("%q has a pattern above", p.Signal))
		}
		seen[p.Signal] = true
		if p.Lasts != "" {
			r.between(at+".lasts", p.Lasts, 0, time.Minute)
		}
		if !known {
			sound = false
		} else if _, err := feedback.NewBook(p.over(standard)); err != nil {
			r(at, err)
			sound = false
		}
	}
	if _, err := c.book(); err != nil && sound { // each by itself is right
		r("pattern", err)
	}
}

// standard is the pattern that p takes the place of.
func (p patternConfig) standard() (feedback.Pattern, bool) {
	list := feedback.Defaults()
	i := slices.IndexFunc(list, func(d feedback.Pattern) bool { return d.Signal == p.Signal })
	if i < 0 {
		return feedback.Pattern{}, false
	}
	return list[i], true
}

// over gives the pattern of p: the rhythms are its own, what else is not said is that of the standard.
func (p patternConfig) over(standard feedback.Pattern) feedback.Pattern {
	q := standard
	q.Red, q.Yellow, q.Green, q.Blue, q.White, q.Sound = p.Red, p.Yellow, p.Green, p.Blue, p.White, p.Sound
	if p.Lasts != "" {
		q.Lasts = p.Lasts.value()
	}
	q.Priority = cmp.Or(p.Priority, q.Priority)
	if q.Then = cmp.Or(p.Then, q.Then); q.Then == thenNone {
		q.Then = ""
	}
	return q
}

// book is every pattern as this site has it.
func (c *config) book() (*feedback.Book, error) {
	var changed []feedback.Pattern
	for _, p := range c.Patterns {
		standard, _ := p.standard()
		changed = append(changed, p.over(standard))
	}
	return feedback.NewBook(changed...)
}

// lamps are the outputs of a configuration that was checked.
func (c *config) lamps(h gpio.Host, cond func(name string) feedback.Condition) (list []feedback.Lamp) {
	for _, o := range c.Outputs {
		open := func() (feedback.Output, error) { return h.Output(o.Pin, o.ActiveLow) }
		channel := feedback.Channel(slices.Index(feedback.ChannelNames(), o.Lamp))
		list = append(list, feedback.Lamp{Channel: channel, Open: open, Condition: cond(o.String())})
	}
	return list
}

// String names an output for messages.
func (o outputConfig) String() string { return o.Lamp + " at " + o.Pin }

// panels tells all of them.
type panels []station.Panel

// Show tells a verdict.
func (p panels) Show(s record.Scan, took time.Duration) {
	for _, one := range p {
		one.Show(s, took)
	}
}

// Resume tells that something is still open.
func (p panels) Resume(s record.Session) {
	for _, one := range p {
		one.Resume(s)
	}
}

// CallBack tells that something green went wrong.
func (p panels) CallBack(c record.Parked) {
	for _, one := range p {
		one.CallBack(c)
	}
}

// outputThing begins the name under which the board knows an output.
const outputThing = "output "

// addFeedback adds lamps and buzzer: what the operator is told without a screen. Without an output there is nothing to add.
func (p *parts) addFeedback() error {
	c := p.cfg
	if len(c.Outputs)+len(c.Buttons) > 0 {
		p.pinsInUse()
	}
	if len(c.Outputs) == 0 {
		return nil
	}
	book, err := c.book()
	if err != nil {
		return err
	}
	cond := func(name string) feedback.Condition { return p.board.condition(outputThing + name) }
	p.player = feedback.NewPlayer(feedback.Config{Book: book, Lamps: c.lamps(p.host, cond),
		Silent: c.Feedback.Silent, Pitch: c.Feedback.Pitch, Test: c.Feedback.LampTest})
	p.panel = panels{p.player, p.panel} // the lamp first: a log that stalls must not hold it up
	p.blink = &blinking{player: p.player}
	p.add(p.player)
	p.add(&stands{player: p.player, problems: p.board.problems, state: p.store.Journal.State, now: time.Now,
		online: func() bool { return p.picture.Online(time.Now()) }, ping: func(ctx context.Context) error { return p.bench.Ping(ctx) }})
	return nil
}

// pinsInUse lets what periph says on the standard log into ours, and warns of names that may change.
func (p *parts) pinsInUse() {
	stdlog.SetFlags(0)
	stdlog.SetOutput(slog.NewLogLogger(p.log.Handler(), slog.LevelWarn).Writer())
	for _, o := range p.cfg.Outputs {
		p.warnOfPin(o.Pin)
	}
	for _, b := range p.cfg.Buttons {
		p.warnOfPin(b.Pin)
	}
}

func (p *parts) warnOfPin(pin string) {
	if text := gpio.Warning(pin); text != "" {
		p.log.Warn("pin", "text", text)
	}
}

// heldFor is how long a button is held for its other act: nobody presses one so long by accident.
const heldFor = 3 * time.Second

// finger is what presses one button. It belongs to one goroutine.
type finger struct {
	does, held string
	act        func(does string)
	late       *time.Timer
}

// changed does what the button is for when it is pressed, or, if it may be held, when it is let go before that counts.
func (f *finger) changed(pressed bool) {
	switch {
	case f.held == "" && pressed:
		f.act(f.does)
	case f.held != "" && pressed:
		f.late = time.AfterFunc(heldFor, func() { f.act(f.held) })
	case f.late != nil && f.late.Stop():
		f.act(f.does)
	}
}

// lift takes the finger away and does nothing.
func (f *finger) lift() {
	if f.late != nil {
		f.late.Stop()
		f.late = nil
	}
}

// felt is the Condition of a pin: while it is lost nobody knows whether the button is held.
type felt struct {
	gpio.Condition
	*finger
}

// Lost says that the pin can't be had.
func (f felt) Lost(err error) {
	f.lift()
	f.Condition.Lost(err)
}

// addButtons adds what the operator presses: a press is a read of a reader of that name.
func (p *parts) addButtons() error {
	for _, b := range p.cfg.Buttons {
		cond := p.board.condition(fmt.Sprintf("button %s at %s", b.Does, b.Pin))
		button := gpio.Button{Name: b.Does, Pin: b.Pin, ActiveHigh: b.ActiveHigh}
		p.add(runFunc(func(ctx context.Context) error {
			f := finger{does: b.Does, held: b.Held, act: func(does string) { p.pressed(ctx, does) }}
			defer f.lift()
			return button.Run(ctx, p.host, felt{cond, &f}, f.changed)
		}))
	}
	return nil
}

// pressed does what a button is for. While the bench can't keep up, that button waits.
func (p *parts) pressed(ctx context.Context, does string) {
	switch does {
	case doesMute, doesTest:
		if p.player == nil {
			return
		}
		if does == doesMute {
			p.player.ToggleMute()
		} else {
			p.player.Test()
		}
		return
	}
	tag := record.Tag{Reader: "button " + does, Symbology: station.Button, Code: does}
	p.reads.saw(tag)
	select {
	case p.bench.Reads() <- station.Read{Tag: tag, At: time.Now()}:
	case <-ctx.Done():
	}
}

// stands keeps what stands on the lamps true: a fault, a call-back, an open package, the database away, and that the bench is
// alive at all.
type stands struct {
	player   interface{ Stand(signal string, on bool) }
	problems func() []message.Problem
	state    func() record.State
	online   func() bool
	ping     func(ctx context.Context) error // the bench answers
	now      func() time.Time
}

const (
	standsEvery = 500 * time.Millisecond
	faultAfter  = 2 * time.Second // what comes back at once was no fault; of a reader station.Fault sees to that
	pingTime    = 3 * time.Second // a card may take a second for a flush
)

// Run looks twice a second until ctx ends.
func (s *stands) Run(ctx context.Context) error {
	tick := time.NewTicker(standsEvery)
	defer tick.Stop()
	for {
		asked, cancel := context.WithTimeout(ctx, pingTime)
		err := s.ping(asked)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		s.look(err == nil)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look sets all of it. A bench that does not answer shows no sign of life.
func (s *stands) look(alive bool) {
	j := s.state()
	seen := func(p record.Parked) bool { return !p.Seen }
	s.player.Stand(feedback.Idle, alive)
	s.player.Stand(feedback.Open, alive && (j.Session.Package != "" || len(j.Session.Items) > 0))
	s.player.Stand(feedback.Offline, alive && !s.online())
	s.player.Stand(feedback.CallBack, slices.ContainsFunc(j.Parked, seen))
	s.player.Stand(feedback.Broken, !alive || slices.ContainsFunc(s.problems(), s.breaks))
}

// breaks tells whether the operator can't work because of p, and service must come.
func (s *stands) breaks(p message.Problem) bool {
	if strings.HasPrefix(p.Name, "reader ") {
		return true
	}
	for _, what := range []string{"journal", "room for scans", "button ", outputThing} {
		if strings.HasPrefix(p.Name, what) {
			return s.now().Sub(p.Since) >= faultAfter
		}
	}
	return false
}

var errNoOutput = errors.New("no lamp is configured: add [[output]] tables to the configuration and restart the agent")
