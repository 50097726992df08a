package station

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"station-agent/store/record"
)

// MaxPackage is how long a package label may be, in characters: what external_package_id takes.
const MaxPackage = 64

// hashLen is how long a row's hash is, in characters.
const hashLen = 32

// Rules say what a code means. A code is compared byte by byte.
type Rules struct {
	Package *regexp.Regexp // must match the whole code of a package label, and nothing else
	Close   string         // the command that closes the open package; "" if there is none
	Undo    string         // the command that undoes the last step; "" if there is none
}

// View is what Decide may know of the rows on this station. Picture is the real one.
type View interface {
	// Lookup gives the row and whether it is on this station.
	Lookup(hash string) (PictureRow, bool)
	// ByEAN gives all rows with that EAN.
	ByEAN(ean string) []PictureRow
}

// Decision is what a tag does.
type Decision struct {
	Scan    record.Scan
	Session *record.Session // afterwards; nil if nothing changed
	Intents []record.Intent // without ID and Scan, which the journal gives
}

// Decide tells what tag means in session s:
//
//	bytes that are no code        misread
//	the command codes             close: the open package is closed
//	                              undo: the last item is taken out; else the opening is undone; else, with nothing open,
//	                              the package closed last is open again as it was
//	the package pattern           opens; a package that is open is closed by it; its own label again is a duplicate
//	a hash of this station        that row
//	an EAN                        the only row on this station with this EAN and without a package; two or more are
//	                              ambiguous; none, but one in the open package, is a duplicate
//	anything else                 unknown
//
// A row is added if a package is open and the row has none; it is a duplicate in the open package and a conflict in another.
// What the row shows outranks what the session remembers: an item whose intent failed, and whose row was cleared since, is
// added again.
// online chooses between accepted and accepted offline. Decide changes neither s nor anything else.
func Decide(s record.Session, rules Rules, tag record.Tag, view View, online bool) Decision {
	d := decider{session: s, view: view, green: record.AcceptedOffline, scan: record.Scan{Tag: tag, Count: len(s.Items)}}
	if online {
		d.green = record.Accepted
	}
	switch code := tag.Code; {
	case tag.Bad != "":
		return d.refuse(record.Misread, "the code could not be read (%s): scan it again", tag.Bad)
	case code == "":
		return d.refuse(record.Misread, "the code is empty: scan it again")
	case code == rules.Close:
		return d.close()
	case code == rules.Undo:
		return d.undo()
	case rules.names(code):
		return d.open(code)
	default:
		return d.item(code)
	}
}

// names tells whether code is a package label, all of it.
func (r Rules) names(code string) bool {
	if r.Package == nil {
		return false
	}
	at := r.Package.FindStringIndex(code)
	return at != nil && at[0] == 0 && at[1] == len(code)
}

// decider is one decision in the making.
type decider struct {
	session record.Session // before; its slices are shared and stay as they are
	view    View
	green   record.Verdict
	scan    record.Scan
}

// refuse leaves everything as it is.
func (d *decider) refuse(v record.Verdict, text string, args ...any) Decision {
	d.scan.Verdict, d.scan.Text = v, fmt.Sprintf(text, args...)
	return Decision{Scan: d.scan}
}

// accept makes next the session.
func (d *decider) accept(step record.Step, next record.Session, intents []record.Intent, text string, args ...any) Decision {
	d.scan.Verdict, d.scan.Step, d.scan.Count = d.green, step, len(next.Items)
	d.scan.Text = fmt.Sprintf(text, args...)
	return Decision{Scan: d.scan, Session: &next, Intents: intents}
}

// closed is the open package as one that was closed, or what was closed before if none is open.
func (d *decider) closed() *record.ClosedPackage {
	s := d.session.Clone()
	if s.Package == "" {
		return s.Before
	}
	return &record.ClosedPackage{Package: s.Package, Items: s.Items}
}

func (d *decider) open(label string) Decision {
	d.scan.Package = label
	switch {
	case label == d.session.Package:
		return d.refuse(record.Duplicate, "package %q is open already", label)
	case utf8.RuneCountInString(label) > MaxPackage:
		return d.refuse(record.Misread, "package label %q is longer than %d characters", label, MaxPackage)
	case strings.ContainsFunc(label, unicode.IsControl):
		return d.refuse(record.Misread, "package label %q holds control characters", label)
	}
	next := record.Session{Package: label, Before: d.closed()}
	if d.session.Package != "" {
		return d.accept(record.Opened, next, nil, "package %q is open; package %q was closed with %s", label, d.session.Package, items(len(d.session.Items)))
	}
	return d.accept(record.Opened, next, nil, "package %q is open", label)
}

