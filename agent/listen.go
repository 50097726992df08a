package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"station-agent/station"
	"station-agent/station/codec"
	"station-agent/station/evdev"
	"station-agent/station/serial"
	"station-agent/store/record"
)

// listening is one call of listen.
type listening struct {
	reader station.TapedReader
	port   serial.Config
	layout string // of what types
	raw    bool
	out    io.Writer
	errs   io.Writer
	record io.Writer // nil for nobody
	began  time.Time
}

func listenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "listen NAME|PATH",
		Short: "Show what a reader says, live: one of the configuration, by the running agent or without it, or a named port",
		Long: "Show what a reader says until Ctrl-C. A reader that the configuration names is heard through the running agent, which goes on\n" +
			"packing (badges are shown by their pseudonyms then); without an agent, and for any other PATH, the port is opened here. No other port is\n" +
			"touched, and nothing is ever written to one. --record FILE keeps all that was said as it came, badges too: station-agent replay FILE\n" +
			"gives it to the codecs again. --guess says which codec understands a port; try it with each --baud that the reader's manual names.",
		Args: oneArg("listen takes the NAME of a reader of the configuration, or the PATH of a port"),
	}
	a := agentFlags(cmd)
	port := serial.Config{}
	prefix := cmd.Flags().String("prefix", "", "of a PATH: what the reader puts before every code")
	speaks := cmd.Flags().String("protocol", "line", "of a PATH: how the reader speaks, see reader.protocol in config sample")
	cmd.Flags().IntVar(&port.Baud, "baud", 9600, "of a PATH: bits per second (default: what the makers of the protocol's readers set)")
	cmd.Flags().StringVar(&port.Parity, "parity", "none", "of a PATH: none, even or odd")
	cmd.Flags().DurationVar(&port.Idle, "idle", 80*time.Millisecond, "of a PATH: how long without a byte ends a code")
	raw := cmd.Flags().Bool("raw", false, "show the bytes, too")
	guess := cmd.Flags().Bool("guess", false, "try all codecs, and say at the end which understood")
	file := cmd.Flags().String("record", "", "keep it in `FILE`")
	long := cmd.Flags().Duration("for", 0, "end after this long (default: at Ctrl-C)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		l := &listening{port: port, raw: *raw, out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr(), began: time.Now()}
		l.port.Name, l.port.Device = args[0], args[0]
		l.reader = station.TapedReader{Name: args[0], Prefix: *prefix, Codec: *speaks}
		p, err := codec.Find(*speaks)
		if err != nil {
			return usageError{fmt.Errorf("--protocol: %w", err)}
		}
		l.reader.Kind = kindOf(p)
		if !cmd.Flags().Changed("baud") {
			l.port.Baud = p.Baud
		}
		configured, err := l.find(*a.config, args[0])
		if err != nil {
			return err
		}
		if err := l.port.Check(); err != nil {
			return usageError{err}
		}
		if *guess && l.types() {
			return usageError{fmt.Errorf("--guess: %s types lines: there is nothing to guess", l.port.Device)}
		}
		ctx := cmd.Context()
		if *long > 0 {
			short, cancel := context.WithTimeout(ctx, *long)
			defer cancel()
			ctx = short
		}
		if *guess {
			return l.guess(ctx)
		}
		if *file != "" {
			f, err := os.OpenFile(*file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
			if err != nil {
				return fmt.Errorf("record: %w", err)
			}
			defer f.Close()
			if l.record = f; printJSON(f, station.Event{Start: &station.Start{Version: version, Readers: []station.TapedReader{l.reader}}}) != nil {
				return fmt.Errorf("record: %s can't be written", *file)
			}
		}
		if configured {
			if err := l.ask(ctx, a); !errors.Is(err, errAway) {
				return err
			}
		}
		return l.listen(ctx)
	}
	return cmd
}

// find takes a reader's settings from the configuration, by its name or its device.
func (l *listening) find(file, arg string) (configured bool, err error) {
	path := strings.Contains(arg, "/")
	c, err := loadConfig(file)
	switch {
	case err != nil && path:
		return false, nil
	case err != nil:
		return false, err
	}
	n := slices.IndexFunc(c.Readers, func(r readerConfig) bool { return r.Name == arg || r.Device == arg })
	switch {
	case n >= 0:
		r := c.Readers[n]
		l.reader = r.taped()
		l.port = serial.Config{Name: r.Name, Device: r.Device, Baud: r.Baud, Parity: r.Parity, Idle: r.Idle.value()}
		l.layout = r.Layout
		return true, nil
	case path:
		return false, nil
	}
	var names []string
	for _, r := range c.Readers {
		names = append(names, r.Name)
	}
	return false, fmt.Errorf("the configuration has no reader %q: it has %s; a port is named by its path", arg, strings.Join(names, ", "))
}

