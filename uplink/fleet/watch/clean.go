package watch

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"station-agent/uplink/fleet/message"
)

// How long the texts are that are kept, in characters.
const (
	nameLength = 80
	textLength = 600
)

// clean makes one printable line of a text from outside: no control codes for a terminal, no marks that turn its direction.
func clean(s string, most int) string {
	if len(s) > utf8.UTFMax*most {
		s = s[:utf8.UTFMax*most]
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most-1]) + "…"
	}
	return strings.TrimSpace(s)
}

// tidy cleans names in place.
func tidy(most int, texts ...*string) {
	for _, t := range texts {
		*t = clean(*t, most)
	}
}

// first gives the head of a list.
func first[T any](list []T, most int) []T { return list[:min(len(list), most)] }

func cleanState(v *message.State) {
	tidy(nameLength, (*string)(&v.State), &v.Instance, &v.Version, &v.Environment, &v.Name, &v.TimeZone)
	v.Hours = first(v.Hours, mostParts)
	for i := range v.Hours {
		tidy(nameLength, &v.Hours[i])
	}
}

func cleanSeverity(s message.Severity) message.Severity {
	switch s {
	case message.Critical, message.Info:
		return s
	}
	return message.Warning
}

// cleanProblems makes a list of its own, by our clock.
func cleanProblems(list []message.Problem, skew time.Duration) []message.Problem {
	made := make([]message.Problem, 0, min(len(list), mostProblems))
	for _, p := range first(list, mostProblems) {
		tidy(nameLength, &p.Name, &p.Code)
		tidy(textLength, &p.Text, &p.Hint)
		if p.Code == "" {
			p.Code = p.Name // of an agent that has no codes yet
		}
		p.Severity = cleanSeverity(p.Severity)
		if !p.Since.IsZero() {
			p.Since = p.Since.Add(skew)
		}
		made = append(made, p)
	}
	return made
}

func cleanHealth(v *message.Health) {
	tidy(nameLength, &v.Version, &v.System)
	v.Problems = cleanProblems(v.Problems, 0)
	v.Readers, v.Capture, v.Lanes = first(v.Readers, mostParts), first(v.Capture, mostParts), first(v.Lanes, mostParts)
	for i := range v.Readers {
		tidy(nameLength, &v.Readers[i].Name)
	}
	for i := range v.Lanes {
		tidy(nameLength, &v.Lanes[i].Lane)
	}
	for i := range v.Capture {
		w := &v.Capture[i]
		tidy(nameLength, &w.Table, &w.Way)
		tidy(textLength, &w.Why, &w.Cost)
	}
}

func cleanEvent(v *message.Event) {
	tidy(nameLength, &v.Store, (*string)(&v.Kind), &v.Name, &v.Code)
	tidy(textLength, &v.Text, &v.Hint)
	v.Severity = cleanSeverity(v.Severity)
}

// aged is what a health says by now, d after it was said.
func aged(h message.Health, d time.Duration) *message.Health {
	s := max(0, d.Seconds())
	for _, at := range []**float64{&h.LastScanS, &h.LastSettledS, &h.RowsAgeS} {
		if *at != nil {
			v := **at + s
			*at = &v
		}
	}
	for _, at := range []*float64{&h.OldestUnsentS, &h.OldestUnanchoredS, &h.OldestDeadS} {
		if *at > 0 {
			*at += s
		}
	}
	readers := make([]message.Reader, len(h.Readers))
	for i, r := range h.Readers {
		if r.LastReadS != nil {
			v := *r.LastReadS + s
			r.LastReadS = &v
		}
		readers[i] = r
	}
	h.Readers = readers
	return &h
}
