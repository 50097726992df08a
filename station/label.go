package station

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"

	"station-agent/store/record"
)

// label is a package label:
//
//	a command waits for it     clear, status
//	a question waits for it    after a restart: go on with the package; after another badge: take it over
//	its package is open        duplicate
//	items are gathered         they are assigned to it, and it is closed
//	sweep                      lists, and with the second scan assigns what was listed
//	else                       opens, and closes what is open
//
// A label that was used before opens again what it closed within the reopen time, and is refused later.
func (d *decider) label(label string) Decision {
	d.scan.Package = label
	if err := plain(label); err != nil {
		return d.refuse(record.Misread, "%v", err)
	}
	mine := label == d.was.Package
	switch {
	case d.waitsFor(Clear):
		return d.clear(label)
	case d.waitsFor(Status):
		return d.standing(label)
	case d.was.Ask == AskBadge && mine:
		return d.takeOver()
	case d.was.Ask == AskBadge:
		return d.question()
	case d.was.Ask == AskLabel && mine:
		return d.resume()
	case mine:
		return d.refuse(record.Duplicate, "package %q is open already", label)
	case d.was.Package == "" && len(d.was.Items) > 0:
		return d.assign(label)
	case d.rules.Way == LabelFirst:
		return d.open(label)
	case d.was.Package != "": // the way was changed while it was open
		return d.refuse(record.Question, "package %q is still open: close it first", d.was.Package)
	case d.rules.Way == Sweep:
		return d.sweep(label)
	default:
		return d.refuse(record.NoPackage, "no items are gathered for package %q: scan the items first", label)
	}
}

// use tells what is known of a label that isn't open, and whether it opens again; or why it is refused.
func (d *decider) use(label string) (use record.Use, again bool, err error) {
	use, known := d.w.Labels.Use(label)
	if !known {
		return use, false, nil
	}
	age, dated := d.w.Now.Since(use.At)
	if dated && age <= d.rules.ReopenTime {
		return use, true, nil
	}
	if d.rules.ReuseLabels {
		return record.Use{}, false, nil
	}
	return use, false, fmt.Errorf("package label %q was used before at this station: take a new label", label)
}

func (d *decider) open(label string) Decision {
	use, again, err := d.use(label)
	if err != nil {
		return d.refuse(record.LabelUsed, "%v", err)
	}
	if row, found := d.spoilt(d.due(), d.was.Package); found {
		return d.stuck(row)
	}
	d.shut()
	d.begin(label)
	step, text := record.Opened, fmt.Sprintf("package %q is open", label)
	if again {
		step = record.Reopened
		d.next.Items = slices.DeleteFunc(slices.Clone(use.Items), d.moved) // closing the other package may take some
		d.next.Kept = len(d.next.Items)
		text = fmt.Sprintf("package %q is open again with %s", label, items(d.next.Kept))
	}
	if d.was.Package != "" {
		text += fmt.Sprintf("; package %q was closed with %s", d.was.Package, items(len(d.was.Items)))
	}
	return d.accept(step, "%s%s", text, d.lookAtTable())
}

// moved tells whether this very decision wants the item somewhere.
func (d *decider) moved(i record.Packed) bool {
	return slices.ContainsFunc(d.moves, func(m record.Move) bool { return m.Hash == i.Hash })
}

// resume goes on with the open package after a restart.
func (d *decider) resume() Decision {
	d.next.Ask = Nothing
	return d.accept(record.Resumed, "package %q goes on with %s%s", d.was.Package, items(len(d.was.Items)), d.lookAtTable())
}

// lookAtTable notes the tags that lie on the antenna and are none of the package's items. They don't count until they
// leave and come back.
func (d *decider) lookAtTable() string {
	for _, code := range d.w.field() {
		if f := d.find(code); f.row == nil || !d.next.holds(f.row.Hash) {
			d.scan.NotEmpty++
		}
	}
	if d.scan.NotEmpty == 0 {
		return ""
	}
	return fmt.Sprintf("; the table is not empty: tags on the antenna that don't count until they leave and come back: %d", d.scan.NotEmpty)
}

func (d *decider) close() Decision {
	pkg, n := d.was.Package, len(d.was.Items)
	d.scan.Package = pkg
	switch {
	case pkg == "" && n > 0:
		return d.refuse(record.NoPackage, "gathered: %s: scan the label that they go to, or cancel", items(n))
	case pkg == "":
		return d.refuse(record.NoPackage, "nothing to close: scan a package label first")
	}
	if row, found := d.spoilt(d.due(), pkg); found {
		return d.stuck(row)
	}
	next := d.was.Newcomer
	d.shut()
	if d.was.Ask == AskBadge {
		d.signOn(next)
	}
	return d.packed(record.Closed, pkg, n, "")
}

// packed accepts a step that closes a package. How many items it holds is told: the session has none of them any more.
func (d *decider) packed(step record.Step, label string, n int, why string) Decision {
	decision := d.accept(step, "package %q was closed with %s%s", label, items(n), why)
	decision.Scan.Count = n
	return decision
}

// stuck refuses what could never be written: an item got another package since it was added.
func (d *decider) stuck(row PictureRow) Decision {
	d.scan.Hash = row.Hash
	return d.refuse(record.Conflict, "%s is in %s since it was added here: remove it first", name(row), inside(row.Package))
}

