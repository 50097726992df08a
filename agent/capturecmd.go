package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func captureCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "capture",
		Short: "By which way the changes of each table are found, and why",
		Args:  noArgs,
	}
	a := agentFlags(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print everything, as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, _, err := a.status(cmd.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			out := json.NewEncoder(cmd.OutOrStdout())
			out.SetIndent("", "  ")
			return out.Encode(s.Capture)
		}
		if len(s.Capture) == 0 {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "Nothing is captured.")
			return err
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for _, c := range s.Capture {
			fmt.Fprintf(w, "%s\t%s%s\t%s\n", c.Table, c.Way, behind(c.LagS), oneLine(c.Why))
			fmt.Fprintf(w, "\tcosts the server:\t%s\n", c.Cost)
		}
		return w.Flush()
	}
	cmd.AddCommand(captureUseCommand(), captureSnapshotCommand())
	return cmd
}

func captureSnapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot SCHEMA.TABLE",
		Short: "Record every row of a table once more, as it is now",
		Long: "Record every row of a table once more, as it is now: of Buylo's table those on this station. Changes go on being recorded " +
			"beside it; it goes on after a restart.",
		Args: oneArg("name one SCHEMA.TABLE: see station-agent capture"),
	}
	a := agentFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form := url.Values{"table": {args[0]}}
		if _, err := a.ask(cmd.Context(), http.MethodPost, "/snapshot?"+form.Encode(), nil); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "Every row of %s is recorded once more.\n", args[0])
		return err
	}
	return cmd
}

func captureUseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "use SCHEMA.TABLE auto|binlog|queue|polling",
		Short: "Find the changes of a table another way from now on",
		Long: "Find the changes of a table another way from now on. All of its rows are compared with what was captured, differences become " +
			"records, and a record says that what happened meanwhile was not seen change by change. \"auto\" tries all ways again. Only " +
			"where the configuration says auto.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{errors.New("name the table and the way: see station-agent capture use --help")}
			}
			return nil
		},
	}
	a := agentFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form := url.Values{"table": {args[0]}, "way": {args[1]}}
		if _, err := a.ask(cmd.Context(), http.MethodPost, "/capture?"+form.Encode(), nil); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "The rows of %s are compared now: see station-agent capture.\n", args[0])
		return err
	}
	return cmd
}
