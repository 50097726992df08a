package main

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func intentsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "intents",
		Short: "List the assignments that wait for the database or need a person; send them again, drop them",
		Args:  noArgs,
	}
	a := agentFlags(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print a JSON object a line")
	parked := cmd.Flags().Bool("parked", false, "only those that need a person")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return list(a, cmd, intentsPath(*parked), func(i intentLine) error {
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), i)
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), i)
			return err
		})
	}
	cmd.AddCommand(intentsAct("drop", "Take assignments off the list, after somebody looked at the items; their rows stay as they are"),
		intentsAct("retry", "Try assignments again that need a person, as a grant was given or a row mended; those of one package that belong together go together"))
	return cmd
}

func intentsPath(parked bool) string {
	if parked {
		return "/intents?parked=1"
	}
	return "/intents"
}

// String is an assignment in one line.
func (i intentLine) String() string {
	text := fmt.Sprintf("%d: item %s for package %s: ", i.ID, i.Hash, show(i.Package))
	if i.State == "waiting" {
		return oneLine(text + "waits for the database")
	}
	text += fmt.Sprintf("%s: %s", i.Outcome.Result, i.Outcome.Text)
	if i.Seen {
		text += " (seen at the bench)"
	}
	return oneLine(text)
}

// intentsAct is a command that does verb to parked assignments.
func intentsAct(verb, short string) *cobra.Command {
	cmd := &cobra.Command{Use: verb + " ID...", Short: short}
	a := agentFlags(cmd)
	all := cmd.Flags().Bool("all", false, "all that need a person")
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if (len(args) > 0) == *all {
			return usageError{errors.New("name IDs or --all: station-agent intents --parked lists them")}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ids, err := numbers(args, "ID", "intents")
		if err != nil {
			return err
		}
		var done struct{ Count int }
		if err := a.sendFor(cmd, http.MethodPost, "/intents/"+verb, choice{Seqs: ids, All: *all}, &done); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d\n", verb, done.Count)
		return err
	}
	return cmd
}
