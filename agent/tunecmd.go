package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"station-agent/station"
	"station-agent/station/codec"
	"station-agent/station/serial"
)

const (
	tuneOpens  = 5 * time.Second // for the reader to be set up
	tuneStep   = 3.0             // dB
	tuneGlance = 2 * time.Second // at each power
	tuneMost   = 4096            // tags
)

// tuner looks through one reader, which nobody else may have open.
type tuner struct {
	reader station.Reader
	long   time.Duration
	step   bool
	in     *bufio.Reader
	out    io.Writer
}

func tuneCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tune READER",
		Short: "Find the limits of rssi, and the power, with which a reader sees its mat and not the neighbour's",
		Long: "Look through the reader of that name for some time with tags on the mat, then with tags at the neighbour's, and propose lines for its\n" +
			"[[reader]] table, or say what to do if the two can't be told apart. It opens the reader's port: stop the agent first. The reader is set\n" +
			"to the configured power_dbm and region; limits that are configured don't count. --step-power lowers the power first, as long as\n" +
			"every tag on the mat is seen. Lay on the mat what is hardest to read, in all the positions that occur.",
		Args: oneReader,
	}
	file := configFlag(cmd)
	seconds := cmd.Flags().Int("seconds", 30, "how long to look, at each place")
	step := cmd.Flags().Bool("step-power", false, "find the least power with which every tag on the mat is seen")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *seconds < 1 || *seconds > 3600 {
			return usageError{fmt.Errorf("--seconds %d is not between 1 and 3600", *seconds)}
		}
		c, err := loadConfig(*file)
		if err != nil {
			return err
		}
		r, err := c.tagReader(args[0])
		if err != nil {
			return err
		}
		t := tuner{long: time.Duration(*seconds) * time.Second, step: *step, in: bufio.NewReader(cmd.InOrStdin()), out: cmd.OutOrStdout()}
		t.reader = station.Reader{Port: serial.Config{Name: r.Name, Device: r.Device, Baud: r.Baud, Parity: r.Parity, Idle: r.Idle.value()},
			Protocol: r.Protocol, Prefix: r.Prefix, Kind: station.RFID, Settings: r.settings()}
		return t.run(cmd.Context())
	}
	return cmd
}

func oneReader(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{errors.New("tune takes the name of one reader of the configuration")}
	}
	return nil
}

// tagReader finds a reader of tags by its name.
func (c *config) tagReader(name string) (readerConfig, error) {
	var names []string
	for _, r := range c.Readers {
		if r.Kind != string(station.RFID) || r.types() {
			continue
		}
		if r.Name == name {
			return r, nil
		}
		names = append(names, r.Name)
	}
	if len(names) == 0 {
		return readerConfig{}, errors.New("tune: the configuration has no reader of tags at a serial port, only such can be tuned")
	}
	return readerConfig{}, fmt.Errorf("tune: %q is no reader of tags of the configuration: it has %s", name, strings.Join(names, ", "))
}

func (t *tuner) run(ctx context.Context) error {
	var found tuning
	err := t.ask(ctx, "Lay tags on the mat as they lie when you pack, none at the neighbour's, and press Enter.")
	if err == nil && t.step {
		found.Least, err = t.lower(ctx)
	}
	if err == nil {
		found.Mat, err = t.look(ctx, "the mat", t.long)
	}
	if err == nil {
		err = t.ask(ctx, "Take them off and lay them where the neighbour's lie, as near as they come, and press Enter.")
	}
	if err == nil {
		found.Neighbour, err = t.look(ctx, "the neighbour's", t.long)
	}
	if err != nil {
		return fmt.Errorf("tune: %w", err)
	}
	if s := t.reader.Settings; s != nil {
		found.Power = s.Power
	}
	p := found.propose()
	fmt.Fprintf(t.out, "\n%s\n", oneLine(p.Text))
	if !p.Apart {
		return errors.New("tune: there is nothing to propose")
	}
	fmt.Fprintf(t.out, "\nFor [[reader]] %s:\n\n", t.reader.Port.Name)
	for _, l := range p.Lines {
		fmt.Fprintln(t.out, l)
	}
	return nil
}

