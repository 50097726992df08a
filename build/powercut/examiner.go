package powercut

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// ExaminerVariable is set for a process that is to call Examine: to the rounds of the script.
const ExaminerVariable = "POWERCUT_EXAMINER"

// patience is the longest that a check may take.
const patience = time.Minute

// question is one line to an examiner. The answer is a line too: a text as JSON, what Check says.
type question struct {
	Folder string
	Done   int
}

// Examine answers questions until there are no more.
func Examine(in io.Reader, out io.Writer) error {
	rounds, err := strconv.Atoi(os.Getenv(ExaminerVariable))
	if err != nil {
		return fmt.Errorf("read %s: %w", ExaminerVariable, err)
	}
	steps, answers := Script(rounds), json.NewEncoder(out)
	for questions := json.NewDecoder(in); ; {
		var q question
		if err := questions.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		answer := ""
		if err := Check(q.Folder, steps, q.Done); err != nil {
			answer = err.Error()
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
}

// examiner is a process that checks one store after the other. A new one takes the place of one that died of it.
type examiner struct {
	rounds  int
	cmd     *exec.Cmd // nil: none runs
	in      io.WriteCloser
	answers *bufio.Reader
	said    bytes.Buffer // on standard error
}

func (e *examiner) check(folder string, done int) error {
	if e.cmd == nil {
		if err := e.begin(); err != nil {
			return fmt.Errorf("start the check: %w", err)
		}
	}
	timer := time.AfterFunc(patience, func() { e.cmd.Process.Kill() })
	defer timer.Stop()
	line, err := e.ask(question{folder, done})
	if err != nil {
		e.end()
		return fmt.Errorf("the check died: %w: %.2000s", err, e.said.String())
	}
	var answer string
	if err := json.Unmarshal(line, &answer); err != nil {
		return fmt.Errorf("read the answer of the check: %w", err)
	}
	if answer != "" {
		return errors.New(answer)
	}
	return nil
}

func (e *examiner) ask(q question) ([]byte, error) {
	if err := json.NewEncoder(e.in).Encode(q); err != nil {
		return nil, err
	}
	return e.answers.ReadBytes('\n')
}

func (e *examiner) begin() error {
	e.said.Reset()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), ExaminerVariable+"="+strconv.Itoa(e.rounds))
	cmd.Stderr = &e.said
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	e.cmd, e.in, e.answers = cmd, in, bufio.NewReader(out)
	return nil
}

// end lets the process go, if there is one.
func (e *examiner) end() {
	if e.cmd == nil {
		return
	}
	e.in.Close()
	e.cmd.Wait() // how it ended was read from its answers
	e.cmd = nil
}
