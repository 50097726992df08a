package benchstore

import (
	"context"
	"testing"
	"time"

	"station-agent/build/goods"
	"station-agent/build/worker"
	"station-agent/store"
	"station-agent/store/record"
)

// task is what a child process is asked to do.
type task struct {
	Work   string
	Dir    string // an existing folder of its own
	Path   string // of what is there already
	N      int    // how much of it
	Rounds int
}

// TestWorker is no test: it is the body of the child processes. What they do has the name of the method of book that has it
// done.
func TestWorker(t *testing.T) {
	var k task
	there, err := worker.Task(&k)
	must(t, err)
	if !there {
		return
	}
	work := map[string]func(*testing.T, task){
		"scan bytes": scanBytes, "scan times": scanTimes, "group bytes": groupBytes, "device bytes": deviceBytes,
		"steady": steady, "fill": fill, "open": openCold, "probe": probe, "drain": drain,
	}[k.Work]
	work(t, k)
	worker.Done()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var identity = store.Identity{Environment: "test", Station: goods.Station, Database: "127.0.0.1:3306/external"}

// stamps is a clock that runs from the start of the work at the hour of the workload.
func stamps() func() record.Stamp {
	began := time.Now()
	return func() record.Stamp {
		since := time.Since(began)
		return record.Stamp{Boot: "5f0c9f0e-2d5b-4a43-9c25-0a7d5c4b8f10", Mono: since, Wall: goods.Morning.Add(since), Trusted: true}
	}
}

// open opens a store for the station of the workload.
func open(t *testing.T, c store.Config) *store.Store {
	t.Helper()
	c.Identity = identity
	if c.Now == nil {
		c.Now = stamps()
	}
	c.Reserve = -1 // written once in the life of a card, and no part of what work costs
	s, err := store.Open(c)
	must(t, err)
	return s
}

// running lets s run until the returned function ends and closes it.
func running(t *testing.T, s *store.Store) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		must(t, <-ran)
		must(t, s.Close())
	}
}
