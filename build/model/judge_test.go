package model

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// slack is how much later than the database a station may say what it did: it is a busy machine.
const slack = 2 * time.Second

// court is all that is known: what the operators asked for, and what became of the rows.
type court struct {
	benches []bench
	changes map[string][]change // by hash, in order

	faults []string
	late   int // writes behind a newer one of the same station: a statement that was held up by a fault
}

// bench is one station before the court.
type bench struct {
	account string
	*ledger
	broken []period
	parked []intent // in the end

	written map[string]map[int]time.Time // when a wish for a row was written last, by the wish's place
}

func (c *court) fault(hash, format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...)+c.story(hash))
}

// judge holds the rows against the answers.
func (c *court) judge() {
	for n := range c.benches {
		b := &c.benches[n]
		for _, d := range b.drift {
			c.fault("", "%s: the answers contradict one another: %s", b.account, d)
		}
		b.written = map[string]map[int]time.Time{}
		for hash := range c.changes {
			c.writes(b, hash)
			c.foreign(b, hash)
		}
		for hash := range b.wishes {
			c.promises(b, hash)
		}
		c.whole(b)
		c.called(b)
		c.twice(b)
	}
}

// writes holds that what a station wrote is what its operator asked for, in that order.
func (c *court) writes(b *bench, hash string) {
	wishes, at, last := b.wishes[hash], -1, time.Time{}
	b.written[hash] = map[int]time.Time{}
	for n, w := range c.changes[hash] {
		if w.by != b.account {
			continue
		}
		next := c.asked(b, wishes, w, at)
		switch again := at >= 0 && wishes[at].may(w.to); {
		case again && b.trouble(last, w.at) && c.touched(hash, b.account, last, n):
			// its answer was lost, and somebody changed the row before it was written once more
		case next >= 0:
			at = next
		default:
			c.stray(b, wishes, w)
			continue
		}
		last, b.written[hash][at] = w.at, w.at
	}
}

// asked finds the next wish behind the one that was written last that the write fits.
func (c *court) asked(b *bench, wishes []wish, w change, behind int) int {
	for n := behind + 1; n < len(wishes); n++ {
		if wishes[n].may(w.to) && !wishes[n].at.After(w.at.Add(slack)) {
			return n
		}
	}
	return -1
}

// touched tells whether somebody else changed the row between a time and its n-th change.
func (c *court) touched(hash, account string, since time.Time, n int) bool {
	return slices.ContainsFunc(c.changes[hash][:n], func(o change) bool { return o.by != account && o.at.After(since) })
}

// stray is a write that is not the next that was asked for. It may be an old one whose statement was held up.
func (c *court) stray(b *bench, wishes []wish, w change) {
	for _, old := range wishes {
		if old.may(w.to) && !old.at.After(w.at.Add(slack)) && b.trouble(old.at, w.at) {
			c.late++
			return
		}
	}
	c.fault(w.hash, "%s wrote %q over %q, which nobody there asked for then", b.account, w.to, w.from)
}

// trouble tells whether something was broken around the station between two times.
func (b *bench) trouble(from, to time.Time) bool {
	return slices.ContainsFunc(b.broken, func(p period) bool { return p.to.After(from.Add(-slack)) && p.from.Before(to) })
}

// foreign holds that a station replaced only what it had asked for itself, or what its operator took the item out of.
func (c *court) foreign(b *bench, hash string) {
	for _, w := range c.changes[hash] {
		if w.by != b.account || w.from == null || b.own(w) {
			continue
		}
		if !slices.Contains(b.overridden[hash], w.from) && !slices.Contains(b.taken[hash], w.from) {
			c.fault(hash, "%s overwrote %q, which is not its own, by %q", b.account, w.from, w.to)
		}
	}
}

// own tells whether the station asked for the value that it replaced.
func (b *bench) own(w change) bool {
	return slices.ContainsFunc(b.wishes[w.hash], func(o wish) bool { return o.may(w.from) && !o.at.After(w.at.Add(slack)) })
}

// promises holds that the last thing asked of a row came true, unless somebody else changed it afterwards or the operator
// was called back. Where it isn't certain that anything was asked, the one before it may hold as well.
func (c *court) promises(b *bench, hash string) {
	var why string
	for n, w := range slices.Backward(b.wishes[hash]) {
		for _, v := range w.values {
			if v == nothing {
				continue
			}
			text, kept := c.kept(b, hash, v, w.at)
			if kept {
				return
			}
			why = cmp.Or(why, text)
		}
		if !w.may(nothing) && !c.elsewhere(b, hash, n) {
			break
		}
	}
	if why != "" {
		c.fault(hash, "%s: %s", b.account, why)
	}
}

