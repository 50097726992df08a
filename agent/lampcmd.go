package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"station-agent/station/feedback"
	"station-agent/station/gpio"
)

// lampDesk lets a person play the lamps of the running agent.
type lampDesk struct {
	player  *feedback.Player // nil without outputs
	outputs []outputConfig
}

// lampAnswer is what is played, on what, and for how long.
type lampAnswer struct {
	Lamps   []string `json:"lamps"`
	Seconds float64  `json:"seconds"` // 0 if it is not the lamp test
}

func (d lampDesk) change(mux *http.ServeMux) {
	mux.HandleFunc("POST /lamp-test", answer(d.test))
	mux.HandleFunc("POST /mute", answer(d.mute))
}

func (d lampDesk) test(w http.ResponseWriter, r *http.Request) error {
	if d.player == nil {
		return errNoOutput
	}
	a := lampAnswer{}
	for _, o := range d.outputs {
		a.Lamps = append(a.Lamps, o.String())
	}
	if signal := r.FormValue("signal"); signal == "" || signal == feedback.LampTest {
		a.Seconds = d.player.Test().Seconds()
	} else if err := d.player.Play(signal); err != nil {
		return err
	}
	return writeJSON(w, a)
}

func (d lampDesk) mute(_ http.ResponseWriter, r *http.Request) error {
	if d.player == nil {
		return errNoOutput
	}
	quiet, err := strconv.ParseBool(r.FormValue("quiet"))
	if err != nil {
		return fmt.Errorf("mute: %w", err)
	}
	d.player.Mute(quiet)
	return nil
}

func lampTestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lamp-test [SIGNAL]",
		Short: "Light the lamps of the running agent one after another, then all of them and the buzzer; or show one SIGNAL",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("lamp-test takes one SIGNAL: put %q into quotes", strings.Join(args, " "))}
			}
			return nil
		},
	}
	a := agentFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		signal := strings.Join(args, "")
		body, err := a.ask(cmd.Context(), http.MethodPost, "/lamp-test?signal="+url.QueryEscape(signal), nil)
		if err != nil {
			return err
		}
		var played lampAnswer
		if err := json.Unmarshal(body, &played); err != nil {
			return fmt.Errorf("read answer: %w: is the agent of another version?", err)
		}
		if played.Seconds > 0 {
			signal = fmt.Sprintf("red, yellow, green, blue, white, then all and the buzzer, in %.1f s", played.Seconds)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s; outputs: %s\n", signal, strings.Join(played.Lamps, ", "))
		return err
	}
	return cmd
}

func muteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mute",
		Short: "Silence the fault or call-back that sounds now; what is new is heard again",
		Args:  noArgs,
	}
	a := agentFlags(cmd)
	off := cmd.Flags().Bool("off", false, "let it sound again")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, err := a.ask(cmd.Context(), http.MethodPost, "/mute?quiet="+strconv.FormatBool(!*off), nil)
		return err
	}
	return cmd
}

func lampsOffCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lamps-off",
		Short: "Make all lamps dark while no agent runs, as after a crash (ExecStopPost= of the service)",
		Args:  noArgs,
	}
	file := configFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		c, err := loadConfig(*file)
		if err != nil {
			return err
		}
		return c.darken(gpio.Host{})
	}
	return cmd
}

// darken makes every output dark, also if one of them fails.
func (c *config) darken(h gpio.Host) (all error) {
	for _, o := range c.Outputs {
		out, err := h.Output(o.Pin, o.ActiveLow)
		if err == nil {
			err = out.Close()
		}
		switch {
		case all == nil:
			all = err
		case err != nil: // one line for all
			all = fmt.Errorf("%w; %w", all, err)
		}
	}
	return all
}

func patternsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "patterns [SIGNAL]",
		Short: "Print what lamps and buzzer show for each signal, as it may stand in the configuration",
		Args:  cobra.MaximumNArgs(1),
	}
	file := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := loadConfig(*file)
		if err != nil {
			return err
		}
		book, err := c.book()
		if err != nil {
			return err
		}
		if len(args) > 0 && !book.Has(args[0]) {
			return usageError{fmt.Errorf("%q is no signal: station-agent patterns lists them", args[0])}
		}
		for _, p := range book.Patterns() {
			if len(args) == 0 || p.Signal == args[0] {
				if err := printPattern(cmd.OutOrStdout(), p); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return cmd
}

// printPattern prints a pattern as a table of the configuration. Without a lamp it would be dark, so what is dark is left out.
func printPattern(w io.Writer, p feedback.Pattern) error {
	var b strings.Builder
	fmt.Fprintf(&b, "[[pattern]]\nsignal = %q\n", p.Signal)
	for i, text := range []string{p.Red, p.Yellow, p.Green, p.Blue, p.White, p.Sound} {
		if text != "" {
			fmt.Fprintf(&b, "%s = %q\n", feedback.LaneNames()[i], text)
		}
	}
	fmt.Fprintf(&b, "lasts = %q\n", p.Lasts)
	if p.Then != "" {
		fmt.Fprintf(&b, "then = %q\n", p.Then)
	}
	if p.Priority != 0 {
		fmt.Fprintf(&b, "priority = %d\n", p.Priority)
	}
	_, err := fmt.Fprintln(w, b.String())
	return err
}
