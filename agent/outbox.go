package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

func outboxCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "outbox",
		Short: "Look at the records that wait for Certyo or were refused, send them again, export or drop them",
		Long: "Look at the records that wait for Certyo or were refused, send them again, export or drop them. " +
			"Asks the running agent; if none runs, opens its store.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(outboxListCommand(), outboxShowCommand(), outboxRetryCommand(), outboxDropCommand(), outboxExportCommand())
	return cmd
}

func outboxListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the records that wait, oldest first",
		Args:  noArgs,
	}
	a := agentFlags(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print a JSON object a line")
	limit := cmd.Flags().Int("limit", 100, "at most `N` records; 0: all")
	refused := cmd.Flags().Bool("refused", false, "those that Certyo refused for good, instead")
	var c choice
	c.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *limit < 0 {
			return usageError{fmt.Errorf("--limit %d is less than 0", *limit)}
		}
		if (c.Refusal != "" || c.Older != 0 || c.Newer != 0) && !*refused {
			return usageError{errors.New("--refusal, --older and --newer are about refused records: add --refused")}
		}
		if err := c.check(); err != nil {
			return err
		}
		res, err := a.send(cmd, http.MethodGet, c.query(*limit, *refused), nil)
		if err != nil {
			return err
		}
		n, err := printList(res.Body, cmd.OutOrStdout(), *asJSON)
		if err := errors.Join(err, res.Body.Close()); err != nil {
			return err
		}
		if total, _ := strconv.Atoi(res.Header.Get(totalHeader)); total > n && !*asJSON {
			fmt.Fprintf(cmd.OutOrStdout(), "... of %d: --limit 0 lists all\n", total)
		}
		return nil
	}
	return cmd
}

// printList prints a list as it comes and counts it.
func printList(in io.Reader, out io.Writer, asJSON bool) (n int, err error) {
	err = eachLine(in, func(l letter) error {
		n++
		if asJSON {
			return printJSON(out, l)
		}
		_, err := fmt.Fprintln(out, l)
		return err
	})
	return n, err
}

// String is a letter in one line.
func (l letter) String() string {
	text := fmt.Sprintf("%d: %s %s %s of %s, %d bytes, key %s", l.Seq, moment(l.At), l.Op, l.ID, l.Collection, l.Bytes, l.Key)
	if l.Refusal != "" {
		text += fmt.Sprintf(": refused %s%s: %s", moment(l.RefusedAt), times(l.Tries), l.Refusal)
	}
	return oneLine(text)
}

// times says how often it was, if it wasn't once.
func times(n int) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf(" for the %d. time", n)
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func outboxShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show SEQ",
		Short: "Show everything about one record: key, payload, refusal, tries, times",
		Args:  oneArg("name one SEQ: station-agent outbox list gives them"),
	}
	a := agentFlags(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON, with the payload in base64")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		seqs, err := sequences(args)
		if err != nil {
			return err
		}
		var l letter
		if err := a.sendFor(cmd, http.MethodGet, fmt.Sprintf("/outbox/%d", seqs[0]), nil, &l); err != nil {
			return err
		}
		if *asJSON {
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetEscapeHTML(false)
			return enc.Encode(l)
		}
		return l.print(cmd.OutOrStdout())
	}
	return cmd
}

// print shows a letter to a person.
func (l letter) print(out io.Writer) error {
	for _, f := range [][2]string{
		{"record", fmt.Sprintf("%d", l.Seq)}, {"database", l.Database}, {"collection", l.Collection}, {"id", l.ID}, {"version", l.Version},
		{"operation", string(l.Op)}, {"changed", moment(l.At)}, {"key", l.Key}, {"refusal", l.Refusal}, {"first", moment(l.FirstAt)}, {"refused", moment(l.RefusedAt)}, {"tries", strconv.Itoa(l.Tries)},
		{"payload", string(l.Payload)},
	} {
		if l.RefusedAt.IsZero() && slices.Contains([]string{"refusal", "first", "refused", "tries"}, f[0]) {
			continue
		}
		if _, err := fmt.Fprintf(out, "%-10s  %s\n", f[0], oneLine(f[1])); err != nil {
			return err
		}
	}
	return nil
}

// sendFor sends a request and reads its short answer into v.
func (a agentAt) sendFor(cmd *cobra.Command, method, path string, body, v any) error {
	res, err := a.send(cmd, method, path, body)
	if err != nil {
		return err
	}
	if err := errors.Join(json.NewDecoder(res.Body).Decode(v), res.Body.Close()); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

// oneArg wants one argument.
func oneArg(hint string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{errors.New(hint)}
		}
		return nil
	}
}

// sequences reads the numbers of records.
func sequences(args []string) ([]uint64, error) { return numbers(args, "SEQ", "outbox list") }

// numbers reads the numbers of what a command lists.
func numbers(args []string, what, command string) ([]uint64, error) {
	list := make([]uint64, len(args))
	for i, a := range args {
		n, err := strconv.ParseUint(a, 10, 64)
		if err != nil {
			return nil, usageError{fmt.Errorf("%q is no %s: station-agent %s gives them", a, what, command)}
		}
		list[i] = n
	}
	return list, nil
}
