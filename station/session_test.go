package station

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"station-agent/store/record"
)

var rules = Rules{Package: regexp.MustCompile(`\A(?:P-.*)\z`), Close: "CLOSE", Undo: "UNDO"}

// hash makes a hash of a letter.
func hash(s string) string { return strings.Repeat(s, 32/len(s)) }

// table is a View for tests.
type table []PictureRow

func (t table) Lookup(h string) (PictureRow, bool) {
	for _, r := range t {
		if r.Hash == h {
			return r, true
		}
	}
	return PictureRow{Row: record.Row{Hash: h}}, false
}

func (t table) ByEAN(ean string) (rows []PictureRow) {
	for _, r := range t {
		if r.EAN == ean {
			rows = append(rows, r)
		}
	}
	return rows
}

// rowsHere: a and b share an EAN, c has its own, d is in P-9, e holds the empty text, f and g are in P-1.
func rowsHere() table {
	t := table{}
	for _, r := range []record.Row{
		rowOf(hash("a"), "400", "-"), rowOf(hash("b"), "400", "-"), rowOf(hash("c"), "401", "-"), rowOf(hash("d"), "402", "P-9"),
		rowOf(hash("e"), "403", ""), rowOf(hash("f"), "404", "P-1"), rowOf(hash("g"), "405", "P-1"), rowOf(hash("h"), "405", "-"),
	} {
		t = append(t, PictureRow{Row: r, May: []record.Value{r.Package}})
	}
	return t
}

// session reads "P-1:ab|P-0:c" as P-1 open with the items a and b, P-0 closed before with c.
func session(s string) record.Session {
	open, before, closed := strings.Cut(s, "|")
	pack := func(s string) (string, []record.Packed) {
		p, letters, _ := strings.Cut(s, ":")
		var items []record.Packed
		for _, l := range letters {
			items = append(items, record.Packed{Hash: hash(string(l))})
		}
		return p, items
	}
	var out record.Session
	out.Package, out.Items = pack(open)
	if closed {
		out.Before = &record.ClosedPackage{}
		out.Before.Package, out.Before.Items = pack(before)
	}
	return out
}

func show(s record.Session) string {
	letters := func(items []record.Packed) (out string) {
		for _, i := range items {
			out += i.Hash[:1]
		}
		if out != "" {
			out = ":" + out
		}
		return out
	}
	out := s.Package + letters(s.Items)
	if s.Before != nil {
		out += "|" + s.Before.Package + letters(s.Before.Items)
	}
	return out
}

func showIntents(list []record.Intent) string {
	var out []string
	for _, i := range list {
		out = append(out, fmt.Sprintf("%s→%s for %s", i.Hash[:1], vals([]record.Value{i.Package}), vals(i.Replaces)))
	}
	return strings.Join(out, ", ")
}

