package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"station-agent/store"
)

// probeTime is how long a look at one file may take. A file that leads bbolt in a circle is damaged too.
const probeTime = time.Minute

// unprobed is a file that store probe could not look at, whether it is sound or not.
type unprobed struct{ error }

// probeCommand is the child process of probe. People have store check.
func probeCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "probe FILE",
		Short:  "Look at a file of the store, as the agent does before it opens it",
		Hidden: true,
		Args:   oneArg("name one FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			err := store.Probe(args[0])
			if err != nil && !errors.Is(err, store.ErrDamaged) {
				return unprobed{err}
			}
			return err
		},
	}
}

// probe looks at a file of bbolt in a child process, because a bad page may end the process that reads it. The error is
// store.ErrDamaged if the file is, and any other if it could not be looked at.
func probe(path string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("probe %s: %w", path, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	var errs bytes.Buffer
	child := exec.CommandContext(ctx, self, "store", "probe", path)
	child.Stderr = &errs
	err = child.Run()
	said, _, _ := strings.Cut(errs.String(), "\n")
	said = cut(oneLine(strings.TrimPrefix(said, "station-agent: ")), 400)
	exit, ended := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("probe %s: %w: it could not be read within %v", path, store.ErrDamaged, probeTime)
	case !ended: // the child could not be started
		return fmt.Errorf("probe %s: %w", path, err)
	case exit.ExitCode() == exitUnprobed, exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL: // the latter for want of memory
		return fmt.Errorf("probe %s: %s", path, said)
	case exit.ExitCode() == exitFailed:
		return fmt.Errorf("probe %s: %w: %s", path, store.ErrDamaged, said)
	}
	return fmt.Errorf("probe %s: %w: reading it ended with %v: %s", path, store.ErrDamaged, exit, said)
}
