// Package race has the bodies of the children of make bench-capture: the agent's own parts between the database and Certyo, and the
// library alone. They are a program of their own, so that nothing of a test's harness is in the time and the memory of either.
package race

import (
	"context"
	"fmt"
	"os"
	"time"

	"station-agent/build/worker"
)

// The work of a child.
const (
	Library = "library"
	Agent   = "agent"
)

// Task is what a child is asked to do.
type Task struct {
	Work           string
	Database       string // host:port
	User, Password string
	File           string // the place in its log, for the library
	Pos            uint32
	Dir            string // of the store
	Sink           string // its address
	Station        string
	Tenant, Key    string
	N              int // changes
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
	if _, err := worker.Task(&k); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if k.Work == Library {
		return parse(ctx, k)
	}
	return catchUp(ctx, k)
}
