package station

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"station-agent/store/record"
)

// View is what a decision may know of the rows. Picture is the real one.
type View interface {
	// Lookup gives the row and whether it is on this station.
	Lookup(hash string) (PictureRow, bool)
	// ByEAN gives all rows here whose EAN is that code, or the same GTIN.
	ByEAN(code string) []PictureRow
	// ByEPC gives all rows here for which a map names the tag.
	ByEPC(code string) []PictureRow
	// In gives all rows here that are in the package; those in none for nil.
	In(pkg record.Value) []PictureRow
	// Away gives a row that is known not to be here.
	Away(hash string) (row PictureRow, known bool)
}

// Labels is what this station knows of the labels that it used.
type Labels interface {
	Use(label string) (record.Use, bool)
	// Standing counts the intents for a package: those that wait, and those that need a person.
	Standing(label string) (waiting, parked int)
}

// World is everything outside the session at one moment.
type World struct {
	Now    record.Stamp
	Rows   View
	Labels Labels
	Online bool            // the rows were read just now
	Age    time.Duration   // of the rows
	Field  func() []string // gives the tags on the antennas; nil for none
}

// field gives the tags on the antennas.
func (w World) field() []string {
	if w.Field == nil {
		return nil
	}
	return w.Field()
}

// Decision is what an event does. Without Scan and Session nothing is kept: the bench goes on with Next.
type Decision struct {
	Scan    *record.Scan
	Session *record.Session // afterwards; nil if nothing changed
	Intents []record.Intent // without ID and Scan, which the journal gives
	Next    State           // afterwards, Session included
	Strange bool            // a code that names no item, or not one alone, or is nothing at all was refused
}

// tag is what the decision is about.
func (d Decision) tag() record.Tag {
	if d.Scan == nil {
		return record.Tag{}
	}
	return d.Scan.Tag
}

// Decide tells what a tag means in state s. It changes neither s nor anything else.
//
//	the same scan again at once   nothing: the trigger bounced
//	a tag on an antenna           added while packing, nothing otherwise: no tag opens, commands or answers anything
//	bytes that are no code        misread
//	a button, a command code      that command (command.go)
//	a code at the wrong reader    refused (Rules.Roles)
//	a badge                       signs on, or off (badge.go)
//	the package pattern           the label (label.go): opens, reopens, assigns, or is what a command waits for
//	anything else                 an item (item.go, naming.go)
func Decide(s State, rules Rules, tag record.Tag, w World) Decision {
	d := newDecider(s, rules, w)
	d.scan, d.named = record.Scan{Tag: tag, Count: len(s.Items), Badge: s.Badge}, tag.Code
	if tag.Radio {
		return d.radio(tag)
	}
	if d.bounced(tag) {
		return Decision{Next: d.next}
	}
	d.next.Touched = w.Now.Mono
	switch code, role := tag.Code, rules.Roles[tag.Reader]; {
	case tag.Bad != "":
		return d.refuse(record.Misread, "the code could not be read (%s): scan it again", tag.Bad)
	case code == "":
		return d.refuse(record.Misread, "the code is empty: scan it again")
	case tag.Symbology == Button:
		return d.button(Command(code))
	case rules.Commands[code] != "" && !role.takes(ForCommands):
		return d.wrongReader(role, "a command")
	case rules.Commands[code] != "":
		return d.command(rules.Commands[code])
	case matches(rules.Badge, code) && matches(rules.Package, code):
		d.scan.Code, d.scan.Raw = "badge "+rules.Pseudonym(code), nil // as in badge.go
		return d.refuse(record.Ambiguous, "code %q could be a badge or a package label: correct the patterns", d.scan.Code)
	case matches(rules.Badge, code) && !role.takes(ForCommands):
		d.scan.Code, d.scan.Raw = "badge "+rules.Pseudonym(code), nil // as in badge.go
		return d.wrongReader(role, "a badge")
	case matches(rules.Package, code) && !role.takes(ForPackages):
		return d.wrongReader(role, "a package label")
	case !matches(rules.Badge, code) && !matches(rules.Package, code) && !role.takes(ForItems):
		d.strange = true
		return d.wrongReader(role, "neither a package label, a command nor a badge")
	case matches(rules.Badge, code):
		return d.badge(rules.Pseudonym(code))
	case matches(rules.Package, code):
		return d.label(code)
	default:
		return d.code(code)
	}
}

