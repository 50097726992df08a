package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"station-agent/store"
)

// collectAt makes the collector of garbage run when the heap has grown by so many per cent: what a station may take that catches
// up, in time and in memory, lies on either side (make bench-capture).
const collectAt = 42

// stopTime is how long a stop may take. All that counts is on disk at any moment, so a part that hangs is left behind.
const stopTime = 4 * time.Second

func runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the station until SIGTERM",
		Long: "Run the station until SIGTERM. Exit codes: 0 stopped or moved away, 1 the store can't be used (restart me), " +
			"78 the configuration is wrong (don't restart me).",
		Args: noArgs,
	}
	file := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		err := runFile(cmd.Context(), *file, cmd.ErrOrStderr())
		if errors.Is(err, errAgain) {
			return startAgain()
		}
		return err
	}
	return cmd
}

// errAgain says that the program is to begin anew, as it began.
var errAgain = errors.New("the agent was told to start again")

// startAgain puts this program anew in place of the process: who watches it sees no end. It returns only if that fails.
func startAgain() error {
	program, err := os.Executable()
	if err == nil {
		err = syscall.Exec(program, os.Args, os.Environ())
	}
	return fmt.Errorf("start the agent again: %w", err)
}

// runFile runs the station with the configuration that counts. One on trial that doesn't work is given up at once.
func runFile(ctx context.Context, file string, logTo io.Writer) error {
	card, data, err := loadFile(file)
	if err != nil {
		return err
	}
	t := newTrials(file, card, data)
	defer t.close()
	err = runOn(ctx, t.choose(card), t, logTo)
	if t.onTrial() == nil || err == nil || ctx.Err() != nil || errors.Is(err, errAgain) || errors.Is(err, store.ErrLocked) {
		return err
	}
	if failed := t.back(err); failed != nil {
		return errors.Join(err, failed) // the next start goes back, as the trial has begun
	}
	return errAgain
}

// runStation wires the parts and runs them until ctx ends.
func runStation(ctx context.Context, c *config, logTo io.Writer) error {
	return runOn(ctx, c, newTrials("", c, nil), logTo)
}

func runOn(ctx context.Context, c *config, t *trials, logTo io.Writer) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	log, how := newLog(c.Log, logTo)
	for _, note := range t.notes {
		log.Warn("configuration", "text", note)
	}
	st, err := wire(c, log, how, t)
	if err != nil {
		return err
	}
	log.Info("start", "version", version, "environment", c.Environment, "station", c.Station.UUID, "store", c.Store.Folder)
	stopping := context.AfterFunc(ctx, func() { log.Info("stopping") })
	defer stopping()
	err = st.Run(ctx)
	if err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

func logLevels() []string { return []string{"debug", "info", "warn", "error"} }

// levelOf reads the name of a level that was checked.
func levelOf(name string) (level slog.Level) {
	_ = level.UnmarshalText([]byte(name)) // info, if it could not be read
	return level
}

// logging is what can be changed of the log, and the last of what it said.
type logging struct {
	level *levels
	last  *lastLines
}

// newLog makes the program's log: one line an event, on stderr, where systemd takes it.
func newLog(c logConfig, to io.Writer) (*slog.Logger, logging) {
	how := logging{&levels{now: &slog.LevelVar{}, usual: levelOf(c.Level)}, &lastLines{}}
	how.level.now.Set(how.level.usual)
	to = io.MultiWriter(to, how.last)
	options := &slog.HandlerOptions{Level: how.level.now}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(to, options)), how
	}
	if os.Getenv("JOURNAL_STREAM") != "" { // the journal has its own time
		options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(to, options)), how
}
