package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"station-agent/station"
	"station-agent/store/record"
	"station-agent/uplink/capture/check"
)

func TestDays(t *testing.T) {
	for text, want := range map[string]time.Duration{"72h": 72 * time.Hour, "7d": 168 * time.Hour, "90m": 90 * time.Minute, "x": 0, "d": 0, "-1d": 0, "0h": 0, "7": 0, "99999d": 0, "9999999999999999d": 0} {
		if got, err := days(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
}

// TestChoose holds which way is taken, and that it is said why.
func TestChoose(t *testing.T) {
	bad := func(w check.Way) []check.Finding {
		return []check.Finding{{Code: string(w) + ".x", Way: w, State: check.Fault, Fact: string(w) + " is broken"}}
	}
	for _, c := range []struct {
		source string
		spoil  map[check.Way][]check.Finding
		way    check.Way
		fits   bool
		why    string
	}{
		{"binlog", nil, check.Binlog, true, "by binlog"},
		{"binlog", map[check.Way][]check.Finding{check.Binlog: bad(check.Binlog)}, "", false, "binlog is broken"},
		{"binlog", map[check.Way][]check.Finding{check.Polling: bad(check.Polling)}, check.Binlog, true, "by binlog"},
		{"off", map[check.Way][]check.Finding{check.Binlog: bad(check.Binlog)}, "", true, "off"},
		{"off", map[check.Way][]check.Finding{check.Packing: bad(check.Packing)}, "", false, "packing is broken"},
		{"auto", nil, check.Binlog, true, "auto takes binlog"},
		{"auto", map[check.Way][]check.Finding{check.Binlog: bad(check.Binlog)}, check.Polling, true, "binlog won't do: binlog is broken"},
		{"auto", map[check.Way][]check.Finding{check.Binlog: bad(check.Binlog), check.Polling: bad(check.Polling)}, "", false, "polling is broken"},
		{"auto", map[check.Way][]check.Finding{check.Packing: bad(check.Packing)}, check.Binlog, false, "packing is broken"},
		{"polling", nil, check.Polling, true, "by polling"},
	} {
		r := &siteCheck{Source: c.source}
		for _, way := range []check.Way{check.Packing, check.Binlog, check.Polling} {
			list := c.spoil[way]
			used := way == check.Packing || c.source == "auto" || c.source == string(way)
			r.Ways = append(r.Ways, checkWay{way, used, check.Usable(list, way), list})
		}
		r.choose()
		if r.Way != c.way || r.Fits != c.fits || !strings.Contains(r.Why, c.why) {
			t.Errorf("%s %v: %s %v %s", c.source, c.spoil, r.Way, r.Fits, r.Why)
		}
	}
}

// TestBenchVerdict holds what each combination of reads and rows comes to.
func TestBenchVerdict(t *testing.T) {
	one, two := sighting{Reader: "antenna", Code: "E1"}, sighting{Reader: "antenna", Code: "E2"}
	other := []placedRow{{"h3", "UUID-B"}}
	for _, c := range []struct {
		facts   benchFacts
		verdict string
		says    string
	}{
		{benchFacts{Reads: []sighting{one}, Own: []string{"h1"}}, benchPass, "row h1"},
		{benchFacts{Reads: []sighting{one, {Reader: "scanner", Code: "859"}}, Own: []string{"h1"}}, benchPass, ""},
		{benchFacts{Reads: []sighting{one}, Own: []string{"h1"}, Others: other}, benchPass, ""},
		{benchFacts{Reads: []sighting{one, two}, Own: []string{"h1"}}, benchTooMany, "one tag"},
		{benchFacts{Reads: []sighting{one}, Own: []string{"h1", "h2"}}, benchTooMany, ""},
		{benchFacts{Own: []string{"h1", "h2"}}, benchTooMany, ""},
		{benchFacts{Reads: []sighting{one}, Others: other}, benchSwapped, "row h3 gained UUID-B"},
		{benchFacts{Station: "uuid-b", Reads: []sighting{one}, Others: other}, benchSwapped, "small letters"},
		{benchFacts{Reads: []sighting{one}, Blind: "1045"}, benchNoRow, "1045"},
		{benchFacts{Reads: []sighting{{Reader: "antenna", Bad: "too long"}}}, benchNoRow, "unreadable (too long)"},
		{benchFacts{Own: []string{"h1"}}, benchBlind, "plugged in"},
		{benchFacts{Others: other}, benchNothing, "row h3 gained UUID-B"},
		{benchFacts{}, benchNothing, "lay one tag"},
	} {
		r := c.facts.judge()
		if r.Verdict != c.verdict || r.Passed != (c.verdict == benchPass) || !strings.Contains(r.Text+" "+r.Advice, c.says) || (r.Advice == "") != r.Passed {
			t.Errorf("%+v: %s: %s: %s", c.facts, r.Verdict, r.Text, r.Advice)
		}
	}
}

// TestReads holds when a tag came and when it was only read again.
func TestReads(t *testing.T) {
	now := time.Now()
	r := newReads(2*time.Second, station.Rules{})
	r.now = func() time.Time { return now }
	see := func(code string, after time.Duration) {
		now = now.Add(after)
		r.saw(record.Tag{Reader: "antenna", Code: code})
	}
	see("a", 0)
	see("b", time.Second)
	see("a", time.Second) // still there
	see("b", 2100*time.Millisecond)
	if got, want := fmt.Sprint(r.list()), "[{antenna a  4.1 2.1} {antenna b  0 0}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for n := range 2 * mostReads {
		see(fmt.Sprint(n), time.Millisecond)
	}
	if list := r.list(); len(list) != mostReads || list[len(list)-1].Code != fmt.Sprint(2*mostReads-1) {
		t.Errorf("%d are kept", len(list))
	}
}

// TestReadsNameNobody: who may look sees that the scanner read a badge and a command, and not their codes: the prefix is the secret of
// the pseudonyms.
func TestReadsNameNobody(t *testing.T) {
	p := newPlace(t)
	p.with(`#badge_pattern = ""`, `badge_pattern = "EMP-[0-9]+"`)
	rules, err := p.cfg.rules()
	if err != nil {
		t.Fatal(err)
	}
	r := newReads(time.Second, rules)
	for _, code := range []string{"EMP-8305172946", p.cfg.Packing.code(station.Undo), "PKG-1"} {
		r.saw(record.Tag{Reader: "scanner", Code: code})
	}
	seen := fmt.Sprint(r.list())
	if strings.Contains(seen, "8305172946") || strings.Contains(seen, p.cfg.Packing.CommandPrefix) || !strings.Contains(seen, "badge:") ||
		!strings.Contains(seen, "command:undo") || !strings.Contains(seen, "PKG-1") {
		t.Error(seen)
	}
}
