// Package haul has the bodies of the children of make bench-deliver: the agent's own parts between the outbox and Certyo, a bare
// loop that posts the same bodies, and the sink that takes both. They are a program of their own, so that nothing of a test's
// harness is in the time and the memory of any of them.
package haul

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"golang.org/x/sys/unix"

	"station-agent/build/goods"
	"station-agent/build/worker"
	"station-agent/store"
	"station-agent/store/record"
)

// The work of a child.
const (
	Sink  = "sink"  // takes records until its standard input ends
	Fill  = "fill"  // makes a store with N records in its outbox, and the file Keys with their keys
	Drain = "drain" // delivers what is in the outbox
	First = "first" // delivers until the first record is at the sink
	Bare  = "bare"  // posts the bodies in Dir
	probe = "probe"
)

// Task is what a child is asked to do.
type Task struct {
	Work        string
	Dir         string // of the store or of the bodies
	Sink        string // its address
	Tenant, Key string
	N           int           // records that are in the outbox, or shall be
	Looks       int           // drain: verifications to wait for when all is delivered
	FirstLook   time.Duration // from a receipt to the first of them; 0: the agent's default
	Keys        string        // file
	Profile     string        // file for a profile of the drain, "" for none
}

// Main does the task of this process.
func Main() {
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	worker.Done()
}

func do() error {
	var k Task
	if there, err := worker.Task(&k); err != nil || !there {
		return errors.Join(err, errors.New("this is a child of make bench-deliver"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	switch k.Work {
	case Sink:
		return serve()
	case Fill:
		return fill(k)
	case Drain, First:
		return drain(ctx, k)
	case Bare:
		return bare(k)
	case probe:
		err := store.Probe(k.Dir)
		worker.Tell("peak", worker.Memory("VmHWM"))
		return err
	}
	return fmt.Errorf("no work is called %q", k.Work)
}

// profile writes what the CPU does until the returned function is called.
func profile(path string) (end func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	end = func() { pprof.StopCPUProfile(); f.Close() }
	return end, pprof.StartCPUProfile(f)
}

var identity = store.Identity{Environment: "test", Station: goods.Station, Database: "127.0.0.1:3306/" + goods.Database}

// stamp is this moment on the clock of this boot, which goes on from child to child.
func stamp() record.Stamp {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // can't fail: the clock id is valid
	return record.Stamp{Boot: "5f0c9f0e-2d5b-4a43-9c25-0a7d5c4b8f10", Mono: time.Duration(ts.Nano()), Wall: time.Now().UTC(), Trusted: true}
}
