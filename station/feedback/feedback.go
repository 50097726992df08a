// Package feedback tells the operator by lamps and a buzzer what became of a scan, and how the station stands.
//
//	verdict, step ──Show──▶ State ──Book.Look(state, time)──▶ Frame ──▶ outputs
//	fault, call-back ─Stand─┘        (pure: which pattern,     (what is on, and
//	lamp test ────────Test──┘         which beat of it)         until when)
//
// A Pattern is data: a rhythm for each lamp and the buzzer, a priority, how long it lasts and which one follows. What is played
// is the pattern of the highest priority among
//
//   - the last event, which each new one pre-empts, and which may be followed by something that stays until the next scan,
//   - what stands: idle, a package is open, offline, call-back, fault. It stays beneath whatever else is shown.
//   - the lamp test, which a scan ends.
//
// It promises
//
//   - Nothing waits for it: Show, Stand and the rest note what is new and return. Outputs are written by Run's goroutine alone.
//   - Alive is a moving signal: whatever is shown for long goes on and off. Lamps that stand still for more than 3 s are those
//     of an agent that hangs.
//   - No two patterns that call for different acts differ by colour alone, nor by pitch alone: each has its own rhythm.
//   - No lamp flashes more than three times within a second (WCAG 2.3.1), also in patterns of the site's own.
//   - When Run ends all is dark.
//
// It never judges a scan and never reads a device. Why which colour: red for what was refused or is broken, yellow for what is
// odd and harmless, green for what counts, blue for what waits for the operator, white for alive (IEC 60073); durations, pitches and their number
// by MIL-STD-1472 5.3 and NUREG-0700 1.3.11: at most four tones between 500 and 3000 Hz.
package feedback

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Channel is what a lamp post has.
type Channel int

// The lamps, and the buzzer.
const (
	Red Channel = iota
	Yellow
	Green
	Blue
	White
	Buzzer
	channels
)

// ChannelNames lists the channels as the configuration calls them, in their order.
func ChannelNames() []string { return []string{"red", "yellow", "green", "blue", "white", "buzzer"} }

// Channels that a lamp post lacks are shown by their stand-ins, where it has those.
func (c Channel) standIns() []Channel {
	switch c {
	case White:
		return []Channel{Green, Blue, Yellow, Red}
	case Blue:
		return []Channel{Yellow, White, Red, Green}
	case Yellow:
		return []Channel{Red, Blue, White, Green}
	case Green:
		return []Channel{White, Blue, Yellow, Red}
	case Red:
		return []Channel{Yellow, Blue, White, Green}
	default:
		return nil
	}
}

// Frame is what is on: 0 is off. A lamp is 1, the buzzer its pitch in Hz.
type Frame [channels]int

// On gives what the lamps of a post show that has only some.
func (f Frame) On(has [channels]bool) (shown Frame) {
	for c, level := range f {
		if level == 0 {
			continue
		}
		if has[c] {
			shown[c] = level
			continue
		}
		for _, other := range Channel(c).standIns() {
			if has[other] {
				shown[other] = 1
				break
			}
		}
	}
	return shown
}

// Pattern is what is shown for one signal. Rhythms are texts, see ParseRhythm; "" is dark.
type Pattern struct {
	Signal                          string
	Red, Yellow, Green, Blue, White string
	Sound                           string
	Lasts                           time.Duration // 0: until something takes its place
	Then                            string        // the signal that follows when Lasts is over; "" for none
	Priority                        int           // the highest is shown
	Counts                          bool          // it is repeated as often as there are items, 12 times at most
}

// mostCounted is how often a pattern that counts is repeated: nobody counts farther, and the next scan must not be waited for.
const mostCounted = 12

// pattern is a Pattern, read.
type pattern struct {
	Pattern
	lanes [channels]Rhythm
}

// Book holds the pattern of every signal.
type Book struct{ patterns map[string]pattern }

// NewBook makes a book of the default patterns with some of them replaced. The error names the signal, and the lamp.
func NewBook(changed ...Pattern) (*Book, error) {
	b := &Book{map[string]pattern{}}
	var errs []error
	for _, p := range slices.Concat(Defaults(), changed) {
		read, err := p.read()
		if err != nil {
			errs = append(errs, fmt.Errorf("pattern %q: %w", p.Signal, err))
			continue
		}
		b.patterns[p.Signal] = read
	}
	for _, name := range slices.Sorted(maps.Keys(b.patterns)) {
		if err := b.checkChain(name); err != nil {
			errs = append(errs, fmt.Errorf("pattern %q: %w", name, err))
		}
	}
	return b, errors.Join(errs...)
}

// read reads the rhythms of p and tells what can't be.
func (p Pattern) read() (pattern, error) {
	read := pattern{Pattern: p}
	for c, text := range []string{p.Red, p.Yellow, p.Green, p.Blue, p.White, p.Sound} {
		r, err := ParseRhythm(text, Channel(c) == Buzzer)
		if err == nil && Channel(c) != Buzzer {
			err = r.flickers()
		}
		if err != nil {
			return read, fmt.Errorf("%s: %w", LaneNames()[c], err)
		}
		read.lanes[c] = r
	}
	switch {
	case p.Lasts < 0 || p.Lasts > time.Minute:
		return read, fmt.Errorf("lasts %v: write 0s to 1m", p.Lasts)
	case p.Counts && p.Lasts == 0:
		return read, errors.New("counts, and must say how long one beat lasts")
	case p.Then != "" && p.Lasts == 0:
		return read, fmt.Errorf("is followed by %q and must say how long it lasts before", p.Then)
	}
	return read, nil
}

// LaneNames lists the rhythms of a pattern as the configuration calls them, in the order of the channels.
func LaneNames() []string { return []string{"red", "yellow", "green", "blue", "white", "sound"} }

// checkChain follows what follows: it must exist, and come to an end.
func (b *Book) checkChain(name string) error {
	for n, at := 0, name; ; n++ {
		p, ok := b.patterns[at]
		switch {
		case !ok:
			return fmt.Errorf("is followed by %q, which is no signal", at)
		case n > len(b.patterns):
			return fmt.Errorf("what follows it comes back to it")
		case p.Then == "":
			return nil
		}
		at = p.Then
	}
}

// Patterns lists what the book holds, in the order of the defaults.
func (b *Book) Patterns() (list []Pattern) {
	for _, d := range Defaults() {
		list = append(list, b.patterns[d.Signal].Pattern)
	}
	return list
}

// Has tells whether there is such a signal.
func (b *Book) Has(signal string) bool {
	_, ok := b.patterns[signal]
	return ok
}
