package station

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"station-agent/station/gs1"
	"station-agent/store/record"
)

// finding is what a code names.
type finding struct {
	row     *PictureRow    // nil: none
	verdict record.Verdict // why there is none
	text    string         // the same for a person; of one that is pending, also why it is looked for
	pending bool           // another row may still come: worth waiting for while the database answers
	unseen  bool           // the row was never seen: its hash is all that is known
}

func none(v record.Verdict, text string, args ...any) finding {
	return finding{verdict: v, text: fmt.Sprintf(text, args...)}
}

func found(row PictureRow) finding { return finding{row: &row} }

// find goes through the ways of naming; the first that knows the code decides.
func (d *decider) find(code string) finding {
	for _, n := range d.rules.Naming {
		if f, known := d.by(n, code); known {
			return f
		}
	}
	return d.unseen(code)
}

func (d *decider) by(n Naming, code string) (f finding, known bool) {
	switch n {
	case ByHash:
		if utf8.RuneCountInString(code) != hashLen {
			return f, false
		}
		row, here, _ := d.row(code)
		return found(row), here || d.contains(row) || d.isDue(code)
	case ByMap:
		return d.choose(n, code, d.w.Rows.ByEPC(code))
	case ByGTIN:
		if g, ok := d.carried(code); ok && g.Serial != "" {
			return d.unit(code, d.w.Rows.ByEAN(g.Digits))
		} else if ok {
			return d.choose(n, code, d.w.Rows.ByEAN(g.Digits))
		}
	case ByEAN:
		return d.choose(n, code, d.w.Rows.ByEAN(code))
	}
	return f, false
}

// carried gives the GTIN within a code that is more than that GTIN. An element string may look like a hash or a tag: what
// the scanner said of its carrier tells them apart.
func (d *decider) carried(code string) (g gs1.GTIN, ok bool) {
	if _, plain := gs1.GTIN14(code); plain || code == d.scan.Code && d.scan.Symbology == ISO {
		return g, false
	}
	g, ok = gs1.GTINOf(code)
	if !ok && code == d.scan.Code && d.scan.Symbology != "" {
		g, ok = gs1.GTINOf(d.scan.Symbology + code)
	}
	return g, ok
}

// choose takes one of the rows that a code fits. Only one without a package is a candidate; several are never guessed
// between, unless they are units of one product and the site said that any of them will do.
func (d *decider) choose(by Naming, code string, rows []PictureRow) (f finding, known bool) {
	switch {
	case len(rows) == 0:
		return f, false
	case by == ByMap && len(rows) > 1:
		return none(record.Ambiguous, "the tag %q is mapped to %d items: correct the map", code, len(rows)), true
	}
	free := slices.DeleteFunc(slices.Clone(rows), func(r PictureRow) bool { return r.Package != nil || d.was.holds(r.Hash) })
	switch {
	case len(free) == 0:
		return d.taken(by, code, rows), true
	case len(free) == 1:
		return d.checked(by, code, free[0]), true
	case !oneProduct(free):
		return none(record.Ambiguous, "code %q fits %d items of different products: scan the item's own code", code, len(free)), true
	case !d.rules.AnyUnit:
		return none(record.Ambiguous, "code %q fits %d items without a package: scan the item's own code", code, len(free)), true
	default:
		return found(slices.MinFunc(free, older)), true
	}
}

// taken is for a code of which every row has a package.
func (d *decider) taken(by Naming, code string, rows []PictureRow) finding {
	if n := slices.IndexFunc(rows, func(r PictureRow) bool { return d.contains(r) || d.was.holds(r.Hash) }); n >= 0 {
		f := found(rows[n]) // to be told that it is in there already
		f.text = fmt.Sprintf("%s with the code %q is in there already", name(rows[n]), code)
		f.pending = d.rules.AnyUnit && by != ByMap
		return f
	}
	f := none(record.Unknown, "every item with the code %q is in another package already", code)
	if len(rows) == 1 {
		one := d.checked(by, code, rows[0])
		one.text = cmp.Or(one.text, f.text)
		f = one
	}
	f.pending = by != ByMap
	return f
}

// unit is for a code with a serial number, which names one unit and no other. The unit that it named before, it names again;
// else it may be one that no other code has named, neither at this bench nor in the map.
func (d *decider) unit(code string, rows []PictureRow) (f finding, known bool) {
	if hash := d.was.Units.hash(code); hash != "" {
		return d.sameUnit(code, hash), true
	}
	open := slices.DeleteFunc(slices.Clone(rows), func(r PictureRow) bool {
		return d.was.Units.claimed(r.Hash, code) || len(r.EPCs) > 0 && !carries(r, code) || d.contains(r) || d.was.holds(r.Hash)
	})
	if len(rows) > 0 && len(open) == 0 {
		f = none(record.Unknown, "every item with the code %q is packed already or has another tag, and this is another one", code)
		f.pending = true
		return f, true
	}
	return d.choose(ByGTIN, code, open)
}

// carries tells whether a map names the tag for the row.
func carries(r PictureRow, code string) bool {
	return slices.ContainsFunc(r.EPCs, func(epc string) bool { return gs1.CanonicalEPC(epc) == gs1.CanonicalEPC(code) })
}

// sameUnit is for a code that named the item before.
func (d *decider) sameUnit(code, hash string) finding {
	row, here, _ := d.row(hash)
	if here || row.Package != nil || d.isDue(hash) {
		return found(row)
	}
	f := none(record.Unknown, "%s with the code %q is not on this station", name(row), code)
	f.pending = true
	return f
}

// checked refuses a row that is another product than the code says.
func (d *decider) checked(by Naming, code string, row PictureRow) finding {
	if read, ok := d.carried(code); ok && by == ByMap {
		if ean, ok := gs1.GTIN14(row.EAN); ok && ean != read.Digits {
			return none(record.Contradiction, "code %q is of product %s, but its item %s is of product %s: look at the item", code, read.Digits, name(row), ean)
		}
	}
	return found(row)
}

func oneProduct(rows []PictureRow) bool {
	return rows[0].Product != "" && !slices.ContainsFunc(rows, func(r PictureRow) bool { return r.Product != rows[0].Product })
}

func older(a, b PictureRow) int {
	if n := a.Created.Compare(b.Created); n != 0 {
		return n
	}
	return strings.Compare(a.Hash, b.Hash)
}

// unseen is for a code that names no row here. A hash may be known to be elsewhere; while the database is away, one that
// was never seen is taken at its word.
func (d *decider) unseen(code string) finding {
	f := none(record.Unknown, "no item on this station has the code %q", code)
	f.pending = true
	if !slices.Contains(d.rules.Naming, ByHash) || utf8.RuneCountInString(code) != hashLen {
		return f
	}
	away, known := d.w.Rows.Away(code)
	switch {
	case known && d.rules.AllowElsewhere && (!d.w.Online || away.Ago <= d.rules.Patience):
		return found(away)
	case known:
		f.text = fmt.Sprintf("%s is not on this station (%s)", name(away), whereabouts(away))
	case !d.w.Online && matches(d.rules.Item, code):
		row, _ := d.w.Rows.Lookup(code)
		return finding{row: &row, unseen: true}
	}
	return f
}

func whereabouts(row PictureRow) string {
	if row.Station == nil {
		return "on none, when last seen"
	}
	return fmt.Sprintf("on station %q, when last seen", *row.Station)
}

// contains tells whether the row is in the open package, by whomever.
func (d *decider) contains(row PictureRow) bool {
	return d.was.Package != "" && row.Package != nil && *row.Package == d.was.Package
}
