package station

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
)

// TestATagThatLiesThereCostsTheBenchNothing: antennas give a thousand reads a second of the same tags. None of them may ask the session,
// or list what lies there, again.
func TestATagThatLiesThereCostsTheBenchNothing(t *testing.T) {
	r := newRig(t, record.State{})
	var codes [500]string
	for n := range codes {
		codes[n] = fmt.Sprintf("3074257BF7194E%010X", n)
	}
	read := func(n int) {
		tag := record.Tag{Reader: "mat", Radio: true, Code: codes[n%len(codes)]}
		if err := r.Bench.judge(Read{Tag: tag, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if err := r.Bench.tick(); err != nil {
			t.Fatal(err)
		}
	}
	r.Bench.state.Session = session("P-1")
	for n := range codes {
		read(n)
	}
	n := 0
	if got := testing.AllocsPerRun(2000, func() { read(n); n++ }); got > 1 { // the read itself
		t.Errorf("%v allocations a read", got)
	}
}

// TestTimeGoesOnBetweenReads: a command waits ten seconds for its scan, also while an antenna never pauses.
func TestTimeGoesOnBetweenReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, record.State{})
		r.start(t)
		r.scan("P-1", "400", "REMOVE")
		for range 3 * rules.filled().NextScan / time.Millisecond {
			r.Reads() <- Read{Tag: record.Tag{Reader: "mat", Radio: true, Code: "3074257BF7194E4000001A85"}, At: time.Now()}
			time.Sleep(time.Millisecond / 2)
		}
		r.sync()
		if last := r.shown[len(r.shown)-1]; last.Verdict != record.TimedOut || r.Bench.state.Armed != nil {
			t.Errorf("the last answer is %s %q", last.Verdict, last.Text)
		}
		r.stop()
	})
}
