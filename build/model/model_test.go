// Package model lets three real agents work against one database, each with a random operator, while the world around them
// breaks, and holds what came of it against a model.
//
//	operator ─scan─▶ agent 1 ─proxy─┐                      ┌─ bridge: moves, deletes and makes rows again
//	operator ─scan─▶ agent 2 ─proxy─┼─▶ buylo_products ◀───┼─ second writer: sets and clears packages, holds locks
//	operator ─scan─▶ agent 3 ─proxy─┘        │ triggers    └─ administrator: new passwords, broken connections
//	     ▲              │ answers            ▼
//	     │              ▼               audit: every committed change, who wrote it
//	   faults        ledger                  │
//	kills, cuts,     what each operator      ▼
//	black holes      asked of each row ──▶ judge
//
// It promises that nothing but the answers at the bench (the log's verdict and call-back lines) says what an operator asked
// for, and nothing but the triggers what became of it. An answer that died with the agent is read from the journal, which is
// held against the answers at the same time: green means on disk.
//
// It never looks at the agent's own idea of an intent or of its outcome, but for the question whether anything still waits.
//
//	SEED=n      the run of that seed, as far as what happens side by side allows
//	ROUNDS=n    so many runs after one another on each database, each of another seed; default 1
//	SECONDS=n   how long the operators work in each; default 12
//	ROGUE=1     somebody writes a package nobody asked for under a station's account: the run must fail
package model

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

// binary is the agent under test.
var binary string

func TestMain(m *testing.M) {
	os.Exit(bed.WithAgent(func(path string) int {
		binary = path
		return m.Run()
	}))
}

// number reads a variable of the environment.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q is no number", name, text)
	}
	return n
}

// TestThreeStations: no item in a package its operator did not put it in, no green scan lost, no foreign value overwritten.
func TestThreeStations(t *testing.T) {
	seed := number(t, "SEED", uint64(time.Now().UnixNano()))
	rounds, seconds := number(t, "ROUNDS", 1), number(t, "SECONDS", 12)
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		for n := range rounds {
			t.Run(fmt.Sprintf("seed %d", seed+n), func(t *testing.T) {
				s := newSite(t, db, seed+n, time.Duration(seconds)*time.Second)
				s.run()
			})
			if t.Failed() {
				return
			}
		}
	})
}

// drainWithin is how long a station may take until nothing waits any more once the world is whole again: a statement that
// got no answer is feared for 15 s, and what failed for long is tried again after 15 s at the latest.
const drainWithin = 60 * time.Second

// run lets everybody work and judges what came of it.
func (s *site) run() {
	s.start()
	s.turmoil()
	s.drain()
	s.stop()
	s.judge()
}

// turmoil is the time in which everything happens at once. Faults end a little earlier, so that what they left behind is
// over soon after.
func (s *site) turmoil() {
	working, rest := context.WithTimeout(s.ctx, s.length)
	defer rest()
	breaking, mend := context.WithTimeout(s.ctx, s.length*3/4)
	defer mend()
	var all group
	all.run(func() error { return s.world.bridge(working, s.random("bridge")) })
	all.run(func() error { return s.world.write(working, s.random("writer")) })
	all.run(func() error { return s.world.hold(working, s.random("holder")) })
	if os.Getenv("ROGUE") == "1" {
		all.run(func() error { return s.world.rogue(working, s.stations[0]) })
	}
	for _, st := range s.stations {
		all.run(func() error { return st.breakThings(breaking, s.random("faults "+st.user)) })
		all.run(func() error { return st.operate(working, s.random("operator "+st.user)) })
	}
	s.must(all.wait())
}

// drain lets every operator end what was begun, and waits until nothing waits for the database.
func (s *site) drain() {
	ctx, cancel := context.WithTimeout(s.ctx, drainWithin)
	defer cancel()
	var all group
	for _, st := range s.stations {
		all.run(func() error { return st.finish(ctx, s.random("end "+st.user)) })
	}
	s.must(all.wait())
}

// stop ends the agents in order and lets the ledgers read their last words.
func (s *site) stop() {
	for _, st := range s.stations {
		s.must(st.end())
	}
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}
