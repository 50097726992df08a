package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"station-agent/uplink/fleet/watch"
)

// drawEvery is how often the screen is drawn at most: also what a link over a phone carries.
const drawEvery = 250 * time.Millisecond

// The keys that are no character.
const (
	keyUp     rune = 0xf700
	keyDown   rune = 0xf701
	keyPageUp rune = 0xf702
	keyPageDn rune = 0xf703
	keyHome   rune = 0xf704
	keyEnd    rune = 0xf705
	keyEscape rune = 0x1b
)

var escapes = map[string]rune{
	"\x1b[A": keyUp, "\x1b[B": keyDown, "\x1bOA": keyUp, "\x1bOB": keyDown, "\x1b[5~": keyPageUp, "\x1b[6~": keyPageDn,
	"\x1b[H": keyHome, "\x1b[F": keyEnd, "\x1b[1~": keyHome, "\x1b[4~": keyEnd,
}

// readKeys takes keys out of what a terminal sent. A sequence that may not be whole is left, unless nothing follows.
func readKeys(b []byte, last bool) (keys []rune, rest []byte) {
	for len(b) > 0 {
		if b[0] != byte(keyEscape) {
			if !utf8.FullRune(b) && !last {
				return keys, b
			}
			r, n := utf8.DecodeRune(b)
			keys, b = append(keys, r), b[n:]
			continue
		}
		n := 1
		if len(b) > 1 && (b[1] == '[' || b[1] == 'O') {
			for n = 2; n < len(b) && n < 12 && (b[n] < '@' || b[n] > '~'); n++ {
			}
			n++
		}
		if n > len(b) || len(b) == 1 {
			if !last {
				return keys, b
			}
			n = min(n, len(b))
		}
		if k, ok := escapes[string(b[:n])]; ok {
			keys = append(keys, k)
		} else if n == 1 {
			keys = append(keys, keyEscape)
		}
		b = b[n:]
	}
	return keys, nil
}

// screen is the live table.
type screen struct {
	w         *follower
	t         *terminal
	text      string // of the filter
	standings []watch.Standing
	at        int    // which line is at hand
	ask       string // what is typed now is the answer to
	typed     string
	note      string  // of what was done last
	items     []entry // as they were drawn last
}

func newScreen(w *follower, t *terminal, text string, standings []watch.Standing) *screen {
	return &screen{w: w, t: t, text: text, standings: standings}
}

// The questions.
const (
	askFilter = "filter: "
	askWork   = "maintenance, minutes and why: "
)

// run draws until q, or until ctx ends or the terminal is gone.
func (s *screen) run(ctx context.Context) error {
	if err := s.t.begin(); err != nil {
		return fmt.Errorf("take the terminal: %w", err)
	}
	defer s.t.end()
	ctx, stop := context.WithCancel(ctx)
	keys := make(chan rune)
	ran := make(chan struct{})
	go func() { s.t.keys(ctx, keys); close(ran) }()
	defer func() { stop(); <-ran }()
	every := time.NewTicker(drawEvery)
	defer every.Stop()
	began, dirty, drawn := time.Now(), true, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case k, ok := <-keys:
			if !ok || s.press(k) {
				return nil
			}
			dirty = true
		case <-s.w.dirty:
			dirty = true
		case now := <-every.C:
			if !dirty && now.Sub(drawn) < time.Second { // ages go on
				continue
			}
			v := s.w.view()
			if now.Sub(began) > forgetAfter && v.Up {
				s.forget(v)
			}
			if err := s.draw(v); err != nil {
				return err
			}
			dirty, drawn = false, now
		}
	}
}

// forgetAfter is how long somebody has watched when what isn't there any more has cleared: who is silent is known after some
// intervals only.
const forgetAfter = 10 * time.Minute

// forget takes out of the notes what has cleared.
func (s *screen) forget(v watch.View) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if err := s.w.book.Settle(v.Rows, v.At); err != nil {
		s.note = oneLine(err.Error())
	}
}

func (s *screen) filter() watch.Filter {
	f := parseFilter(s.text)
	f.Standings = append(f.Standings, s.standings...)
	return f
}

