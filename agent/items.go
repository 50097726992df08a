package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func itemsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "items [HASH]",
		Short: "List what is on this station now, with its packages; or tell where one item is",
		Long: "List what is on this station now, with its packages; or tell where one item is, and in which package. " +
			"Without a running agent: as it was kept when the agent stopped.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{errors.New("name one HASH, or none for all that is here")}
			}
			return nil
		},
	}
	a := agentFlags(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print a JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return a.printItem(cmd, args[0], *asJSON)
		}
		return a.printItems(cmd, *asJSON)
	}
	return cmd
}

func (a agentAt) printItem(cmd *cobra.Command, hash string, asJSON bool) error {
	var i item
	if err := a.sendFor(cmd, http.MethodGet, "/items/"+url.PathEscape(hash), nil, &i); err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), i)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), i)
	return err
}

// String tells where an item is.
func (i item) String() string {
	if i.Missing {
		return oneLine(fmt.Sprintf("item %s is not in the table", i.Hash))
	}
	where := "on this station"
	switch {
	case !i.Here && i.Station != nil:
		where = "on station " + *i.Station
	case !i.Here:
		where = "on no station"
	}
	text := fmt.Sprintf("item %s (%s, EAN %s) is %s, in package %s", i.Hash, i.Name, i.EAN, where, show(i.Package))
	if i.Pending {
		text += " as soon as the database takes it"
	}
	if i.Doubt != "" {
		text += "; as it was last known: " + i.Doubt
	}
	return oneLine(text)
}

func (a agentAt) printItems(cmd *cobra.Command, asJSON bool) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	n, age := 0, 0.0
	err := list(a, cmd, "/items", func(i item) error {
		if asJSON {
			return printJSON(cmd.OutOrStdout(), i)
		}
		n, age = n+1, i.RowsAge
		pkg := show(i.Package)
		if i.Pending {
			pkg += " (waits)"
		}
		_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", oneLine(i.Hash), pkg, oneLine(i.EAN), oneLine(i.Name))
		return err
	})
	if err != nil || asJSON {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "items here: %d, %s\n", n, map[bool]string{
		true: "as they were kept on disk", false: "as read " + seconds(max(age, 0)) + " ago"}[age < 0])
	return err
}
