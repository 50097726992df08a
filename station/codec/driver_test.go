package codec

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/station/stationtest"
)

// asked is a driver with its codec before a module, in the time of a synctest bubble.
type asked struct {
	t     *testing.T
	m     *stationtest.Module
	d     *Driver
	codec Codec
	began time.Time
	tags  int
	sent  int
}

var driven = []string{"r200", "uhfreader18", "uhfreader288", "r2000"}

func ask(t *testing.T, protocol string, s Settings) *asked {
	t.Helper()
	p, err := Find(protocol)
	if err != nil {
		t.Fatal(err)
	}
	a := &asked{t: t, m: stationtest.NewModule(protocol), began: time.Now()}
	if a.d, err = NewDriver(p, s); err != nil {
		t.Fatal(err)
	}
	a.codec = p.New(Config{Heard: func(answer Answer) { a.d.Heard(answer, a.now()) }})
	a.d.Opened()
	return a
}

func (a *asked) now() time.Duration { return time.Since(a.began) }

// run lets so much time go on, or until the driver gives the port up.
func (a *asked) run(d time.Duration) error {
	a.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for {
			send, wait, err := a.d.Next(a.now())
			if err != nil {
				return err
			}
			if wait <= 0 {
				a.t.Fatalf("Next wants to be called again after %v", wait)
			}
			if len(send) == 0 {
				break
			}
			a.sent++
			a.m.Tell(send)
		}
		if tags := a.codec.Feed(a.m.Says()); len(tags) > 0 {
			a.tags += len(tags)
			a.d.Tags(a.now())
		}
	}
	return nil
}

// each runs a test for every protocol that must be asked.
func each(t *testing.T, s Settings, f func(t *testing.T, a *asked)) {
	for _, p := range driven {
		t.Run(p, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, ask(t, p, s)) })
		})
	}
}

var (
	epc   = []byte{0x30, 0x74, 0x25, 0x7b, 0xf7, 0x19, 0x4e, 0x40, 0, 0, 0x1a, 0x85}
	dBm20 = 20.0
	set   = Settings{Power: &dBm20, Region: Europe}
)

func TestAReaderIsSetUpAndReads(t *testing.T) {
	units := map[string]int{"r200": 2000, "uhfreader18": 20, "uhfreader288": 20, "r2000": 20}
	each(t, set, func(t *testing.T, a *asked) {
		if err := a.run(2 * time.Second); err != nil {
			t.Fatal(err)
		}
		if well, _ := a.d.Well(); !well || a.tags != 0 || !strings.HasSuffix(a.d.Version(), "1.2") {
			t.Errorf("well %v, %d tags where none lies, version %q", well, a.tags, a.d.Version())
		}
		a.m.Lay(epc, 0xc9)
		if err := a.run(10 * time.Minute); err != nil {
			t.Fatal(err)
		}
		a.m.Set(func(m *stationtest.Module) {
			if m.Lost != 0 || m.Power != units[t.Name()[strings.LastIndex(t.Name(), "/")+1:]] || m.Region < 0 {
				t.Errorf("%d commands lost, power %d, region %d", m.Lost, m.Power, m.Region)
			}
		})
		if least := 10 * 60 * 4; a.tags < least {
			t.Errorf("%d tags, want %d", a.tags, least)
		}
		if a.d.Silent() != 0 || a.codec.Bad() != 0 {
			t.Errorf("%d silences, %d bad frames", a.d.Silent(), a.codec.Bad())
		}
	})
}

// TestAStreamIsStartedAgainBeforeItEnds, as one of an R200 does.
func TestAStreamIsStartedAgainBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ask(t, "r200", Settings{})
		if err := a.run(5 * time.Minute); err != nil {
			t.Fatal(err)
		}
		a.m.Set(func(m *stationtest.Module) {
			if want := []byte{0x28, 0x03, 0x27, 0x28, 0x27, 0x28, 0x27}; !slices.Equal(m.Takes, want) {
				t.Errorf("% X, want % X", m.Takes, want)
			}
		})
		a.m.Tell(a.d.Last())
		if a.m.Streams() {
			t.Error("the antenna is on after the last command")
		}
	})
}

func TestNoAnswerIsSaid(t *testing.T) {
	each(t, set, func(t *testing.T, a *asked) {
		a.m.Set(func(m *stationtest.Module) { m.Dead = true })
		err := a.run(time.Minute)
		if err == nil || !strings.HasPrefix(err.Error(), "no answer from the reader: see that it has power") || a.now() > 3*time.Second {
			t.Errorf("after %v: %v", a.now(), err)
		}
	})
}

func TestARefusedSettingIsNamed(t *testing.T) {
	each(t, set, func(t *testing.T, a *asked) {
		a.m.Set(func(m *stationtest.Module) { m.Most = 19 })
		err := a.run(time.Minute)
		if err == nil || !strings.HasPrefix(err.Error(), "the reader refuses power_dbm 20 (status ") {
			t.Error(err)
		}
		if a.d.Opened(); a.run(time.Minute) == nil {
			t.Error("it was taken the second time")
		}
	})
}

