package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"station-agent/store/proof"
)

func proofCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "proof PACKAGE|HASH",
		Short: "Tell what is in a package, or where an item is, now or as of a time, and whether Certyo anchored it",
		Long: "Tell what is in a package, or where an item is, now or as of a time, with every clear and move: what was recorded when, by which " +
			"scan, and whether Certyo anchored it. With --json it is a file that an auditor can keep: station-agent proof verify checks it, on any " +
			"machine. Asks the running agent; if none runs, opens its store.",
		Args: oneArg("name one package or item: station-agent proof PACKAGE|HASH"),
	}
	a := agentFlags(cmd)
	at := cmd.Flags().String("at", "", "as of this `TIME` by the database's clock: 2026-05-19T11:41:02Z, \"2026-05-19 13:41\" here, or 2026-05-19 for its end")
	item := cmd.Flags().Bool("item", false, "it is an item, though a package has the same name")
	asJSON := cmd.Flags().Bool("json", false, "print a file of evidence, a JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query := url.Values{"name": {args[0]}}
		if *at != "" {
			t, err := readTime(*at, time.Local)
			if err != nil {
				return usageError{fmt.Errorf("--at: %w", err)}
			}
			query.Set("at", t.UTC().Format(time.RFC3339Nano))
		}
		if *item {
			query.Set("item", "1")
		}
		res, err := a.send(cmd, http.MethodGet, "/proof?"+query.Encode(), nil)
		if err != nil {
			return err
		}
		if *asJSON {
			err = copyEvidence(cmd.OutOrStdout(), res.Body)
		} else {
			err = tellStory(cmd.OutOrStdout(), res.Body)
		}
		return errors.Join(err, res.Body.Close())
	}
	cmd.AddCommand(proofShowCommand(), proofVerifyCommand())
	return cmd
}

// readTime reads a time that a person typed. A day stands for its end.
func readTime(text string, zone *time.Location) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	for _, form := range []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(form, text, zone); err == nil {
			return t, nil
		}
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		return t.AddDate(0, 0, 1).Add(-1), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time such as 2026-05-19T11:41:02Z, \"2026-05-19 13:41\" or 2026-05-19", text)
}

func tellStory(out io.Writer, in io.Reader) error {
	s, err := proof.Gather(in, rowOf)
	if err != nil {
		return err
	}
	return s.Tell(out, time.Local)
}

// copyEvidence copies a file of evidence and tells whether it came whole.
func copyEvidence(out io.Writer, in io.Reader) error {
	return proof.Read(io.TeeReader(in, out), func(int, any) error { return nil })
}

func proofShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE",
		Short: "Tell what a file says that proof --json printed, without checking it but for damage",
		Args:  oneArg("name one FILE that station-agent proof --json printed"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withEvidence(args[0], func(in io.Reader) error { return tellStory(cmd.OutOrStdout(), in) })
		},
	}
}

// withEvidence opens a file of evidence, which may be gzipped.
func withEvidence(path string, use func(io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read evidence: %w", err)
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			return fmt.Errorf("read evidence %s: %w", path, err)
		}
	}
	if err := use(in); err != nil {
		return fmt.Errorf("read evidence %s: %w", path, err)
	}
	return nil
}

func evidenceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "evidence",
		Short: "Take along what the store knows of records and scans",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(evidenceExportCommand())
	return cmd
}

func evidenceExportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write every record and scan that is kept into a file, with receipts and Certyo's answers",
		Long: "Write every record and scan that is kept into FILE, which must not exist yet, with receipts and Certyo's answers: a JSON object a line, " +
			"gzipped if FILE ends in .gz. station-agent proof verify checks it, on any machine. Asks the running agent; if none runs, opens its store.",
		Args: oneArg("name one FILE to be written"),
	}
	a := agentFlags(cmd)
	since := cmd.Flags().String("since", "", "what changed from this `TIME`, by the database's clock: 2026-05-19T00:00:00Z, or \"2026-05-19 00:00\" here")
	until := cmd.Flags().String("until", "", "what changed before this `TIME`; a day stands for its end")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query := url.Values{}
		for name, text := range map[string]string{"since": *since, "until": *until} {
			if text == "" {
				continue
			}
			t, err := readTime(text, time.Local)
			if err != nil {
				return usageError{fmt.Errorf("--%s: %w", name, err)}
			}
			if _, err := time.Parse(time.DateOnly, text); err == nil && name == "since" { // a day from its beginning
				t = t.AddDate(0, 0, -1).Add(1)
			}
			query.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
		res, err := a.send(cmd, http.MethodGet, "/evidence?"+query.Encode(), nil)
		if err != nil {
			return err
		}
		end, err := writeEvidence(args[0], res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil {
			return fmt.Errorf("export evidence to %s: %w", args[0], err)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d records and %d scans are in %s\n", end.Records, end.Scans, args[0])
		return err
	}
	return cmd
}

// writeEvidence puts a new file in place, whole or not at all.
func writeEvidence(path string, in io.Reader) (end proof.End, err error) {
	place, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // evidence is never overwritten
	if err != nil {
		return end, fmt.Errorf("%w: name a new file", err)
	}
	defer func() {
		if err = errors.Join(err, place.Close()); err != nil {
			os.Remove(path)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), ".evidence-*")
	if err != nil {
		return end, err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	var out io.Writer = f
	done := func() error { return nil }
	if strings.HasSuffix(path, ".gz") {
		zip := gzip.NewWriter(f)
		out, done = zip, zip.Close
	}
	err = proof.Read(io.TeeReader(in, out), func(_ int, line any) error {
		if e, ok := line.(*proof.End); ok {
			end = *e
		}
		return nil
	})
	if err := errors.Join(err, done(), f.Sync(), f.Close()); err != nil {
		return end, err
	}
	return end, os.Rename(f.Name(), path)
}
