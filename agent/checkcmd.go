package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"station-agent/uplink/capture/check"
	"station-agent/uplink/mysql"
)

const (
	ownSchema = "external_workspace" // as Buylo usually calls a customer's own
	checkTime = 30 * time.Second     // for one account
	mostDays  = 3650                 // of an outage
)

func siteCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Tell before the first parcel whether everything outside fits, and what mends it",
		Long: "Check the database for packing, for each way to find changes of Buylo's table, and for each [[table]] of your own: binary log, row metadata, retention, grants (too few and too " +
			"many), table, indexes, clocks. Each finding tells what was seen, why it matters, and the statements for this very server that " +
			"mend it, to be run by its administrator. Nothing is changed. It doesn't need a running agent, but its secrets: run it as the " +
			"agent's user.\n\n" +
			"With --bench: lay one tag on the table when it asks; it passes if a reader of this machine sees it and exactly one row gains " +
			"this station's UUID. That finds swapped UUIDs. The agent has to run, with no package open.\n\n" +
			"Exit code 0: the way of capture.source can be used, perhaps with warnings (for \"auto\": one of the ways can), " +
			"and so can that of each [[table]]. 1: it can't, or the database can't be reached. 78: the configuration is wrong.",
		Example: "  sudo -u station-agent station-agent check\n" +
			"  sudo -u station-agent station-agent check --outage 7d --source auto --all\n" +
			"  sudo -u station-agent station-agent check network\n" +
			"  sudo -u station-agent station-agent check --bench",
		Args: noArgs,
	}
	o := siteOptions{
		agentAt: agentFlags(cmd),
		asJSON:  cmd.Flags().Bool("json", false, "print everything, as JSON"),
		all:     cmd.Flags().Bool("all", false, "show what fits, and the ways that are not used, in full"),
		outage:  cmd.Flags().String("outage", "72h", "the longest that the station is expected to be away: a `DURATION` such as 72h or 7d"),
		source:  cmd.Flags().String("source", "", "judge Buylo's table for this `WAY` (auto, binlog, polling, off) instead of capture.source"),
		bench:   cmd.Flags().Bool("bench", false, "lay one tag on the table, and see whether it comes to this station"),
		within:  cmd.Flags().Duration("within", 10*time.Second, "with --bench: how long a tag may take"),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return o.run(cmd) }
	cmd.AddCommand(networkCommand())
	return cmd
}

// siteOptions are the flags of check.
type siteOptions struct {
	agentAt
	asJSON, all, bench *bool
	outage, source     *string
	within             *time.Duration
}

func (o siteOptions) run(cmd *cobra.Command) error {
	away, err := days(*o.outage)
	if err != nil {
		return usageError{err}
	}
	if !slices.Contains([]string{"", byAuto, byBinlog, byPoll, byNone}, *o.source) {
		return usageError{fmt.Errorf("--source %q is none of auto, binlog, polling, off", *o.source)}
	}
	c, err := loadConfig(*o.config)
	if err != nil {
		return err
	}
	if *o.bench {
		return checkBench(cmd, benchLook{agentAt: o.agentAt, cfg: c, within: max(*o.within, time.Second)}, *o.asJSON)
	}
	c.Capture.Source = cmp.Or(*o.source, c.Capture.Source)
	r := newSiteCheck(cmd.Context(), c, away)
	if *o.asJSON {
		err = printJSON(cmd.OutOrStdout(), r)
	} else {
		err = r.print(cmd.OutOrStdout(), *o.all)
	}
	if err == nil && !r.Fits {
		err = errors.New("check: the database does not fit")
	}
	return err
}

// days reads a duration that may be in days.
func days(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if n, isDays := strings.CutSuffix(text, "d"); isDays {
		var count int
		count, err = strconv.Atoi(n)
		d = time.Duration(min(count, mostDays+1)) * 24 * time.Hour
	}
	if err != nil || d <= 0 || d > mostDays*24*time.Hour {
		return 0, fmt.Errorf("--outage %q is no duration: write a number with its unit, such as 72h or 7d", text)
	}
	return d, nil
}

