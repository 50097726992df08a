package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"station-agent/station"
	"station-agent/station/cards"
)

// labelsCommand draws the command codes of a site.
func labelsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "labels FILE.pdf",
		Short: "Write the command codes of this site as a PDF to print and cut apart; those for supervisors have a page of their own",
		Long: "Write the command codes of this site as a PDF to print and cut apart, as Code 128 and QR: the packers' codes, and on a page of\n" +
			"their own those that undo what others did (override, clear). Print it on A4 at 100 %. FILE - is the standard output.\n" +
			"Who has a page can command every bench of the site: keep the second one from the table.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("%s takes the FILE to write, - for the standard output", cmd.CommandPath())}
			}
			return nil
		},
	}
	file := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := loadConfig(*file)
		if err != nil {
			return err
		}
		doc, err := cards.PDF(c.labelPages()...)
		if err != nil {
			return err
		}
		if args[0] == "-" {
			_, err = cmd.OutOrStdout().Write(doc)
			return err
		}
		if err := os.WriteFile(args[0], doc, 0o600); err != nil { // the codes begin with the site's prefix
			return fmt.Errorf("write labels: %w", err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: print it on A4 at 100 %%, without fitting to the page\n", args[0])
		return nil
	}
	return cmd
}

// supervisors are the commands that take away what others packed.
func supervisors() []station.Command { return []station.Command{station.Override, station.Clear} }

// labelPages are the commands that have a code. A command keeps its number, whichever others there are.
func (c *config) labelPages() []cards.Page {
	all := cards.Page{Title: "Commands, " + c.Environment}
	some := cards.Page{Title: "Commands for supervisors, " + c.Environment}
	for n, name := range station.Commands() {
		code := c.Packing.code(name)
		if code == "" {
			continue
		}
		to := &all
		if slices.Contains(supervisors(), name) {
			to = &some
		}
		to.Cards = append(to.Cards, cards.Card{Number: n + 1, Name: plainName(name), Does: meaning(name), Code: code})
	}
	return []cards.Page{all, some}
}

// plainName is a command's name in plain words.
func plainName(c station.Command) string {
	switch c {
	case station.RemainingOne:
		return "remaining one"
	case station.SetAside:
		return "set aside"
	case station.Clear:
		return "clear a package"
	case station.Acknowledge:
		return "acknowledge a call"
	}
	return string(c)
}
