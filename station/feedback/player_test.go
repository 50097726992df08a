package feedback

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
)

// fakeLamp is an output and its condition.
type fakeLamp struct {
	mu     sync.Mutex
	level  int
	closed int
	fail   error
	opens  int
	lost   bool
	hang   chan struct{} // Set waits for it
	most   int
}

func (l *fakeLamp) open() (Output, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opens++
	if l.fail != nil {
		return (*fakeLamp)(nil), l.fail // as careless as can be
	}
	return l, nil
}

func (l *fakeLamp) Set(hertz int) error {
	if l.hang != nil {
		<-l.hang
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.level, l.most = hertz, max(l.most, hertz)
	return l.fail
}

func (l *fakeLamp) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.level = 0
	l.closed++
	return nil
}

func (l *fakeLamp) Lost(error) { l.say(true) }
func (l *fakeLamp) Back()      { l.say(false) }
func (l *fakeLamp) say(lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = lost
}

func (l *fakeLamp) breaks(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
}

// state is what is known of a fakeLamp at one moment.
type state struct {
	level, closed, opens, most int
	lost                       bool
}

func (l *fakeLamp) now() state {
	l.mu.Lock()
	defer l.mu.Unlock()
	return state{l.level, l.closed, l.opens, l.most, l.lost}
}

// forget begins anew with the highest level.
func (l *fakeLamp) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = 0
}

// sees tells what it shows after a while.
func (l *fakeLamp) sees(after time.Duration) int {
	time.Sleep(after)
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.level
}

// playing runs f beside a player with a lamp post that has everything.
func play(t *testing.T, c Config, f func(p *Player, post []*fakeLamp)) {
	synctest.Test(t, func(t *testing.T) {
		var post []*fakeLamp
		for ch := range channels {
			l := &fakeLamp{}
			post = append(post, l)
			c.Lamps = append(c.Lamps, Lamp{ch, l.open, l})
		}
		c.Book = book(t)
		p := NewPlayer(c)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		synctest.Wait()
		f(p, post)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for n, l := range post {
			if l.level != 0 || l.fail == nil && l.closed == 0 {
				t.Errorf("%s is %d after the end, closed %d times", ChannelNames()[n], l.level, l.closed)
			}
		}
	})
}

func TestAScanIsShownAndGoesOutByItself(t *testing.T) {
	play(t, Config{}, func(p *Player, post []*fakeLamp) {
		p.Show(record.Scan{Verdict: record.Accepted}, 0)
		synctest.Wait()
		if post[Green].now().level != 1 || post[Buzzer].now().level != 2700 || post[Red].now().level != 0 {
			t.Errorf("accepted: green %d, buzzer %d, red %d", post[Green].now().level, post[Buzzer].now().level, post[Red].now().level)
		}
		if got := post[Buzzer].sees(81 * ms); got != 0 {
			t.Errorf("the buzzer goes on: %d", got)
		}
		if got := post[Green].sees(600 * ms); got != 0 {
			t.Error("green stays on")
		}
	})
}

func TestShowNeverWaitsForALamp(t *testing.T) {
	play(t, Config{}, func(p *Player, post []*fakeLamp) {
		hang := make(chan struct{})
		post[Red].hang = hang
		for range 100 { // would not come back
			p.Show(record.Scan{Verdict: record.Unknown}, 0)
			p.Stand(Broken, true)
			p.Stand(Broken, false)
			p.CallBack(record.Parked{})
			p.Resume(record.Session{})
			p.Mute(true)
			p.Test()
		}
		close(hang)
		synctest.Wait()
		post[Red].hang = nil
	})
}

func TestALampThatFailsIsOpenedAgainAndTheOthersPlayOn(t *testing.T) {
	play(t, Config{}, func(p *Player, post []*fakeLamp) {
		post[Red].breaks(errors.New("unplugged"))
		p.Show(record.Scan{Verdict: record.Conflict}, 0)
		if post[Red].sees(800 * ms); !post[Red].now().lost || post[Blue].now().level != 1 {
			t.Errorf("red lost %v, blue %d", post[Red].now().lost, post[Blue].now().level)
		}
		opens := post[Red].now().opens
		post[Red].sees(time.Minute)
		if n := post[Red].now().opens - opens; n < 5 || n > 20 {
			t.Errorf("opened %d times in a minute", n)
		}
		post[Red].breaks(nil)
		p.Show(record.Scan{Verdict: record.Unknown}, 0)
		post[Red].sees(lastPause)
		if post[Red].now().lost {
			t.Error("still lost")
		}
		if got := post[Red].sees(700 * ms); got != 1 && post[Red].sees(300*ms) != 1 { // refused, but for a short gap
			t.Error("it does not show what is to be shown")
		}
	})
}

