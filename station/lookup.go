package station

import (
	"sort"

	"station-agent/station/gs1"
	"station-agent/store/record"
)

// Lookup gives the row hash and whether it is on this station. For one that isn't, Package and May tell what unsettled
// intents make of it, if there are any; else it is taken to be in no package.
func (p *Picture) Lookup(hash string) (PictureRow, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.rows[hash]; e != nil {
		return e.shown, true
	}
	return p.elsewhere(record.Row{Hash: hash}), false
}

// ByEAN gives all rows whose EAN is that code or the same GTIN, those in a package too, ordered by hash.
func (p *Picture) ByEAN(code string) []PictureRow {
	p.mu.Lock()
	defer p.mu.Unlock()
	var rows []PictureRow
	for e := p.byEAN[product(code)]; e != nil; e = e.next {
		rows = append(rows, e.shown)
	}
	return byHash(rows)
}

// ByEPC gives all rows for which a map names the tag, ordered by hash.
func (p *Picture) ByEPC(code string) []PictureRow {
	p.mu.Lock()
	defer p.mu.Unlock()
	var rows []PictureRow
	for _, e := range p.byEPC[gs1.CanonicalEPC(code)] {
		rows = append(rows, e.shown)
	}
	return byHash(rows)
}

// In gives all rows that are in the package, those in none for nil, ordered by hash.
func (p *Picture) In(pkg record.Value) []PictureRow {
	p.mu.Lock()
	defer p.mu.Unlock()
	var rows []PictureRow
	for _, e := range p.rows {
		if record.Same(e.shown.Package, pkg) {
			rows = append(rows, e.shown)
		}
	}
	return byHash(rows)
}

// byHash puts rows into an order that doesn't depend on how they came: the same question has the same answer.
func byHash(rows []PictureRow) []PictureRow {
	sort.Slice(rows, func(i, k int) bool { return rows[i].Hash < rows[k].Hash })
	return rows
}

// All gives every row as it is shown, ordered by hash.
func (p *Picture) All() []PictureRow {
	p.mu.Lock()
	rows := make([]PictureRow, 0, len(p.rows))
	for _, e := range p.rows {
		rows = append(rows, e.shown)
	}
	p.mu.Unlock()
	return byHash(rows)
}
