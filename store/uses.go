package store

import (
	"slices"

	"station-agent/store/record"
)

// What this station knows of package labels follows from the journal's entries and from nothing else. What an entry does to
// a label it says without a look at what is known of it, so that nothing is read while a scan waits:
//
//	used       a step concerned the label
//	joined     an item was put there, at the end if it wasn't there
//	returned   the same, if the label is known: by the way, as when a step is undone that took the item out of it. It may be a
//	           label that only others use, which puts nothing of ours there
//	left       an item was taken out, or its row turned out not to be ours
//	undone     the label is as if never used, if nothing is left in it

// use is what is known of one label.
type use struct {
	known bool
	seq   uint64 // the last entry that did something to it
	at    record.Stamp
	items []record.Packed
}

// labelChange is what one entry does to one label.
type labelChange struct {
	label string
	seq   uint64
	at    record.Stamp
	act   labelAct
	item  record.Packed // joined, returned, left
	was   bool          // item.Was is known
}

type labelAct uint8

const (
	used labelAct = iota
	joined
	returned
	left
	undone
)

// with gives u after changes, of which it may have the first already. It writes into u's items.
func (u use) with(changes []labelChange) use {
	has := u.seq
	for _, c := range changes {
		if c.seq > has {
			u.apply(c)
		}
	}
	return u
}

func (u *use) apply(c labelChange) {
	u.seq = c.seq
	here := func(p record.Packed) bool { return p.Hash == c.item.Hash }
	switch c.act {
	case used:
		u.known, u.at = true, c.at
	case returned:
		if !u.known {
			return
		}
		fallthrough
	case joined:
		if !u.known {
			u.known, u.at = true, c.at
		}
		if n := slices.IndexFunc(u.items, here); n < 0 {
			u.items = append(u.items, c.item)
		} else if c.was {
			u.items[n].Was = c.item.Was
		}
	case left:
		u.items = slices.DeleteFunc(u.items, here)
	case undone:
		if len(u.items) == 0 {
			*u = use{seq: c.seq}
		}
	}
}

// entryChanges collects what one entry does.
type entryChanges struct {
	record.Entry
	before *record.State
	list   []labelChange
}

// labelChanges tells what e does to labels. Before is what all entries before it add up to.
func labelChanges(e record.Entry, before *record.State) []labelChange {
	c := entryChanges{Entry: e, before: before}
	for _, i := range e.Intents {
		c.intent(i)
	}
	if i, ok := untrue(e.Outcome, before.Open); ok {
		c.add(i.Package, left, record.Packed{Hash: i.Hash}, false)
	}
	if e.Scan != nil {
		c.step()
	}
	return c.list
}

const longestLabel = 1024 // nothing is known of a longer one; the table takes 255

// add notes a change. NULL and "" are no labels.
func (c *entryChanges) add(label record.Value, act labelAct, item record.Packed, was bool) {
	if label != nil && *label != "" && len(*label) <= longestLabel {
		c.list = append(c.list, labelChange{*label, c.Seq, c.At, act, item, was})
	}
}

func (c *entryChanges) intent(i record.Intent) {
	for _, r := range i.Replaces {
		if !record.Same(r, i.Package) {
			c.add(r, left, record.Packed{Hash: i.Hash}, false)
		}
	}
	if i.Package == nil {
		return
	}
	act := joined
	if c.Scan != nil && c.Scan.Package != "" && c.Scan.Package != *i.Package && c.before.Session.Package != *i.Package { // nor does the scan close it
		act = returned
	}
	was, known := c.was(i)
	c.add(i.Package, act, record.Packed{Hash: i.Hash, Was: was}, known)
}

// step notes what the step of a scan does besides its intents.
func (c *entryChanges) step() {
	label := &c.Scan.Package
	switch c.Scan.Step {
	case record.Opened, record.Reopened:
		if c.Session != nil && c.Session.Undo != nil { // what was open is closed by the same scan
			c.add(&c.Session.Undo.Package, used, record.Packed{}, false)
		}
		c.add(label, used, record.Packed{}, false)
	case record.Resumed, record.Added, record.Removed, record.Closed, record.Assigned, record.Cleared:
		c.add(label, used, record.Packed{}, false)
	case record.Undone, record.Cancelled:
		if *label != openAfter(c.Entry, c.before) {
			c.add(label, undone, record.Packed{}, false)
		}
	}
}

func openAfter(e record.Entry, before *record.State) string {
	switch {
	case e.Session != nil:
		return e.Session.Package
	case e.Added != nil:
		return e.Added.Package
	}
	return before.Session.Package
}

// was tells which value a row had before it was packed: as the session after the entry says, or the one before if the item was
// gathered, or its row was to be written when its package is closed.
func (c *entryChanges) was(i record.Intent) (was record.Value, known bool) {
	if c.Added != nil && c.Added.Hash == i.Hash {
		return c.Added.Was, true
	}
	var lists [][]record.Packed
	if c.Session != nil {
		lists = append(lists, c.Session.Items)
	}
	if s := c.before.Session; s.Package == "" || s.Package == *i.Package {
		lists = append(lists, s.Items)
	}
	for _, list := range lists {
		for _, p := range slices.Backward(list) {
			if p.Hash == i.Hash {
				return p.Was, true
			}
		}
	}
	return nil, false
}

// untrue gives the intent that an outcome says didn't come true, so that the row is not ours; unless a newer one wants the
// same of the row.
func untrue(o *record.Outcome, open []record.Intent) (i record.Intent, ok bool) {
	if o == nil || !o.Result.Parks() {
		return i, false
	}
	n := slices.IndexFunc(open, func(i record.Intent) bool { return i.ID == o.Intent })
	if n < 0 {
		return i, false
	}
	i = open[n]
	again := func(j record.Intent) bool {
		return j.ID > i.ID && j.Hash == i.Hash && record.Same(j.Package, i.Package)
	}
	return i, !slices.ContainsFunc(open, again)
}
