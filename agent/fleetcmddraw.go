package main

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	"station-agent/uplink/fleet/message"
	"station-agent/uplink/fleet/watch"
)

// picture is what the table shows: a function of what it holds.
type picture struct {
	view        watch.View
	filter      watch.Filter
	environment string
	away        string // why the broker isn't there
	live        bool
	width       int // in columns and lines; 0: as much as it takes
	height      int
	at          int    // which item is at hand
	foot        string // the last line
}

// entry is one line: a cause that many stations share, or a station.
type entry struct {
	cause *watch.Cause
	rows  []watch.Row // the stations that it is about
}

// items gives the lines: causes first, then stations, without those of which a cause says all. A filter shows each station.
func (p picture) items() (list []entry) {
	fold := p.filter.Text == "" && len(p.filter.Standings) == 0
	if fold {
		by := make(map[string]*watch.Row, len(p.view.Rows))
		for i := range p.view.Rows {
			by[p.view.Rows[i].Station] = &p.view.Rows[i]
		}
		for i := range p.view.Causes {
			it := entry{cause: &p.view.Causes[i]}
			for _, id := range it.cause.Stations {
				it.rows = append(it.rows, *by[id])
			}
			list = append(list, it)
		}
	}
	for _, r := range p.view.Rows {
		if p.filter.Takes(r) && !(fold && covered(r)) {
			list = append(list, entry{rows: []watch.Row{r}})
		}
	}
	return list
}

// covered tells whether causes say all of a station's troubles.
func covered(r watch.Row) bool {
	open := r.Open()
	for _, t := range open {
		if t.Shared == 0 {
			return false
		}
	}
	return len(open) > 0
}

// draw makes the lines.
func draw(p picture) []string {
	items := p.items()
	name := 7
	for _, it := range items {
		if it.cause == nil {
			name = max(name, columns(it.rows[0].Name))
		}
	}
	if p.width > 0 {
		name = min(name, max(8, p.width/4))
	}
	lines := []string{p.head(), columnsOf("STANDING", "STATION", "FOR", "LEFT", "WHAT", name)}
	first, room := 0, len(items)
	if p.height > 0 {
		room = max(1, p.height-len(lines)-1)
		first = max(0, min(p.at-room/2, len(items)-room))
	}
	for i := first; i < min(len(items), first+room); i++ {
		line := fit(items[i].line(name), p.width)
		if p.live && i == p.at {
			line = inverse + line + inverseEnd
		}
		lines = append(lines, line)
	}
	if len(items) == 0 {
		lines = append(lines, "no station"+map[bool]string{true: " that fits the filter"}[len(p.view.Rows) > 0])
	}
	for i := range 2 {
		lines[i] = fit(lines[i], p.width)
	}
	if p.live {
		for len(lines) < p.height-1 {
			lines = append(lines, "")
		}
		lines = append(lines, fit(p.foot, p.width))
	}
	return lines
}

// head counts the standings.
func (p picture) head() string {
	var parts []string
	for _, s := range watch.Standings {
		if n := p.view.Counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	text := fmt.Sprintf("fleet %s at %s: %d stations", p.environment, p.view.At.Local().Format(time.TimeOnly), len(p.view.Rows))
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	if p.away != "" {
		text = "THE BROKER IS AWAY, this is old: " + p.away + "; " + text
	}
	return text
}

func columnsOf(standing, station, since, left, what string, name int) string {
	return pad(standing, 12) + " " + pad(station, name) + " " + pad(since, 7) + " " + pad(left, 7) + " " + what
}

// line is one item.
func (it entry) line(name int) string {
	if c := it.cause; c != nil {
		return columnsOf(strings.ToUpper(string(c.Severity)), fmt.Sprintf("%d stations", len(c.Stations)), span(c.ForS, c.Exact), until(c.LeftS), c.Code+": "+c.Text, max(name, 12))
	}
	r := it.rows[0]
	standing := string(r.Standing)
	if r.Maintenance != nil {
		standing = "(" + standing + ")"
	}
	open := r.Open()
	var own []watch.Trouble // what no cause says comes first
	for _, t := range open {
		if t.Shared == 0 {
			own = append(own, t)
		}
	}
	if len(own) == 0 {
		own = open
	}
	if len(own) == 0 {
		return columnsOf(standing, r.Name, span(r.ForS, true), "", quietly(r), name)
	}
	t := own[0]
	text := t.Code + ": " + cmp.Or(t.Text, t.Name)
	if t.Over {
		text = "(over, if it stays so) " + text
	}
	if n := len(open) - 1; n > 0 {
		text = fmt.Sprintf("[+%d] ", n) + text
	}
	return columnsOf(standing, r.Name, span(t.ForS, t.Exact), until(t.LeftS), text, name)
}

// quietly is what is said of a station that needs nobody.
func quietly(r watch.Row) string {
	var parts []string
	if r.Maintenance != nil {
		parts = append(parts, "maintenance: "+*r.Maintenance)
	}
	if n := len(r.Troubles); n > 0 && r.Maintenance == nil {
		parts = append(parts, fmt.Sprintf("%d acknowledged: %s", n, r.Troubles[0].Code))
	}
	if h := r.Health; h != nil && r.Standing == watch.Standing(message.Ready) {
		parts = append(parts, fmt.Sprintf("%d unsent%s, last scan %s", h.QueueRecords, oldest(h.OldestUnsentS), maybeAgo(h.LastScanS)))
	}
	return strings.Join(parts, "; ")
}

// span is for how long something stands, in few columns.
func span(s float64, exact bool) string {
	text := short(s)
	if !exact {
		text = ">" + text
	}
	return text
}

// until is the time left.
func until(s *float64) string {
	if s == nil {
		return ""
	}
	return short(*s)
}

// short is a time in at most six columns, whatever somebody sent.
func short(s float64) string {
	const longest = 9999 * 86400
	n := int64(max(0, min(s, longest)))
	switch {
	case math.IsNaN(s):
		return "?"
	case n < 60:
		return fmt.Sprintf("%ds", n)
	case n < 3600:
		return fmt.Sprintf("%dm%02ds", n/60, n%60)
	case n < 86400:
		return fmt.Sprintf("%dh%02dm", n/3600, n/60%60)
	default:
		return fmt.Sprintf("%dd%02dh", n/86400, n/3600%24)
	}
}

// columns is how wide a text is in a terminal: characters of East Asia and pictures take two columns, marks over others none.
func columns(s string) (n int) {
	for _, r := range s {
		n += wide(r)
	}
	return n
}

func wide(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case r <= 0x36f || r >= 0x200b && r <= 0x200f || r >= 0xfe00 && r <= 0xfe0f:
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}

// fit cuts a text to a width; 0 is as wide as it is.
func fit(s string, width int) string {
	if width <= 0 || columns(s) <= width {
		return s
	}
	n := 0
	for i, r := range s {
		if n += wide(r); n > width-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// pad fills a text up to a width, or cuts it.
func pad(s string, width int) string {
	s = fit(s, width)
	return s + strings.Repeat(" ", max(0, width-columns(s)))
}
