package station

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"station-agent/store/record"
)

// command is a command code, or a button.
//
//	close          closes the open package
//	undo           the last step is undone: a scan that is being looked for, the last item, or what Session.Undo holds
//	remove         the next item is taken out
//	clear          everything this station put into the next label's package is taken out
//	cancel         ends what waits for a scan; else takes back what is gathered, or was added since the package was opened
//	override       the item of the conflict just told is taken out of its package into this one
//	remaining-one  adds the only row here without a package
//	set-aside      notes that the item just refused was put aside
//	status         tells how the next label's package stands
//	acknowledge    ends the call-back
func (d *decider) command(c Command) Decision {
	allowed := []Command{Close, Cancel, SetAside, Status, Acknowledge}
	if d.was.Package == "" {
		allowed = append(allowed, Remove) // a gathered item that no label takes must come out somehow
	}
	if d.was.Ask != Nothing && !slices.Contains(allowed, c) {
		return d.question()
	}
	switch c {
	case Close:
		return d.close()
	case Undo:
		return d.undo()
	case Remove:
		return d.begun(c, d.was.busy(), "scan the item that is taken out")
	case Clear, Status:
		return d.begun(c, true, "scan the label of the package")
	case Cancel:
		return d.cancel()
	case Override:
		return d.override()
	case RemainingOne:
		return d.remaining()
	case SetAside:
		return d.setAside()
	default:
		d.scan.Package = d.was.Package
		return d.tell(record.Acknowledged, "what went wrong was seen")
	}
}

// button is a command by its name.
func (d *decider) button(c Command) Decision {
	if !slices.Contains(Commands(), c) {
		d.strange = true
		return d.refuse(record.Misread, "button %q is no command: see station-agent commands", c)
	}
	return d.command(c)
}

// begun arms a command that needs another scan.
func (d *decider) begun(c Command, makesSense bool, what string) Decision {
	d.scan.Package = d.was.Package
	if !makesSense {
		return d.refuse(record.NoPackage, "nothing to %s from: scan a package label first", c)
	}
	d.arm(Armed{By: c})
	return d.tell(record.Armed, "%s: %s", c, what)
}

// question repeats what must be answered.
func (d *decider) question() Decision {
	d.scan.Package = d.was.Package
	what := standing(d.was.Session)
	switch {
	case d.was.Ask == AskBadge && d.was.Package == "":
		return d.refuse(record.Question, "somebody else signs on while %s: scan the new badge again to take over, or cancel", what)
	case d.was.Ask == AskBadge:
		return d.refuse(record.Question, "somebody else signs on while %s: scan its label or the new badge again to take over, close it, or cancel", what)
	case d.was.Package == "":
		return d.refuse(record.Question, "%s: scan the label that they go to, or cancel", what)
	default:
		return d.refuse(record.Question, "%s: scan its label to go on, or close it", what)
	}
}

// defaultUndo is for a site where no label opens again.
const defaultUndo = 10 * time.Minute

func (d *decider) undo() Decision {
	u, n := d.was.Undo, len(d.was.Items)
	switch {
	case d.lastWaiting() >= 0:
		return d.forget(d.lastWaiting())
	case u != nil && n <= u.Count && !d.was.busy() && d.w.Now.Mono-d.was.Stepped > d.undoTime():
		return d.refuse(record.NoPackage, "nothing to undo: the last step was %v ago", (d.w.Now.Mono - d.was.Stepped).Round(time.Second))
	case u != nil && n <= u.Count:
		return d.revert(u)
	case n > d.was.Kept:
		return d.takeOut()
	case d.was.Package != "":
		d.scan.Package = d.was.Package
		d.begin("")
		return d.accept(record.Undone, "the opening of package %q was undone", d.was.Package)
	default:
		return d.refuse(record.NoPackage, "nothing to undo")
	}
}

// undoTime is how long a step is undone after which nothing is open: as long as the label would open again.
func (d *decider) undoTime() time.Duration { return cmp.Or(d.rules.ReopenTime, defaultUndo) }

// lastWaiting finds the scan that waits, if the operator scanned it after the last step; -1 if there is none.
func (d *decider) lastWaiting() int {
	for n, w := range slices.Backward(d.was.Waiting) {
		if !w.Tag.Radio && w.At >= d.was.Stepped {
			return n
		}
	}
	return -1
}

// forget drops a scan that waits.
func (d *decider) forget(n int) Decision {
	w := d.was.Waiting[n]
	d.scan.Package, d.scan.Judges = d.was.Package, w.Seq
	d.next.Waiting = slices.Delete(d.next.Waiting, n, n+1)
	return d.tell(record.Undone, "code %q isn't looked for any more", w.Tag.Code)
}

