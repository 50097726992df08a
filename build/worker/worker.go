// Package worker runs parts of a benchmark in child processes: the test binary once more, with a task. A child has a memory
// of its own to be measured, and a tracer may stand below it.
//
// The body of the children is a test named TestWorker, which does nothing unless Task gives it a task. What it has to tell, it
// prints as lines "tell: name value" (Tell); the last one is Done.
//
// BENCH_WORKER_FLAGS are added to the command line of each child: -test.cpuprofile=/tmp/cpu, say.
package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// variable holds the task of a child process, as JSON.
const variable = "BENCH_WORKER_TASK"

const done = "done"

// ErrWork says that a child ended without having done its task.
var ErrWork = errors.New("the child ended without an answer")

// Task reads the task of this process into k; there is none in a process that is no child.
func Task(k any) (there bool, err error) {
	text, there := os.LookupEnv(variable)
	if !there {
		return false, nil
	}
	return true, json.Unmarshal([]byte(text), k)
}

// Answer is what a child told, by name, in its order.
type Answer map[string][]float64

// Tell tells the parent a value. Blanks in the name become underscores.
func Tell(name string, value float64) {
	fmt.Printf("tell: %s %g\n", strings.ReplaceAll(name, " ", "_"), value)
}

// Done tells the parent that the task is done.
func Done() { Tell(done, 1) }

// Run has a child do the task k, below the tracer if there is one.
func Run(k any, tracer ...string) (Answer, error) {
	cmd, err := Command(k, tracer...)
	if err != nil {
		return nil, err
	}
	return answer(cmd, k)
}

// RunProgram has a program of its own do the task k, which reads it by Task as well.
func RunProgram(program string, k any) (Answer, error) {
	cmd, err := ProgramCommand(program, k)
	if err != nil {
		return nil, err
	}
	return answer(cmd, k)
}

// ProgramCommand is such a child for a caller that starts and ends it.
func ProgramCommand(program string, k any) (*exec.Cmd, error) {
	text, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), variable+"="+string(text))
	return cmd, nil
}

func answer(cmd *exec.Cmd, k any) (Answer, error) {
	out, err := cmd.CombinedOutput()
	a := readAnswer(out)
	if len(a[done]) > 0 && err == nil {
		return a, nil
	}
	return nil, fmt.Errorf("%+v: %w: %w\n%s", k, ErrWork, err, out)
}

// Command is a child with the task k, for a caller that starts and ends it.
func Command(k any, tracer ...string) (*exec.Cmd, error) {
	text, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append(tracer, self, "-test.run=^TestWorker$", "-test.timeout=8m")
	args = append(args, strings.Fields(os.Getenv("BENCH_WORKER_FLAGS"))...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), variable+"="+string(text))
	return cmd, nil
}

func readAnswer(out []byte) Answer {
	a := Answer{}
	for line := range bytes.Lines(out) {
		var name string
		var value float64
		if n, _ := fmt.Sscanf(string(line), "tell: %s %g", &name, &value); n == 2 {
			a[name] = append(a[name], value)
		}
	}
	return a
}

// Memory gives a size of this process in bytes, by its name in /proc/self/status.
func Memory(name string) float64 {
	text, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(text), name+":")
	var kib float64
	_, _ = fmt.Sscan(rest, &kib) // nothing leaves 0, which is no figure
	return kib * 1024
}
