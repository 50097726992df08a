package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"station-agent/uplink/fleet/watch"
)

func fleetWatchCommand(a *fleetAt) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Show how all stations stand, those with trouble first",
		Long: "Show how all stations stand, those with trouble first. In a terminal it goes on until q: / filters (words; :lost and the like " +
			"for a standing), j and k move, a acknowledges the trouble at hand until it clears, m puts its stations under maintenance. Without a " +
			"terminal it prints the table once. What many stations have at the same time is one line. Standings: " + allStandings() + ".",
		Args: noArgs,
	}
	var filter watch.Filter
	text := cmd.Flags().String("filter", "", "show only stations with these `WORDS` in name, uuid, standing or trouble; :lost for a standing")
	states := cmd.Flags().StringSlice("state", nil, "show only stations with these `STANDINGS`")
	asJSON := cmd.Flags().Bool("json", false, "print a JSON object for each station")
	on := cmd.Flags().Bool("follow", false, "with --json: go on, a line for each change")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *on && !*asJSON {
			return usageError{fmt.Errorf("--follow goes with --json: see %s --help", cmd.CommandPath())}
		}
		filter = parseFilter(*text)
		for _, s := range *states {
			if !slices.Contains(watch.Standings, watch.Standing(s)) {
				return usageError{fmt.Errorf("--state: %q is none of %s", s, allStandings())}
			}
			filter.Standings = append(filter.Standings, watch.Standing(s))
		}
		w, err := a.follow(1)
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		t := openTerminal(cmd.InOrStdin(), out)
		return w.during(cmd.Context(), func(ctx context.Context) error {
			switch {
			case *asJSON:
				return w.lines(ctx, out, filter, *on)
			case t != nil:
				return ended(ctx, newScreen(w, t, *text, filter.Standings).run(ctx))
			}
			return w.table(ctx, out, filter)
		})
	}
	return cmd
}

func allStandings() string {
	var list []string
	for _, s := range watch.Standings {
		list = append(list, string(s))
	}
	return strings.Join(list, ", ")
}

// parseFilter reads words; one that begins with a colon is the beginning of a standing.
func parseFilter(text string) (f watch.Filter) {
	var words []string
	for _, word := range strings.Fields(text) {
		begin, ok := strings.CutPrefix(word, ":")
		if !ok {
			words = append(words, word)
			continue
		}
		for _, s := range watch.Standings {
			if begin != "" && strings.HasPrefix(string(s), strings.ToLower(begin)) {
				f.Standings = append(f.Standings, s)
			}
		}
	}
	f.Text = strings.Join(words, " ")
	return f
}

// table prints all once.
func (w *follower) table(ctx context.Context, out io.Writer, filter watch.Filter) error {
	if err := w.settled(ctx); err != nil {
		return ended(ctx, err)
	}
	v := w.view()
	for _, line := range draw(picture{view: v, filter: filter, away: w.why(), environment: w.cfg.Environment}) {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

// why tells why the broker isn't there, "" if it is.
func (w *follower) why() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away == nil {
		return ""
	}
	return oneLine(w.away.Error())
}

// judgeEvery is how often who follows looks for what changes by time alone: who is silent by now, or closed.
const judgeEvery = time.Second

// lines prints a JSON object for each station, and with on one for each change.
func (w *follower) lines(ctx context.Context, out io.Writer, filter watch.Filter, on bool) error {
	if err := w.settled(ctx); err != nil {
		return ended(ctx, err)
	}
	v := w.view()
	told := map[string]string{}
	tell := func(rows []watch.Row) error {
		for _, r := range rows {
			now := face(r)
			if told[r.Station] == now {
				continue
			}
			told[r.Station] = now
			if filter.Takes(r) {
				if err := printJSON(out, r); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := tell(v.Rows); err != nil || !on {
		return err
	}
	every := time.NewTicker(judgeEvery)
	defer every.Stop()
	for {
		var rows []watch.Row
		select {
		case <-ctx.Done():
			return nil
		case <-w.dirty:
			rows = w.take()
		case <-every.C:
			rows = w.view().Rows
			there := make(map[string]bool, len(rows))
			for _, r := range rows {
				there[r.Station] = true
			}
			maps.DeleteFunc(told, func(id, _ string) bool { return !there[id] })
		}
		if err := tell(rows); err != nil {
			return err
		}
	}
}

// take judges the stations that said something since the last time.
func (w *follower) take() (rows []watch.Row) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for id := range w.changed {
		if r, ok := w.fleet.Row(id, now); ok {
			rows = append(rows, r)
		}
	}
	clear(w.changed)
	return rows
}

// face is what a row has to change in to be told again: all but what time does.
func face(r watch.Row) string {
	var b strings.Builder
	fmt.Fprint(&b, r.Standing, r.Name, r.Maintenance != nil, len(r.Gaps), r.Instances)
	if r.State != nil {
		fmt.Fprint(&b, r.State.Session, r.State.Connection, r.State.Version)
	}
	if r.Event != nil {
		fmt.Fprint(&b, r.Event.Store, r.Event.Seq)
	}
	for _, t := range r.Troubles {
		fmt.Fprint(&b, "\n", t.Code, t.Name, t.Text, t.Since.Unix(), t.Acknowledged)
	}
	return b.String()
}
