package station

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/station/presence"
	"station-agent/store/record"
)

var rules = Rules{
	Package: regexp.MustCompile(`\A(?:P-.*)\z`), Item: regexp.MustCompile(`[a-zA-Z]+`), Badge: regexp.MustCompile(`B-.*`),
	Commands: map[string]Command{
		"CLOSE": Close, "UNDO": Undo, "REMOVE": Remove, "CLEAR": Clear, "CANCEL": Cancel, "OVERRIDE": Override, "LAST": RemainingOne,
		"ASIDE": SetAside, "STATUS": Status, "ACK": Acknowledge,
	},
	Pseudonym:  func(code string) string { return "who-" + code },
	ReopenTime: 10 * time.Minute,
}

// hash makes a hash of a letter.
func hash(s string) string { return strings.Repeat(s, 32/len(s)) }

// letter is the letter of a hash, "" for none.
func letter(hash string) string { return hash[:min(1, len(hash))] }

// picture is a Picture of rows that were read a moment ago.
func picture(rows ...record.Row) *Picture {
	p := NewPicture(1 << 40)
	p.Replace(here(1, rows...))
	return p
}

// rowsHere: a and b share an EAN, c has its own, d is in P-9, e holds the empty text, f and g are in P-1, h shares g's EAN.
func rowsHere() *Picture {
	return picture(rowOf(hash("a"), "400", "-"), rowOf(hash("b"), "400", "-"), rowOf(hash("c"), "401", "-"), rowOf(hash("d"), "402", "P-9"),
		rowOf(hash("e"), "403", ""), rowOf(hash("f"), "404", "P-1"), rowOf(hash("g"), "405", "P-1"), rowOf(hash("h"), "405", "-"))
}

// packed reads letters as items; "d<P-9" is one whose row was in P-9 before.
func packed(letters string) (items []record.Packed) {
	for _, l := range letters {
		items = append(items, record.Packed{Hash: hash(string(l))})
	}
	return items
}

// session reads "P-1:ab" as P-1 open with the items a and b, ":ab" as a and b gathered.
func session(s string) record.Session {
	p, letters, _ := strings.Cut(s, ":")
	return record.Session{Package: p, Items: packed(letters)}
}

func show(s record.Session) string {
	out := s.Package
	for n, i := range s.Items {
		if n == 0 {
			out += ":"
		}
		out += letter(i.Hash)
	}
	return out
}

