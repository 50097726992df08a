package main

import (
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"station-agent/uplink/fleet/message"
)

// events lists the events that are kept: the last 200 warnings, and what the fleet wasn't told yet.
func (d desk) events(w http.ResponseWriter, _ *http.Request) error {
	return stream(w, func(put func(any) error) error {
		for _, e := range kept(d.store.Events.Kept()) {
			if err := put(e); err != nil {
				return err
			}
		}
		return nil
	})
}

func eventsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show the last warnings, and what the fleet wasn't told yet, also of a stopped agent",
		Args:  noArgs,
	}
	a := agentFlags(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print a JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var events []message.Event
		err := list(a, cmd, "/events", func(e message.Event) error { events = append(events, e); return nil })
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for _, e := range events {
			if *asJSON {
				if err := printJSON(cmd.OutOrStdout(), e); err != nil {
					return err
				}
				continue
			}
			at := e.At.Local().Format(time.DateTime)
			if !e.ClockTrusted {
				at += "?"
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", e.Seq, at, e.Severity, e.Kind, oneLine(e.Name), oneLine(e.Text))
		}
		return w.Flush()
	}
	return cmd
}
