package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"station-agent/store"
	"station-agent/store/record"
)

func storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Check the store, count what is in it, move it to another card",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(storeCheckCommand(), storeStatsCommand(), exportCommand(), importCommand(), reopenCommand(), acknowledgeCommand(), probeCommand())
	return cmd
}

func storeCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Tell what of the store can't be read: exit 0 if all can, 1 with a line for each damaged file if not",
		Long: "Tell what of the store can't be read: exit 0 if all can, 1 with a line for each damaged file if not. " +
			"Writes nothing. A running agent is asked what it found when it opened the store; to have every file read, stop it.",
		Args: noArgs,
	}
	a := agentFlags(cmd)
	deep := cmd.Flags().Bool("deep", false, "read every record, not only the files' structure")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, _, err := a.status(cmd.Context())
		if err == nil {
			fmt.Fprintln(cmd.OutOrStdout(), "the agent runs: this is what it found when it opened the store; to have every file read, stop it")
			return tell(cmd.OutOrStdout(), s.Losses, "look at what was packed then, and end the alarm with station-agent store acknowledge")
		}
		if !errors.Is(err, errAway) || *a.socket != "" {
			return err
		}
		c, err := loadConfig(*a.config)
		if err != nil {
			return err
		}
		losses, err := store.Check(c.Store.Folder, *deep, probe)
		if err != nil {
			return err
		}
		return tell(cmd.OutOrStdout(), losses, "the agent sets damaged files aside at its next start, and keeps what still reads")
	}
	return cmd
}

// tell prints a line for each loss.
func tell(out io.Writer, losses []store.Loss, then string) error {
	for _, l := range losses {
		fmt.Fprintln(out, lossText(l))
	}
	if len(losses) > 0 {
		return fmt.Errorf("check store: %w in %d places: %s", store.ErrDamaged, len(losses), then)
	}
	fmt.Fprintln(out, "the store is sound")
	return nil
}

// storeStats is what store stats prints.
type storeStats struct {
	StoreID       string           `json:"store_id"`
	Session       uint64           `json:"session"`
	Scans         uint64           `json:"scans"` // ever
	LastScan      record.Stamp     `json:"last_scan"`
	IntentsOpen   int              `json:"intents_open"`
	IntentsParked int              `json:"intents_parked"`
	Position      record.Position  `json:"position"`
	Bytes         map[string]int64 `json:"bytes"` // by the first name below the store folder
	Losses        []store.Loss     `json:"losses"`
	store.Stats
}

func (d desk) stats(w http.ResponseWriter, _ *http.Request) error {
	position, err := d.store.DB.Position()
	if err != nil {
		return fmt.Errorf("read position: %w", err)
	}
	j := d.store.Journal.State()
	s := storeStats{StoreID: d.store.ID(), Session: d.store.Session(), LastScan: j.LastScan, IntentsOpen: len(j.Open), IntentsParked: len(j.Parked),
		Position: position, Bytes: usage(d.folder), Losses: d.store.Losses(), Stats: d.records.Stats()}
	for _, n := range j.Verdicts {
		s.Scans += n
	}
	if s.Losses == nil {
		s.Losses = []store.Loss{}
	}
	return writeJSON(w, s)
}

// usage adds up the files of the store by the first name below its folder, in bytes. What can't be read counts nothing.
func usage(folder string) map[string]int64 {
	bytes := map[string]int64{}
	_ = filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		info, err := e.Info()
		below, bad := filepath.Rel(folder, path)
		if err == nil && bad == nil {
			first, _, _ := strings.Cut(below, string(filepath.Separator))
			bytes[first] += info.Size()
		}
		return nil
	})
	return bytes
}

func storeStatsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Count what is in the store and what it takes on the card",
		Args:  noArgs,
	}
	a := agentFlags(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var raw json.RawMessage
		if err := a.sendFor(cmd, http.MethodGet, "/store/stats", nil, &raw); err != nil {
			return err
		}
		if *asJSON {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", raw)
			return err
		}
		var s storeStats
		if err := json.Unmarshal(raw, &s); err != nil {
			return fmt.Errorf("read stats: %w: is the agent of another version?", err)
		}
		return s.print(cmd.OutOrStdout())
	}
	return cmd
}

// print shows the counts to a person.
func (s *storeStats) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(what, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", what, fmt.Sprintf(format, args...)) }
	line("store", "%s, session %d", s.StoreID, s.Session)
	line("scans", "%d; %d assignments waiting, %d need a person", s.Scans, s.IntentsOpen, s.IntentsParked)
	line("outbox", "%d records, %s%s; %d dead letters, %s; for want of room %d were exported and %d dropped ever",
		s.QueueRecords, size(s.QueueBytes), some(uint64(s.QueueHistory), "of them found states that go last"), s.DeadLetters, size(s.DeadLetterBytes), s.LettersExported, s.LettersSpilled)
	line("ledger", "%d not anchored yet%s; %d accepted, %d anchored, %d retired and %d unverified ever",
		s.Unanchored, standings(s.Stats.Ledger), s.Accepted, s.Anchored, s.Retired, s.Unverified)
	line("sent", "%d replayed, %d possibly doubled; %d found states passed over, as a newer change of their row went", s.Replayed, s.Doubled, s.Passed)
	line("evidence", "%s of %s of records", size(s.EvidenceBytes), size(s.RecordBytes))
	where := strings.Trim(s.Position.GTID+" "+s.Position.File, " ")
	if s.Position.File != "" {
		where += fmt.Sprintf(":%d", s.Position.Pos)
	}
	line("position", "%s", map[bool]string{true: "none yet", false: oneLine(where)}[s.Position.Zero()])
	for _, name := range slices.Sorted(maps.Keys(s.Bytes)) {
		line("file", "%s: %s", name, size(s.Bytes[name]))
	}
	line("card", "%s free", size(s.FreeBytes))
	for _, l := range s.Losses {
		line("lost", "%s", lossText(l))
	}
	return w.Flush()
}

// running tells whether the agent of this configuration answers.
func (a agentAt) running(ctx context.Context) (bool, error) {
	_, _, err := a.status(ctx)
	if errors.Is(err, errAway) {
		return false, nil
	}
	return err == nil, err
}

func acknowledgeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "acknowledge",
		Short: "End the alarm of what could not be read, or was given up unverified, or refused and dropped, after somebody looked at what was packed then",
		Args:  noArgs,
	}
	a := agentFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.act(cmd, "/store/acknowledge", choice{}, "%d losses are acknowledged\n")
	}
	return cmd
}
