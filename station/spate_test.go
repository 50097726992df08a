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
		for range 61000 {
			misread("noise")
			time.Sleep(time.Millisecond)
		}
		misread("calm")
		r.scan("P-1")
		r.sync()
		told := map[string]int{}
		for _, s := range r.shown {
			told[s.Reader+" "+string(s.Verdict)]++
		}
		if n := told["noise misread"]; n < misreadsAtOnce+100*59 || n > misreadsAtOnce+100*62 {
			t.Errorf("%d misreads were told in a minute: %v", n, told)
		}
		if told["calm misread"] != 1 || r.Bench.state.Session.Package != "P-1" {
			t.Errorf("told %v", told)
		}
		if want := "noise 1;noise 54000;"; said != want {
			t.Errorf("said %q, want %q", said, want)
		}
		r.stop()
	})
}
