package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"station-agent/uplink/capture"
	"station-agent/uplink/capture/queue"
	"station-agent/uplink/mysql"
)

const queueTime = 30 * time.Second // for the questions of one command

func queueCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "The queue table and the triggers by which changes of a table of yours are found",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(queueDDLCommand(), queueCheckCommand())
	return cmd
}

// queued is a configured table with a queue, and the way to the server.
type queued struct {
	*tracked
	name queue.Name
	db   capture.Querier
	end  func()
	user string // as the server knows the account
}

// openQueue finds the table that is named, or the only one with a queue.
func openQueue(ctx context.Context, file string, args []string) (q *queued, err error) {
	c, err := loadConfig(file)
	if err != nil {
		return nil, err
	}
	var fits []*tracked
	for _, t := range c.tables() {
		if len(args) == 1 && t.Spec.String() == args[0] || len(args) == 0 && t.queue != "" {
			fits = append(fits, t)
		}
	}
	switch {
	case len(fits) == 0 && len(args) == 1:
		return nil, usageError{fmt.Errorf("%s is no [[table]] of the configuration", args[0])}
	case len(fits) != 1:
		return nil, usageError{fmt.Errorf("%d [[table]]s of the configuration name a queue: say which SCHEMA.TABLE is meant", len(fits))}
	case fits[0].Spec.Station != "":
		return nil, usageError{fmt.Errorf("%s has rows of several stations: a queue table has one reader; Buylo's server refuses triggers besides (error 1142)", fits[0].Spec)}
	}
	q = &queued{tracked: fits[0], name: queue.DefaultName(fits[0].Spec)}
	if q.queue != "" {
		if q.name, err = queue.ParseName(q.queue); err != nil {
			return nil, err
		}
	}
	p := &parts{cfg: c}
	db, err := p.open(c.Capture.User, c.Capture.PasswordFile, 1, 0)
	if err != nil {
		return nil, err
	}
	q.db, q.end = db, func() { db.Close() }
	if err := db.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&q.user); err != nil {
		q.end()
		return nil, fmt.Errorf("ask the database: %w", mysql.Explain(err))
	}
	return q, nil
}

// account quotes USER@HOST as the server says it.
func account(current string) string {
	at := strings.LastIndexByte(current, '@')
	if at < 0 {
		return ""
	}
	text := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	return text(current[:at]) + "@" + text(current[at+1:])
}

func queueDDLCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ddl [SCHEMA.TABLE]",
		Short: "Print the queue table, the triggers and the rights, to be run by an administrator",
		Long: "Print the queue table, the triggers and the rights for a [[table]] of the configuration, with all the columns that it has now, " +
			"to be run by an administrator. When the table is to be altered, stop who writes to it and let the agent take what waits (status), for " +
			"then it can't any more; alter it, drop queue and triggers, and run what is printed then.",
		Args: atMostOne,
	}
	file := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), queueTime)
		defer cancel()
		q, err := openQueue(ctx, *file, args)
		if err != nil {
			return err
		}
		defer q.end()
		table, err := capture.ReadTable(ctx, q.db, q.Spec)
		if err != nil {
			return mysql.Explain(err)
		}
		list, err := queue.Statements(table, q.name, account(q.user))
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		fmt.Fprintf(out, "-- Each change of %s is written once more, into %s. To be run by an administrator; then set\n-- queue = %q in the [[table]].\n",
			q.Spec, q.name, q.name)
		for _, s := range list {
			fmt.Fprintf(out, "%s;\n", s)
		}
		return nil
	}
	return cmd
}

var errQueueFaults = errors.New("check queue: changes get lost, see above")

func queueCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [SCHEMA.TABLE]",
		Short: "Compare the queue table and the triggers with what they should be",
		Long:  "Compare the queue table and the triggers with what they should be. Exit code 1 if changes get lost as it is.",
		Args:  atMostOne,
	}
	file := configFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print everything, as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), queueTime)
		defer cancel()
		q, err := openQueue(ctx, *file, args)
		if err != nil {
			return err
		}
		defer q.end()
		faults, err := queue.Check(ctx, q.db, q.Spec, q.name)
		if err != nil {
			return fmt.Errorf("check queue of %s: %w", q.Spec, mysql.Explain(err))
		}
		if err := showFaults(cmd.OutOrStdout(), q, faults, *asJSON); err != nil {
			return err
		}
		for _, f := range faults {
			if f.Serious {
				return errQueueFaults
			}
		}
		return nil
	}
	return cmd
}

func showFaults(out io.Writer, q *queued, faults []queue.Fault, asJSON bool) error {
	if asJSON {
		if faults == nil {
			faults = []queue.Fault{}
		}
		return json.NewEncoder(out).Encode(faults)
	}
	if len(faults) == 0 {
		fmt.Fprintf(out, "%s and the triggers of %s are as they should be.\n", q.name, q.Spec)
	}
	for _, f := range faults {
		fmt.Fprintf(out, "%s: %s\n", map[bool]string{true: "fault", false: "note"}[f.Serious], oneLine(f.Text))
	}
	return nil
}

func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usageError{fmt.Errorf("%s takes one SCHEMA.TABLE: see %s --help", cmd.CommandPath(), cmd.CommandPath())}
	}
	return nil
}
