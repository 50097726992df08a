package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/spf13/cobra"
)

func outboxRetryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retry SEQ...|--all|what the records have in common",
		Short: "Send refused records again, each under its old key and at its old place",
	}
	a := agentFlags(cmd)
	var c choice
	cmd.Flags().BoolVar(&c.All, "all", false, "every record that was refused")
	c.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if c.Seqs, err = sequences(args); err != nil {
			return err
		}
		if err := c.one(); err != nil {
			return err
		}
		return a.act(cmd, "/outbox/retry", c, "%d records are sent again\n")
	}
	return cmd
}

func outboxDropCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drop SEQ...|--all|what the records have in common --yes",
		Short: "Forget records that wait or were refused: their changes will never be anchored",
		Long: "Forget records that wait or were refused: their changes will never be anchored. " +
			"One that waits is dropped by its SEQ only; --all and the other choices are about refused ones.",
	}
	a := agentFlags(cmd)
	var c choice
	yes := cmd.Flags().Bool("yes", false, "drop them for good")
	cmd.Flags().BoolVar(&c.All, "all", false, "every record that was refused")
	c.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if c.Seqs, err = sequences(args); err != nil {
			return err
		}
		if err := c.one(); err != nil {
			return err
		}
		if !*yes {
			n := len(c.Seqs)
			if n == 0 {
				if n, err = a.count(cmd, c); err != nil {
					return err
				}
			}
			return usageError{fmt.Errorf("%d records would be dropped and their changes never be anchored: "+
				"look at them with station-agent outbox list --refused or outbox show, keep them with outbox export, then add --yes", n)}
		}
		return a.act(cmd, "/outbox/drop", c, "%d records are dropped: their changes will never be anchored\n")
	}
	return cmd
}

// count tells how many refused records fit c.
func (a agentAt) count(cmd *cobra.Command, c choice) (n int, err error) {
	err = list(a, cmd, c.query(0, true), func(letter) error { n++; return nil })
	return n, err
}

// query is the path that lists the records that fit c.
func (c choice) query(limit int, refused bool) string {
	text, _ := json.Marshal(c) // it is made of texts and numbers
	query := url.Values{"limit": {fmt.Sprint(limit)}, "choice": {string(text)}}
	if refused {
		query.Set("refused", "1")
	}
	return "/outbox?" + query.Encode()
}

func outboxExportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write refused records as JSON lines, with all that is known of them",
		Long: "Write refused records as JSON lines, with all that is known of them: to FILE, which must not exist yet, or to standard output. " +
			"The payload is in base64, as it is kept to the byte. Nothing is dropped by it.",
		Args: cobra.MaximumNArgs(1),
	}
	a := agentFlags(cmd)
	var c choice
	c.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := c.check(); err != nil {
			return err
		}
		if len(args) == 0 {
			_, err := a.exportLetters(cmd, c, cmd.OutOrStdout())
			return err
		}
		f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("export records: %w: name a new file", err)
		}
		n, err := a.exportLetters(cmd, c, f)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return errors.Join(err, os.Remove(args[0]))
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d records are in %s\n", n, args[0])
		return err
	}
	return cmd
}

// exportLetters writes the refused records that fit c to out.
func (a agentAt) exportLetters(cmd *cobra.Command, c choice, out io.Writer) (n int, err error) {
	err = list(a, cmd, c.query(0, true)+"&whole=1", func(l letter) error {
		n++
		return printJSON(out, l)
	})
	return n, err
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