// ask listens through the running agent.
func (l *listening) ask(ctx context.Context, a agentAt) error {
	res, err := a.request(ctx, http.MethodGet, "/listen?reader="+url.QueryEscape(l.reader.Name), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	fmt.Fprintf(l.errs, "listening to reader %s through the running agent; Ctrl-C ends it\n", l.reader.Name)
	for dec := json.NewDecoder(res.Body); ; {
		var h station.Heard
		if err := dec.Decode(&h); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return errors.New("listen: the agent has ended")
		}
		l.show(h)
	}
}

// types tells whether the device is a keyboard to the kernel.
func (l *listening) types() bool { return readerConfig{Device: l.port.Device}.types() }

// listen opens the port and shows what its codec makes of it.
func (l *listening) listen(ctx context.Context) error {
	if l.types() {
		return l.typed(ctx)
	}
	c, err := station.NewDecoder(l.reader)
	if err != nil {
		return err
	}
	s := &decoding{reader: l.reader, codec: c, heard: l.show}
	return serial.Run(ctx, l.port, s, &portState{out: l.errs, port: l.port})
}

// typed grabs a device that types and shows each code.
func (l *listening) typed(ctx context.Context) error {
	reads := make(chan station.Read, 1)
	go func() {
		for range reads { // each was shown before
		}
	}()
	defer close(reads)
	keyboard := station.Keyboard{Port: evdev.Config{Name: l.port.Name, Device: l.port.Device, Layout: l.layout, Gap: l.port.Idle},
		Prefix: l.reader.Prefix, Kind: l.reader.Kind, Saw: func(tag record.Tag) { l.show(station.Heard{Reader: l.reader.Name, Read: []record.Tag{tag}, Tags: 1}) }}
	return keyboard.Run(ctx, reads, &portState{out: l.errs, port: l.port})
}

// show prints what was heard, and keeps it.
func (l *listening) show(h station.Heard) {
	if l.record != nil {
		if err := printJSON(l.record, station.Event{At: passed(l.began), Heard: &h}); err != nil {
			fmt.Fprintln(l.errs, "station-agent: warning: not recorded:", err)
			l.record = nil
		}
	}
	if l.raw && len(h.Bytes) > 0 {
		fmt.Fprintf(l.out, "%s  % x  %s\n", clockOf(passed(l.began)), h.Bytes, printable(h.Bytes))
	}
	for _, tag := range h.Read {
		fmt.Fprintf(l.out, "%s  %s\n", clockOf(passed(l.began)), tagText(tag))
	}
}

func tagText(tag record.Tag) string {
	if tag.Bad != "" {
		return fmt.Sprintf("no code: %s  (bytes % x)", oneLine(tag.Bad), tag.Raw)
	}
	return oneLine(strings.TrimSpace(fmt.Sprintf("%s  %q", tag.Symbology, tag.Code)))
}

// printable shows bytes as text, dots for what is none.
func printable(p []byte) string {
	b := slices.Clone(p)
	for i := range b {
		if b[i] < ' ' || b[i] > '~' {
			b[i] = '.'
		}
	}
	return string(b)
}

// decoding is a serial.Sink that hands on what came and what a codec made of it.
type decoding struct {
	reader station.TapedReader
	codec  station.Decoder
	heard  func(station.Heard)
	first  uint64
}

// Feed implements serial.Sink.
func (d *decoding) Feed(p []byte) {
	d.say(station.Heard{Bytes: slices.Clone(p), Read: d.codec.Feed(p)})
}

// Idle implements serial.Sink.
func (d *decoding) Idle() { d.say(station.Heard{Idle: true, Read: d.codec.Idle()}) }

// Gone implements serial.Sink.
func (d *decoding) Gone() { d.say(station.Heard{Gone: true, Read: d.codec.Gone()}) }

