package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"station-agent/uplink/fleet/message"
)

func fleetRemoveCommand(a *fleetAt) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove STATION",
		Short: "Clear what the broker keeps of a station that is gone for good",
		Long: "Clear what the broker keeps of a station (by uuid or name) that is gone for good, after asking. One that still works would be back with " +
			"its next word: stop it first. The account needs the right to write these topics (role keeper of the list of rights).",
		Args: oneStation,
	}
	yes := cmd.Flags().Bool("yes", false, "don't ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		w, err := a.follow(1)
		if err != nil {
			return err
		}
		return w.during(cmd.Context(), func(ctx context.Context) error {
			if err := w.settled(ctx); err != nil {
				return err
			}
			rows, err := w.find(args[0], false)
			if err != nil {
				return err
			}
			r := rows[0]
			if s := r.State; s != nil && (s.State == message.Init || s.State == message.Ready || s.State == message.Alert) {
				return fmt.Errorf("remove station %s (%s): it works (%s): stop its agent first", r.Name, r.Station, s.State)
			}
			if !*yes {
				fmt.Fprintf(cmd.OutOrStdout(), "Remove station %s (%s), %s for %s? [y/N] ", r.Name, r.Station, r.Standing, short(r.ForS))
				said, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
				if strings.ToLower(strings.TrimSpace(said)) != "y" {
					return errors.New("remove station: not confirmed, nothing was done")
				}
			}
			return w.remove(ctx, r.Station)
		})
	}
	return cmd
}

// remove clears the retained topics and looks whether they are: a broker may acknowledge what it forbids.
func (w *follower) remove(ctx context.Context, station string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	desk, _, err := w.atDesk(ctx)
	if err != nil {
		return fmt.Errorf("remove station: %w", err)
	}
	p := message.Place{Environment: w.cfg.Environment, Station: station}
	for _, leaf := range slices.Backward(message.Retained) { // the state last: with it the station goes
		if err := desk.Say(ctx, p.Topic(leaf), nil, 1, true); err != nil {
			return fmt.Errorf("remove station: %w", err)
		}
	}
	for {
		w.mu.Lock()
		r, there := w.fleet.Row(station, w.last)
		w.mu.Unlock()
		if !there || r.State == nil {
			return nil
		}
		select {
		case <-w.dirty:
		case <-ctx.Done():
			return fmt.Errorf("remove station %s: the broker keeps it: this account may not write its topics, or the station is still alive", station)
		}
	}
}
