package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
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
		c, err := loadConfig(*file)
		if err != nil {
			return err
		}
		return runStation(cmd.Context(), c, cmd.ErrOrStderr())
	}
	return cmd
}

// runStation wires the parts and runs them until ctx ends.
func runStation(ctx context.Context, c *config, logTo io.Writer) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	log := newLog(c.Log, logTo)
	st, err := wire(c, log)
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

// newLog makes the program's log: one line an event, on stderr, where systemd takes it.
func newLog(c logConfig, to io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // check has refused everything else
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	if os.Getenv("JOURNAL_STREAM") != "" { // the journal has its own time
		options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(to, options))
}