// takeOut undoes the adding of the last item.
func (d *decider) takeOut() Decision {
	last := d.was.Items[len(d.was.Items)-1]
	d.next.Items = d.next.Items[:len(d.next.Items)-1]
	d.untook(last.Hash)
	d.takeBack([]record.Packed{last})
	row, _ := d.w.Rows.Lookup(last.Hash)
	d.scan.Package, d.scan.Hash = d.was.Package, last.Hash
	return d.accept(record.Undone, "%s was taken out, left: %s", name(row), items(len(d.next.Items)))
}

// revert makes the session what it was before step u, and undoes what that step did to rows.
func (d *decider) revert(u *record.Undoable) Decision {
	d.scan.Package = d.labelOf(u)
	for _, m := range u.Moves {
		d.back(m)
	}
	d.next.Session = record.Session{Package: u.Package, Items: slices.Clone(u.Items), Kept: u.Kept, Badge: u.Badge, Shifts: d.was.Shifts}
	return d.accept(record.Undone, "%q was undone: %s", u.Step, standing(d.next.Session))
}

// labelOf is the label that the step was about.
func (d *decider) labelOf(u *record.Undoable) string {
	var label record.Value
	switch {
	case u.Step == record.Opened, u.Step == record.Reopened:
		return d.was.Package
	case u.Step == record.Cleared && len(u.Moves) > 0:
		label = u.Moves[0].Was
	case u.Step == record.Assigned && len(u.Moves) > 0:
		label = u.Moves[0].Now
	}
	if label == nil {
		return u.Package
	}
	return *label
}

// standing is a session for a person.
func standing(s record.Session) string {
	switch {
	case s.Package != "":
		return fmt.Sprintf("package %q is open with %s", s.Package, items(len(s.Items)))
	case len(s.Items) > 0:
		return "gathered: " + items(len(s.Items))
	default:
		return "no package is open"
	}
}

func (d *decider) cancel() Decision {
	d.scan.Package = d.was.Package
	a := d.was.Armed
	switch {
	case a != nil && d.w.Now.Mono <= a.Until:
		return d.tell(record.Cancelled, "nothing is waited for any more")
	case d.was.Ask == AskBadge:
		d.next.Ask, d.next.Newcomer = Nothing, ""
		return d.tell(record.Cancelled, "the badge was not changed: %s", standing(d.was.Session))
	case !d.was.busy():
		return d.refuse(record.NoPackage, "nothing to cancel")
	}
	added := d.was.Items[d.was.Kept:]
	for _, i := range added {
		d.untook(i.Hash)
	}
	d.takeBack(added)
	d.begin("")
	return d.accept(record.Cancelled, "taken back: %s; no package is open", items(len(added)))
}

// override takes the item of the last conflict out of the package that was told.
func (d *decider) override() Decision {
	a := d.was.Armed
	if !d.waitsFor(Override) {
		return d.refuse(record.NoPackage, "no item was refused just now for being in another package")
	}
	d.named = a.Code
	row, _, _ := d.row(a.Hash)
	if row.Package == nil || *row.Package != a.Package {
		return d.add(row, false)
	}
	d.scan.Hash, d.scan.Package = row.Hash, d.was.Package
	if !d.adding() {
		return d.noPackage(name(row))
	}
	return d.put(row, false)
}

// remaining adds the only row here without a package.
func (d *decider) remaining() Decision {
	if !d.adding() {
		return d.noPackage("the remaining item")
	}
	rows := slices.DeleteFunc(d.w.Rows.In(nil), func(r PictureRow) bool { return d.was.holds(r.Hash) })
	switch {
	case !d.w.Online:
		return d.refuse(record.Stale, "the rows of this station can't be read now: nobody knows which item is the last one")
	case len(rows) == 0:
		return d.refuse(record.Unknown, "nothing on this station is without a package")
	case len(rows) > 1:
		return d.refuse(record.Ambiguous, "%s on this station are without a package: %s", items(len(rows)), names(rows))
	}
	return d.add(rows[0], false)
}

// setAside notes an exception. What was refused last is named, if anything was.
func (d *decider) setAside() Decision {
	d.scan.Package = d.was.Package
	if r := d.was.refused; r != nil {
		d.scan.Hash = r.Hash
		return d.tell(record.SetAside, "set aside: code %q, which was refused (%s)", r.Code, r.Verdict)
	}
	return d.tell(record.SetAside, "an item was set aside")
}
