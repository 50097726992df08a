package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"station-agent/store/record"
	"station-agent/uplink/fleet/message"
	"station-agent/uplink/fleet/watch"
)

func fleetShowCommand(a *fleetAt) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show STATION",
		Short: "Show everything about one station",
		Long: "Show everything about one station, by uuid or name: how it stands, its alarms, its health and the events that pass meanwhile. The broker " +
			"keeps state and alarms; for the health it waits until the station tells it next.",
		Args: oneStation,
	}
	wait := cmd.Flags().Duration("wait", 35*time.Second, "for how long to wait for the station's health; 0s: don't")
	asJSON := cmd.Flags().Bool("json", false, "print everything, as JSON")
	on := cmd.Flags().Bool("follow", false, "go on and print events as they come")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		w, err := a.follow(200)
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		return w.during(cmd.Context(), func(ctx context.Context) error {
			if err := w.settled(ctx); err != nil {
				return ended(ctx, err)
			}
			rows, err := w.find(args[0], false)
			if err != nil {
				return err
			}
			r, events := w.healthy(ctx, rows[0].Station, *wait)
			if *asJSON {
				err = printJSON(out, struct {
					watch.Row
					Events []message.Event `json:"events"`
				}{r, events})
			} else {
				err = showStation(out, r, events)
			}
			if err != nil || !*on {
				return err
			}
			return w.events(ctx, out, r.Station, events, *asJSON)
		})
	}
	return cmd
}

// healthy waits until a station that works has told its health, or for so long.
func (w *follower) healthy(ctx context.Context, id string, wait time.Duration) (watch.Row, []message.Event) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		w.mu.Lock()
		r, _ := w.fleet.Row(id, time.Now())
		events := w.fleet.Events(id)
		w.mu.Unlock()
		if r.Health != nil || r.State == nil || r.State.State == message.Lost || r.State.State == message.Disconnected || ctx.Err() != nil {
			return r, append([]message.Event{}, events...)
		}
		select {
		case <-w.dirty:
		case <-ctx.Done():
		}
	}
}

// events prints those that come, until ctx ends.
func (w *follower) events(ctx context.Context, out io.Writer, id string, told []message.Event, asJSON bool) error {
	known := map[string]bool{}
	name := func(e message.Event) string { return fmt.Sprint(e.Store, " ", e.Seq) }
	for _, e := range told {
		known[name(e)] = true
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.dirty:
		}
		w.mu.Lock()
		events := w.fleet.Events(id)
		w.mu.Unlock()
		for _, e := range events {
			if known[name(e)] {
				continue
			}
			known[name(e)] = true
			var err error
			if asJSON {
				err = printJSON(out, e)
			} else {
				_, err = fmt.Fprintln(out, eventLine(e))
			}
			if err != nil {
				return err
			}
		}
	}
}

// eventLine is an event for a person.
func eventLine(e message.Event) string {
	when := e.At.Local().Format(time.DateTime)
	if !e.ClockTrusted {
		when = "~" + when
	}
	late := map[bool]string{true: " (told late)"}[e.Historical]
	return fmt.Sprintf("%s  #%d %s %s %s: %s%s", when, e.Seq, e.Severity, e.Kind, cmp.Or(e.Code, e.Name), e.Text, late)
}

// showStation prints everything: trouble first.
func showStation(out io.Writer, r watch.Row, events []message.Event) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", what, oneLine(fmt.Sprintf(format, args...)))
	}
	line("station", "%s (%s), environment %s", r.Name, r.Station, r.Environment)
	if s := r.State; s != nil {
		line("state", "%s for %s; session %d, connection %d, version %s", r.Standing, short(r.ForS), s.Session, s.Connection, s.Version)
		if len(s.Hours) > 0 {
			line("open", "%v %s", s.Hours, s.TimeZone)
		}
	} else {
		line("state", "%s", r.Standing)
	}
	if r.Maintenance != nil {
		line("maintenance", "%s", *r.Maintenance)
	}
	if len(r.Instances) > 1 {
		line("instances", "%v gave signs of life in the last minutes", r.Instances)
	}
	for _, t := range r.Troubles {
		note := ""
		if t.LeftS != nil {
			note += ", " + short(*t.LeftS) + " left"
		}
		if t.Over {
			note += ", over if it stays so"
		}
		if t.Acknowledged {
			note += ", acknowledged"
		}
		line(string(t.Severity), "%s, %s for %s%s: %s", t.Code, t.Name, span(t.ForS, t.Exact), note, t.Text)
		if t.Hint != "" {
			line("", "→ %s", t.Hint)
		}
	}
	if h := r.Health; h != nil {
		showHealth(line, h, *r.HealthAgeS)
	} else {
		line("health", "none was heard")
	}
	for _, g := range r.Gaps {
		line("gap", "events %d to %d did not come", g.From, g.To)
	}
	for _, e := range events {
		line("event", "%s", eventLine(e))
	}
	return w.Flush()
}

func showHealth(line func(what, format string, args ...any), h *message.Health, age float64) {
	line("health", "told %s ago; agent %s up %s, board %s; %.1f MB; clock %s", short(age), h.Version, short(h.UptimeS), short(h.BootS), h.RSSMB,
		map[bool]string{true: "synchronised", false: "not synchronised"}[h.ClockTrusted])
	line("bench", "%d scans, the last %s; %d call-backs waiting", h.Scans, maybeAgo(h.LastScanS), h.CallBacks)
	line("database", "%d assignments waiting, %d need a person; last one settled %s; rows read %s", h.IntentsOpen, h.IntentsParked, maybeAgo(h.LastSettledS), maybeAgo(h.RowsAgeS))
	for _, c := range h.Capture {
		line("capture", "%s by %s%s", c.Table, c.Way, behind(c.LagS))
	}
	line("certyo", "%d records unsent%s, %d not anchored yet%s%s, %d dead letters%s%s", h.QueueRecords, oldest(h.OldestUnsentS), h.Unanchored, oldest(h.OldestUnanchoredS),
		standings(record.Tally(h.Anchoring)), h.DeadLetters, oldest(h.OldestDeadS), some(h.Unverified, "given up unverified"))
	for _, l := range h.Lanes {
		line("lane", "%s: %d records", l.Lane, l.Records)
	}
	card := size(h.StoreBytes) + " of the store"
	if h.DiskFreeBytes != nil {
		card += ", " + size(*h.DiskFreeBytes) + " free"
	}
	if h.WrittenTodayBytes != nil {
		card += ", " + size(*h.WrittenTodayBytes) + " written today"
	}
	line("card", "%s", card)
	board := h.System
	if h.TemperatureC != nil {
		board += fmt.Sprintf(", %.1f °C", *h.TemperatureC)
	}
	if h.Undervoltage != nil && *h.Undervoltage {
		board += ", its supply was too weak"
	}
	if h.Throttled != nil && *h.Throttled {
		board += ", it was slowed down"
	}
	line("board", "%s", board)
	for _, r := range h.Readers {
		line("reader", "%s: %s, last read %s, %d damaged frames", r.Name, map[bool]string{true: "works", false: "AWAY"}[r.OK], maybeAgo(r.LastReadS), r.BadFrames)
	}
}
