// Package matrix holds each way of finding changes against one random workload and a model of what was committed, on each kind of
// server, while everything between the two breaks.
//
//	clerks ──transactions──► server ──proxy──► reader (a process) ──► its store
//	   └──► model of what was committed ◄──── judge ◄── records ────────┘
//
// A cell is a server and a way: MariaDB or MySQL × the binary log by GTID, by file and position, a queue table, polling. The four
// cells of a server capture the same rows at the same time, each by a reader of its own with a real store, so that one workload
// and one fault serve them all. The workload is in work_test.go, the faults in fault_test.go, what each way has to keep in
// judge_test.go.
//
// SEED repeats the choices of a run, though not its timing. MATRIX=full goes over the faults in random order, ROUNDS times.
package matrix

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"station-agent/build/servers"
)

func TestMatrix(t *testing.T) {
	seed := uint64(number("SEED", int(time.Now().UnixNano())))
	for round := range number("ROUNDS", 1) {
		s := seed + uint64(round)
		t.Run(fmt.Sprintf("SEED=%d", s), func(t *testing.T) {
			for _, flavor := range []string{"mariadb", "mysql"} {
				t.Run(flavor, func(t *testing.T) {
					t.Parallel() // most of it is waiting
					matrix(t, flavor, s)
				})
			}
		})
	}
}

// number is a number that the caller set.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// matrix runs the cells of one kind of server.
func matrix(t *testing.T, flavor string, seed uint64) {
	start, flags := servers.MySQL, []string{}
	if flavor == "mariadb" {
		start, flags = servers.MariaDB, []string{"--log-slave-updates"} // the other one logs them anyway
	}
	db := start(t, flags...)
	s := &site{t: t, work: newWork(t, db, seed), rnd: rand.New(rand.NewPCG(seed, clerks))}
	s.begin(flags)
	for _, p := range troubles(s.rnd) {
		began := time.Now()
		p.does(s)
		worked := time.Since(began)
		s.rest()
		t.Logf("%s: %.1fs, and %.1fs to rest", p.name, worked.Seconds(), (time.Since(began) - worked).Seconds())
		for _, c := range s.cells {
			c.expect(p)
		}
	}
	for _, c := range s.cells {
		c.stop()
	}
	t.Logf("%d changes of %d rows were committed", s.model.count, len(s.model.rows))
	for _, c := range s.cells {
		t.Run(c.way, func(t *testing.T) {
			j := judgement(c, &s.model, c.records())
			t.Logf("%d records, %d of them of changes that were seen; %d gaps with %d changes", j.told, j.seen, len(j.reasons()), j.passed)
			if len(j.faults) > 0 {
				t.Errorf("%d faults\n%s", len(j.faults), strings.Join(j.faults[:min(len(j.faults), faultsMost)], "\n"))
			}
			j.expected(t)
		})
	}
}

// troubles are the faults in the order in which they come. A server is promoted as long as its replica has all of its log.
func troubles(rnd *rand.Rand) []phase {
	list := phases()
	if os.Getenv("MATRIX") != "full" {
		return list
	}
	isPromotion := func(p phase) bool { return p.name == promotion }
	promote := list[slices.IndexFunc(list, isPromotion)]
	list = slices.DeleteFunc(slices.Concat(list, list), isPromotion)
	rnd.Shuffle(len(list), func(i, k int) { list[i], list[k] = list[k], list[i] })
	first := slices.IndexFunc(list, func(p phase) bool { return strings.HasPrefix(p.name, anew) })
	return slices.Insert(list, rnd.IntN(first+1), promote)
}