func (d *decoding) say(h station.Heard) {
	h.Reader, h.First, h.Tags = d.reader.Name, d.first, len(h.Read)
	d.first += uint64(h.Tags)
	d.heard(h)
}

// portState tells the person at the terminal how the port is, each news once.
type portState struct {
	out  io.Writer
	port serial.Config
	said string
}

func (p *portState) say(text string) {
	if text != p.said {
		p.said = text
		fmt.Fprintln(p.out, text)
	}
}

// Lost implements serial.Condition.
func (p *portState) Lost(err error) { p.say(oneLine(err.Error())) }

// Back implements serial.Condition.
func (p *portState) Back() {
	if (readerConfig{Device: p.port.Device}).types() {
		p.say(fmt.Sprintf("listening to %s, which is ours alone meanwhile; Ctrl-C ends it", p.port.Device))
		return
	}
	p.say(fmt.Sprintf("listening to %s, %d baud, parity %s; Ctrl-C ends it", p.port.Device, p.port.Baud, p.port.Parity))
}

// guess gives what comes to all codecs and tells which understood it.
func (l *listening) guess(ctx context.Context) error {
	g := &guessing{out: l.out}
	for _, p := range codec.Protocols() {
		d, err := station.NewDecoder(station.TapedReader{Name: l.reader.Name, Kind: kindOf(p), Prefix: l.reader.Prefix, Codec: p.Name})
		if err != nil {
			return err
		}
		g.try = append(g.try, &guessed{name: p.Name, codec: d, baud: p.Baud})
	}
	if err := serial.Run(ctx, l.port, g, &portState{out: l.errs, port: l.port}); err != nil {
		return err
	}
	return g.verdict(l.port)
}

// kindOf is what a reader is that speaks so, unless somebody says otherwise.
func kindOf(p codec.Protocol) station.Kind {
	if p.Radio {
		return station.RFID
	}
	return station.Barcode
}

// guessing is a serial.Sink for several codecs at once.
type guessing struct {
	out   io.Writer
	try   []*guessed
	bytes int
}

type guessed struct {
	name  string
	codec station.Decoder
	baud  int // that its makers set
	good  int
	lines int // that were no code
	last  string
}

// bad counts what the codec could not make sense of. Of lines it counts most that were no code itself.
func (g *guessed) bad() int { return max(g.lines, int(min(g.codec.Bad(), math.MaxInt32))) }

// Feed implements serial.Sink.
func (g *guessing) Feed(p []byte) {
	g.bytes += len(p)
	g.each(func(d station.Decoder) []record.Tag { return d.Feed(p) })
}

// Idle implements serial.Sink.
func (g *guessing) Idle() { g.each(station.Decoder.Idle) }

// Gone implements serial.Sink.
func (g *guessing) Gone() { g.each(station.Decoder.Gone) }

func (g *guessing) each(f func(station.Decoder) []record.Tag) {
	for _, c := range g.try {
		for _, tag := range f(c.codec) {
			if tag.Bad != "" {
				c.lines++
				continue
			}
			if c.good++; c.good == 1 {
				fmt.Fprintf(g.out, "protocol %s: %s\n", c.name, tagText(tag))
			}
			c.last = tagText(tag)
		}
	}
}

// verdict tells how well each codec did, the best first.
func (g *guessing) verdict(port serial.Config) error {
	sort.SliceStable(g.try, func(i, k int) bool { return g.try[i].good-g.try[i].bad() > g.try[k].good-g.try[k].bad() })
	for _, c := range g.try {
		fmt.Fprintf(g.out, "protocol %s (usually %d baud): %d codes, %d damaged frames", c.name, c.baud, c.good, c.bad())
		if c.last != "" {
			fmt.Fprintf(g.out, ", last %s", c.last)
		}
		fmt.Fprintln(g.out)
	}
	switch best := g.try[0]; {
	case g.bytes == 0:
		return fmt.Errorf("guess %s: nothing came: hold a code or a tag before the reader; one that has to be asked says nothing by itself", port.Device)
	case best.good == 0 || best.bad() > best.good:
		return fmt.Errorf("guess %s: no protocol understands the %d bytes that came at %d baud: try the other rates of the reader's manual with --baud, and --raw", port.Device, g.bytes, port.Baud)
	default:
		fmt.Fprintf(g.out, "protocol %s understands it at %d baud\n", best.name, port.Baud)
	}
	return nil
}
