package powercut

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// Failure is a cut after which the store did not hold what was promised.
type Failure struct {
	Cut  Cut
	Done string // the last step that was acknowledged
	Err  error
}

// Error says what is wrong after which cut.
func (f Failure) Error() string {
	return fmt.Sprintf("power cut, %v, after step %s: %v", f.Cut, f.Done, f.Err)
}

// Unwrap gives what the check found.
func (f Failure) Unwrap() error { return f.Err }

// Replay makes the state of every cut for which pick is true, and checks it. It gives the number of states and those that
// failed. Folders for it are made in dir, best in memory. The check runs in processes of its own, one for each processor,
// which a damaged file may kill: this program again, which calls Examine if ExaminerVariable is set.
func Replay(ctx context.Context, p Programs, r Recording, dir string, seed uint64, pick func(Cut) bool) (int, []Failure, error) {
	x := examination{ctx: ctx, programs: p, rounds: r.Rounds, states: make(chan state)}
	for range runtime.NumCPU() {
		desk, err := os.MkdirTemp(dir, "powercut")
		if err != nil {
			return 0, nil, err
		}
		defer os.RemoveAll(desk)
		x.running.Go(func() { x.examine(desk) })
	}
	count := 0
	err := r.each(seed, pick, func(s state) error {
		count++
		x.states <- s
		return ctx.Err()
	})
	close(x.states)
	x.running.Wait()
	return count, x.failures, err
}

// examination is what those who look at states share.
type examination struct {
	ctx      context.Context
	programs Programs
	rounds   int
	states   chan state
	running  sync.WaitGroup

	mu       sync.Mutex
	failures []Failure
}

// examine looks at states in a folder of its own.
func (x *examination) examine(desk string) {
	steps, e := Script(x.rounds), &examiner{rounds: x.rounds}
	defer e.end()
	for s := range x.states {
		err := x.look(s, desk, e)
		if err == nil || x.ctx.Err() != nil {
			continue
		}
		f := Failure{s.cut, "0", err}
		if s.done > 0 {
			f.Done = fmt.Sprintf("%d, %v", s.done, steps[s.done-1])
		}
		x.mu.Lock()
		x.failures = append(x.failures, f)
		x.mu.Unlock()
	}
}

func (x *examination) look(s state, desk string, e *examiner) error {
	image, folder := filepath.Join(desk, "card"), filepath.Join(desk, "station")
	if err := s.card.save(image, s.size); err != nil {
		return err
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := x.programs.recoverCard(x.ctx, image, desk); err != nil {
		return err
	}
	return e.check(folder, s.done)
}
