package main

import (
	"crypto/rand"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"station-agent/station"
)

// commandsCommand prints the command codes of a site, to be made barcodes of.
func commandsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "commands",
		Short: "Print the command codes of this site and what they do, to be printed as barcodes",
		Args:  noArgs,
	}
	file := configFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print a JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := loadConfig(*file)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for _, name := range station.Commands() {
			code := c.Packing.code(name)
			if code == "" {
				continue
			}
			if *asJSON {
				if err := printJSON(cmd.OutOrStdout(), map[string]string{"command": string(name), "code": code, "does": meaning(name)}); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", name, code, meaning(name))
		}
		return w.Flush()
	}
	return cmd
}

// meaning is a command in words for the bench.
func meaning(c station.Command) string {
	return map[station.Command]string{
		station.Close:        "close the open package",
		station.Undo:         "undo the last step",
		station.Remove:       "then an item: take it out of the open package",
		station.Clear:        "then a package label: take out everything this station put there",
		station.Cancel:       "end what waits for a scan; else take back what was added since the package was opened",
		station.Override:     "after \"in another package\": move that item here all the same",
		station.RemainingOne: "add the only item here without a package (its own label is damaged)",
		station.SetAside:     "note that the item at hand was put aside",
		station.Status:       "then a package label: is it in the database?",
		station.Acknowledge:  "end the call-back: somebody looks at it",
	}[c]
}

// randomPrefix is what the command codes of a new site begin with: 7 letters and digits that nobody mixes up.
func randomPrefix() string {
	const letters = "ACDEFGHJKLMNPQRTUVWXY34679" // 26: 7 of them are 33 bits
	b := make([]byte, 7)
	_, _ = rand.Read(b) // never fails, see its documentation
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b) + "-"
}
