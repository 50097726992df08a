package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// The agent's user, and the groups by which it reaches its devices, as Debian numbers them or might.
const (
	user     = 900
	dialout  = 20
	input    = 101
	gpio     = 102
	program  = "/station-agent"
	settings = "/station/agent.toml"
)

// agent is the one program that this machine is for.
type agent struct {
	process *exec.Cmd
	ended   chan struct{}
}

func asUser(args ...string) *exec.Cmd {
	cmd := exec.Command(program, append(args, "--config", settings)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user, Groups: []uint32{dialout, input, gpio}}}
	return cmd
}

func (a *agent) start() {
	cmd := asUser("run")
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		say("start the agent: %v", err)
		return
	}
	say("the agent runs")
	ended := make(chan struct{})
	a.process, a.ended = cmd, ended
	go func() {
		defer close(ended)
		pass(out)
		err := cmd.Wait()
		say("the agent ended: %v, %v", cmd.ProcessState, err)
	}()
}

// pass hands the agent's lines on whole.
func pass(out io.Reader) {
	in := bufio.NewScanner(out)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		write(in.Text())
	}
}

func (a *agent) end(s syscall.Signal) {
	if err := a.process.Process.Signal(s); err != nil {
		say("signal the agent: %v", err)
		return
	}
	<-a.ended
}

// lampsOff does what the unit has as ExecStopPost=.
func (a *agent) lampsOff() {
	out, err := asUser("lamps-off").CombinedOutput()
	say("lamps-off: %v %s", err, out)
}

// status writes what the agent says of itself, in one line.
func (a *agent) status() {
	var line bytes.Buffer
	out, err := asUser("status", "--json").Output()
	if err == nil {
		err = json.Compact(&line, out)
	}
	say("status: %s %v", line.Bytes(), err)
}

// own gives a folder to the agent's user, for nobody else to read.
func own(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o600)
		if d.IsDir() {
			mode = 0o700
		}
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
		return os.Chown(path, user, user)
	})
}
