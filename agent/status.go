package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"station-agent/station/feedback"
	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/fleet/message"
)

// status is what `station-agent status --json` prints: the health that the fleet gets, and what only matters here.
type status struct {
	message.Health
	State         message.Mode    `json:"state"`
	Environment   string          `json:"environment"`
	Station       string          `json:"station"`
	Name          string          `json:"name"`
	StoreID       string          `json:"store_id"`
	OpenPackage   string          `json:"open_package,omitempty"`
	OpenItems     int             `json:"open_items"`
	ItemsHere     int             `json:"items_here"` // rows on this station, as last read
	Online        bool            `json:"online"`     // they were read just now
	Parked        []record.Parked `json:"parked"`
	AnchoredTotal uint64          `json:"anchored_total"`
	Dropped       uint64          `json:"dead_letters_dropped"` // for want of room, ever
	CertyoKey     string          `json:"certyo_key,omitempty"` // where the key in use stands, if there are two places
	CapturePaused bool            `json:"capture_paused"`       // for want of room
	RecordBytes   int64           `json:"record_bytes"`         // on the card: the outbox, the ledger and the evidence
	EvidenceBytes int64           `json:"evidence_bytes"`       // of these
	JournalBytes  int64           `json:"journal_bytes"`
	Losses        []store.Loss    `json:"losses"`          // what could not be read, at opening or since
	Damage        []readerTrouble `json:"reader_damage"`   // of those readers from which damaged frames came, or nothing
	Lamps         *lamps          `json:"lamps,omitempty"` // nil without an output
}

// lamps is what lamps and buzzer tell.
type lamps struct {
	Shows string   `json:"shows"` // a signal; "" while they are dark
	Muted bool     `json:"muted"`
	Lost  []string `json:"lost"` // outputs that can't be had now, why is told in problems
}

// lampsOf is what a player shows now; nil without one.
func lampsOf(p *feedback.Player, problems []message.Problem) *lamps {
	if p == nil {
		return nil
	}
	l := &lamps{Lost: []string{}}
	l.Shows, l.Muted = p.Shown()
	for _, p := range problems {
		if name, ok := strings.CutPrefix(p.Name, outputThing); ok {
			l.Lost = append(l.Lost, name)
		}
	}
	return l
}

// String tells them in one line.
func (l *lamps) String() string {
	text := "show " + cmp.Or(l.Shows, "nothing")
	if l.Muted {
		text += ", muted"
	}
	if len(l.Lost) > 0 {
		text += "; lost: " + strings.Join(l.Lost, ", ")
	}
	return text
}

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Ask the running agent how its work is going",
		Args:  noArgs,
	}
	a := agentFlags(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print everything, as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, body, err := a.status(cmd.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			_, err := cmd.OutOrStdout().Write(body)
			return err
		}
		return s.print(cmd.OutOrStdout())
	}
	return cmd
}

// status asks the running agent and gives its answer as it came, too.
func (a agentAt) status(ctx context.Context) (s status, body []byte, err error) {
	if body, err = a.ask(ctx, http.MethodGet, "/status", nil); err != nil {
		return s, nil, err
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, nil, fmt.Errorf("read status: %w: is the agent of another version?", err)
	}
	return s, body, nil
}

