package main

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"station-agent/store/record"
)

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
