package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"station-agent/station"
	"station-agent/store/record"
)

// tape is what keeps the last of what went on at the bench; nil if nothing is to be kept.
func (c *config) tape() *station.Tape {
	if c.Status.RecordingKB == 0 {
		return nil
	}
	t := &station.Tape{Max: c.Status.RecordingKB << 10, Version: version}
	for _, r := range c.Readers {
		t.Readers = append(t.Readers, r.taped())
	}
	return t
}

func (r readerConfig) taped() station.TapedReader {
	return station.TapedReader{Name: r.Name, Kind: station.Kind(r.Kind), Prefix: r.Prefix, Codec: r.Protocol}
}

// tapeDesk hands out what the tape keeps.
type tapeDesk struct{ tape *station.Tape }

func (d tapeDesk) serve(look, control *http.ServeMux) {
	control.HandleFunc("POST /recording", answer(d.write))
	look.HandleFunc("GET /listen", answer(d.listen))
}

var errNoTape = errors.New("nothing is kept: status.recording_kb is 0: set it and restart the agent")

func (d tapeDesk) write(w http.ResponseWriter, _ *http.Request) error {
	if d.tape == nil {
		return errNoTape
	}
	return d.tape.Write(patient{w})
}

// listen hands on what one reader says until the asker goes.
func (d tapeDesk) listen(w http.ResponseWriter, r *http.Request) error {
	if d.tape == nil {
		return errNoTape
	}
	name := r.FormValue("reader")
	if !slices.ContainsFunc(d.tape.Readers, func(t station.TapedReader) bool { return t.Name == name }) {
		return fmt.Errorf("listen: the running agent has no reader %q: restart it if the configuration names one now", name)
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(noTime) // its end would look like that of the asker
	heard := make(chan station.Heard, 64)
	defer d.tape.Follow(name, heard)()
	w.WriteHeader(http.StatusOK)
	for {
		if err := rc.Flush(); err != nil {
			return nil // the asker has gone
		}
		select {
		case h := <-heard:
			if err := printJSON(patient{w}, h); err != nil {
				return nil
			}
		case <-r.Context().Done():
			return nil
		}
	}
}

func recordingCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recording FILE",
		Short: "Write what the running agent kept of the last scans, for support: replay runs it again",
		Long: "Write what the running agent kept of what went on at the bench: bytes of the readers, tags, verdicts, changes of the rows.\n" +
			"Badges stand in it by their pseudonyms, command codes by the commands' names; secrets are not in it. FILE - is the standard output.",
		Args: oneArg("recording takes the FILE to write, - for the standard output"),
	}
	a := agentFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		res, err := a.request(cmd.Context(), http.MethodPost, "/recording", nil)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if args[0] == "-" {
			_, err = io.Copy(cmd.OutOrStdout(), res.Body)
			return err
		}
		out, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("write recording: %w", err)
		}
		n, err := io.Copy(out, res.Body)
		if err := errors.Join(err, out.Close()); err != nil {
			return fmt.Errorf("write recording: %w", err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bytes: station-agent replay %s runs it again\n", args[0], n, args[0])
		return nil
	}
	return cmd
}

func replayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Run a recording again, and compare what the bench told then with what it tells now",
		Long: "Run a recording of station-agent recording or listen --record again: through the codecs and the bench, with the rows, labels\n" +
			"and times as they were. It needs no configuration, agent or network. Exit code 1: something differs.",
		Args: oneArg("replay takes the FILE of a recording"),
	}
	only := cmd.Flags().Bool("differences", false, "print only what differs")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f, err := os.Open(args[0])
		if err != nil {
			return fmt.Errorf("read recording: %w", err)
		}
		defer f.Close()
		all, differ := 0, 0
		err = station.Replay(f, func(a station.Answer) {
			if all++; a.Differ != "" {
				differ++
			} else if *only {
				return
			}
			fmt.Fprintln(cmd.OutOrStdout(), oneLine(answerLine(a)))
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%d answers, %d differ\n", all, differ)
		if differ > 0 {
			return fmt.Errorf("replay %s: %d of %d answers differ", args[0], differ, all)
		}
		return nil
	}
	return cmd
}

// answerLine is one answer in one line: as it is now, and if it differs as it was then.
func answerLine(a station.Answer) string {
	text := clockOf(a.At)
	if a.Now != nil {
		text += "  " + scanText(*a.Now)
	}
	if a.Differ == "" {
		return text
	}
	text += "  DIFFERS: " + a.Differ
	if a.Then != nil {
		text += "; then: " + scanText(*a.Then)
	}
	return text
}

func scanText(s record.Scan) string {
	text := fmt.Sprintf("%s  %q", s.Reader, s.Code)
	switch {
	case s.Verdict == "" && s.Bad != "":
		return text + "  no code: " + s.Bad
	case s.Verdict == "":
		return text
	}
	text += "  " + string(s.Verdict)
	if s.Step != "" {
		text += ", " + string(s.Step)
	}
	return text + "  " + s.Text
}

// passed is a moment of a recording that begins with the command.
func passed(began time.Time) time.Duration { return time.Since(began).Round(time.Microsecond) }

// clockOf is a moment of a recording: seconds since the boot, or since the command.
func clockOf(at time.Duration) string { return fmt.Sprintf("%9.3f s", at.Seconds()) }
