package manifest

import (
	"cmp"
	"slices"
	"sort"

	"station-agent/store/record"
)

// contents is what this station put into one package, as of some entry of the journal.
type contents struct {
	items []item
	out   []item // were taken out, and their rows aren't known to show that
	since uint64 // the first entry that was followed; the manifest it began from has those before
}

// item is one in a package, and how its assignment stands.
type item struct {
	hash   string
	scan   uint64
	at     record.Stamp // of that scan
	intent uint64       // 0: the row showed the package without one, or longer ago than anybody knows
	fate   fate
}

// fate is how an assignment stands: settled if it is "".
type fate string

const (
	settled fate = ""
	waiting fate = "waiting"
	unknown fate = "unknown" // it was put in before anybody followed the package, and how that ended isn't in the journal's state
)

func fateOf(r record.Result) fate {
	if r == record.Settled || r == record.SameValue {
		return settled
	}
	return fate(r)
}

func place(list []item, hash string) int {
	return slices.IndexFunc(list, func(i item) bool { return i.hash == hash })
}

func without(list []item, hash string) []item {
	return slices.DeleteFunc(list, func(i item) bool { return i.hash == hash })
}

func (c *contents) clone() *contents {
	return &contents{slices.Clone(c.items), slices.Clone(c.out), c.since}
}

// put brings an item in. The scan that brought it first stays.
func (c *contents) put(i item) {
	c.out = without(c.out, i.hash)
	if n := place(c.items, i.hash); n >= 0 {
		i.scan, i.at = c.items[n].scan, c.items[n].at
		c.items[n] = i
		return
	}
	c.items = append(c.items, i)
}

// scanned notes which scan brought an item, whose row may be written later.
func (c *contents) scanned(hash string, seq uint64, at record.Stamp) {
	i := item{hash: hash, scan: seq, at: at}
	if n := place(c.items, hash); n >= 0 {
		c.items[n].scan, c.items[n].at = seq, at
	} else {
		c.items = append(c.items, i)
	}
}

// take takes an item out, and tells whether it was in there, or was to leave.
func (c *contents) take(i item) bool {
	if place(c.items, i.hash) < 0 && place(c.out, i.hash) < 0 {
		return false
	}
	c.items = without(c.items, i.hash)
	c.out = append(without(c.out, i.hash), i)
	return true
}

// set makes the items those of list, with what is known of them. Of one that isn't known, before says how it stands: if that knows of
// no assignment either, the row showed the package when it was opened again or when the item was scanned, else nobody knows.
func (c *contents) set(label string, list []record.Packed, before *record.State) {
	items := make([]item, 0, len(list))
	for n, p := range list {
		one := standing(label, p.Hash, before)
		if known := place(c.items, p.Hash); known >= 0 {
			one = c.items[known]
		} else if one.intent == 0 && n >= before.Session.Kept && !record.Same(p.Was, &label) {
			one.fate = unknown
		}
		items = append(items, one)
	}
	c.items = items
}

// standing is an item by what the journal knows of its assignments.
func standing(label, hash string, s *record.State) item {
	wanted := func(i record.Intent) bool { return i.Hash == hash && record.Same(i.Package, record.Package(label)) }
	for _, i := range slices.Backward(s.Open) {
		if wanted(i) {
			return item{hash: hash, scan: i.Scan, intent: i.ID, fate: waiting}
		}
	}
	for _, p := range slices.Backward(s.Parked) {
		if wanted(p.Intent) {
			return item{hash: hash, scan: p.Scan, intent: p.ID, fate: fateOf(p.Outcome.Result)}
		}
	}
	return item{hash: hash}
}

// end notes how an assignment ended, and tells whether it was about this package. One that was to take an item out ended well too
// if the row shows something else, or isn't there.
func (c *contents) end(o record.Outcome) (mine bool) {
	for n := range c.items {
		if c.items[n].intent == o.Intent {
			c.items[n].fate, mine = fateOf(o.Result), true
		}
	}
	c.out = slices.DeleteFunc(c.out, func(i item) bool {
		gone := i.intent == o.Intent && (fateOf(o.Result) == settled || o.Result == record.OtherValue || o.Result == record.NoSuchRow)
		mine = mine || gone
		return gone
	})
	for n := range c.out {
		if c.out[n].intent == o.Intent {
			c.out[n].fate, mine = fateOf(o.Result), true
		}
	}
	return mine
}

// waits tells whether anything may still become of an assignment.
func (c *contents) waits() bool {
	open := func(i item) bool { return i.fate == waiting }
	return slices.ContainsFunc(c.items, open) || slices.ContainsFunc(c.out, open)
}

// say fills in what m says of the contents. Clock dates stamps of its boot.
func (c *contents) say(m *Manifest, clock record.Stamp) {
	m.Hashes, m.Scans = []string{}, []Scan{}
	tell := func(i item, out bool) {
		one := Item{Hash: i.hash, Intent: i.intent, Out: out}
		switch {
		case i.fate == unknown:
			one.Ended = string(unknown)
			m.Open = append(m.Open, one)
		case i.fate == waiting:
			m.Open = append(m.Open, one)
		default:
			one.Ended = string(i.fate)
			m.Conflict = append(m.Conflict, one)
		}
	}
	for _, i := range c.items {
		if i.fate == settled {
			m.Hashes = append(m.Hashes, i.hash)
		} else {
			tell(i, false)
		}
		m.Scans = append(m.Scans, Scan{i.scan, i.hash, momentOf(i.at.Fill(clock))})
	}
	for _, i := range c.out {
		tell(i, true)
	}
	slices.Sort(m.Hashes)
	m.Count, m.Open, m.Conflict = len(m.Hashes), unsure(m.Open), unsure(m.Conflict)
	sort.SliceStable(m.Scans, func(i, k int) bool { return m.Scans[i].Seq < m.Scans[k].Seq })
}

// contents are what m says of the package.
func (m *Manifest) contents() *contents {
	c := &contents{}
	for _, hash := range m.Hashes {
		c.items = append(c.items, item{hash: hash})
	}
	for _, i := range slices.Concat(m.Open, m.Conflict) {
		one := item{hash: i.Hash, intent: i.Intent, fate: cmp.Or(fate(i.Ended), waiting)}
		if i.Out {
			c.out = append(c.out, one)
		} else {
			c.items = append(c.items, one)
		}
	}
	for _, s := range m.Scans {
		if n := place(c.items, s.Hash); n >= 0 {
			c.items[n].scan, c.items[n].at = s.Seq, s.stamp()
		}
	}
	return c
}