// assign brings the gathered items into the package and closes it.
func (d *decider) assign(label string) Decision {
	if _, _, err := d.use(label); err != nil {
		return d.refuse(record.LabelUsed, "%v", err)
	}
	if row, found := d.spoilt(d.was.Items, label); found {
		return d.stuck(row)
	}
	return d.fill(label, d.was.Items)
}

// fill makes intents that bring items into the package, which is closed with that.
func (d *decider) fill(label string, list []record.Packed) Decision {
	d.into(label, list)
	d.begin("")
	return d.packed(record.Assigned, label, len(list), "")
}

// sweep lists what is here without a package; the same label assigns exactly that.
func (d *decider) sweep(label string) Decision {
	_, _, err := d.use(label)
	switch {
	case err != nil:
		return d.refuse(record.LabelUsed, "%v", err)
	case d.w.Age > d.rules.RowsAge:
		return d.refuse(record.Stale, "what is on this station was last read %v ago: wait until the database answers", d.w.Age.Round(1e9))
	case d.waitsFor("") && d.was.Armed.Package == label:
		return d.takeListed(label, d.was.Armed.Rows)
	}
	rows := d.w.Rows.In(nil)
	if len(rows) == 0 {
		return d.refuse(record.Unknown, "nothing on this station is without a package")
	}
	if len(rows) > maxItems {
		return d.refuse(record.Ambiguous, "%s on this station are without a package: that is no package", items(len(rows)))
	}
	sort.Slice(rows, func(i, k int) bool {
		return cmp.Or(strings.Compare(rows[i].Name, rows[k].Name), strings.Compare(rows[i].Hash, rows[k].Hash)) < 0
	})
	listed := Armed{Package: label}
	for _, r := range rows {
		listed.Rows = append(listed.Rows, r.Hash)
	}
	d.arm(listed)
	d.scan.Count = len(rows)
	return d.tell(record.Listed, "into package %q, if its label is scanned again: %s: %s", label, items(len(rows)), names(rows))
}

func (d *decider) takeListed(label string, hashes []string) Decision {
	var list []record.Packed
	for _, hash := range hashes {
		row, here := d.w.Rows.Lookup(hash)
		if !here || row.Package != nil {
			d.scan.Hash = hash
			return d.refuse(record.Conflict, "%s left the station or got a package since it was listed: scan the label again for a new list", name(row))
		}
		list = append(list, record.Packed{Hash: hash})
	}
	return d.fill(label, list)
}

// clear takes everything out of the package that this station put there, and names what it did not.
func (d *decider) clear(label string) Decision {
	pkg, use := record.Package(label), d.cleared(label)
	others := d.w.Rows.In(pkg)
	for _, i := range use {
		others = slices.DeleteFunc(others, func(r PictureRow) bool { return r.Hash == i.Hash })
		row, _ := d.w.Rows.Lookup(i.Hash)
		may := []record.Value{pkg}
		if record.Same(row.Package, pkg) {
			may = union(may, row.May...)
		}
		d.want(i.Hash, pkg, nil, may)
		d.untook(i.Hash)
		if n := d.place(i.Hash); n >= 0 && label != d.was.Package {
			d.next.Items[n].Was = nil // it was taken out of there, and is to be written yet
		}
	}
	if d.scan.Left = len(others); d.scan.Left > 0 && len(use) == 0 {
		return d.refuse(record.Unknown, "this station put nothing into package %q; left there: %s", label, names(others))
	}
	mine := label == d.was.Package
	if len(use) == 0 && !mine {
		return d.refuse(record.Unknown, "this station put nothing into package %q", label)
	}
	if mine {
		d.begin("")
	}
	text := fmt.Sprintf("taken out of package %q: %s", label, items(len(use)))
	if len(others) > 0 {
		text += fmt.Sprintf("; not put there by this station, so left there: %s", names(others))
	}
	return d.accept(record.Cleared, "%s", text)
}

// cleared lists the items that this station put into the package and that aren't known to be elsewhere by now.
func (d *decider) cleared(label string) []record.Packed {
	use, _ := d.w.Labels.Use(label)
	return slices.DeleteFunc(slices.Clone(use.Items), func(i record.Packed) bool {
		row, here := d.w.Rows.Lookup(i.Hash)
		return here && (row.Package == nil || *row.Package != label)
	})
}

// standing tells how a package stands.
func (d *decider) standing(label string) Decision {
	use, known := d.w.Labels.Use(label)
	waiting, parked := d.w.Labels.Standing(label)
	d.scan.Count = len(use.Items)
	d.scan.Step = record.Told
	switch {
	case parked == 0 && label == d.was.Package && len(d.due()) > 0:
		return d.refuse(record.Waiting, "package %q is open: its items are written when it is closed: %s", label, items(len(d.due())))
	case parked > 0:
		return d.refuse(record.Conflict, "package %q: for a person: %s, waiting for the database: %d", label, items(parked), waiting)
	case waiting > 0:
		return d.refuse(record.Waiting, "package %q: waiting for the database: %s", label, items(waiting))
	case !known:
		return d.refuse(record.Unknown, "package %q was never used at this station", label)
	default:
		return d.tell(record.Told, "package %q is in the database: %s of this station", label, items(len(use.Items)))
	}
}

func inside(v record.Value) string {
	if v == nil {
		return "no package"
	}
	return fmt.Sprintf("package %q", *v)
}
