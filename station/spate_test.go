package station

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
)

// TestNoiseIsCountedAndNotTold has a scanner whose line is noise for a minute: a person hears of some, the log of how many there were,
// a code that can be read counts at once, and another reader is told everything.
func TestNoiseIsCountedAndNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, record.State{})
		said := ""
		r.Bench.noisy = func(reader string, left int) { said += fmt.Sprintf("%s %d;", reader, left) }
		r.start(t)
		misread := func(reader string) {
			r.Reads() <- Read{Tag: record.Tag{Reader: reader, Raw: []byte("x"), Bad: "not UTF-8"}, At: time.Now()}
		}
		for range 61000 {
			misread("noise")
			time.Sleep(time.Millisecond)
		}
		time.Sleep(calm)
		for range 3000 { // as fast as a program that waits for each answer
			misread("calm")
			time.Sleep(toldAgain)
		}
		misread("noise")
		r.scan("P-1")
		r.sync()
		told := map[string]int{}
		for _, s := range r.shown {
			told[s.Reader+" "+string(s.Verdict)]++
		}
		if n, first := told["noise misread"], toldAtOnce*10/9; n < first+59 || n > first+62 {
			t.Errorf("%d misreads were told in a minute: %v", n, told)
		}
		if last := r.shown[len(r.shown)-2]; last.Reader != "noise" {
			t.Errorf("when the noise had ended, %q was told last", last.Reader)
		}
		if told["calm misread"] != 3000 || r.Bench.state.Session.Package != "P-1" {
			t.Errorf("told %v", told)
		}
		if want := "noise 1;noise 59940;"; said != want {
			t.Errorf("said %q, want %q", said, want)
		}
		r.stop()
	})
}

// TestNoiseThatLooksLikeCodes: what a damaged line says is now and then a short code. It is a piece of the noise: it is not
// told, and doesn't end what a command waits for. What names something counts, at that reader too.
func TestNoiseThatLooksLikeCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, record.State{})
		r.start(t)
		r.scan("P-1", "400", "REMOVE")
		at := func(reader, code, bad string) {
			r.Reads() <- Read{Tag: record.Tag{Reader: reader, Code: code, Bad: bad}, At: time.Now()}
		}
		for n := range 1000 {
			at("noise", "", "not UTF-8")
			at("noise", fmt.Sprintf("x%d", n), "")
		}
		r.sync()
		if n := len(r.shown); n > 3+toldAtOnce+1 {
			t.Errorf("%d told: %s", n, r.verdicts())
		}
		r.scan("REMOVE")
		before := len(r.shown)
		for n := range 5 {
			time.Sleep(noiseAgain) // a misread may be told again: it is not for the code
			at("noise", fmt.Sprintf("y%d", n), "")
			at("noise", "", "not UTF-8")
			at("noise", "", "not UTF-8")
		}
		r.sync()
		told := ""
		for _, s := range r.shown[before:] {
			if s.Judges == 0 { // else it waited since before it was taken for noise
				told += s.Reader + " " + string(s.Verdict) + ";"
			}
		}
		if told != strings.Repeat("noise misread;", 5) || r.Bench.state.Armed == nil {
			t.Errorf("told %s, and REMOVE waits: %v", told, r.Bench.state.Armed)
		}
		at("noise", "400", "")
		r.sync()
		if last := r.shown[len(r.shown)-1]; last.Step != record.Removed {
			t.Errorf("a code that names an item: %+v", last)
		}
		r.stop()
	})
}

// TestCodesThatNameNothingAreBounded where a reader gives more of them than anybody scans, and told again when that has ended.
func TestCodesThatNameNothingAreBounded(t *testing.T) {
	s, now := spates{}, time.Now()
	told, left := 0, 0
	for range 60_000 {
		now = now.Add(time.Millisecond)
		tell, out := s.tells("r", true, now)
		if tell {
			told++
		}
		left += out
	}
	if first := toldAtOnce * 10 / 9; told < first || told > first+2*60 || left == 0 {
		t.Errorf("%d were told, %d were said to be left out", told, left)
	}
	for range 10 { // a person goes on
		now = now.Add(calm)
		if tell, _ := s.tells("r", true, now); !tell {
			t.Error("a code is left out though it is calm")
		}
	}
	if tell, _ := s.tells("another", true, now); !tell {
		t.Error("another reader pays for it")
	}
}

// TestNoiseIsBoundedWhateverAReaderIsFor: where only labels, only commands or only buttons count, noise that looks like codes is refused
// without being looked for. What is something, and was scanned at the wrong reader, is told.
func TestNoiseIsBoundedWhateverAReaderIsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, record.State{})
		r.Bench.rules.Roles = map[string]Role{"p": ForPackages, "c": ForCommands, "i": ForItems}
		r.start(t)
		told := func(reader string) (n int) {
			for _, s := range r.shown {
				if s.Reader == reader {
					n++
				}
			}
			return n
		}
		for n := range 2000 {
			for reader, symbology := range map[string]string{"p": "", "c": "", "buttons": Button} {
				r.Reads() <- Read{Tag: record.Tag{Reader: reader, Symbology: symbology, Code: fmt.Sprintf("x%d", n)}, At: time.Now()}
			}
			r.Reads() <- Read{Tag: record.Tag{Reader: "i", Code: fmt.Sprintf("P-%d", n)}, At: time.Now()}
			time.Sleep(time.Millisecond)
		}
		r.sync()
		for _, reader := range []string{"p", "c", "buttons"} {
			if n := told(reader); n > toldAtOnce*10/9+3 {
				t.Errorf("%d of 2000 pieces of noise at %s were told", n, reader)
			}
		}
		if n := told("i"); n != 2000 {
			t.Errorf("%d of 2000 labels at the wrong reader were told", n)
		}
		r.stop()
	})
}
