package proof

import (
	"cmp"
	"sort"
	"strings"
	"time"

	"station-agent/store/record"
)

// Goods is what a row of the table of goods says.
type Goods struct {
	Item      string // "" if it doesn't
	Package   record.Value
	Name, EAN string
}

// Row reads a record's row. It is not ok for a record of another table.
type Row func(r record.Record) (g Goods, ok bool)

// places is where items were, by their records.
type places struct {
	row Row
	of  map[string][]sighting
	cut bool                // the file ends at a time: there may be later records
	now map[string][]string // the items in each package by the last records; nil if it is to be found out anew
}

// sighting is what one record says of an item.
type sighting struct {
	seq   uint64
	key   string
	order string // the version, so that texts are in its order
	at    time.Time
	pkg   record.Value // nil for none
	gone  bool         // the row was deleted
	state record.Fate
	scan  uint64 // that led to it, 0 if none did
}

func newPlaces(row Row) *places { return &places{row: row, of: map[string][]sighting{}} }

// add notes a record. It tells the package that the record shows, which is none for a row that is gone.
func (p *places) add(r *Record) (pkg record.Value, ok bool) {
	g, ok := p.row(r.Record())
	if !ok {
		return nil, false
	}
	s := sighting{r.Seq, r.Key, ordered(r.Version), r.Changed, g.Package, r.Op == record.Delete, r.State, r.Scan}
	if s.gone {
		s.pkg = nil
	}
	p.of[r.ID], p.now = append(p.of[r.ID], s), nil
	return s.pkg, true
}

// ordered writes a number so that texts are in the order of numbers.
func ordered(version string) string {
	const digits = 20
	return strings.Repeat("0", max(0, digits-len(version))) + version
}

// Later tells whether a version is higher than another one.
func Later(version, than string) bool { return ordered(version) > ordered(than) }

// history gives the sightings of an item, in order.
func (p *places) history(item string) []sighting {
	list := p.of[item]
	inOrder(list, func(a, b *sighting) int { return cmp.Or(strings.Compare(a.order, b.order), cmp.Compare(a.seq, b.seq)) })
	return list
}

// held tells where an item was by the sightings until at, zero for all; not ok if there are none.
func (p *places) held(item string, until time.Time) (h Held, ok bool) {
	for _, s := range p.history(item) {
		if !until.IsZero() && s.at.After(until) {
			continue
		}
		if !ok || !record.Same(h.Package, s.pkg) || h.Gone != s.gone {
			h.Since, h.Proven = s.seq, 0
		}
		if s.state == record.Fate(record.Anchored) {
			h.Proven = s.seq
		}
		h.Item, h.Package, h.Gone, h.Record, h.State, ok = item, s.pkg, s.gone, s.seq, s.state, true
	}
	return h, ok
}

// nowIn gives the items that are in a package by their last records.
func (p *places) nowIn(pkg string) []string {
	if p.now == nil {
		p.now = map[string][]string{}
		for item := range p.of {
			if h, ok := p.held(item, time.Time{}); ok && h.Package != nil {
				p.now[*h.Package] = append(p.now[*h.Package], item)
			}
		}
	}
	return p.now[pkg]
}

// inOrder sorts a list and leaves equals as they stand. package slices would bring a sort of its own for each type: a tenth of a
// megabyte more in a binary that has a limit.
func inOrder[T any](list []T, compare func(a, b *T) int) {
	sort.SliceStable(list, func(i, j int) bool { return compare(&list[i], &list[j]) < 0 })
}

// contents is what a package held, or where an item was.
func (p *places) contents(s Subject) (items []Held) {
	for item := range p.of {
		h, ok := p.held(item, s.At)
		if ok && (item == s.Item || s.Package != "" && h.Package != nil && *h.Package == s.Package) {
			items = append(items, h)
		}
	}
	inOrder(items, func(a, b *Held) int { return strings.Compare(a.Item, b.Item) })
	return items
}

// Count puts together the Contents of a file that is being written.
type Count struct {
	subject Subject
	places  *places
}

// NewCount counts for a subject.
func NewCount(s Subject, row Row) *Count { return &Count{s, newPlaces(row)} }

// Add counts a record.
func (c *Count) Add(a *record.Account) { c.places.add(NewRecord(a)) }

// Contents is what the records add up to, made at a time.
func (c *Count) Contents(made time.Time) Contents {
	if !c.subject.At.IsZero() {
		made = c.subject.At
	}
	return Contents{At: made, Items: c.places.contents(c.subject)}
}
