package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"station-agent/store/record"
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

// list gives f each line of a streamed answer.
func list[T any](a agentAt, cmd *cobra.Command, path string, f func(T) error) error {
	res, err := a.send(cmd, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return errors.Join(each1(res.Body, f), res.Body.Close())
}

func each1[T any](in io.Reader, f func(T) error) error {
	for dec := json.NewDecoder(in); ; {
		var raw json.RawMessage
		if err := dec.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read answer: %w: it is cut off", err)
		}
		var trouble struct{ Error string }
		var v T
		if err := errors.Join(json.Unmarshal(raw, &trouble), json.Unmarshal(raw, &v)); err != nil {
			return fmt.Errorf("read answer: %w: is the agent of another version?", err)
		}
		if trouble.Error != "" {
			return errors.New(trouble.Error)
		}
		if err := f(v); err != nil {
			return err
		}
	}
}

// printJSON prints v as one line.
func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func scansCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scans",
		Short: "List the newest scans, with what the operator was told",
		Args:  noArgs,
	}
	a := agentFlags(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print a JSON object a line")
	limit := cmd.Flags().Int("limit", 50, "the newest `N`; 0: all that are kept")
	pkg := cmd.Flags().String("package", "", "those that concern this package `LABEL`")
	hash := cmd.Flags().String("item", "", "those that concern the item with this `HASH`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *limit < 0 {
			return usageError{fmt.Errorf("--limit %d is less than 0", *limit)}
		}
		query := url.Values{"limit": {fmt.Sprint(*limit)}, "package": {*pkg}, "hash": {*hash}}
		return list(a, cmd, "/scans?"+query.Encode(), func(l scanLine) error {
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), l)
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), l)
			return err
		})
	}
	return cmd
}

// String is a scan in one line.
func (l scanLine) String() string {
	text := fmt.Sprintf("%d  %s  %s  %q  %s", l.Seq, when(l.At), l.Reader, l.Code, l.Verdict)
	if l.Step != "" {
		text += ", " + string(l.Step)
	}
	if l.Badge != nil {
		text += fmt.Sprintf("  [shift %d, %s]", l.Badge.Shift, l.Badge.Pseudonym)
	}
	return oneLine(text + "  " + l.Text)
}

// when is a stamp for a person: the wall time if it may be believed, else the time since the boot.
func when(s record.Stamp) string {
	if s.Dated() {
		return moment(s.Wall)
	}
	return fmt.Sprintf("boot %.8s +%s", s.Boot, seconds(s.Mono.Seconds()))
}