func (d *decider) close() Decision {
	if d.session.Package == "" {
		return d.refuse(record.NoPackage, "nothing to close: scan a package label first")
	}
	d.scan.Package = d.session.Package
	return d.accept(record.Closed, record.Session{Before: d.closed()}, nil,
		"package %q was closed with %s", d.session.Package, items(len(d.session.Items)))
}

func (d *decider) undo() Decision {
	s := d.session.Clone()
	switch {
	case len(s.Items) > 0:
		return d.takeOut(s)
	case s.Package != "":
		d.scan.Package = s.Package
		return d.accept(record.Undone, record.Session{Before: s.Before}, nil, "the opening of package %q was undone", s.Package)
	case s.Before != nil:
		d.scan.Package = s.Before.Package
		return d.accept(record.Undone, record.Session{Package: s.Before.Package, Items: s.Before.Items}, nil,
			"package %q is open again with %s", s.Before.Package, items(len(s.Before.Items)))
	default:
		return d.refuse(record.NoPackage, "nothing to undo: scan a package label first")
	}
}

// takeOut undoes the adding of the last item of s. Its row may be changed only while it shows what this station made of it.
func (d *decider) takeOut(s record.Session) Decision {
	last := s.Items[len(s.Items)-1]
	s.Items = s.Items[:len(s.Items)-1]
	ours := record.Package(s.Package)
	may := union([]record.Value{ours}, last.Was)
	row, _ := d.view.Lookup(last.Hash)
	if record.Same(row.Package, ours) {
		may = union(may, row.May...)
	}
	d.scan.Package, d.scan.Hash = s.Package, last.Hash
	return d.accept(record.Undone, s, []record.Intent{{Hash: last.Hash, Package: last.Was, Replaces: may}},
		"%s was taken out of package %q, which holds %s", name(row), s.Package, items(len(s.Items)))
}

// item finds the row that code names.
func (d *decider) item(code string) Decision {
	if utf8.RuneCountInString(code) == hashLen {
		row, here := d.view.Lookup(code)
		if here {
			return d.add(row)
		}
		if d.holds(code) {
			d.scan.Hash, d.scan.Package = code, d.session.Package
			return d.refuse(record.Duplicate, "item %q is in package %q already", code, d.session.Package)
		}
	}
	rows := d.view.ByEAN(code)
	free := slices.DeleteFunc(slices.Clone(rows), func(r PictureRow) bool { return r.Package != nil })
	if len(free) == 1 {
		return d.add(free[0])
	}
	if len(free) > 1 {
		return d.refuse(record.Ambiguous, "code %q fits %d items without a package: scan the item's own code", code, len(free))
	}
	if n := slices.IndexFunc(rows, d.contains); n >= 0 {
		return d.add(rows[n])
	}
	if len(rows) > 0 {
		return d.refuse(record.Unknown, "every item with the code %q is in another package already", code)
	}
	return d.refuse(record.Unknown, "no item on this station has the code %q", code)
}

// holds tells whether the item was added to the open package.
func (d *decider) holds(hash string) bool {
	return slices.ContainsFunc(d.session.Items, func(i record.Packed) bool { return i.Hash == hash })
}

// contains tells whether the row is in the open package, by whomever.
func (d *decider) contains(row PictureRow) bool {
	return d.session.Package != "" && row.Package != nil && *row.Package == d.session.Package
}

// add puts the row into the open package.
func (d *decider) add(row PictureRow) Decision {
	s := d.session.Clone()
	d.scan.Hash, d.scan.Package = row.Hash, s.Package
	switch {
	case s.Package == "":
		return d.refuse(record.NoPackage, "%s has no package to go into: scan a package label first", name(row))
	case d.contains(row):
		return d.refuse(record.Duplicate, "%s is in package %q already", name(row), s.Package)
	case row.Package != nil:
		return d.refuse(record.Conflict, "%s is in package %q and stays there", name(row), *row.Package)
	}
	if !d.holds(row.Hash) {
		s.Items = append(s.Items, record.Packed{Hash: row.Hash, Was: row.Package})
	}
	intent := record.Intent{Hash: row.Hash, Package: record.Package(s.Package), Replaces: row.May}
	return d.accept(record.Added, s, []record.Intent{intent},
		"%s is in package %q, which holds %s", name(row), s.Package, items(len(s.Items)))
}

// name is the row for a person. It comes from outside and is quoted, like every code in a text.
func name(row PictureRow) string {
	if row.Name == "" {
		return fmt.Sprintf("item %q", row.Hash)
	}
	return fmt.Sprintf("%q", row.Name)
}

func items(n int) string {
	if n == 1 {
		return "1 item"
	}
	return fmt.Sprintf("%d items", n)
}
