package station

import (
	"cmp"
	"fmt"
	"slices"

	"station-agent/store/record"
)

const (
	maxWaiting = 64  // scans that wait for their item at a time
	maxItems   = 300 // in one package: a step with all of them is one entry of the journal
)

// adding tells whether items can be added now.
func (d *decider) adding() bool { return d.was.Package != "" || d.rules.Way == ItemsFirst }

// code is a code that a person scanned and that is no command, badge or label.
func (d *decider) code(code string) Decision {
	d.asItem = true
	switch {
	case d.waitsFor(Remove):
		return d.remove(code)
	case d.was.Ask != Nothing:
		return d.question()
	}
	f := d.find(code)
	if !d.adding() && f.pending {
		return d.noPackage(fmt.Sprintf("code %q", code))
	}
	if f.pending && d.w.Online {
		return d.wait(code, f)
	}
	return d.take(f)
}

// radio is a tag that came onto an antenna. Nobody asked for it, so it is answered only while it can be added, and only if
// that changes or refuses anything.
func (d *decider) radio(tag record.Tag) Decision {
	d.aside, d.asItem = true, true
	silent := Decision{Next: d.was}
	if tag.Bad != "" || tag.Code == "" || d.was.Ask != Nothing || !d.adding() {
		return silent
	}
	f := d.find(tag.Code)
	if f.pending && d.w.Online {
		return d.wait(tag.Code, f)
	}
	if decision := d.take(f); decision.Scan.Verdict != record.Duplicate {
		return decision
	}
	return silent
}

// take adds what was found, or says why not.
func (d *decider) take(f finding) Decision {
	if f.row == nil {
		return d.refuse(f.verdict, "%s", f.text)
	}
	return d.add(*f.row, f.unseen)
}

// wait answers that the item isn't known yet. While one unit is waited for, the same code again is the same scan, unless
// any unit will do.
func (d *decider) wait(code string, f finding) Decision {
	same := func(w Wait) bool { return w.Tag.Code == code && w.Round == d.was.Round }
	switch {
	case slices.ContainsFunc(d.was.Waiting, same) && !d.rules.AnyUnit:
		return d.refuse(record.Waiting, "code %q is being looked for already", code)
	case len(d.was.Waiting) >= maxWaiting:
		return d.refuse(record.Unknown, "code %q is not known, and %d scans are being looked for already: scan it again", code, maxWaiting)
	}
	d.next.Waiting = append(d.next.Waiting, Wait{Tag: d.scan.Tag, At: d.w.Now.Mono, Round: d.was.Round, Until: d.w.Now.Mono + d.rules.Patience})
	return d.refuse(record.Waiting, "%s: it is looked for", f.text)
}

// judge answers the n-th scan that waits, if it can be answered now.
func (d *decider) judge(n int) (decision Decision, answered bool) {
	w := d.was.Waiting[n]
	d.aside, d.asItem, d.named = true, true, w.Tag.Code
	d.scan = record.Scan{Tag: w.Tag, Count: len(d.was.Items), Badge: d.was.Badge, Judges: w.Seq}
	d.next.Waiting = slices.Delete(d.next.Waiting, n, n+1)
	switch {
	case w.Round != d.was.Round:
		return d.refuse(record.Unknown, "code %q was not known before its package was closed: scan it again", w.Tag.Code), true
	case d.was.Ask != Nothing:
		return d.question(), true
	case w.Tag.Radio && !slices.Contains(d.w.field(), w.Tag.Code):
		return d.refuse(record.Unknown, "tag %q left the antenna before it was known", w.Tag.Code), true
	}
	f := d.find(w.Tag.Code)
	if f.pending && d.w.Online && d.w.Now.Mono < w.Until {
		return decision, false
	}
	return d.take(f), true
}

func (d *decider) noPackage(what string) Decision {
	if d.rules.Way == Sweep {
		return d.refuse(record.NoPackage, "%s: items aren't scanned here: scan a package label to see what is on the station", what)
	}
	return d.refuse(record.NoPackage, "%s has no package to go into: scan a package label first", what)
}

// add puts the row into the open package, or to the gathered items. What the row shows outranks what the session remembers:
// an item whose intent failed, and whose row was cleared since, is added again.
func (d *decider) add(row PictureRow, unseen bool) Decision {
	d.scan.Hash, d.scan.Package = row.Hash, d.was.Package
	held := d.was.holds(row.Hash)
	switch {
	case !d.adding():
		return d.noPackage(name(row))
	case d.contains(row), held && d.isDue(row.Hash):
		return d.refuse(record.Duplicate, "%s is %s already", name(row), d.where())
	case row.Package != nil:
		d.offer(row)
		return d.refuse(record.Conflict, "%s is in package %q and stays there", name(row), *row.Package)
	}
	return d.put(row, unseen)
}