func TestAcknowledgeSilencesWhatStands(t *testing.T) {
	play(t, Config{}, func(p *Player, post []*fakeLamp) {
		p.Stand(Broken, true)
		post[Buzzer].sees(0)
		if post[Buzzer].now().most == 0 {
			t.Error("a fault is not heard")
		}
		p.Show(record.Scan{Verdict: record.Accepted, Step: record.Acknowledged}, 0)
		post[Buzzer].sees(time.Second)
		post[Buzzer].forget()
		if post[Buzzer].sees(time.Minute); post[Buzzer].now().most != 0 {
			t.Error("heard after the acknowledgement")
		}
		if signal, muted := p.Shown(); signal != Broken || !muted {
			t.Errorf("shown is %q, muted %v", signal, muted)
		}
		p.CallBack(record.Parked{})
		if _, muted := p.Shown(); muted {
			t.Error("what is new is muted")
		}
	})
}

// TestNoLampMissesItsTest: on a slow board it takes seconds until the last pin is open.
func TestNoLampMissesItsTest(t *testing.T) {
	slow := &fakeLamp{}
	open := func() (Output, error) {
		time.Sleep(2 * time.Second)
		return slow.open()
	}
	play(t, Config{Test: true, Lamps: []Lamp{{Blue, open, slow}}}, func(p *Player, post []*fakeLamp) {
		if post[Red].sees(2250*time.Millisecond) != 1 || post[Yellow].sees(500*time.Millisecond) != 1 {
			t.Error("the test was half over when the lamps were there")
		}
	})
}

func TestTheLampTestAtTheStartOutlivesTheQuestion(t *testing.T) {
	play(t, Config{Test: true}, func(p *Player, post []*fakeLamp) {
		p.Resume(record.Session{Package: "P"})
		if got := post[Red].sees(100 * ms); got != 1 {
			t.Error("the test was cut off")
		}
		if post[Red].sees(3800 * ms); post[Yellow].now().level+post[Blue].now().level == 0 {
			t.Error("nothing is asked after the test")
		}
		if signal, _ := p.Shown(); signal != Asks {
			t.Errorf("shown is %q", signal)
		}
	})
}

func TestSilentAndPitch(t *testing.T) {
	play(t, Config{Silent: true}, func(p *Player, post []*fakeLamp) {
		p.Show(record.Scan{Verdict: record.Accepted}, 0)
		if post[Buzzer].sees(0); post[Buzzer].now().most != 0 || post[Green].now().level != 1 {
			t.Errorf("silent: %d Hz, green %d", post[Buzzer].now().most, post[Green].now().level)
		}
	})
	play(t, Config{Pitch: 90}, func(p *Player, post []*fakeLamp) {
		p.Show(record.Scan{Verdict: record.Accepted}, 0)
		if got := post[Buzzer].sees(0); got != 2430 {
			t.Errorf("pitch: %d Hz", got)
		}
	})
}

func TestAnySignalCanBePlayed(t *testing.T) {
	play(t, Config{}, func(p *Player, post []*fakeLamp) {
		for _, d := range Defaults() {
			if err := p.Play(d.Signal); err != nil {
				t.Error(err)
			}
			if signal, _ := p.Shown(); signal != d.Signal {
				t.Errorf("%q shows %q", d.Signal, signal)
			}
		}
		if err := p.Play("disco"); err == nil {
			t.Error("no such signal, and played")
		}
		if names := ChannelNames(); len(names) != int(channels) || !slices.Contains(names, "buzzer") {
			t.Error(names)
		}
	})
}

func TestALampIsTriedAgainThoughNothingHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLamp{fail: errors.New("not there yet")}
		p := NewPlayer(Config{Book: book(t), Lamps: []Lamp{{Green, l.open, l}}})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		l.sees(time.Second)
		l.breaks(nil)
		if l.sees(lastPause); l.lost {
			t.Error("nobody tried")
		}
		stop()
		<-ended
	})
}

func TestEachCallBackIsHeardAtOnce(t *testing.T) {
	play(t, Config{}, func(p *Player, post []*fakeLamp) {
		for n := range 2 {
			p.CallBack(record.Parked{})
			if got := post[Buzzer].sees(0); got == 0 {
				t.Errorf("call-back %d is not heard", n+1)
			}
			post[Buzzer].sees(4 * time.Second) // between two rounds of its sound
		}
	})
}
