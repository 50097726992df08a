package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

// rounds of killing: 20 unless ROUNDS says more.
func rounds(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("ROUNDS"))
	if os.Getenv("ROUNDS") == "" {
		return 20
	}
	if err != nil || n < 1 {
		t.Fatalf("ROUNDS=%q is no number of rounds", os.Getenv("ROUNDS"))
	}
	return n
}

// TestCrash kills the agent with SIGKILL at random moments while an operator packs, takes out, takes over and reopens, and the
// bridge moves items about. After that every scan that was answered green is settled exactly once, and every committed change
// is at the stand-in exactly once by key and in order per row.
func TestCrash(t *testing.T) {
	n := rounds(t)
	servers.Databases(t, func(t *testing.T, db *servers.Database) { crash(newSite(t, db), n).check() })
}

// TestCrashAtClose does the same where a package's rows are written when it is closed. What was promised of an item before
// that is held by the journal alone.
func TestCrashAtClose(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	s.Config.Packing.Commit = "close"
	crash(s, (rounds(t)+1)/2)
}

// crash goes n rounds and gives what the operator was promised.
func crash(s *site, n int) *work {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n)*10*time.Second+2*time.Minute)
	s.t.Cleanup(cancel)
	s.ctx = ctx
	seed := uint64(time.Now().UnixNano())
	s.t.Logf("seed %d", seed)
	s.Config.Packing.Reopen = "2s" // within a few rounds a label is used, reopened and used up
	w := newWork(s)
	s.Agent.OnLine = w.see
	s.started()
	s.stock(1, 30)
	var join sync.WaitGroup
	defer join.Wait()
	working, end := context.WithCancel(ctx)
	defer end()
	join.Go(func() { w.operate(working, rand.New(rand.NewPCG(seed, 1))) })
	join.Go(func() { w.move(working, rand.New(rand.NewPCG(seed, 2))) })
	s.killAgain(n, rand.New(rand.NewPCG(seed, 3)))
	end()
	join.Wait()
	r := s.clean()
	s.t.Logf("%d rounds: %s, %d called back; told: %v", n, r, r.CalledBack, w.told)
	if r.Scans < n/2 || r.Changes < n {
		s.t.Errorf("hardly any work was done: %s", r)
	}
	s.stop()
	return w
}

// killAgain kills and starts the agent n times, now and then with Certyo away for a moment as well.
func (s *site) killAgain(n int, random *rand.Rand) {
	s.t.Helper()
	for i := range n {
		time.Sleep(time.Duration(random.IntN(900)) * time.Millisecond)
		s.Agent.Kill()
		if i%5 == 4 {
			s.Cloud.Stop()
			time.Sleep(50 * time.Millisecond)
			s.must(s.Cloud.Start())
		}
		s.must(s.Agent.Start())
	}
	time.Sleep(time.Second)
}

// firstNew is the number of the first item that arrives during the crashes.
const firstNew = 1000

// move plays the bridge: items leave, come back, change their names, and now and then one is made anew.
func (w *work) move(ctx context.Context, random *rand.Rand) {
	next := firstNew
	for i := 0; ctx.Err() == nil; i++ {
		hash := bed.Hash(1 + random.IntN(30))
		var err error
		switch random.IntN(5) {
		case 0:
			err = w.Bridge.Leave(ctx, hash)
		case 1, 2:
			err = w.Bridge.Arrive(ctx, hash, bed.Station)
		case 3:
			err = w.Bridge.Rename(ctx, hash, fmt.Sprintf("name %d", i))
		case 4:
			err = w.Bridge.Insert(ctx, bed.Hash(next), "new", fmt.Sprintf("86%011d", next))
			if err == nil {
				err = w.Bridge.Arrive(ctx, bed.Hash(next), bed.Station)
			}
			if err == nil {
				w.arrived.Store(int64(next))
				next++
			}
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, bed.ErrUnchanged) {
			w.t.Error(err)
			return
		}
		pause(ctx, time.Duration(random.IntN(30))*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
