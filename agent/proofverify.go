package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"station-agent/store/proof"
	"station-agent/store/record"
	"station-agent/uplink/certyo"
)

// asking says how Certyo is asked for the records of a file.
type asking struct {
	url, tenant, form, caFile string
	key                       secret
	perMinute                 int
}

func proofVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check a file of proof --json or evidence export: does it contradict itself, and does Certyo confirm it?",
		Long: "Check a file of proof --json or evidence export, without the agent, its store or its configuration: is it whole, do payloads, hashes, " +
			"versions, scans, manifests and contents fit to each other and to Certyo's answers that are kept in it? By itself a file proves nothing; with " +
			"--certyo each accepted record is asked for anew, with the very bytes that were sent. Exit code 0 if nothing contradicts, 1 if something does or " +
			"Certyo could not be asked.",
		Args: oneArg("name one FILE that station-agent proof --json or evidence export made"),
	}
	var q asking
	flags := cmd.Flags()
	flags.StringVar(&q.url, "certyo", "", "ask Certyo at this `URL` for each record: https://www.certyos.com")
	flags.StringVar((*string)(&q.key), "key-file", "", "the `FILE` with a key of Certyo")
	flags.StringVar(&q.tenant, "tenant", "", "the `TENANT` at Certyo; that of the file if it isn't named")
	flags.StringVar(&q.form, "verify-form", certyo.Full, "the `FORM` of the question that is tried first: full, payload, ids or version")
	flags.StringVar(&q.caFile, "ca-file", "", "a `FILE` of certificate authorities in PEM, instead of the system's")
	flags.IntVar(&q.perMinute, "per-minute", 120, "at most `N` questions a minute: stations share Certyo's limit")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := q.check(); err != nil {
			return usageError{err}
		}
		return verifyFile(cmd, args[0], q)
	}
	return cmd
}

func (q *asking) check() error {
	if q.url == "" {
		if q.key != "" || q.tenant != "" {
			return errors.New("--key-file and --tenant are for --certyo URL")
		}
		return nil
	}
	if err := checkURL(q.url); err != nil {
		return fmt.Errorf("--certyo %w", err)
	}
	if q.key == "" {
		return errors.New("--certyo wants --key-file FILE with a key of Certyo")
	}
	if q.perMinute < 1 || q.perMinute > 60_000 {
		return fmt.Errorf("--per-minute %d is not between 1 and 60000", q.perMinute)
	}
	return nil
}

var errContradicted = errors.New("it contradicts itself or Certyo and is NOT to be relied on, see above")

func verifyFile(cmd *cobra.Command, path string, q asking) error {
	out := cmd.OutOrStdout()
	c, tenant := proof.NewChecker(rowOf, certyo.Weigh), ""
	err := withEvidence(path, func(in io.Reader) error {
		return proof.Read(in, func(n int, line any) error {
			if h, ok := line.(*proof.Header); ok {
				tenant = h.Tenant
			}
			return c.Line(n, line)
		})
	})
	if err != nil {
		return err
	}
	r := c.Report()
	fmt.Fprintln(out, "right      the file is whole: its counts and its checksum fit")
	print := func(what string, list []string) {
		for _, text := range list {
			fmt.Fprintf(out, "%-9s  %s\n", what, oneLine(text))
		}
	}
	print("right", r.Agreed)
	print("can't say", r.Open)
	print("WRONG", r.Faults)
	if q.url == "" {
		fmt.Fprintln(out, "\nCertyo was not asked. A file proves nothing by itself, as whoever changes it can change its checksum, too: --certyo URL asks Certyo.")
	} else if err := q.ask(cmd.Context(), out, path, tenant, c, &r); err != nil {
		return err
	}
	if n := len(r.Faults); n > 0 {
		return fmt.Errorf("verify %s: %w (%d)", path, errContradicted, n)
	}
	return nil
}