func TestSession(t *testing.T) {
	for _, c := range []struct {
		before, code string
		verdict      record.Verdict
		step         record.Step
		after        string // "=" if nothing changed
		intents      string
		pkg, hash    string
		text         string
	}{
		// opening
		{"", "P-1", "accepted", "opened", "P-1", "", "P-1", "", `package "P-1" is open`},
		{"P-1:a", "P-1", "duplicate", "", "=", "", "P-1", "", `package "P-1" is open already`},
		{"P-1:a", "P-2", "accepted", "opened", "P-2|P-1:a", "", "P-2", "", `package "P-2" is open; package "P-1" was closed with 1 item`},
		{"|P-1:a", "P-2", "accepted", "opened", "P-2|P-1:a", "", "P-2", "", `package "P-2" is open`},
		{"P-2:b|P-1:a", "P-3", "accepted", "opened", "P-3|P-2:b", "", "P-3", "", `package "P-3" is open; package "P-2" was closed with 1 item`},
		{"", "P-" + strings.Repeat("ž", 62), "accepted", "opened", "P-" + strings.Repeat("ž", 62), "", "P-" + strings.Repeat("ž", 62), "", "is open"},
		{"", "P-" + strings.Repeat("x", 63), "misread", "", "=", "", "P-" + strings.Repeat("x", 63), "", "longer than 64 characters"},
		{"", "P-1\x1d", "misread", "", "=", "", "P-1\x1d", "", `package label "P-1\x1d" holds control characters`},
		// items
		{"P-1", hash("a"), "accepted", "added", "P-1:a", "a→P-1 for -", "P-1", "a", `is in package "P-1", which holds 1 item`},
		{"P-1:a", hash("b"), "accepted", "added", "P-1:ab", "b→P-1 for -", "P-1", "b", "which holds 2 items"},
		{"P-1", "401", "accepted", "added", "P-1:c", "c→P-1 for -", "P-1", "c", "which holds 1 item"},
		{"P-1", "400", "ambiguous", "", "=", "", "", "", `code "400" fits 2 items without a package`},
		{"P-1", "405", "accepted", "added", "P-1:h", "h→P-1 for -", "P-1", "h", "which holds 1 item"}, // g is in it already, h is the only candidate
		{"P-1:f", hash("f"), "duplicate", "", "=", "", "P-1", "f", "already"},
		{"P-1:a", hash("a"), "accepted", "added", "P-1:a", "a→P-1 for -", "P-1", "a", "which holds 1 item"}, // its intent failed, its row is free
		{"P-1:d", hash("d"), "conflict", "", "=", "", "P-1", "d", `is in package "P-9" and stays there`},    // its intent met another package
		{"P-1:x", hash("x"), "duplicate", "", "=", "", "P-1", "x", "already"},                               // has left the station since
		{"P-1", hash("f"), "duplicate", "", "=", "", "P-1", "f", "already"},
		{"P-1", "404", "duplicate", "", "=", "", "P-1", "f", "already"},
		{"P-2", "404", "unknown", "", "=", "", "", "", "in another package already"},
		{"P-1", hash("d"), "conflict", "", "=", "", "P-1", "d", `is in package "P-9" and stays there`},
		{"P-1", hash("e"), "conflict", "", "=", "", "P-1", "e", `is in package "" and stays there`},
		{"P-1", "403", "unknown", "", "=", "", "", "", "in another package already"},
		{"P-1", hash("z"), "unknown", "", "=", "", "", "", "no item on this station has the code"},
		{"P-1", "4006381333931", "unknown", "", "=", "", "", "", "no item on this station has the code"},
		{"P-1", hash("A"), "unknown", "", "=", "", "", "", "no item"}, // not a: codes are compared byte by byte
		{"P-1", "401 ", "unknown", "", "=", "", "", "", "no item"},
		{"P-1", hash("c") + " ", "unknown", "", "=", "", "", "", "no item"},
		{"", hash("a"), "no package open", "", "=", "", "", "a", "scan a package label first"},
		{"", "401", "no package open", "", "=", "", "", "c", "scan a package label first"},
		{"", hash("d"), "no package open", "", "=", "", "", "d", "scan a package label first"},
		// close
		{"P-1:ab", "CLOSE", "accepted", "closed", "|P-1:ab", "", "P-1", "", `package "P-1" was closed with 2 items`},
		{"P-2|P-1:a", "CLOSE", "accepted", "closed", "|P-2", "", "P-2", "", `closed with 0 items`},
		{"|P-1:ab", "CLOSE", "no package open", "", "=", "", "", "", "nothing to close"},
		{"P-1", "close", "unknown", "", "=", "", "", "", "no item"},
		// undo
		{"P-1:ab", "UNDO", "accepted", "undone", "P-1:a", "b→- for - P-1", "P-1", "b", "taken out"},
		{"P-1:x", "UNDO", "accepted", "undone", "P-1", "x→- for - P-1", "P-1", "x", "taken out"},
		{"P-1:d", "UNDO", "accepted", "undone", "P-1", "d→- for - P-1", "P-1", "d", "taken out"}, // P-9 came later and is not replaced
		{"P-1|P-0:a", "UNDO", "accepted", "undone", "|P-0:a", "", "P-1", "", `the opening of package "P-1" was undone`},
		{"|P-0:ab", "UNDO", "accepted", "undone", "P-0:ab", "", "P-0", "", `package "P-0" is open again with 2 items`},
		{"", "UNDO", "no package open", "", "=", "", "", "", "nothing to undo"},
	} {
		was := session(c.before)
		d := Decide(was, rules, record.Tag{Reader: "r", Code: c.code}, rowsHere(), true)
		after := "="
		count := len(was.Items)
		if d.Session != nil {
			after, count = show(*d.Session), len(d.Session.Items)
		}
		h := d.Scan.Hash
		if h != "" {
			h = h[:1]
		}
		if d.Scan.Verdict != c.verdict || d.Scan.Step != c.step || after != c.after || showIntents(d.Intents) != c.intents ||
			d.Scan.Package != c.pkg || h != c.hash || d.Scan.Count != count || !strings.Contains(d.Scan.Text, c.text) {
			t.Errorf("%q, %q: %s %q, session %q, intents %q, package %q, hash %q, count %d\n%s",
				c.before, c.code, d.Scan.Verdict, d.Scan.Step, after, showIntents(d.Intents), d.Scan.Package, h, d.Scan.Count, d.Scan.Text)
		}
		if show(was) != c.before {
			t.Errorf("%q, %q: the session before is now %q", c.before, c.code, show(was))
		}
		if offline := Decide(was, rules, d.Scan.Tag, rowsHere(), false).Scan.Verdict; (offline == record.AcceptedOffline) != (c.verdict == record.Accepted) {
			t.Errorf("%q, %q: offline %s", c.before, c.code, offline)
		}
	}
}