// print shows the status to a person: trouble first.
func (s *status) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", what, oneLine(fmt.Sprintf(format, args...)))
	}
	line("station", "%s (%s), environment %s, version %s, up %s", s.Name, s.Station, s.Environment, s.Version, seconds(s.UptimeS))
	line("state", "%s", s.State)
	for _, p := range s.Problems {
		left := ""
		if p.LeftS != nil {
			left = ", " + seconds(*p.LeftS) + " left"
		}
		line("problem", "%s, %s, %d times%s: %s", p.Name, ago(time.Since(p.Since).Seconds()), p.Count, left, p.Text)
	}
	for _, p := range s.Parked {
		line("parked", "item %s for package %s: %s %s", p.Hash, show(p.Package), p.Outcome.Result, p.Outcome.Text)
	}
	line("bench", "%s; items here: %d%s; last scan %s", s.packing(), s.ItemsHere, s.rowsAge(), maybeAgo(s.LastScanS))
	if s.Lamps != nil {
		line("lamps", "%s", s.Lamps)
	}
	for _, r := range s.Health.Readers {
		line("reader", "%s: %s, last read %s", r.Name, map[bool]string{true: "ready", false: "away"}[r.OK], maybeAgo(r.LastReadS))
	}
	for _, r := range s.Damage {
		if r.Damaged > 0 {
			line("reader", "%s: %d damaged frames since the start: if they grow, see to cable, line speed and protocol", r.Reader, r.Damaged)
		}
		if r.Silent > 0 {
			line("reader", "%s: it stopped answering %d times since the start and was set up again: if they grow, see to its power supply and cable", r.Reader, r.Silent)
		}
	}
	line("database", "%d assignments waiting, %d need a person; last one settled %s", s.IntentsOpen, s.IntentsParked, maybeAgo(s.LastSettledS))
	for _, c := range s.Capture {
		line("capture", "%s by %s%s", c.Table, c.Way, behind(c.LagS))
	}
	if len(s.Capture) == 0 {
		line("capture", "nothing is captured")
	}
	if s.CapturePaused {
		line("capture", "paused: the store is full; scans are still taken")
	}
	line("certyo", "%d records unsent%s, %d not anchored yet%s%s, %d dead letters%s, %d anchored%s%s",
		s.QueueRecords, oldest(s.OldestUnsentS), s.Unanchored, oldest(s.OldestUnanchoredS), standings(record.Tally(s.Anchoring)), s.DeadLetters, oldest(s.OldestDeadS), s.AnchoredTotal,
		some(s.Unverified, "given up unverified"), some(s.Dropped, "dead letters dropped for want of room")+some(s.Replayed, "replayed")+some(s.Doubled, "possibly doubled"))
	if s.CertyoKey != "" {
		line("certyo", "the key in use is that in %s", s.CertyoKey)
	}
	line("store", "%s of records, %s of these proofs; %s of scans; session %d", size(s.RecordBytes), size(s.EvidenceBytes), size(s.JournalBytes), s.Session)
	for _, l := range s.Losses {
		line("lost", "%s", lossText(l))
	}
	if text := s.machine(); text != "" {
		line("board", "%s", text)
	}
	line("clock", "%s", map[bool]string{true: "synchronised", false: "not synchronised: check the time service"}[s.ClockTrusted])
	return w.Flush()
}

// machine is how board and card are, as far as they tell.
func (s *status) machine() (text string) {
	add := func(format string, args ...any) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf(format, args...)
	}
	if s.System != "" {
		add("%s", s.System)
	}
	if s.BootS > 0 {
		add("up %s", seconds(s.BootS))
	}
	if s.DiskFreeBytes != nil {
		add("%s free on the card", size(*s.DiskFreeBytes))
	}
	if s.WrittenTodayBytes != nil {
		add("%s written today", size(*s.WrittenTodayBytes))
	}
	if s.TemperatureC != nil {
		add("%.0f °C", *s.TemperatureC)
	}
	if s.Undervoltage != nil && *s.Undervoltage {
		add("undervoltage since boot")
	}
	if s.Throttled != nil && *s.Throttled {
		add("throttled since boot")
	}
	return text
}

// packing is what is open at the bench.
func (s *status) packing() string {
	switch {
	case s.OpenPackage != "":
		return fmt.Sprintf("package %s is open, items in it: %d", s.OpenPackage, s.OpenItems)
	case s.OpenItems > 0:
		return fmt.Sprintf("items gathered: %d", s.OpenItems)
	default:
		return "no package is open"
	}
}

// rowsAge says how well the items here are known, if that isn't well.
func (s *status) rowsAge() string {
	switch {
	case s.Online:
		return ""
	case s.RowsAgeS == nil:
		return " as kept on disk: MySQL was not reached yet"
	default:
		return " as read " + seconds(*s.RowsAgeS) + " ago: MySQL is away"
	}
}

func behind(lag *float64) string {
	switch {
	case lag == nil:
		return ""
	case *lag < 1:
		return ", up to date"
	default:
		return ", " + seconds(*lag) + " behind"
	}
}

func show(v record.Value) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprintf("%q", *v)
}

// standings tells how the records stand that are not anchored, but for those that are merely pending.
func standings(t record.Tally) (text string) {
	for _, s := range []struct {
		n    int
		what string
	}{{t.Mismatch, "differ at Certyo"}, {t.Missing, "missing there"}, {t.Superseded, "superseded"}, {t.Unclear, "unclear"}} {
		text += some(uint64(s.n), s.what)
	}
	return text
}

func some(n uint64, what string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d %s", n, what)
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}
func ago(s float64) string { return "since " + seconds(s) }

func maybeAgo(s *float64) string {
	if s == nil {
		return "never"
	}
	return seconds(*s) + " ago"
}

func oldest(s float64) string {
	if s <= 0 {
		return ""
	}
	return " (oldest " + seconds(s) + ")"
}

// size is in units of 1024, as the card is counted.
func size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", (n+1023)>>10)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// lossText is one line about what can't be read any more.
func lossText(l store.Loss) string { return oneLine(l.File + ": " + l.What) }
