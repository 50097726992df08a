package benchstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

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

// taskVariable holds the task of a child process, as JSON.
const taskVariable = "BENCHSTORE_TASK"

// TestWorker is no test: it is the body of the child processes. What they do has the name of the method of book that has it
// done.
func TestWorker(t *testing.T) {
	text := os.Getenv(taskVariable)
	if text == "" {
		return
	}
	var k task
	must(t, json.Unmarshal([]byte(text), &k))
	work := map[string]func(*testing.T, task){
		"scan bytes": scanBytes, "scan times": scanTimes, "group bytes": groupBytes, "device bytes": deviceBytes,
		"steady": steady, "fill": fill, "open": openCold, "probe": probe, "drain": drain,
	}[k.Work]
	work(t, k)
	tell("done", 1)
}

// answer is what a child told, by name, in its order.
type answer map[string][]float64

func tell(name string, value float64) {
	fmt.Printf("tell: %s %g\n", strings.ReplaceAll(name, " ", "_"), value)
}

var errWork = errors.New("the child ended without an answer")

// run has a child do k, below the tracer if there is one.
func (k task) run(tracer ...string) (answer, error) {
	text, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append(tracer, self, "-test.run=^TestWorker$", "-test.timeout=8m")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), taskVariable+"="+string(text))
	out, err := cmd.CombinedOutput()
	a := readAnswer(out)
	if len(a["done"]) > 0 && err == nil {
		return a, nil
	}
	return nil, fmt.Errorf("%s: %w: %w\n%s", k.Work, errWork, err, out)
}

func readAnswer(out []byte) answer {
	a := answer{}
	for line := range bytes.Lines(out) {
		var name string
		var value float64
		if n, _ := fmt.Sscanf(string(line), "tell: %s %g", &name, &value); n == 2 {
			a[name] = append(a[name], value)
		}
	}
	return a
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var identity = store.Identity{Environment: "test", Station: station7, Database: "127.0.0.1:3306/external"}

// stamps is a clock that runs from the start of the work at the hour of the workload.
func stamps() func() record.Stamp {
	began := time.Now()
	return func() record.Stamp {
		since := time.Since(began)
		return record.Stamp{Boot: "5f0c9f0e-2d5b-4a43-9c25-0a7d5c4b8f10", Mono: since, Wall: morning.Add(since), Trusted: true}
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