// TestDecisionsShareNothing: two decisions from one session, of which the first was never adopted.
func TestDecisionsShareNothing(t *testing.T) {
	s := session("P-1:ab")
	s.Items = append(make([]record.Packed, 0, 8), s.Items...)
	first := Decide(s, rules, record.Tag{Code: hash("c")}, rowsHere(), true)
	Decide(s, rules, record.Tag{Code: hash("h")}, rowsHere(), true)
	if show(*first.Session) != "P-1:abc" {
		t.Error(show(*first.Session))
	}
}

func TestUnreadableTags(t *testing.T) {
	for _, tag := range []record.Tag{{Bad: "not UTF-8"}, {Code: "P-1", Bad: "cut off"}, {}} {
		if d := Decide(record.Session{}, Rules{}, tag, table{}, true); d.Scan.Verdict != record.Misread || d.Session != nil {
			t.Errorf("%+v: %+v", tag, d)
		}
	}
}

// TestNeverGuessAnItem: two candidates are refused, until one of them is in a package.
func TestNeverGuessAnItem(t *testing.T) {
	here := rowsHere()
	d := Decide(session("P-1"), rules, record.Tag{Code: "400"}, here, true)
	if d.Scan.Verdict != record.Ambiguous || d.Session != nil || d.Intents != nil || d.Scan.Hash != "" {
		t.Fatalf("%+v", d)
	}
	here[0].Package = val("P-9")
	d = Decide(session("P-1"), rules, record.Tag{Code: "400"}, here, true)
	if d.Scan.Verdict != record.Accepted || d.Scan.Hash != hash("b") {
		t.Fatalf("%+v", d)
	}
}

// TestNeverOverwriteAnotherPackage: no intent on a row in another package, and none that may replace one.
func TestNeverOverwriteAnotherPackage(t *testing.T) {
	for _, other := range []string{"P-9", "", "P-1 ", "p-1"} {
		here := rowsHere()
		here[2].Package, here[2].May = val(other), []record.Value{val(other)}
		for _, code := range []string{hash("c"), "401"} {
			if d := Decide(session("P-1"), rules, record.Tag{Code: code}, here, true); d.Scan.Verdict.Green() || len(d.Intents) > 0 {
				t.Errorf("%q is in %q: %+v", code, other, d)
			}
		}
		d := Decide(session("P-1:c"), rules, record.Tag{Code: "UNDO"}, here, true)
		if len(d.Intents) != 1 || d.Intents[0].May(val(other)) {
			t.Errorf("undo with the row in %q: %+v", other, d.Intents)
		}
	}
}

// TestACodeReachesTheTableOnlyThroughThePattern, and as it was scanned; texts quote it.
func TestACodeReachesTheTableOnlyThroughThePattern(t *testing.T) {
	loose := Rules{Package: regexp.MustCompile(`PKG-[0-9]+`)} // not anchored: still the whole code must match
	for _, code := range []string{
		"'; DROP TABLE buylo_products; --", "PKG-1'; --", " PKG-1", "PKG-1 ", "PKG-1\x1d", "pkg-1", "PKG-😀", "%s%n", "\u202ePKG-1",
		"PKG-1\nverdict=accepted", strings.Repeat("x", 10_000), hash("z"),
	} {
		for _, s := range []string{"", "P-1:a"} {
			d := Decide(session(s), loose, record.Tag{Code: code}, rowsHere(), true)
			if d.Scan.Verdict.Green() || d.Session != nil || d.Intents != nil {
				t.Errorf("%q: %+v", code, d)
			}
			if strings.ContainsAny(d.Scan.Text, "\n\x1d\u202e") || strings.Contains(d.Scan.Text, "%!") {
				t.Errorf("%q: text %q", code, d.Scan.Text)
			}
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	p := NewPicture(1 << 40)
	var rows []record.Row
	for n := range 5000 {
		rows = append(rows, record.Row{Hash: fmt.Sprintf("%032x", n), EAN: fmt.Sprintf("4%012d", n), Name: "mug"})
	}
	p.Replace(rows, at(1))
	for name, code := range map[string]string{"hash": fmt.Sprintf("%032x", 4999), "ean": "4000000004999", "unknown": "4"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Decide(record.Session{Package: "P-1"}, rules, record.Tag{Code: code}, p, true)
			}
		})
	}
	b.Run("replace", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p.Replace(rows, at(2))
		}
	})
}
