package codec

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
)

// orders are what each protocol sends: published frames are those of testdata's sources.
var orders = map[string]string{
	"line": "", "rdm6300": "", "id12la": "",
	"r200": `start BB 00 27 00 03 22 FF FF 4A 7E
poll BB 00 22 00 00 22 7E
stop BB 00 28 00 00 28 7E
version BB 00 03 00 01 01 05 7E
20 dBm BB 00 B6 00 02 07 D0 8F 7E
eu BB 00 07 00 01 03 0B 7E
us BB 00 07 00 01 02 0A 7E
cn BB 00 07 00 01 01 09 7E
kr BB 00 07 00 01 06 0E 7E
`,
	"uhfreader18": `poll 04 FF 01 1B B4
version 04 FF 21 19 95
20 dBm 05 FF 2F 14 DB 5D
eu 06 FF 22 4E 00 37 A4
us 06 FF 22 31 80 33 53
cn 06 FF 22 13 40 BC 85
kr 06 FF 22 1F C0 14 A8
`,
	"uhfreader288": `poll 09 FF 01 04 FE 00 80 0A EE 8D
stop 05 FF 76 00 91 0F
version 04 FF 21 19 95
20 dBm 05 FF 2F 14 DB 5D
eu 06 FF 22 4E 00 37 A4
us 06 FF 22 31 80 33 53
cn 06 FF 22 13 40 BC 85
kr 06 FF 22 1F C0 14 A8
`,
	"r2000": `poll A0 04 FF 89 01 D3
version A0 03 FF 72 EC
20 dBm A0 04 FF 76 14 D3
eu A0 06 FF 78 02 00 06 DB
us A0 06 FF 78 01 07 3B A0
cn A0 06 FF 78 03 2B 35 80
`,
}

func TestCommandsAreTheMakers(t *testing.T) {
	for _, p := range Protocols() {
		want, ok := orders[p.Name]
		if got := written(t, p.Commands); got != want || !ok {
			t.Errorf("%s:\n%s\nwant\n%s", p.Name, got, want)
		}
	}
}

// written spells all commands out.
func written(t *testing.T, c *Commands) string {
	if c == nil {
		return ""
	}
	var b strings.Builder
	say := func(name string, p []byte) {
		if p != nil {
			fmt.Fprintf(&b, "%s % X\n", name, p)
		}
	}
	say("start", c.Start)
	say("poll", c.Poll)
	say("stop", c.Stop)
	say("version", c.Version)
	p, err := c.Power(20)
	if err != nil {
		t.Error(err)
	}
	say("20 dBm", p)
	for _, r := range []Region{Europe, USA, China, Korea} {
		p, err := c.Region(r)
		if (p == nil) != (err != nil) {
			t.Errorf("%s: % X, %v", r, p, err)
		}
		say(string(r), p)
	}
	return b.String()
}

// TestCommandsNeverPassForAnswers: a line that sends everything back must not look like a reader.
func TestCommandsNeverPassForAnswers(t *testing.T) {
	for _, p := range framed() {
		if p.Commands == nil {
			continue
		}
		w := watch(p)
		for _, c := range [][]byte{p.Commands.Start, p.Commands.Poll, p.Commands.Stop, p.Commands.Version} {
			w.feed(bytes.Repeat(c, 3))
			w.idle()
		}
		for _, a := range append(w.tags, w.answers...) {
			if !strings.HasPrefix(a, "failed") && a != "done" || p.Name == "r200" { // the others' frames have no direction
				t.Errorf("%s: an echo says %s", p.Name, a)
			}
		}
	}
}

func TestWhatAReaderCannotBeToldIsSaid(t *testing.T) {
	for name, want := range map[string]string{
		"r200":        "power 30.5 dBm: this reader can be set from 0 to 30 dBm",
		"uhfreader18": "power 30.5 dBm: this reader can be set from 0 to 30 dBm",
		"r2000":       "power 30.5 dBm: this reader can be set in steps of 1 dBm, use a multiple of it",
	} {
		p, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if f, err := p.Commands.Power(30.5); err == nil || err.Error() != want || f != nil {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
		for _, dBm := range []float64{-1, 33.01, 1e9, math.NaN(), math.Inf(1)} {
			if f, err := p.Commands.Power(dBm); err == nil || f != nil {
				t.Errorf("%s: %g dBm is % X", name, dBm, f)
			}
		}
		if _, err := p.Commands.Region("moon"); err == nil || !strings.HasPrefix(err.Error(), `region "moon" is unknown to this reader: use eu, us, cn`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
