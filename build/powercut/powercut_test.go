package powercut

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"station-agent/build/qemu"
)

// seed decides what torn states keep and which states a short run looks at.
const seed = 20261121

// effort is how much a run looks at. POWERCUTS=full is the long one.
type effort struct {
	rounds     int
	seeds      int // how often each torn state is torn
	states     int // at most, of one recording
	recoveries int // cuts after which the store is opened by a guest, to cut the power in that
}

func efforts() effort {
	if os.Getenv("POWERCUTS") == "full" {
		return effort{rounds: 60, seeds: 5, states: 1 << 30, recoveries: 25}
	}
	return effort{rounds: 16, seeds: 1, states: 2500, recoveries: 2}
}

func TestMain(m *testing.M) {
	if os.Getenv(ExaminerVariable) == "" {
		os.Exit(m.Run())
	}
	if err := Examine(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// TestPowerCuts cuts the power of a working store at every moment.
func TestPowerCuts(t *testing.T) {
	p, guest := programs(t), buildGuest(t)
	e := efforts()
	t.Run("everything acknowledged is there", func(t *testing.T) {
		t.Parallel()
		r, err := Record(t.Context(), p, Job{Guest: guest, Rounds: e.rounds}, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		nothingLost(t, p, r, seed, share(t, r, e.states))
		for n := 1; n < e.seeds; n++ {
			nothingLost(t, p, r, seed+uint64(n), func(c Cut) bool { return c.kind == torn })
		}
		for _, c := range some(t, r, e.recoveries) {
			again, err := RecordRecovery(t.Context(), p, r, c, seed, guest, t.TempDir())
			if err != nil {
				t.Fatalf("after the power cut, %v: %v", c, err)
			}
			nothingLost(t, p, again, seed, share(t, again, e.states))
		}
	})
	t.Run("without flushes work is lost", func(t *testing.T) {
		t.Parallel()
		r, err := Record(t.Context(), p, Job{Guest: guest, Rounds: e.rounds, NoFlushes: true}, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		states, failures := replay(t, p, r, seed, share(t, r, e.states))
		if len(failures) < states/2 {
			t.Fatalf("only %d of %d states are called wrong: the check sees too little", len(failures), states)
		}
		t.Logf("%d of %d states, the first: %.200v", len(failures), states, failures[0])
	})
}

// nothingLost checks that no power cut loses anything.
func nothingLost(t *testing.T, p Programs, r Recording, seed uint64, pick func(Cut) bool) {
	t.Helper()
	states, failures := replay(t, p, r, seed, pick)
	for _, f := range failures[:min(len(failures), 5)] {
		t.Errorf("seed %d, %.2000v", seed, f)
	}
	if len(failures) > 0 {
		t.Fatalf("%d of %d states are wrong", len(failures), states)
	}
}

func replay(t *testing.T, p Programs, r Recording, seed uint64, pick func(Cut) bool) (int, []Failure) {
	t.Helper()
	states, failures, err := Replay(t.Context(), p, r, memory(t), seed, pick)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d: %d states of the card, %d wrong", seed, states, len(failures))
	return states, failures
}

// share picks most states at most, spread over the recording.
func share(t *testing.T, r Recording, most int) func(Cut) bool {
	t.Helper()
	all, err := r.Cuts()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d writes and flushes, %d states after a power cut", all[len(all)-1].to, len(all))
	n, each := 0, len(all)/most+1
	return func(Cut) bool { n++; return n%each == 0 }
}

// some gives so many torn cuts, spread over the recording.
func some(t *testing.T, r Recording, count int) []Cut {
	t.Helper()
	all, err := r.Cuts()
	if err != nil {
		t.Fatal(err)
	}
	var picked []Cut
	for n := range count {
		at := (n + 1) * len(all) / (count + 1)
		for all[at].kind != torn {
			at++
		}
		picked = append(picked, all[at])
	}
	return picked
}

// memory is a folder in memory if this host has one: the states of cards needn't survive anything.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "powercut")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func programs(t *testing.T) Programs {
	t.Helper()
	return Programs{qemu.Get(t, "powercut", "bookworm", "qemu-system-x86", "linux-image-cloud-amd64", "e2fsprogs")}
}

func buildGuest(t *testing.T) string {
	t.Helper()
	guest := t.TempDir() + "/guest"
	build := exec.CommandContext(t.Context(), "go", "build", "-o", guest, "./guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the guest: %v\n%s", err, out)
	}
	return guest
}