// offer arms the override for an item that is in another package. What a person armed stays, if nobody scanned the item;
// and of two items that came onto an antenna neither is meant.
func (d *decider) offer(row PictureRow) {
	a := Armed{By: Override, Package: *row.Package, Hash: row.Hash, Code: d.named, Radio: d.scan.Radio}
	was := d.was.Armed
	switch {
	case !d.aside || was == nil || d.w.Now.Mono > was.Until:
		d.arm(a)
	case was.Radio && was.Hash != row.Hash:
		d.next.Armed = nil
	}
}

// isDue tells whether the item was added and its row is to be written later, with the others.
func (d *decider) isDue(hash string) bool {
	n := d.place(hash)
	return n >= 0 && (d.was.Package == "" || d.was.Items[n].Due)
}

func (d *decider) where() string {
	if d.was.Package == "" {
		return "gathered"
	}
	return fmt.Sprintf("in package %q", d.was.Package)
}

func (d *decider) put(row PictureRow, unseen bool) Decision {
	if len(d.was.Items) >= maxItems {
		return d.refuse(record.Question, "%s with %d items is full: close it first", cmp.Or(d.was.Package, "a package"), maxItems)
	}
	if n := d.place(row.Hash); n >= 0 {
		d.again = true // what undoes it is noted, as it isn't only one more item
		d.drop(n)
	}
	later := d.was.Package == "" || d.rules.Together
	d.next.Items = append(d.next.Items, record.Packed{Hash: row.Hash, Was: row.Package, Due: later && d.was.Package != ""})
	d.took(row.Hash)
	if !later {
		d.want(row.Hash, row.Package, record.Package(d.was.Package), row.May)
	}
	if unseen {
		d.green = record.Unverified
	}
	if d.was.Package == "" {
		return d.accept(record.Added, "%s is gathered, with it %s", name(row), items(len(d.next.Items)))
	}
	return d.accept(record.Added, "%s is in package %q, which holds %s", name(row), d.was.Package, items(len(d.next.Items)))
}

// took remembers which item a code with a serial number named.
func (d *decider) took(hash string) {
	if g, ok := d.carried(d.named); ok && g.Serial != "" {
		d.next.Units = d.next.Units.with(d.named, hash)
	}
}

// untook forgets what named an item that was taken out: it may have been the wrong one.
func (d *decider) untook(hash string) {
	if d.next.Units.claimed(hash, "") {
		d.next.Units = d.next.Units.without(hash)
	}
}

// drop takes the n-th item out of the next session.
func (d *decider) drop(n int) {
	d.next.Items = slices.Delete(d.next.Items, n, n+1)
	if n < d.next.Kept {
		d.next.Kept--
	}
}

// remove takes the item that code names out of the open package, or of the gathered items.
func (d *decider) remove(code string) Decision {
	d.scan.Package = d.was.Package
	rows := d.inside(code)
	switch {
	case len(rows) == 0:
		return d.refuse(record.Unknown, "no item with the code %q is %s", code, d.where())
	case len(rows) > 1 && (!oneProduct(rows) || !d.rules.AnyUnit):
		return d.refuse(record.Ambiguous, "code %q fits %d items that are %s: scan the item's own code", code, len(rows), d.where())
	}
	row := slices.MaxFunc(rows, func(a, b PictureRow) int { return d.place(a.Hash) - d.place(b.Hash) })
	d.scan.Hash = row.Hash
	item := record.Packed{Hash: row.Hash}
	if n := d.place(row.Hash); n >= 0 {
		item.Due = d.was.Items[n].Due
		d.drop(n)
	}
	d.untook(row.Hash)
	d.takeBack([]record.Packed{item}) // to NULL: nobody said that it goes back to where it was
	return d.accept(record.Removed, "%s was taken out, left: %s", name(row), items(len(d.next.Items)))
}

// place is where the item stands in the session, -1 if it doesn't.
func (d *decider) place(hash string) int {
	return slices.IndexFunc(d.was.Items, func(i record.Packed) bool { return i.Hash == hash })
}

// inside lists the rows that code names by the first way that finds any, of those in the open package or gathered.
func (d *decider) inside(code string) []PictureRow {
	for _, n := range d.rules.Naming {
		var rows []PictureRow
		switch n {
		case ByHash:
			row, _ := d.w.Rows.Lookup(code)
			rows = []PictureRow{row}
		case ByMap:
			rows = d.w.Rows.ByEPC(code)
		case ByGTIN:
			if hash := d.was.Units.hash(code); hash != "" {
				row, _, _ := d.row(hash)
				rows = []PictureRow{row}
			} else if g, ok := d.carried(code); ok {
				rows = d.w.Rows.ByEAN(g.Digits)
			}
		case ByEAN:
			rows = d.w.Rows.ByEAN(code)
		}
		rows = slices.DeleteFunc(slices.Clone(rows), func(r PictureRow) bool { return !d.contains(r) && d.place(r.Hash) < 0 })
		if len(rows) > 0 {
			return rows
		}
	}
	return nil
}