// decider is one decision in the making.
type decider struct {
	rules   Rules
	w       World
	was     State // its slices are shared and stay as they are
	next    State // a copy of was, to be changed
	green   record.Verdict
	scan    record.Scan
	intents []record.Intent
	moves   []record.Move
	aside   bool   // nobody scanned: what is armed stays armed
	asItem  bool   // the scan was taken for an item
	strange bool   // it is nothing that can be told from noise
	again   bool   // an item that the session holds was added once more
	named   string // the code that names the item
}

func newDecider(s State, rules Rules, w World) *decider {
	d := &decider{rules: rules.filled(), w: w, was: s, next: s.clone(), green: record.AcceptedOffline}
	if w.Online {
		d.green = record.Accepted
	}
	return d
}

// bounced tells whether the tag is the last one once more, held before the scanner a little longer. Nobody holds a button so: one that
// is pressed again is meant, whatever time scanners need.
func (d *decider) bounced(tag record.Tag) bool {
	h, now, bounce := d.was.heard, d.w.Now.Mono, d.rules.Bounce
	if tag.Symbology == Button {
		bounce = min(bounce, defaultBounce)
	}
	d.next.heard = heard{tag.Reader, tag.Code, now}
	return tag.Code != "" && h.code == tag.Code && h.reader == tag.Reader && now-h.at <= bounce
}

// refuse leaves the session as it is.
func (d *decider) refuse(v record.Verdict, text string, args ...any) Decision {
	d.scan.Verdict, d.scan.Text = v, fmt.Sprintf(text, args...)
	if v != record.Misread && v != record.WrongReader { // the scan that is waited for is yet to come
		d.next.Armed = d.armed()
	}
	if d.asItem && v != record.Waiting {
		said := d.scan
		d.next.refused = &said
	}
	return Decision{Scan: &d.scan, Next: d.next, Strange: d.strange || d.asItem && d.scan.Hash == ""}
}

// armed keeps what this very decision armed and drops what was armed before.
func (d *decider) armed() *Armed {
	if d.next.Armed == d.was.Armed && !d.aside {
		return nil
	}
	return d.next.Armed
}

// tell accepts a scan that leaves the session as it is.
func (d *decider) tell(step record.Step, text string, args ...any) Decision {
	d.scan.Verdict, d.scan.Step, d.scan.Text = d.green, step, fmt.Sprintf(text, args...)
	d.next.Armed, d.next.refused = d.armed(), nil
	return Decision{Scan: &d.scan, Next: d.next}
}

// accept makes the next session, with the intents, and touches it. What it takes to undo the step is noted, unless only one
// item was added: that is undone by taking it out.
func (d *decider) accept(step record.Step, text string, args ...any) Decision {
	switch {
	case step == record.Added && !d.again, step == record.Undone, step == record.Resumed:
	default:
		d.next.Undo = &record.Undoable{Step: step, Package: d.was.Package, Items: d.was.Items, Kept: d.was.Kept,
			Moves: d.moves, Badge: d.was.Badge, Count: len(d.next.Items)}
	}
	d.next.Touched, d.next.Stepped = d.w.Now.Mono, d.w.Now.Mono
	d.scan.Count = len(d.next.Items)
	decision := d.tell(step, text, args...)
	session := d.next.Session.Clone()
	decision.Session, decision.Intents = &session, d.intents
	return decision
}

// row is what is known of a row: it is here, or was seen to be elsewhere; else only what own intents make of it.
func (d *decider) row(hash string) (row PictureRow, here, known bool) {
	if row, here = d.w.Rows.Lookup(hash); here {
		return row, true, true
	}
	if away, known := d.w.Rows.Away(hash); known {
		return away, false, true
	}
	return row, false, false
}

// spoilt finds an item whose row is known to show another package than when it was added: it can't be written any more.
func (d *decider) spoilt(list []record.Packed, label string) (row PictureRow, found bool) {
	for _, i := range list {
		row, _, known := d.row(i.Hash)
		if known && !record.Same(row.Package, i.Was) && !record.Same(row.Package, record.Package(label)) {
			return row, true
		}
	}
	return row, false
}