// siteCheck is what check tells.
type siteCheck struct {
	Source   string         `json:"source"`        // what is configured
	Way      check.Way      `json:"way,omitempty"` // that changes are captured by then; none if it doesn't fit or is off
	Fits     bool           `json:"fits"`
	Why      string         `json:"why"`
	Accounts []checkAccount `json:"accounts"`
	Ways     []checkWay     `json:"ways"`   // of Buylo's table
	Tables   []checkTable   `json:"tables"` // the customer's own
	Bench    []string       `json:"bench"`  // warnings: what nobody can do with the readers and buttons configured
}

// checkAccount is one account, with what it sees.
type checkAccount struct {
	Field string       `json:"field"` // of the configuration: "mysql.user"
	Facts *check.Facts `json:"facts"` // nil if it can't be asked
	names string
}

// checkWay is one way.
type checkWay struct {
	Way      check.Way       `json:"way"`
	Used     bool            `json:"used"` // or one of those among which "auto" chooses
	Fits     bool            `json:"fits"`
	Findings []check.Finding `json:"findings"`
}

// captureWays are the ways to find changes, the best first.
func captureWays() []check.Way { return []check.Way{check.Binlog, check.Polling} }

func newSiteCheck(ctx context.Context, c *config, outage time.Duration) *siteCheck {
	r := &siteCheck{Source: c.Capture.Source, Tables: []checkTable{}, Bench: c.lacking()}
	used := captureWays()
	if r.Source != byAuto {
		used = slices.DeleteFunc(used, func(w check.Way) bool { return string(w) != r.Source })
	}
	rest := slices.DeleteFunc(captureWays(), func(w check.Way) bool { return slices.Contains(used, w) })
	w := check.Wanted{Outage: outage, ByGTID: c.Capture.Mode == "gtid", Workspaces: []string{ownSchema}}
	if schema, table, ok := strings.Cut(c.MySQL.MapTable, "."); ok {
		w.Needs = append(w.Needs, check.Need{Table: check.Table{Schema: schema, Name: table}, Rights: []string{"SELECT"}})
	}
	var found []check.Finding
	one := c.Capture.User == c.MySQL.User
	w.Ways, w.Serves = []check.Way{check.Packing}, []check.Way{check.Packing}
	if one {
		w.Ways, w.Serves, w.Needs = slices.Concat(w.Ways, used, rest), slices.Concat(w.Serves, used), slices.Concat(w.Needs, c.needs())
	}
	found = append(found, r.look(ctx, c, "mysql.user", c.MySQL.User, c.MySQL.PasswordFile, w)...)
	if !one {
		w.Ways, w.Serves, w.Needs = slices.Concat(used, rest), used, c.needs()
		found = append(found, r.look(ctx, c, "capture.user", c.Capture.User, c.Capture.PasswordFile, w)...)
	}
	for _, way := range slices.Concat([]check.Way{check.Packing}, used, rest) {
		list := slices.DeleteFunc(slices.Clone(found), func(f check.Finding) bool { return f.Way != way })
		r.Ways = append(r.Ways, checkWay{way, way == check.Packing || slices.Contains(used, way), check.Usable(list, way), list})
	}
	r.choose()
	r.lookAtTables(ctx, c, w)
	return r
}

// look asks as one account. If that can't be done, it is the one finding of each way.
func (r *siteCheck) look(ctx context.Context, c *config, field, user string, password secret, w check.Wanted) (found []check.Finding) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	facts, err := c.lookAs(ctx, user, password)
	a := checkAccount{Field: field, Facts: facts, names: user}
	if err == nil {
		found = check.Judge(facts, w)
		a.names = fmt.Sprintf("%s@%s", facts.User, facts.Host)
	}
	r.Accounts = append(r.Accounts, a)
	for _, way := range w.Ways {
		if err == nil {
			break
		}
		found = append(found, check.Finding{
			Code: string(way) + ".login", Way: way, State: check.Fault, Fact: oneLine(fmt.Sprintf("the database can't be asked as %s (%s): %v", user, field, err)),
			Why: "nothing else can be told before that", Advice: "station-agent check network names the hop that fails",
		})
	}
	return found
}

// openAs opens one connection. The one who calls closes it.
func (c *config) openAs(user string, password secret) (*sql.DB, error) {
	m, err := c.mysqlAs(user, password)
	if err != nil {
		return nil, err
	}
	m.Next, m.MaxConns = c.MySQL.next(user, password), 1
	return mysql.Open(m)
}

