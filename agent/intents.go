package main

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"station-agent/store/record"
)

func intentsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "intents",
		Short: "List the assignments that need a person",
		Args:  noArgs,
	}
	a := agentFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, _, err := a.status(cmd.Context())
		if err != nil {
			return err
		}
		for _, p := range s.Parked {
			fmt.Fprintf(cmd.OutOrStdout(), "%d: item %s for package %s: %s: %s\n", p.ID, p.Hash, show(p.Package), p.Outcome.Result, p.Outcome.Text)
		}
		return nil
	}
	cmd.AddCommand(dropCommand())
	return cmd
}

func dropCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drop ID",
		Short: "Take an assignment off the list, after somebody looked at the item; its row stays as it is",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("name one ID: station-agent intents lists them")}
			}
			return nil
		},
	}
	a := agentFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := strconv.ParseUint(args[0], 10, 64)
		if err != nil {
			return usageError{fmt.Errorf("%q is no ID: station-agent intents lists them", args[0])}
		}
		_, err = a.ask(cmd.Context(), http.MethodPost, "/intents/"+strconv.FormatUint(id, 10)+"/drop", nil)
		return err
	}
	return cmd
}

// drop ends a parked intent on a person's word.
func (f *facts) drop(_ http.ResponseWriter, r *http.Request) error {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		return fmt.Errorf("drop assignment: %q is no ID", r.PathValue("id"))
	}
	for _, p := range f.store.Journal.State().Parked {
		if p.ID == id {
			return f.store.Journal.Settle(record.Outcome{Intent: id, Result: record.Dismissed})
		}
	}
	return fmt.Errorf("no assignment %d needs a person: station-agent intents lists those that do", id)
}
