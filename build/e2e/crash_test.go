package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
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

// TestCrash kills the agent with SIGKILL at random moments while an operator packs and the bridge moves items about. After
// that every scan that was answered green is settled exactly once, and every committed change is at the stand-in exactly
// once by key and in order per row.
func TestCrash(t *testing.T) {
	n := rounds(t)
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		s := newSite(t, db)
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n)*10*time.Second+2*time.Minute)
		defer cancel()
		s.ctx = ctx
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		s.started()
		s.stock(1, 30)
		w := &work{site: s, green: map[string]string{}}
		var join sync.WaitGroup
		working, end := context.WithCancel(ctx)
		join.Go(func() { w.operate(working, rand.New(rand.NewPCG(seed, 1))) })
		join.Go(func() { w.move(working, rand.New(rand.NewPCG(seed, 2))) })
		random := rand.New(rand.NewPCG(seed, 3))
		for i := range n {
			time.Sleep(time.Duration(random.IntN(900)) * time.Millisecond)
			s.Agent.Kill()
			if i%5 == 4 {
				s.Cloud.Stop() // and Certyo is away for a moment as well
				time.Sleep(50 * time.Millisecond)
				s.must(s.Cloud.Start())
			}
			s.must(s.Agent.Start())
		}
		time.Sleep(time.Second)
		end()
		join.Wait()
		r := s.clean()
		t.Logf("%d rounds: %s", n, r)
		if r.Scans < n/2 || r.Changes < n {
			t.Errorf("hardly any work was done: %s", r)
		}
		w.check()
		s.stop()
	})
}

// firstNew is the number of the first item that arrives during the crashes.
const firstNew = 1000

// work is what operator and bridge do during the crashes, and what the operator was promised.
type work struct {
	*site
	arrived atomic.Int64      // number of the item that arrived last, 0 before the first
	green   map[string]string // item → package of the last green answer
	label   int
}

// operate packs whatever is not packed yet, scanning again whenever the lamp stays dark.
func (w *work) operate(ctx context.Context, random *rand.Rand) {
	open := ""
	for ctx.Err() == nil {
		code := bed.Hash(1 + random.IntN(30))
		if last := int(w.arrived.Load()); last > 0 && random.IntN(2) == 0 { // one of those that arrived lately
			code = bed.Hash(last - random.IntN(min(last-firstNew+1, 10)))
		}
		switch k := random.IntN(10); {
		case open == "" || k == 0:
			w.label++
			code = fmt.Sprintf("PKG-2026-%05d", w.label)
		case k == 1:
			code = bed.UndoCode
		case k == 2:
			code = bed.CloseCode
		}
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		line, err := w.Scan(short, code)
		cancel()
		if err != nil {
			w.unanswered(code)
			pause(ctx, 30*time.Millisecond)
			continue
		}
		open = w.note(line, open)
		pause(ctx, time.Duration(random.IntN(60))*time.Millisecond)
	}
}

// unanswered forgets what an undo may have taken back before the agent died.
func (w *work) unanswered(code string) {
	if code == bed.UndoCode {
		clear(w.green)
	}
}

// note remembers what the lamp promised.
func (w *work) note(line bed.Line, open string) string {
	switch line.Step {
	case "opened":
		return line.Package
	case "added":
		w.green[line.Code] = line.Package
	case "undone": // an item taken out; or an opening, or a closing, which promises nothing
		delete(w.green, line.Hash)
	case "closed":
		return ""
	}
	if line.Verdict == "no package open" {
		return ""
	}
	return open
}

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

// check holds what the lamp promised last against the rows.
func (w *work) check() {
	for hash, pkg := range w.green {
		got, err := w.Bridge.Package(w.site.ctx, hash)
		if err != nil || got == nil || *got != pkg {
			w.t.Errorf("item %s was answered green for %s, the row shows %v %v", hash, pkg, got, err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