// elsewhere tells whether the station knew that the row shows something else than the n-th wish was about, and left it alone:
// somebody changed it, or the operator had been called back over it.
func (c *court) elsewhere(b *bench, hash string, n int) bool {
	w, since := b.wishes[hash][n], time.Time{}
	for _, earlier := range b.wishes[hash][:n] {
		if earlier.may(w.from) {
			since = earlier.at
		}
	}
	within := func(at time.Time) bool { return at.After(since.Add(-slack)) && at.Before(w.at.Add(slack)) }
	changed := func(k change) bool { return k.by != b.account && k.to != w.from && within(k.at) }
	called := func(k call) bool { return k.hash == hash && k.value == w.from && within(k.at) }
	return w.from != "" && (slices.ContainsFunc(c.changes[hash], changed) || slices.ContainsFunc(b.calls, called))
}

// kept tells whether one wish came true, or why not.
func (c *court) kept(b *bench, hash, v string, at time.Time) (why string, kept bool) {
	if slices.ContainsFunc(b.calls, func(k call) bool { return k.hash == hash && k.value == v && k.at.After(at.Add(-slack)) }) {
		return "", true
	}
	shown, away := c.shown(hash, v, at.Add(-slack))
	switch {
	case !shown:
		return fmt.Sprintf("a green answer was lost: the row never showed %q", v), false
	case away == b.account:
		return fmt.Sprintf("a green answer was lost: the row showed %q until the station itself took it away", v), false
	}
	return "", true
}

// shown tells whether the row showed v at a time or later, and who took that away; "" if it still does.
func (c *court) shown(hash, v string, since time.Time) (shown bool, by string) {
	now := gone
	for _, k := range c.changes[hash] {
		if k.at.After(since) {
			shown = shown || now == v
			if now == v {
				by = k.by
			}
		}
		now = k.to
	}
	if now == v {
		return true, ""
	}
	return shown, by
}

// whole holds that of what one scan asked for all was written, or nothing, where rows are written when a package is closed.
func (c *court) whole(b *bench) {
	if !b.together {
		return
	}
	last := map[int]time.Time{} // by scan: the last write
	for hash, written := range b.written {
		for n, at := range written {
			if w := b.wishes[hash][n]; b.only(hash, w) && at.After(last[w.scan]) {
				last[w.scan] = at
			}
		}
	}
	for hash, wishes := range b.wishes {
		for n, w := range wishes {
			at, some := last[w.scan]
			newer := n+1 < len(wishes) && wishes[n+1].at.Before(at.Add(slack))
			if some && w.sure() && !newer && !c.elsewhere(b, hash, n) && !c.showed(hash, w.values[0], at) {
				c.fault(hash, "%s wrote some rows of one scan but not %s: %s", b.account, hash, w.why)
			}
		}
	}
}

// only tells whether one scan alone asked for what w asks of the row: else it isn't known for which of them it was written.
func (b *bench) only(hash string, w wish) bool {
	n := 0
	for _, o := range b.wishes[hash] {
		if o.may(w.values[0]) {
			n++
		}
	}
	return n == 1 && w.sure()
}

// showed tells whether the row showed v around that time.
func (c *court) showed(hash, v string, at time.Time) bool {
	now := gone
	for _, k := range c.changes[hash] {
		if now == v && k.at.After(at.Add(-slack)) {
			return true
		}
		if k.at.After(at.Add(slack)) {
			return false
		}
		now = k.to
	}
	return now == v
}

// called holds that whatever needs a person in the end called the operator.
func (c *court) called(b *bench) {
	for _, p := range b.parked {
		if !slices.ContainsFunc(b.calls, func(k call) bool { return k.hash == p.Hash && k.value == valueOf(p.Package) }) {
			c.fault(p.Hash, "%s: item %s needs a person, and nobody was called", b.account, p.Hash)
		}
	}
}

// twice holds that an item was added again to the package that it is in only after it was somewhere else.
func (c *court) twice(b *bench) {
	for _, a := range b.twice {
		since := func(at time.Time) bool { return at.After(a.first.Add(-slack)) && at.Before(a.at.Add(slack)) }
		cleared := func(k change) bool { return k.to != a.label && since(k.at) }
		called := func(k call) bool { return k.hash == a.hash && since(k.at) }
		if !slices.ContainsFunc(c.changes[a.hash], cleared) && !slices.ContainsFunc(b.calls, called) {
			c.fault(a.hash, "%s: an item was added twice to %q", b.account, a.label)
		}
	}
}

// story is everything that happened to one row.
func (c *court) story(hash string) string {
	type event struct {
		at   time.Time
		text string
	}
	var list []event
	for _, k := range c.changes[hash] {
		list = append(list, event{k.at, fmt.Sprintf("%s: %q -> %q", k.by, k.from, k.to)})
	}
	for _, b := range c.benches {
		for _, w := range b.wishes[hash] {
			list = append(list, event{w.at, fmt.Sprintf("%s was asked for %q by %s", b.account, w.values, w.why)})
		}
		for _, k := range b.calls {
			if k.hash == hash {
				list = append(list, event{k.at, fmt.Sprintf("%s called back: %q, %s", b.account, k.value, k.result)})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b event) int { return a.at.Compare(b.at) })
	var text strings.Builder
	for _, e := range list {
		fmt.Fprintf(&text, "\n      %s %.6s %s", e.at.UTC().Format("15:04:05.000000"), hash, e.text)
	}
	return text.String()
}