// TestAReaderThatComesBackIsSetUpAgain: it fell silent, and has forgotten its settings.
func TestAReaderThatComesBackIsSetUpAgain(t *testing.T) {
	each(t, set, func(t *testing.T, a *asked) {
		if err := a.run(2 * time.Second); err != nil {
			t.Fatal(err)
		}
		a.m.Set(func(m *stationtest.Module) { m.Dead = true })
		for well := true; well; well, _ = a.d.Well() {
			if err := a.run(10 * time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		if a.now() > 6*time.Second {
			t.Errorf("noticed after %v", a.now())
		}
		a.m.Reset()
		a.m.Set(func(m *stationtest.Module) { m.Dead = false })
		a.m.Lay(epc, 0xc9)
		if err := a.run(3 * time.Second); err != nil {
			t.Fatal(err)
		}
		a.m.Set(func(m *stationtest.Module) {
			if m.Power < 0 || m.Region < 0 || a.tags == 0 || a.d.Silent() != 1 {
				t.Errorf("power %d, region %d, %d tags, %d silences", m.Power, m.Region, a.tags, a.d.Silent())
			}
		})
	})
}

// TestWhatAnswersAndDoesNotReadIsGivenUp after it was set up once more.
func TestWhatAnswersAndDoesNotReadIsGivenUp(t *testing.T) {
	for what, want := range map[string]string{"blind": "the reader tells its version, but says nothing", "broken": "the reader can't read (status "} {
		each(t, set, func(t *testing.T, a *asked) {
			var n int
			a.m.Set(func(m *stationtest.Module) { m.Blind, m.Broken = what == "blind", what == "broken" })
			if err := a.run(time.Minute); err == nil || !strings.HasPrefix(err.Error(), want) || a.d.Silent() != 1 {
				t.Errorf("%s: %v, %d silences", what, err, a.d.Silent())
			}
			if a.m.Set(func(m *stationtest.Module) { n = m.Lost }); n > 0 {
				t.Errorf("%s: %d commands were lost, as they came while another one ran", what, n)
			}
			if well, _ := a.d.Well(); well {
				t.Errorf("%s: it is said to read", what)
			}
		})
	}
}

func TestWhatCannotBeSetIsNoDriver(t *testing.T) {
	line, _ := Find("line")
	much, r2000 := 99.0, r2000()
	for want, f := range map[string]func() error{
		`protocol "line": its readers can't be told anything`:   func() error { _, err := NewDriver(line, Settings{}); return err },
		`power 99 dBm: this reader can be set from 0 to 33 dBm`: func() error { _, err := NewDriver(r2000, Settings{Power: &much}); return err },
		`region "kr" is unknown to this reader: use eu, us, cn`: func() error { _, err := NewDriver(r2000, Settings{Region: Korea}); return err },
	} {
		if err := f(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// FuzzDriver answers as it likes: a driver never sends while a command runs that wasn't answered, and never stands still.
func FuzzDriver(f *testing.F) {
	f.Add(uint8(0), []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 200, 201, 255})
	f.Add(uint8(3), []byte{250, 31, 1, 31, 62, 4, 250, 9, 9, 250, 250, 250, 250})
	f.Fuzz(func(t *testing.T, n uint8, script []byte) {
		p, err := Find(driven[int(n)%len(driven)])
		if err != nil {
			t.Fatal(err)
		}
		d, err := NewDriver(p, set)
		if err != nil {
			t.Fatal(err)
		}
		var now, sent time.Duration
		var last []byte
		answered := true
		for _, b := range script {
			switch {
			case b >= 240:
				d.Opened()
				answered = true
			case b >= 128:
				now += time.Duration(b-128) * 25 * time.Millisecond
			case b >= 100:
				d.Tags(now)
			case last != nil:
				a := Answer{What: What(b % 5), Command: last[p.Commands.At], Status: b}
				if b%7 == 0 {
					a.Command = b
				}
				d.Heard(a, now)
				answered = answered || b%7 != 0 || d.answers(a, last)
			}
			send, wait, err := d.Next(now)
			switch {
			case err != nil && (send != nil || wait != 0):
				t.Fatalf("% X and %v with %v", send, wait, err)
			case err == nil && wait <= 0:
				t.Fatalf("asked again after %v", wait)
			case len(send) > 0 && !answered && now-sent < stopTime && p.Commands.Start == nil:
				t.Fatalf("% X was sent %v after % X, which runs", send, now-sent, last)
			case len(send) > 0:
				sent, last, answered = now, send, false
			}
		}
		if well, at := d.Well(); well && at > now {
			t.Fatal(fmt.Sprint("well at ", at))
		}
	})
}