func showIntents(list []record.Intent) string {
	var out []string
	for _, i := range list {
		text := fmt.Sprintf("%s→%s for %s", letter(i.Hash), vals([]record.Value{i.Package}), vals(i.Replaces))
		if i.Together {
			text += " together"
		}
		if i.Unverified {
			text += " unverified"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// labels is a Labels for tests: what store.Packages makes of the same entries, told in a few words.
type labels struct {
	used            map[string]record.Use
	waiting, parked map[string]int
}

func (l labels) Use(label string) (record.Use, bool) {
	u, ok := l.used[label]
	u.Package = label
	return u, ok
}

func (l labels) Standing(label string) (waiting, parked int) {
	return l.waiting[label], l.parked[label]
}

// take brings the labels up to a decision.
func (l labels) take(d Decision, at record.Stamp) {
	if d.Scan == nil {
		return
	}
	for _, i := range d.Intents {
		for _, r := range append(slices.Clone(i.Replaces), i.Package) {
			if r == nil || *r == "" {
				continue
			}
			u := l.used[*r]
			u.Items = slices.DeleteFunc(slices.Clone(u.Items), func(p record.Packed) bool { return p.Hash == i.Hash })
			if record.Same(r, i.Package) {
				u.Items = append(u.Items, record.Packed{Hash: i.Hash})
			}
			l.used[*r] = u
		}
	}
	p, open := d.Scan.Package, d.Next.Package
	switch d.Scan.Step {
	case record.Undone, record.Cancelled:
		if p != open && len(l.used[p].Items) == 0 {
			delete(l.used, p)
		}
	case record.Opened, record.Reopened, record.Resumed, record.Added, record.Removed, record.Closed, record.Assigned:
		l.touch(p, at)
		if u := d.Next.Undo; u != nil && d.Scan.Step != record.Added {
			l.touch(u.Package, at)
		}
	}
}

func (l labels) touch(p string, at record.Stamp) {
	if p != "" {
		u := l.used[p]
		u.At = at
		l.used[p] = u
	}
}

// stamp is n seconds since boot.
func stamp(n float64) record.Stamp {
	return record.Stamp{Boot: "boot", Mono: time.Duration(n * float64(time.Second))}
}

// world has no labels and is online.
func world(rows View) World {
	return World{Now: stamp(1000), Rows: rows, Labels: labels{used: map[string]record.Use{}}, Online: true}
}

// step is one event of a scenario and what must come of it.
type step struct {
	at   float64 // seconds since boot; 0: one second after the last
	code string  // scanned; "~CODE" is a tag that came onto the antenna, "" lets time go on

	verdict record.Verdict // "" if nothing was told
	step    record.Step
	after   string // the session
	intents string
	text    string // in the text
}

// scenario is a bench without journal and panel.
type scenario struct {
	t      *testing.T
	rules  Rules
	rows   *Picture
	labels labels
	state  State
	field  *presence.Filter
	now    float64
	online bool
	age    time.Duration
	seq    uint64
	ids    uint64
	last   Decision
}

func newScenario(t *testing.T, change func(*Rules), rows *Picture) *scenario {
	s := &scenario{t: t, rules: rules, rows: rows, labels: labels{used: map[string]record.Use{}}, now: 1000, online: true, field: presence.New(presence.Config{})}
	if change != nil {
		change(&s.rules)
	}
	return s
}

func (s *scenario) world() World {
	return World{Now: stamp(s.now), Rows: s.rows, Labels: s.labels, Online: s.online, Age: s.age, Field: func() []string { return s.field.Tags(stamp(s.now).Mono) }}
}

// event lets one thing happen, and time go on before it.
func (s *scenario) event(code string) Decision {
	var d Decision
	tag := record.Tag{Reader: "r", Code: code}
	if c, radio := strings.CutPrefix(code, "~"); radio {
		tag = record.Tag{Reader: "antenna", Code: c, Radio: true}
		events := s.field.Feed(presence.Read{Reader: "antenna", Code: c, At: stamp(s.now).Mono})
		if len(events) == 0 || events[len(events)-1].Kind != presence.Came {
			return Decision{Next: s.state}
		}
	}
	if code == "" {
		var more bool
		if d, more = Tick(s.state, s.rules, s.world()); !more {
			return Decision{Next: s.state}
		}
	} else {
		d = Decide(s.state, s.rules, tag, s.world())
	}
	return s.adopt(d)
}

func (s *scenario) adopt(d Decision) Decision {
	if d.Scan == nil && (d.Session != nil || d.Intents != nil) {
		s.t.Fatalf("something is kept that nobody is told: %+v", d)
	}
	if d.Session != nil && fmt.Sprint(*d.Session) != fmt.Sprint(d.Next.Session) {
		s.t.Fatalf("the journal gets %+v, the bench goes on with %+v", *d.Session, d.Next.Session)
	}
	if d.Session == nil && fmt.Sprint(d.Next.Session) != fmt.Sprint(s.state.Session) {
		s.t.Fatalf("the session changed and the journal doesn't know: %+v", d)
	}
	s.seq++
	for n := range d.Next.Waiting {
		if d.Next.Waiting[n].Seq == 0 {
			d.Next.Waiting[n].Seq = s.seq
		}
	}
	for _, i := range d.Intents {
		s.ids++
		i.ID = s.ids
		s.rows.Intended(i)
	}
	s.labels.take(d, stamp(s.now))
	s.state, s.last = d.Next, d
	return d
}

func (s *scenario) run(name string, steps []step) {
	s.t.Helper()
	for n, c := range steps {
		if s.now++; c.at > 0 {
			s.now = c.at
		}
		d := s.event(c.code)
		var scan record.Scan
		if d.Scan != nil {
			scan = *d.Scan
		}
		if scan.Verdict != c.verdict || scan.Step != c.step || show(s.state.Session) != c.after || showIntents(d.Intents) != c.intents || !strings.Contains(scan.Text, c.text) {
			s.t.Fatalf("%s, event %d %q: %q %q, session %q, intents %q\n%s", name, n+1, c.code, scan.Verdict, scan.Step, show(s.state.Session), showIntents(d.Intents), scan.Text)
		}
	}
}

// TestSession is the table of label first: one event in one state.
func TestSession(t *testing.T) {
	long := "P-" + strings.Repeat("ž", 62)
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
		{"P-1:a", "P-2", "accepted", "opened", "P-2", "", "P-2", "", `package "P-2" is open; package "P-1" was closed with 1 item`},
		{"", long, "accepted", "opened", long, "", long, "", "is open"},
		{"", long + "ž", "misread", "", "=", "", long + "ž", "", "longer than 64 characters"},
		{"", "P-1\x1d", "misread", "", "=", "", "P-1\x1d", "", `package label "P-1\x1d" holds control characters`},
		{"", "P-1\xff", "misread", "", "=", "", "P-1\xff", "", `control characters`},
		{"P-1:a", "P-6", "accepted", "reopened", "P-6:x", "", "P-6", "", `package "P-6" is open again with 1 item; package "P-1" was closed`},
		{"P-1:a", "P-5", "label used", "", "=", "", "P-5", "", `package label "P-5" was used before`},
		{"P-1:a", "P-7", "label used", "", "=", "", "P-7", "", `used before`}, // in another boot, without a clock: nobody knows when
		// items
		{"P-1", hash("a"), "accepted", "added", "P-1:a", "a→P-1 for -", "P-1", "a", `is in package "P-1", which holds 1 item`},
		{"P-1:a", hash("b"), "accepted", "added", "P-1:ab", "b→P-1 for -", "P-1", "b", "which holds 2 items"},
		{"P-1", "401", "accepted", "added", "P-1:c", "c→P-1 for -", "P-1", "c", "which holds 1 item"},
		{"P-1", "400", "ambiguous", "", "=", "", "", "", `code "400" fits 2 items`},
		{"P-1", "405", "accepted", "added", "P-1:h", "h→P-1 for -", "P-1", "h", "which holds 1 item"}, // g is in it already, h is the only candidate
		{"P-1:f", hash("f"), "duplicate", "", "=", "", "P-1", "f", "already"},
		{"P-1:a", hash("a"), "accepted", "added", "P-1:a", "a→P-1 for -", "P-1", "a", "which holds 1 item"}, // its intent failed, its row is free
		{"P-1:d", hash("d"), "conflict", "", "=", "", "P-1", "d", `is in package "P-9" and stays there`},    // its intent met another package
		{"P-1:x", hash("x"), "waiting", "", "=", "", "", "", "is looked for"},                               // nobody knows what became of its row
		{"P-1", hash("f"), "duplicate", "", "=", "", "P-1", "f", "already"},
		{"P-1", "404", "duplicate", "", "=", "", "P-1", "f", "already"},
		{"P-1", hash("d"), "conflict", "", "=", "", "P-1", "d", `is in package "P-9" and stays there`},
		{"P-1", hash("e"), "conflict", "", "=", "", "P-1", "e", `is in package "" and stays there`},
		{"P-2", "404", "waiting", "", "=", "", "", "", "is looked for"}, // another unit may be on its way
		{"P-1", hash("z"), "waiting", "", "=", "", "", "", "is looked for"},
		{"P-1", "4006381333931", "waiting", "", "=", "", "", "", "is looked for"},
		{"P-1", hash("A"), "waiting", "", "=", "", "", "", "no item"}, // not a: codes are compared byte by byte
		{"P-1", "401 ", "waiting", "", "=", "", "", "", "no item"},
		{"P-1", hash("c") + " ", "waiting", "", "=", "", "", "", "no item"},
		{"", hash("a"), "no package open", "", "=", "", "", "a", "scan a package label first"},
		{"", "401", "no package open", "", "=", "", "", "c", "scan a package label first"},
		{"", hash("d"), "no package open", "", "=", "", "", "d", "scan a package label first"},
		{"", hash("z"), "no package open", "", "=", "", "", "", "scan a package label first"},
		// close
		{"P-1:ab", "CLOSE", "accepted", "closed", "", "", "P-1", "", `package "P-1" was closed with 2 items`},
		{"P-2", "CLOSE", "accepted", "closed", "", "", "P-2", "", `closed with 0 items`},
		{"", "CLOSE", "no package open", "", "=", "", "", "", "nothing to close"},
		{"P-1", "close", "waiting", "", "=", "", "", "", "no item"},
		// undo
		{"P-1:ab", "UNDO", "accepted", "undone", "P-1:a", "", "P-1", "b", "taken out"},
		{"P-1:f", "UNDO", "accepted", "undone", "P-1", "f→- for P-1", "P-1", "f", "taken out"},
		{"P-1:x", "UNDO", "accepted", "undone", "P-1", "x→- for P-1", "P-1", "x", "taken out"},
		{"P-1:d", "UNDO", "accepted", "undone", "P-1", "", "P-1", "d", "taken out"}, // P-9 came later and is not replaced
		{"P-1", "UNDO", "accepted", "undone", "", "", "P-1", "", `the opening of package "P-1" was undone`},
		{"", "UNDO", "no package open", "", "=", "", "", "", "nothing to undo"},
		// other commands, without what they need
		{"", "REMOVE", "no package open", "", "=", "", "", "", "nothing to remove from"},
		{"", "CANCEL", "no package open", "", "=", "", "", "", "nothing to cancel"},
		{"P-1", "OVERRIDE", "no package open", "", "=", "", "", "", "no item was refused"},
		{"", "LAST", "no package open", "", "=", "", "", "", "scan a package label first"},
		{"P-1", "LAST", "ambiguous", "", "=", "", "", "", "4 items on this station are without a package"},
		{"P-1", "REMOVE", "accepted", "armed", "=", "", "P-1", "", "scan the item"},
		{"", "CLEAR", "accepted", "armed", "=", "", "", "", "scan the label"},
		{"", "STATUS", "accepted", "armed", "=", "", "", "", "scan the label"},
		{"P-1", "ASIDE", "accepted", "set aside", "=", "", "P-1", "", "an item was set aside"},
		{"P-1", "ACK", "accepted", "acknowledged", "=", "", "P-1", "", "seen"},
		{"P-1:ab", "CANCEL", "accepted", "cancelled", "", "", "P-1", "", "taken back: 2 items"},
		// badges
		{"", "B-1", "accepted", "signed on", "", "", "", "", "shift 1"},
		{"P-1:a", "B-1", "question", "", "=", "", "P-1", "", `package "P-1" is open with 1 item: scan its label or the badge again`},
	} {
		was := State{Session: session(c.before)}
		w := world(rowsHere())
		w.Labels = labels{used: map[string]record.Use{
			"P-5": {At: stamp(1), Items: packed("y")}, "P-6": {At: stamp(900), Items: packed("x")}, "P-7": {At: record.Stamp{Boot: "older", Mono: 999}}}}
		d := Decide(was, rules, record.Tag{Reader: "r", Code: c.code}, w)
		after := "="
		if d.Session != nil {
			after = show(*d.Session)
		}
		if d.Scan.Verdict != c.verdict || d.Scan.Step != c.step || after != c.after || showIntents(d.Intents) != c.intents ||
			d.Scan.Package != c.pkg || letter(d.Scan.Hash) != c.hash || d.Scan.Count != counted(was.Session, d) || !strings.Contains(d.Scan.Text, c.text) {
			t.Errorf("%q, %q: %s %q, session %q, intents %q, package %q, hash %q, count %d\n%s",
				c.before, c.code, d.Scan.Verdict, d.Scan.Step, after, showIntents(d.Intents), d.Scan.Package, d.Scan.Hash, d.Scan.Count, d.Scan.Text)
		}
		if show(was.Session) != c.before {
			t.Errorf("%q, %q: the session before is now %q", c.before, c.code, show(was.Session))
		}
		w.Online = false
		if offline := Decide(was, rules, record.Tag{Reader: "r", Code: c.code}, w).Scan.Verdict; offline.Green() && offline == record.Accepted {
			t.Errorf("%q, %q: offline %s", c.before, c.code, offline)
		}
	}
}

// counted is how many items there are to tell of: those of the package that was closed, else those that are in it now.
func counted(was record.Session, d Decision) int {
	if d.Scan.Step == record.Closed {
		return len(was.Items)
	}
	return len(d.Next.Items)
}

// TestClosingTellsTheCount: the lamps blink as often as a package has items, by whatever it was closed.
func TestClosingTellsTheCount(t *testing.T) {
	late := world(rowsHere())
	timed, itemsFirst := rules, rules
	timed.TimeOut, itemsFirst.Way = time.Minute, ItemsFirst
	timedOut, _ := Tick(State{Session: session("P-1:ab"), Touched: late.Now.Mono - time.Hour}, timed, late)
	for what, d := range map[string]Decision{
		"close":    Decide(State{Session: session("P-1:ab")}, rules, record.Tag{Code: "CLOSE"}, world(rowsHere())),
		"time-out": timedOut,
		"assigned": Decide(State{Session: session(":ab")}, itemsFirst, record.Tag{Code: "P-2"}, world(rowsHere())),
	} {
		if d.Scan == nil || d.Scan.Count != 2 || d.Session == nil || len(d.Session.Items) != 0 {
			t.Errorf("%s: %+v", what, d.Scan)
		}
	}
}

// TestDecisionsShareNothing: two decisions from one state, of which the first was never adopted.
func TestDecisionsShareNothing(t *testing.T) {
	s := State{Session: session("P-1:ab")}
	s.Items = append(make([]record.Packed, 0, 8), s.Items...)
	first := Decide(s, rules, record.Tag{Code: hash("c")}, world(rowsHere()))
	Decide(s, rules, record.Tag{Code: hash("h")}, world(rowsHere()))
	if show(*first.Session) != "P-1:abc" || show(first.Next.Session) != "P-1:abc" {
		t.Error(show(*first.Session))
	}
	s.Waiting = append(make([]Wait, 0, 8), Wait{Tag: record.Tag{Code: "1"}, Until: 1 << 62})
	one := Decide(s, rules, record.Tag{Code: "2"}, world(rowsHere()))
	Decide(s, rules, record.Tag{Code: "3"}, world(rowsHere()))
	if one.Next.Waiting[1].Tag.Code != "2" {
		t.Error(one.Next.Waiting)
	}
}

// TestButtons are commands by name, and nothing else is: a label that reads like one isn't, nor is a button that reads like a
// label.
func TestButtons(t *testing.T) {
	press := func(symbology, code string) record.Scan {
		tag := record.Tag{Reader: "panel", Symbology: symbology, Code: code}
		return *Decide(State{Session: session("P-1:a")}, rules, tag, world(rowsHere())).Scan
	}
	for _, c := range Commands() {
		if s := press(Button, string(c)); s.Verdict == record.Misread || s.Verdict == record.Waiting {
			t.Errorf("button %s: %s", c, s.Text)
		}
	}
	if s := press(Button, "close"); s.Step != record.Closed {
		t.Error(s)
	}
	for _, code := range []string{"P-2", "CLOSE", hash("c"), "x"} {
		if s := press(Button, code); s.Verdict != record.Misread || s.Step != "" {
			t.Errorf("button %q: %s %q", code, s.Verdict, s.Step)
		}
	}
	if s := press("]C0", "close"); s.Step != "" {
		t.Error(s)
	}
}

// TestAButtonPressedAgainIsMeant: what scanners need to let go of a code is no measure for it.
func TestAButtonPressedAgainIsMeant(t *testing.T) {
	slow := rules
	slow.Bounce = 5 * time.Second
	after := func(symbology string, pause time.Duration) (heard bool) {
		tag, w := record.Tag{Reader: "panel", Symbology: symbology, Code: string(Undo)}, world(rowsHere())
		first := Decide(State{Session: session("P-1:a")}, slow, tag, w)
		w.Now.Mono += pause
		return Decide(first.Next, slow, tag, w).Scan != nil
	}
	if after(Button, 200*time.Millisecond) || !after(Button, 400*time.Millisecond) || after("]C0", 4*time.Second) {
		t.Error("a button is heard again after 300 ms, a code after cool_down")
	}
}

func TestUnreadableTags(t *testing.T) {
	for _, tag := range []record.Tag{{Bad: "not UTF-8"}, {Code: "P-1", Bad: "cut off"}, {}} {
		if d := Decide(State{}, Rules{}, tag, world(picture())); d.Scan.Verdict != record.Misread || d.Session != nil {
			t.Errorf("%+v: %+v", tag, d)
		}
	}
}

// TestUndoMayReplaceOnlyOurs: the row is put back only while it shows what this station made of it.
func TestUndoMayReplaceOnlyOurs(t *testing.T) {
	for _, other := range []string{"P-9", "", "p-1", "P-1 "} {
		d := Decide(State{Session: session("P-1:a")}, rules, record.Tag{Code: "UNDO"}, world(picture(rowOf(hash("a"), "", other))))
		if got := showIntents(d.Intents); got != "" {
			t.Errorf("undo with the row in %q: %s", other, got)
		}
	}
}

// TestACodeReachesTheTableOnlyThroughThePattern, and as it was scanned; texts quote it.
func TestACodeReachesTheTableOnlyThroughThePattern(t *testing.T) {
	loose := rules
	loose.Package = regexp.MustCompile(`PKG-[0-9]+`) // not anchored: still the whole code must match
	for _, code := range []string{
		"'; DROP TABLE buylo_products; --", "PKG-1'; --", " PKG-1", "PKG-1 ", "PKG-1\x1d", "pkg-1", "PKG-😀", "%s%n", "\u202ePKG-1",
		"PKG-1\nverdict=accepted", strings.Repeat("x", 10_000), hash("z"), "PKG-1\x00",
	} {
		for _, s := range []string{"", "P-1:a"} {
			d := Decide(State{Session: session(s)}, loose, record.Tag{Code: code}, world(rowsHere()))
			if d.Scan.Verdict.Green() || d.Session != nil || d.Intents != nil {
				t.Errorf("%q: %+v", code, d)
			}
			if strings.ContainsAny(d.Scan.Text, "\n\x1d\u202e\x00") || strings.Contains(d.Scan.Text, "%!") {
				t.Errorf("%q: text %q", code, d.Scan.Text)
			}
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	var rows []record.Row
	for n := range 5000 {
		rows = append(rows, record.Row{Hash: fmt.Sprintf("%032x", n), EAN: fmt.Sprintf("4%012d", n), Name: "mug"})
	}
	p := picture(rows...)
	for name, code := range map[string]string{"hash": fmt.Sprintf("%032x", 4999), "ean": "4000000004999", "unknown": "4"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Decide(State{Session: record.Session{Package: "P-1"}}, rules, record.Tag{Code: code}, world(p))
			}
		})
	}
	b.Run("open beside 500 tags", func(b *testing.B) { // with serial numbers, after a long shift
		w, s := world(p), State{}
		for n := range maxUnits {
			s.Units = s.Units.with(fmt.Sprintf("3074257BF7194E%010X", n), fmt.Sprintf("%032x", n))
		}
		var lie []string
		for n := range 500 {
			lie = append(lie, fmt.Sprintf("3074257BF7194E%010X", n+maxUnits-250))
		}
		w.Field = func() []string { return lie }
		b.ReportAllocs()
		for b.Loop() {
			Decide(s, rules, record.Tag{Code: "P-1"}, w)
		}
	})
	b.Run("replace", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p.Replace(here(2, rows...))
		}
	})
}
