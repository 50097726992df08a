// Command station-agent is the program on the Raspberry Pi beside a packing station: it turns scans into
// external_package_id in Buylo's shared table, turns every change of the station's rows into an anchored Certyo record,
// and tells the fleet how that work is going.
//
// This package is the only one that knows all the others: it reads the configuration, wires the parts (wire.go is the
// list of them) and holds one file per subcommand. It decides nothing about items, rows or answers.
//
// Exit codes: 0 done, 1 the store can't be used or a command could not do its work (restart me), 2 wrong usage,
// 78 the configuration is wrong (don't restart me).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

const (
	exitFailed = 1
	exitUsage  = 2
	exitConfig = 78 // EX_CONFIG of sysexits.h: systemd is told not to restart on it

	exitUnprobed = 3 // of store probe alone: neither sound nor damaged, it could not be looked at
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop) // a second signal ends what doesn't listen to the first
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// execute runs one command and tells its exit code. Every error is one line on stderr.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "station-agent:", err)
	if _, ok := errors.AsType[*configError](err); ok {
		return exitConfig
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	if o, ok := errors.AsType[outcome](err); ok {
		return o.code
	}
	if _, ok := errors.AsType[unprobed](err); ok {
		return exitUnprobed
	}
	return exitFailed
}

// usageError is a wrong command line.
type usageError struct{ error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "station-agent",
		Short:         "The program beside an RFID packing station",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("%q is no command: see station-agent --help", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w: see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(runCommand(), statusCommand(), eventsCommand(), itemsCommand(), scansCommand(), intentsCommand(), commandsCommand(), labelsCommand(), patternsCommand(), lampTestCommand(), lampsOffCommand(), muteCommand(),
		devicesCommand(), listenCommand(), recordingCommand(), replayCommand(), tuneCommand(), mapCommand(),
		workspaceCommand(), captureCommand(), queueCommand(), outboxCommand(), proofCommand(), evidenceCommand(), storeCommand(), fleetCommand(), configCommand(), siteCheckCommand(), announceUpdateCommand(), versionCommand())
	return root
}

// noArgs refuses arguments with a usage error.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no argument %q: see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())}
	}
	return nil
}

const defaultConfig = "/etc/station-agent/station-agent.toml"

// configFlag adds --config to cmd.
func configFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("config", "c", defaultConfig, "the configuration `FILE`")
}
