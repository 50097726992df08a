package feedback

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Never is later than anything.
const Never = time.Duration(1<<63 - 1)

// The bounds of a rhythm.
const (
	mostBeats   = 64
	longestBeat = 60_000 // ms
	defaultTone = 2700   // Hz, where small buzzers are loudest
	lowestTone  = 100
	highestTone = 10_000
	mostFlashes = 3 // within a second
)

// Rhythm is how one lamp, or the buzzer, goes on and off.
type Rhythm struct {
	beats   []beat
	whole   time.Duration
	repeats bool
	stays   int // what it shows after the last beat: 0 is off
}

type beat struct {
	level int
	lasts time.Duration
}

// ParseRhythm reads a text: milliseconds, on and off in turn, beginning with on, and then off, unless the last word says else:
//
//	600                      on for 600 ms
//	150 150 150              two flashes
//	0 500 500 repeat         first off for 500 ms, then on; again and again
//	200 150 200 150 on       two flashes, then on
//	80@2700 40 80@1800       two tones, in Hz; without @ 2700
//
// Tones are for sound; a buzzer that has its own pitch is just on.
func ParseRhythm(text string, sound bool) (r Rhythm, err error) {
	words := strings.Fields(text)
	if len(words) > mostBeats {
		return r, fmt.Errorf("has %d beats, %d are the most", len(words), mostBeats)
	}
	for i, word := range words {
		level := (i + 1) % 2
		number, tone, toned := strings.Cut(word, "@")
		if level > 0 && sound {
			level = defaultTone
		}
		if toned {
			if level, err = parseTone(tone, level, sound); err != nil {
				return r, fmt.Errorf("%q: %w", word, err)
			}
		}
		last := i == len(words)-1
		switch {
		case word == "repeat" && last && r.whole > 0:
			r.repeats = true
			return r, nil
		case number == "on" && last && level > 0:
			r.stays = level
			return r, nil
		}
		ms, err := strconv.ParseUint(number, 10, 32)
		if err != nil || ms > longestBeat || ms == 0 && i > 0 {
			return r, fmt.Errorf("%q is no beat: write 1 to %d (ms), on and off in turn, and at the end on (behind an off) or repeat", word, longestBeat)
		}
		lasts := time.Duration(ms) * time.Millisecond
		r.beats, r.whole = append(r.beats, beat{level, lasts}), r.whole+lasts
	}
	return r, nil
}

func parseTone(text string, level int, sound bool) (int, error) {
	hertz, err := strconv.ParseUint(text, 10, 16)
	switch {
	case !sound:
		return 0, errors.New("a lamp has no pitch")
	case level == 0:
		return 0, errors.New("silence has no pitch: on and off take turns")
	case err != nil || hertz < lowestTone || hertz > highestTone:
		return 0, fmt.Errorf("the pitch is %d to %d Hz", lowestTone, highestTone)
	}
	return int(hertz), nil
}

// At gives what is on at a time since the rhythm began, and when that may change.
func (r Rhythm) At(d time.Duration) (level int, until time.Duration) {
	begin := time.Duration(0)
	if r.repeats {
		begin = d - d%r.whole
	}
	for _, b := range r.beats {
		if begin += b.lasts; d < begin {
			return b.level, begin
		}
	}
	return r.stays, Never
}

// flickers refuses what may hurt people: see WCAG 2.3.1.
func (r Rhythm) flickers() error {
	var starts []time.Duration
	was := 0
	for at := time.Duration(0); at < r.whole+time.Second; {
		level, until := r.At(at)
		if level > 0 && was == 0 {
			starts = append(starts, at)
		}
		if n := len(starts); n > mostFlashes && starts[n-1]-starts[n-1-mostFlashes] < time.Second {
			return fmt.Errorf("flashes more than %d times within a second", mostFlashes)
		}
		if until == Never {
			return nil
		}
		was, at = level, until
	}
	return nil
}