func (s *screen) draw(v watch.View) error {
	width, height := s.t.size()
	p := picture{view: v, filter: s.filter(), away: s.w.why(), environment: s.w.cfg.Environment, width: width, height: height, at: s.at, live: true, foot: s.foot()}
	s.items = p.items()
	s.at = max(0, min(s.at, len(s.items)-1))
	p.at = s.at
	var b strings.Builder
	b.WriteString(homeCursor)
	for i, line := range draw(p) {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line + clearLine)
	}
	b.WriteString(clearBelow)
	_, err := io.WriteString(s.t.out, b.String())
	return err
}

// foot is the last line.
func (s *screen) foot() string {
	switch {
	case s.ask != "":
		return s.ask + s.typed + "_"
	case s.note != "":
		return s.note
	case s.text != "":
		return "filter: " + s.text + "   / another one, Esc none   q quit"
	}
	return "/ filter   j k move   a acknowledge   m maintenance   q quit"
}

// press takes one key; true ends.
func (s *screen) press(k rune) (quit bool) {
	if s.ask != "" {
		s.answer(k)
		return false
	}
	s.note = ""
	page := 10
	switch k {
	case 'q', 3, 4: // Ctrl-C and Ctrl-D where the terminal hands them over
		return true
	case 'j', keyDown:
		s.at++
	case 'k', keyUp:
		s.at--
	case keyPageDn, ' ':
		s.at += page
	case keyPageUp:
		s.at -= page
	case 'g', keyHome:
		s.at = 0
	case 'G', keyEnd:
		s.at = len(s.items) - 1
	case keyEscape:
		s.text, s.at = "", 0
	case '/':
		s.ask, s.typed = askFilter, s.text
	case 'a':
		s.acknowledge()
	case 'm':
		if _, ok := s.hand(); ok {
			s.ask, s.typed = askWork, "60 "
		}
	}
	s.at = max(0, min(s.at, len(s.items)-1))
	return false
}

// answer takes a key of an answer.
func (s *screen) answer(k rune) {
	switch k {
	case keyEscape, 3:
		s.ask = ""
	case 0x7f, 8:
		_, n := utf8.DecodeLastRuneInString(s.typed)
		s.typed = s.typed[:len(s.typed)-n]
	case '\r', '\n':
		if s.ask == askFilter {
			s.text, s.at = strings.TrimSpace(s.typed), 0
		} else {
			s.maintain(s.typed)
		}
		s.ask = ""
	default:
		if k >= ' ' && k < keyUp && len(s.typed) < 200 {
			s.typed += string(k)
		}
	}
}

// hand is what is at hand.
func (s *screen) hand() (entry, bool) {
	if s.at < 0 || s.at >= len(s.items) {
		return entry{}, false
	}
	return s.items[s.at], true
}

func (s *screen) acknowledge() {
	it, ok := s.hand()
	if !ok {
		return
	}
	code := ""
	if it.cause != nil {
		code = it.cause.Code
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	n, err := s.w.book.Acknowledge(it.rows, code, time.Now())
	s.note = fmt.Sprintf("acknowledged: %d troubles, until they clear", n)
	if err != nil {
		s.note = oneLine(err.Error())
	}
}

// maintain notes a maintenance of all stations at hand, from now on.
func (s *screen) maintain(text string) {
	it, ok := s.hand()
	minutes, why, _ := strings.Cut(strings.TrimSpace(text), " ")
	n, err := strconv.ParseUint(minutes, 10, 16)
	if !ok {
		return
	}
	if err != nil || n == 0 {
		s.note = "say for how many minutes, and then why: 60 new scanner"
		return
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	now := time.Now()
	for _, r := range it.rows {
		err = errors.Join(err, s.w.book.Maintain(watch.Window{Stations: r.Station, From: now, To: now.Add(time.Duration(n) * time.Minute), Why: why}))
	}
	s.note = fmt.Sprintf("maintenance of %d stations for %d minutes", len(it.rows), n)
	if err != nil {
		s.note = oneLine(err.Error())
	}
}
