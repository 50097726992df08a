package station

import (
	"fmt"
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
		for range 6100 {
			misread("noise")
			time.Sleep(10 * time.Millisecond)
		}
		misread("calm")
		r.scan("P-1")
		r.sync()
		told := map[string]int{}
		for _, s := range r.shown {
			told[s.Reader+" "+string(s.Verdict)]++
		}
		if n := told["noise misread"]; n < misreadsAtOnce+59 || n > misreadsAtOnce+62 {
			t.Errorf("%d misreads were told in a minute: %v", n, told)
		}
		if told["calm misread"] != 1 || r.Bench.state.Session.Package != "P-1" {
			t.Errorf("told %v", told)
		}
		if want := "noise 1;noise 5940;"; said != want {
			t.Errorf("said %q, want %q", said, want)
		}
		r.stop()
	})
}

// TestNoiseThatLooksLikeCodes: what a damaged line says is now and then a short code. It is a piece of the noise: it is told no more
// than the rest, and neither ends what a command waits for nor takes the room of those who wait for their item. What names
// something counts, at that reader too.
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
		if n, waiting := len(r.shown), len(r.Bench.state.Waiting); n > 3+2*misreadsAtOnce+1 || waiting > misreadsAtOnce+1 {
			t.Errorf("%d told, %d wait: %s", n, waiting, r.verdicts())
		}
		r.scan("REMOVE")
		before := len(r.shown)
		at("noise", "", "not UTF-8")
		for n := range 100 {
			at("noise", fmt.Sprintf("y%d", n), "")
		}
		r.sync()
		if len(r.shown) != before || r.Bench.state.Armed == nil {
			t.Errorf("noise told %s, and REMOVE waits: %v", r.verdicts(), r.Bench.state.Armed)
		}
		at("noise", "400", "")
		r.sync()
		if last := r.shown[len(r.shown)-1]; last.Step != record.Removed {
			t.Errorf("a code that names an item: %+v", last)
		}
		r.stop()
	})
}

// TestCodesThatNameNothingAreBounded: a scanner gives its memory of a shift at once, and no more than a person can scan after that.
func TestCodesThatNameNothingAreBounded(t *testing.T) {
	s, began := spates{}, time.Now()
	told, left := 0, 0
	for n := range 61 * 100 {
		tell, out := s.strange("r", began.Add(time.Duration(n)*10*time.Millisecond))
		if tell {
			told++
		}
		left += out
	}
	if told != strangeAtOnce+60 || left == 0 {
		t.Errorf("%d were told, %d were said to be left out", told, left)
	}
	if tell, _ := s.strange("another", began); !tell {
		t.Error("another reader pays for it")
	}
}
