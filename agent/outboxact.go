package main

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func outboxRetryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retry SEQ...|--all|--refusal TEXT",
		Short: "Send refused records again, each under its old key and at its old place",
	}
	a := agentFlags(cmd)
	var c choice
	cmd.Flags().BoolVar(&c.All, "all", false, "every record that was refused")
	cmd.Flags().StringVar(&c.Refusal, "refusal", "", "those whose refusal holds `TEXT`")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		ways := 0
		for _, way := range []bool{len(args) > 0, c.All, c.Refusal != ""} {
			if way {
				ways++
			}
		}
		if ways != 1 {
			return usageError{errors.New("name some SEQ, or --all, or --refusal TEXT: station-agent outbox list --refused gives them")}
		}
		if c.Seqs, err = sequences(args); err != nil {
			return err
		}
		return a.act(cmd, "/outbox/retry", c, "%d records are sent again\n")
	}
	return cmd
}

func outboxDropCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drop SEQ... --yes",
		Short: "Forget records that wait or were refused: their changes will never be anchored",
	}
	a := agentFlags(cmd)
	yes := cmd.Flags().Bool("yes", false, "drop them for good")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		seqs, err := sequences(args)
		switch {
		case err != nil:
			return err
		case len(seqs) == 0:
			return usageError{errors.New("name some SEQ: station-agent outbox list gives them")}
		case !*yes:
			return usageError{fmt.Errorf("%d records would be dropped and their changes never be anchored: look at them with station-agent outbox show, then add --yes", len(seqs))}
		}
		return a.act(cmd, "/outbox/drop", choice{Seqs: seqs}, "%d records are dropped: their changes will never be anchored\n")
	}
	return cmd
}

// act has something done to records and says to how many.
func (a agentAt) act(cmd *cobra.Command, path string, c choice, done string) error {
	var n struct{ Count int }
	if err := a.sendFor(cmd, http.MethodPost, path, c, &n); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), done, n.Count)
	return err
}
