package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	cmds "station-agent/uplink/fleet/command"
	"station-agent/uplink/fleet/message"
	"station-agent/uplink/fleet/watch"
)

// The exit codes of fleet send.
const (
	exitRefused   = 3
	exitNotDone   = 4
	exitNoAnswer  = 5
	sendAtOnce    = 16
	defaultAnswer = 2 * time.Minute
)

// outcome is a command that did not end well, with its exit code.
type outcome struct {
	code int
	error
}

func fleetSendCommand(a *fleetAt) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "send STATION COMMAND [ARG=VALUE | FILE]...",
		Short: "Give a station a command and wait for its answer",
		Long: "Give a station (by uuid or name) a command and wait for its answer. It is signed with --key; without a key it is sent unsigned, which a " +
			"station takes only where its configuration says so. STATION may be a pattern such as \"Line 2*\", with --yes. Commands: " +
			strings.Join(cmds.Names(), ", ") + ". set-config takes the FILE of the configuration, set-secret NAME FILE (- for standard input): " +
			"the secret is sealed so that this station alone can read it. diagnostics and other data that is no text for people goes into --out.\n\n" +
			"Exit codes: 0 done, 1 not sent, 3 refused, 4 tried and failed, 5 no answer; of several stations the highest one.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usageError{fmt.Errorf("%s takes a station and a command: see %s --help", cmd.CommandPath(), cmd.CommandPath())}
			}
			if _, ok := cmds.Needs(args[1]); !ok {
				return usageError{fmt.Errorf("%q is no command: %s are", args[1], strings.Join(cmds.Names(), ", "))}
			}
			return nil
		},
	}
	yes := cmd.Flags().Bool("yes", false, "send to all stations that the pattern means")
	wait := cmd.Flags().Duration("wait", defaultAnswer, "for how long to wait for an answer, and again after it says that it began")
	out := cmd.Flags().StringP("out", "o", "", "the `FILE` for data, such as the bundle of diagnostics (default: named after the station)")
	asJSON := cmd.Flags().Bool("json", false, "print the answer as JSON")
	keyID := cmd.Flags().String("key-id", "", "the `ID` by which stations know the key (default: as the key's file says)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := readOrder(args[1], args[2:], cmd.InOrStdin())
		if err != nil {
			return usageError{err}
		}
		w, err := a.follow(1)
		if err != nil {
			return err
		}
		s := &sender{w: w, wait: *wait, waiting: map[string]chan message.Result{}}
		if w.cfg.Key != "" {
			if s.id, s.key, err = readKey(w.cfg.Key, *keyID); err != nil {
				return err
			}
		}
		w.also = []string{message.Place{Environment: w.cfg.Environment, Station: "+"}.Topic(message.ResultLeaf)}
		w.said = s.hear
		return w.during(cmd.Context(), func(ctx context.Context) error {
			if err := w.settled(ctx); err != nil {
				return err
			}
			rows, err := w.find(args[0], *yes)
			if err != nil {
				return err
			}
			p := printer{out: cmd.OutOrStdout(), asJSON: *asJSON, file: *out, many: len(rows) > 1}
			return s.all(ctx, rows, o, &p)
		})
	}
	return cmd
}

// all gives every station the order, and the outcome that is worst.
func (s *sender) all(ctx context.Context, rows []watch.Row, o order, p *printer) error {
	var g errgroup.Group
	g.SetLimit(sendAtOnce)
	var mu sync.Mutex
	var worst outcome
	for _, r := range rows {
		g.Go(func() error {
			a, err := s.obey(ctx, message.Place{Environment: s.w.cfg.Environment, Station: r.Station}, o)
			mu.Lock()
			defer mu.Unlock()
			err = p.print(r, a, err)
			if bad, ok := errors.AsType[outcome](err); ok {
				if bad.code > worst.code {
					worst = bad
				}
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil || worst.code == 0 {
		return err
	}
	if len(rows) > 1 {
		worst.error = fmt.Errorf("send %s: not done at every station, see above", o.name)
	}
	return worst
}

// printer shows what became of a command.
type printer struct {
	out    io.Writer
	asJSON bool
	file   string
	many   bool
}

// print shows one answer, or why there is none.
func (p *printer) print(r watch.Row, a answered, err error) error {
	who := r.Name
	if err != nil {
		if p.many {
			fmt.Fprintf(p.out, "%s: %s\n", who, oneLine(err.Error()))
		}
		return err
	}
	if a.file != nil {
		name := p.file
		switch {
		case name == "":
			name = a.Command + "-" + r.Station + ".tar.gz"
		case p.many:
			name = r.Station + "-" + name
		}
		if err := os.WriteFile(name, a.file, 0o600); err != nil {
			return fmt.Errorf("write what %s sent: %w", who, err)
		}
		a.Text, a.Data = strings.TrimSpace(a.Text+" written to "+name), nil
	}
	if p.asJSON {
		err = printJSON(p.out, struct {
			Station string `json:"station"`
			message.Result
		}{r.Station, a.Result})
	} else {
		_, err = fmt.Fprintf(p.out, "%s: %s: %s\n", oneLine(who), a.Status, oneLine(a.Text))
		if len(a.Data) > 0 && string(a.Data) != "null" {
			_, err = fmt.Fprintf(p.out, "%s\n", oneLine(string(a.Data)))
		}
	}
	switch {
	case err != nil:
		return err
	case a.Status == message.Refused:
		return outcome{exitRefused, fmt.Errorf("send %s: %s refused it: %s", a.Command, oneLine(who), oneLine(a.Text))}
	case a.Status != message.Done:
		return outcome{exitNotDone, fmt.Errorf("send %s: it failed at %s: %s", a.Command, oneLine(who), oneLine(a.Text))}
	}
	return nil
}