// ask waits for Enter.
func (t *tuner) ask(ctx context.Context, text string) error {
	fmt.Fprintln(t.out, text)
	pressed := make(chan error, 1)
	go func() { // it may wait for ever, for a person who pressed Ctrl-C instead
		_, err := t.in.ReadString('\n')
		pressed <- err
	}()
	select {
	case err := <-pressed:
		if err == io.EOF {
			return errors.New("nobody is at the terminal: run it by hand")
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lower finds the least power at which all is seen that is seen at the configured one, and leaves the reader at it. It tells whether
// less was too little.
func (t *tuner) lower(ctx context.Context) (least bool, err error) {
	s := t.reader.Settings
	if s == nil || s.Power == nil {
		return false, errors.New("--step-power needs power_dbm to begin with, of a reader that can be told it")
	}
	all, err := t.look(ctx, fmt.Sprintf("the mat, at %g dBm", *s.Power), tuneGlance)
	if err != nil || len(all) == 0 {
		return false, err
	}
	p, err := codec.Find(t.reader.Protocol)
	if err != nil {
		return false, err
	}
	for {
		good, less := *s, *s.Power-tuneStep
		if _, err := p.Commands.Power(less); err != nil {
			return false, nil
		}
		t.reader.Settings = &codec.Settings{Power: &less, Region: good.Region}
		some, err := t.look(ctx, fmt.Sprintf("the mat, at %g dBm", less), tuneGlance)
		if err != nil {
			return false, err
		}
		for _, tag := range all {
			if !slices.ContainsFunc(some, func(s sights) bool { return s.code == tag.code }) {
				fmt.Fprintf(t.out, "at %g dBm %s is not seen any more: %g dBm it is\n", less, tag.code, *good.Power)
				t.reader.Settings = &good
				return true, nil
			}
		}
		s = t.reader.Settings
	}
}

// look gathers what the reader sees in that time, from when it reads on.
func (t *tuner) look(ctx context.Context, where string, long time.Duration) ([]sights, error) {
	fmt.Fprintf(t.out, "Looking at %s for %v …\n", where, long)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reads, word, ended := make(chan station.Read), &lastWord{}, make(chan error, 1)
	go func() {
		ended <- t.reader.Run(ctx, reads, word)
		close(ended)
	}()
	seen, err := gather(ctx, reads, ended, long)
	cancel()
	<-ended
	switch {
	case errors.Is(err, errNotReading) && word.err != nil: // Run has ended: nobody writes it any more
		return nil, word.err
	case err != nil:
		return nil, err
	}
	list := slices.SortedFunc(maps.Values(seen), func(a, b sights) int { return strings.Compare(a.code, b.code) })
	for _, s := range list {
		fmt.Fprintf(t.out, "  %s  %d reads  %s\n", s.code, s.reads(), s.spread())
	}
	if len(list) == 0 {
		fmt.Fprintln(t.out, "  nothing was seen")
	}
	return list, nil
}

var errNotReading = errors.New("the reader does not begin to read")

// gather counts sights for so long, from when the reader is there.
func gather(ctx context.Context, reads <-chan station.Read, ended <-chan error, long time.Duration) (map[string]sights, error) {
	seen := map[string]sights{}
	var over <-chan time.Time
	late := time.After(tuneOpens)
	for {
		select {
		case r := <-reads:
			switch {
			case r.Back && over == nil:
				over, late = time.After(long), nil
			case over != nil && r.Code != "" && r.Bad == "": // before, it may be of a look that was ended
				note(seen, r)
			}
		case <-over:
			return seen, nil
		case <-late:
			return nil, errNotReading
		case err := <-ended:
			return nil, cmp.Or(err, ctx.Err())
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// note adds a sight.
func note(seen map[string]sights, r station.Read) {
	s, known := seen[r.Code]
	if !known {
		if len(seen) == tuneMost {
			return
		}
		s = sights{r.Code, map[int]int{}}
		seen[r.Code] = s
	}
	s.strength[r.RSSI]++
}

// lastWord keeps why the reader can't be used.
type lastWord struct{ err error }

// Lost implements serial.Condition.
func (l *lastWord) Lost(err error) { l.err = err }

// Back implements serial.Condition.
func (l *lastWord) Back() { l.err = nil }