// want adds the intent that hash be in pkg, for the values that may be replaced.
func (d *decider) want(hash string, was, pkg record.Value, may []record.Value) {
	_, _, known := d.row(hash)
	d.intents = append(d.intents, record.Intent{
		Hash: hash, Package: pkg, Replaces: may, Together: d.rules.Together, Unverified: !known && pkg != nil,
	})
	d.moves = append(d.moves, record.Move{Hash: hash, Was: was, Now: pkg})
}

// back adds the intent that undoes a move. Its row may be changed only while it shows what this station made of it; one that
// is known to show something else is left alone. The empty text is never written: a row that held it gets NULL.
func (d *decider) back(m record.Move) {
	if m.Was != nil && *m.Was == "" {
		m.Was = nil
	}
	may := []record.Value{m.Now}
	row, here := d.w.Rows.Lookup(m.Hash)
	switch {
	case record.Same(row.Package, m.Now):
		may = union(may, row.May...)
	case here:
		return
	}
	d.want(m.Hash, m.Now, m.Was, may)
}

// into adds the intents that bring items into label: those whose row isn't known to show it.
func (d *decider) into(label string, list []record.Packed) {
	pkg := record.Package(label)
	for _, i := range list {
		row, _, _ := d.row(i.Hash)
		if record.Same(row.Package, pkg) {
			continue
		}
		may := []record.Value{i.Was}
		if record.Same(row.Package, i.Was) {
			may = union(may, row.May...)
		}
		d.want(i.Hash, i.Was, pkg, may)
	}
}

// begin makes an empty session of the same people.
func (d *decider) begin(label string) {
	d.next.Session = record.Session{Package: label, Badge: d.next.Badge, Shifts: d.next.Shifts}
	d.next.Ask, d.next.Newcomer = Nothing, ""
	d.next.Round++
}

// shut closes the open package in the next session, and writes its rows if that was put off until now.
func (d *decider) shut() {
	d.into(d.was.Package, d.due())
	d.begin("")
}

// due gives those of the open package's items whose rows are to be written when it is closed.
func (d *decider) due() []record.Packed {
	return slices.DeleteFunc(slices.Clone(d.was.Items), func(i record.Packed) bool { return !i.Due })
}

// takeBack adds the intents that take items out of the open package again.
func (d *decider) takeBack(list []record.Packed) {
	for _, i := range list {
		if d.was.Package != "" && !i.Due {
			d.back(record.Move{Hash: i.Hash, Was: i.Was, Now: record.Package(d.was.Package)})
		}
	}
}

// arm lets the next scan be what a is about.
func (d *decider) arm(a Armed) {
	a.Until = d.w.Now.Mono + d.rules.NextScan
	d.next.Armed = &a
}

// waitsFor tells whether what is armed is that command.
func (d *decider) waitsFor(c Command) bool {
	a := d.was.Armed
	return a != nil && a.By == c && d.w.Now.Mono <= a.Until
}

// plain refuses a label that the column could not take, or that could break a line.
func plain(label string) error {
	switch {
	case utf8.RuneCountInString(label) > MaxPackage:
		return fmt.Errorf("package label %q is longer than %d characters", label, MaxPackage)
	case strings.ContainsFunc(label, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }):
		return fmt.Errorf("package label %q holds control characters", label)
	}
	return nil
}

// name is the row for a person. It comes from outside and is quoted, like every code in a text.
func name(row PictureRow) string {
	if row.Name == "" {
		return fmt.Sprintf("item %q", row.Hash)
	}
	return fmt.Sprintf("%q", row.Name)
}

// names lists rows for a person.
func names(rows []PictureRow) string {
	const most = 8
	var list []string
	for _, r := range rows[:min(len(rows), most)] {
		list = append(list, name(r))
	}
	if n := len(rows) - most; n > 0 {
		list = append(list, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(list, ", ")
}

func items(n int) string {
	if n == 1 {
		return "1 item"
	}
	return fmt.Sprintf("%d items", n)
}