func (c *config) lookAs(ctx context.Context, user string, password secret) (*check.Facts, error) {
	db, err := c.openAs(user, password)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	facts, err := check.Look(ctx, db, check.Buylo(c.MySQL.Schema))
	if err != nil {
		return nil, mysql.Explain(err)
	}
	return facts, nil
}

// choose tells which way changes are captured by, and whether that and packing fit.
func (r *siteCheck) choose() {
	packing := r.Ways[0].Fits
	var better []string // and why they won't do
	for _, w := range r.Ways[1:] {
		switch {
		case !w.Used || r.Way != "":
		case w.Fits:
			r.Way = w.Way
		default:
			better = append(better, fmt.Sprintf("%s won't do: %s", w.Way, w.worst()))
		}
	}
	r.Fits = packing && (r.Way != "" || r.Source == byNone)
	switch {
	case !packing:
		r.Why = "packing won't do: " + r.Ways[0].worst()
	case r.Source == byNone:
		r.Why = "nothing is captured (capture.source is off)"
	case r.Way != "" && r.Source == byAuto:
		r.Why = strings.Join(append([]string{fmt.Sprintf("auto takes %s: %s", r.Way, merit(r.Way))}, better...), "; ")
	case r.Way != "":
		r.Why = fmt.Sprintf("changes are captured by %s", r.Way)
	default:
		r.Why = strings.Join(better, "; ")
	}
}

func merit(w check.Way) string {
	return map[check.Way]string{
		check.Binlog:  "it sees every change as it is committed, deletes too",
		check.Polling: "it needs no more than the right to read the table",
	}[w]
}

// worst is the first of what doesn't fit.
func (w checkWay) worst() string {
	return w.Findings[0].Fact
}

// print shows a person what to do: for each way what doesn't fit, the worst first.
func (r *siteCheck) print(out io.Writer, all bool) error {
	for _, a := range r.Accounts {
		if a.Facts != nil {
			fmt.Fprintln(out, oneLine(fmt.Sprintf("%s, asked as %s (%s)", a.Facts.Server, a.names, a.Field)))
		}
	}
	for _, w := range r.Ways {
		w.print(out, all)
	}
	for i := range r.Tables {
		r.Tables[i].print(out, all)
	}
	for _, text := range r.Bench {
		fmt.Fprintln(out, "bench, warning:", oneLine(text))
	}
	_, err := fmt.Fprintf(out, "\n%s: %s\n", map[bool]string{true: "fits", false: "DOES NOT FIT"}[r.Fits], oneLine(r.Why))
	return err
}

// tally counts findings by their state.
func tally(list []check.Finding) string {
	count := map[check.State]int{}
	for _, f := range list {
		count[f.State]++
	}
	var sum []string
	for _, s := range []check.State{check.Fault, check.Warning, check.Unknown, check.OK} {
		if count[s] > 0 {
			sum = append(sum, fmt.Sprintf("%s %d", s, count[s]))
		}
	}
	return strings.Join(sum, ", ")
}

func (w checkWay) print(out io.Writer, all bool) {
	not := ""
	if !w.Used {
		not = "not used; "
	}
	fmt.Fprintf(out, "\n%s (%s%s)\n", w.Way, not, tally(w.Findings))
	if w.Used || all {
		printFindings(out, w.Findings, all)
	}
}

func printFindings(out io.Writer, list []check.Finding, all bool) {
	for _, f := range list {
		if f.State != check.OK || all {
			printFinding(out, f)
		}
	}
}

func printFinding(out io.Writer, f check.Finding) {
	state := string(f.State)
	if f.State != check.OK {
		state = strings.ToUpper(state)
	}
	fmt.Fprintf(out, "  %-7s  %s  [%s]\n", state, oneLine(f.Fact), f.Code)
	if f.Why != "" {
		fmt.Fprintf(out, "           why: %s\n", oneLine(f.Why))
	}
	if len(f.Fix) > 0 {
		fmt.Fprintf(out, "           mend, as %s:\n", f.Who)
	}
	for _, s := range f.Fix {
		fmt.Fprintf(out, "             %s;\n", oneLine(s))
	}
	if len(f.Config) > 0 {
		fmt.Fprintln(out, "           and in the server's configuration file, below [mysqld]:")
	}
	for _, s := range f.Config {
		fmt.Fprintf(out, "             %s\n", oneLine(s))
	}
	if f.Advice != "" {
		fmt.Fprintf(out, "           → %s\n", oneLine(f.Advice))
	}
}
