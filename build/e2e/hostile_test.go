package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

// hostile gives what a scanner may send by mischief or by damage, made of an item and a label that would count: the bytes as
// they come over the wire, without the carriage return.
func hostile(item, label string) map[string]string {
	return map[string]string{
		"SQL":                       "x'); DROP TABLE buylo_products; --",
		"SQL around an item":        item + "' OR '1'='1",
		"SQL around a label":        label + "',external_package_id='x",
		"JSON":                      `"},{"verdict":"accepted"`,
		"format verbs":              "%s%n%!d",
		"item and blank":            item + " ",
		"blank and item":            " " + item,
		"item in capitals":          strings.ToUpper(item),
		"label and blanks":          label + "  ",
		"label in small letters":    strings.ToLower(label),
		"label of other digits":     strings.ReplaceAll(label, "0", "０"),
		"label with a soft hyphen":  strings.Replace(label, "-", "\u00ad-", 1),
		"command in small letters":  strings.ToLower(bed.CancelCode),
		"command and blank":         bed.CancelCode + " ",
		"mark of byte order":        "\ufeff" + item,
		"right to left":             "\u202e" + label,
		"emoji":                     "📦🎁",
		"emoji, as many as a hash":  strings.Repeat("🎁", 32),
		"label of 65":               label + strings.Repeat("0", 65-len(label)),
		"separators of GS1":         label + "\x1d\x1e\x04",
		"NUL in a label":            label[:8] + "\x00" + label[8:],
		"NUL in an item":            item[:16] + "\x00" + item[16:],
		"bell":                      label + "\x07",
		"escape sequence":           "\x1b[2J\x1b[32m" + label,
		"escape sequence of a byte": item + "\u009b32m",
		"delete":                    item + "\x7f",
		"10 kB":                     strings.Repeat("A", 10<<10),
		"10 kB behind an item":      item + strings.Repeat("\x20", 10<<10),
		"10 kB of items":            strings.Repeat(item, 320),
		"no UTF-8":                  "\xff\xfe" + label,
		"overlong UTF-8":            "\xc1\x90KG" + label[3:],
		"half a surrogate":          "\xed\xa0\x80" + item,
	}
}

// TestHostileCodes sends codes that mean harm, online and offline, with and without an open package: none grows green or
// changes the session, none reaches a row, none breaks the log, and the bench works on.
func TestHostileCodes(t *testing.T) {
	s := newSite(t, servers.MariaDB(t)) // its collation also takes blanks at the end for nothing
	s.started()
	items := s.stock(1, 4)
	s.attack(items[0], "PKG-2026-0001", bed.CloseCode, "no package open")
	s.scan("PKG-2026-0002", "accepted")
	s.scan(items[1], "accepted")
	s.attack(items[0], "PKG-2026-0001", items[1], "duplicate")
	s.MySQL.Cut()
	s.until("the station is offline", func() bool { return s.status()["online"] == false })
	s.attack(items[0], "PKG-2026-0001", items[1], "duplicate")
	s.MySQL.Restore()
	s.until("the station is online", func() bool { return s.status()["online"] == true })

	s.scan(items[2], "accepted")
	s.scan(bed.CloseCode, "accepted")
	s.pack("PKG-2026-0001", items[0])
	s.clean()
	for n, want := range []string{"PKG-2026-0001", "PKG-2026-0002", "PKG-2026-0002", ""} {
		s.rows(want, items[n])
	}
	changes, err := s.Audit.Changes(s.ctx)
	s.must(err)
	if n := len(changes); n != 4+4+3 {
		t.Errorf("%d changes of rows: 4 items came and arrived, 3 were packed", n)
	}
	s.logIsPlain()
	s.stop()
}

// attack sends the hostile codes and then a harmless one, whose answer comes behind all of theirs.
func (s *site) attack(item, label, last, answer string) {
	s.t.Helper()
	mark := s.Agent.Mark()
	codes := hostile(item, label)
	for name, code := range codes {
		if _, err := s.Scanner.Write([]byte(code + "\r")); err != nil {
			s.t.Fatalf("%s: %v", name, err)
		}
	}
	s.scan(last, answer)
	for _, l := range s.verdicts(mark) {
		if l.Looking() {
			_, err := s.Final(s.ctx, l)
			s.must(err)
		}
	}
	said := s.verdicts(mark)
	if len(said) < len(codes)+1 {
		s.t.Errorf("%d answers to %d codes", len(said), len(codes))
	}
	for _, l := range said {
		if strings.HasPrefix(l.Verdict, "accepted") || l.Step != "" {
			s.t.Errorf("a hostile code counts: %s", l.Raw)
		}
	}
}

// verdicts gives those since mark.
func (s *site) verdicts(mark int) []bed.Line {
	return s.Agent.Lines(func(l bed.Line) bool { return l.Place >= mark && l.Msg == "verdict" })
}

// logIsPlain holds that the log is one JSON object a line, without anything that a terminal would obey.
func (s *site) logIsPlain() {
	s.t.Helper()
	for _, l := range s.Agent.Lines(nil) {
		if !json.Valid([]byte(l.Raw)) || !strings.HasPrefix(l.Raw, "{") {
			s.t.Errorf("no JSON object: %.200q", l.Raw)
		}
		if at := strings.IndexFunc(l.Raw, obeyed); at >= 0 {
			s.t.Errorf("a character that a terminal obeys in the log: %s", fmt.Sprintf("%.200q", l.Raw[at:]))
		}
		if len(l.Raw) > 4<<10 {
			s.t.Errorf("%d bytes in one line: %.200q", len(l.Raw), l.Raw)
		}
	}
}

// obeyed tells whether a terminal does something else with r than to show it.
func obeyed(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar
}
