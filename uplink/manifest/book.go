package manifest

import (
	"station-agent/store/record"
)

// book follows what each entry of the journal does to packages:
//
//	an intent            its item leaves every package that the intent may replace, if it is known to be in there, and joins
//	                     the wanted one
//	an outcome           the item's row shows it, or won't
//	a step that ends     the open package is closed: with what the session held (closed, or by the next label), with what was in it
//	the session          before it was opened again (cancelled, its opening undone), or with nothing (cleared)
//	assigned             what was gathered is in the package, and it is closed
//	cleared              nothing is in the package
//
// Only packages that are open, or of which a manifest is to be made, are in memory; the others begin from their last manifest.
type book struct {
	last func(pkg string) (*Manifest, error) // nil if there is none
	of   map[string]*contents                // by package; "" is what was gathered
}

// effect is what one entry did to packages.
type effect struct {
	entry   record.Entry
	after   record.Session
	touched map[string]bool // true: the package was closed, assigned or cleared; else something in it changed
}

// mark notes a package. Closed once is closed.
func (f *effect) mark(pkg string, closed bool) { f.touched[pkg] = f.touched[pkg] || closed }

// get gives the contents of a package as the entry seq finds them. After a restart the last manifest may be of a later entry: the
// entries up to that one lead to the same once more.
func (b *book) get(pkg string, seq uint64) (*contents, error) {
	if c := b.of[pkg]; c != nil {
		return c, nil
	}
	m, err := b.last(pkg)
	if err != nil {
		return nil, err
	}
	c := &contents{}
	if m != nil {
		c = m.contents()
	}
	c.since = seq
	b.of[pkg] = c
	return c, nil
}

// apply folds one entry. What it did to the package that stays open is no news for anybody yet.
func (b *book) apply(e record.Entry, before *record.State) (f effect, err error) {
	f = effect{entry: e, after: before.Session.Clone(), touched: map[string]bool{}}
	f.after.Follow(e)
	for _, step := range []func(*effect, *record.State) error{b.scanned, b.intents, b.closed, b.step, b.outcome} {
		if err := step(&f, before); err != nil {
			return f, err
		}
	}
	if f.after.Package == "" && len(f.after.Items) == 0 {
		delete(b.of, "")
	}
	delete(f.touched, f.after.Package)
	return f, nil
}

// scanned notes which scan added an item, and which package a step opened.
func (b *book) scanned(f *effect, _ *record.State) error {
	s := f.entry.Scan
	if s == nil {
		return nil
	}
	switch {
	case s.Step == record.Added && s.Hash != "":
		c, err := b.get(f.after.Package, f.entry.Seq)
		if err == nil {
			c.scanned(s.Hash, f.entry.Seq, f.entry.At)
		}
		return err
	case f.after.Package != "":
		_, err := b.get(f.after.Package, f.entry.Seq) // from here on it has to be followed
		return err
	}
	return nil
}

func (b *book) intents(f *effect, _ *record.State) error {
	for _, i := range f.entry.Intents {
		for _, r := range i.Replaces {
			if r == nil || *r == "" || record.Same(r, i.Package) {
				continue
			}
			c, err := b.get(*r, f.entry.Seq)
			if err != nil {
				return err
			}
			if c.take(item{hash: i.Hash, intent: i.ID, fate: waiting}) {
				f.mark(*r, false)
			}
		}
		if i.Package == nil {
			continue
		}
		c, err := b.get(*i.Package, f.entry.Seq)
		if err != nil {
			return err
		}
		one := item{hash: i.Hash, scan: i.Scan, intent: i.ID, fate: waiting}
		if i.Scan == f.entry.Seq {
			one.at = f.entry.At
		}
		if from := b.of[""]; from != nil {
			if n := place(from.items, i.Hash); n >= 0 { // it was gathered
				one.scan, one.at = from.items[n].scan, from.items[n].at
			}
		}
		c.put(one)
		f.mark(*i.Package, false)
	}
	return nil
}

// closed notes that the session left its package.
func (b *book) closed(f *effect, before *record.State) error {
	was := before.Session
	if was.Package == "" || f.after.Package == was.Package {
		return nil
	}
	c, err := b.get(was.Package, f.entry.Seq)
	if err != nil {
		return err
	}
	held, closed := was.Items, true
	if s := f.entry.Scan; s != nil {
		switch s.Step {
		case record.Cancelled, record.Undone:
			held, closed = was.Items[:min(was.Kept, len(was.Items))], false
		case record.Cleared:
			held = nil
		}
	}
	c.set(was.Package, held, before)
	f.mark(was.Package, closed)
	return nil
}

// step notes what a scan did to a package that wasn't open.
func (b *book) step(f *effect, before *record.State) error {
	s := f.entry.Scan
	if s == nil || s.Package == "" || s.Package == before.Session.Package || s.Step != record.Assigned && s.Step != record.Cleared {
		return nil
	}
	c, err := b.get(s.Package, f.entry.Seq)
	if err != nil {
		return err
	}
	switch {
	case s.Step == record.Cleared:
		c.items = nil
	case before.Session.Package == "": // also those whose rows showed the package without an intent
		for _, p := range before.Session.Items {
			if place(c.items, p.Hash) < 0 {
				c.items = append(c.items, standing(s.Package, p.Hash, before))
			}
		}
	}
	f.mark(s.Package, true)
	return nil
}

// outcome notes what became of an assignment.
func (b *book) outcome(f *effect, before *record.State) error {
	o := f.entry.Outcome
	if o == nil {
		return nil
	}
	i, ok := intentOf(o.Intent, before)
	if !ok {
		return nil
	}
	for _, v := range append(i.Replaces[:len(i.Replaces):len(i.Replaces)], i.Package) {
		if v == nil || *v == "" {
			continue
		}
		c, err := b.get(*v, f.entry.Seq)
		if err != nil {
			return err
		}
		if c.end(*o) {
			f.mark(*v, false)
		}
	}
	return nil
}

// intentOf finds an assignment that waits or needs a person.
func intentOf(id uint64, s *record.State) (record.Intent, bool) {
	for _, i := range s.Open {
		if i.ID == id {
			return i, true
		}
	}
	for _, p := range s.Parked {
		if p.ID == id {
			return p.Intent, true
		}
	}
	return record.Intent{}, false
}
