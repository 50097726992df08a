package feedback

import (
	"strings"
	"testing"
	"time"
)

func TestRhythmsAsTheyAreWritten(t *testing.T) {
	for _, c := range []struct {
		text  string
		sound bool
		shown string // each 100 ms
	}{
		{"", false, "......"},
		{"on", false, "######"},
		{"200", false, "##...."},
		{"100 100 100", false, "#.#..."},
		{"0 200 200 repeat", false, "..##..##.."},
		{"100 200 on", false, "#..####"},
		{"200 repeat", false, "######"},
		{"100@500 100 100", true, "l.h..."},
		{"0 100 on@500", true, ".lllll"},
	} {
		r, err := ParseRhythm(c.text, c.sound)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		var got strings.Builder
		for n := range len(c.shown) {
			level, _ := r.At(time.Duration(n) * 100 * ms)
			got.WriteString(map[int]string{0: ".", 1: "#", 500: "l", defaultTone: "h"}[level])
		}
		if got.String() != c.shown {
			t.Errorf("%q shows %s, not %s", c.text, got.String(), c.shown)
		}
	}
}

func TestRhythmsThatAreNone(t *testing.T) {
	for text, sound := range map[string]bool{
		"x": false, "-1": false, "100 0 100": false, "70000": false, "repeat": false, "0 repeat": false, "100 on": false, "on 100": false,
		"100@500": false, "100@": true, "100@99": true, "100@20000": true, "100 100@500": true, "100 repeat 100": false,
		strings.Repeat("10 ", 65): false,
	} {
		if r, err := ParseRhythm(text, sound); err == nil {
			t.Errorf("%q is taken as %+v", text, r)
		}
	}
}

func TestNoLampFlickers(t *testing.T) {
	for text, refused := range map[string]bool{
		"100 100 100 100 100": false, "100 100 100 100 100 100 100": true, "170 160 repeat": true, "170 164 repeat": false, "500 500 repeat": false,
		"50 100 50 800 repeat": false, "50 100 50 100 50 600 repeat": true, "on": false,
	} {
		r, err := ParseRhythm(text, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.flickers(); (err != nil) != refused {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParseRhythm(f *testing.F) {
	for _, p := range Defaults() {
		f.Add(p.Sound, true)
		f.Add(p.Blue, false)
	}
	f.Fuzz(func(t *testing.T, text string, sound bool) {
		r, err := ParseRhythm(text, sound)
		if err != nil {
			return
		}
		_ = r.flickers() // ends
		for at, n := time.Duration(0), 0; n < 200; n++ {
			level, until := r.At(at)
			if until == Never {
				break
			}
			if until <= at || level < 0 || !sound && level > 1 {
				t.Fatalf("%q at %v: %d until %v", text, at, level, until)
			}
			at = until
		}
	})
}