// ask asks Certyo for each record of the file that it accepted.
func (q *asking) ask(ctx context.Context, out io.Writer, path, tenant string, c *proof.Checker, r *proof.Report) error {
	if q.tenant != "" {
		tenant = q.tenant
	}
	tls, err := clientTLS(q.caFile)
	if err != nil {
		return err
	}
	client := certyo.New(certyo.Config{URL: q.url, Tenant: tenant, Key: q.key.read, KeyPlace: string(q.key), TLS: tls, VerifyForm: q.form,
		UserAgent: "station-agent/" + version + " (proof verify)"})
	pace := time.NewTicker(time.Minute / time.Duration(q.perMinute))
	defer pace.Stop()
	w := &witness{checker: c, report: r, out: out}
	fmt.Fprintf(out, "\nCertyo at %s, tenant %s, asked %s:\n", oneLine(q.url), oneLine(tenant), time.Now().Format("2006-01-02 15:04:05 -07:00"))
	err = withEvidence(path, func(in io.Reader) error {
		return proof.Read(in, func(_ int, line any) error {
			l, ok := line.(*proof.Record)
			if !ok {
				return nil
			}
			if l.Receipt == nil {
				w.unsent++
				return nil
			}
			select {
			case <-pace.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			says, answer, err := client.Verify(ctx, l.Unproven())
			return w.hear(l, says, answer, err)
		})
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Certyo confirms %d of %d records as anchored; %d were never sent there.\n", w.confirmed, w.confirmed+w.open+w.against+w.unsent, w.unsent)
	return nil
}

// witness counts what Certyo says.
type witness struct {
	checker                          *proof.Checker
	report                           *proof.Report
	out                              io.Writer
	confirmed, open, against, unsent int
}

// hear takes what Certyo says of one record. An error that is not about this record ends it.
func (w *witness) hear(l *proof.Record, says record.Anchoring, answer json.RawMessage, err error) error {
	name := oneLine(fmt.Sprintf("record %d (%s %s, version %s)", l.Seq, l.Collection, l.ID, l.Version))
	claimed := l.State == record.Fate(record.Anchored)
	switch {
	case err != nil && record.ClassOf(err) != record.ThisOne:
		return err
	case err != nil:
		w.against++
		w.wrong("%s: Certyo refuses the question: %v", name, err)
	case says == record.Anchored:
		if w.confirmed++; !claimed {
			fmt.Fprintf(w.out, "note       %s is %s in the file, and anchored by now\n", name, l.State)
		}
	case (says == record.Mismatch && !isAbout(l, answer) || says == record.Overtaken) && w.checker.Later(l):
		w.open++
		fmt.Fprintf(w.out, "can't say  %s: Certyo answers for a later change of the row\n", name)
	case says == record.Overtaken && isLater(l, answer):
		w.open++
		fmt.Fprintf(w.out, "can't say  %s: Certyo answers for a later change of the row, which the file doesn't have\n", name)
	case says == record.Mismatch:
		w.against++
		w.wrong("%s: what Certyo has differs from what is in the file", name)
	case claimed:
		w.against++
		w.wrong("%s: the file says that it is anchored, Certyo says %q", name, says)
	default:
		w.open++
		fmt.Fprintf(w.out, "can't say  %s: %s in the file, and Certyo says %q\n", name, l.State, says)
	}
	return nil
}

// isAbout tells whether an answer is surely about l and no other version of its row: what Certyo has is what its receipt named.
func isAbout(l *proof.Record, answer json.RawMessage) bool {
	_, stored, _ := certyo.Weigh(l.Unproven(), answer)
	return proof.SameHash(stored, l.Receipt.Hash)
}

// isLater tells whether an answer names a later version of l's row.
func isLater(l *proof.Record, answer json.RawMessage) bool {
	id, version := certyo.About(answer)
	return (id == "" || id == l.ID) && version != "" && proof.Later(version, l.Version)
}

func (w *witness) wrong(format string, args ...any) {
	text := oneLine(fmt.Sprintf(format, args...))
	w.report.Faults = append(w.report.Faults, text)
	fmt.Fprintf(w.out, "WRONG      %s\n", text)
}
