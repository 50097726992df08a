package model

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// nothing is among the values of a wish that may be none: the answers don't tell whether a row was meant.
const nothing = "nothing"

// wish is what an operator asked of one row: that it show one of these values. There are several where the answers at the
// bench leave it open, which is seldom.
type wish struct {
	at     time.Time
	values []string
	scan   int    // the answers of a station are numbered: what one asked for
	why    string // the answer
}

// sure tells whether there is no doubt what was asked.
func (w wish) sure() bool { return len(w.values) == 1 }

func (w wish) may(v string) bool { return slices.Contains(w.values, v) }

// packed is an item in the hands of the operator. Its hash is "" if only its number is known.
type packed struct {
	hash  string
	added bool // it was told so since the package was opened: closing it has to write it
}

// session is what the operator has before him: a package that is open, or gathered items.
type session struct {
	label string
	items []packed
	kept  int // the first of them were in there before it was opened again
	undo  *step
}

// place is where the item stands, -1 if it doesn't.
func (s session) place(hash string) int {
	return slices.IndexFunc(s.items, func(p packed) bool { return p.hash == hash })
}

// step is what it takes to undo the last step that was more than adding one item.
type step struct {
	was   session
	moves []move
	count int // items in the session right after it
}

// move is what a step did to one row: undone, the row is wished to show one of these values.
type move struct {
	hash string
	now  string // the package it was brought into; "" for none
	back []string
}

// again is an item that was added though it is in the session.
type again struct {
	first, at   time.Time
	hash, label string
}

// call is one call-back.
type call struct {
	at          time.Time
	hash, value string
	result      string
}

// ledger adds up the answers at one bench. It makes no decision of the bench again: which step was taken, and with which item
// or label, the answers say. It remembers what they mean for each row.
type ledger struct {
	rules
	session
	wishes map[string][]wish
	belong map[string]map[string]bool // label → item: whether it is certain that the station takes it for one of its own there

	told       map[string]string   // by hash: the package named by the last conflict
	overridden map[string][]string // by hash: packages of others that the operator took it out of
	taken      map[string][]string // by hash: open packages that the operator took it out of, though it came there otherwise
	calls      []call
	called     map[string]map[string]bool // label → item: it was called back once
	added      map[string]time.Time       // by label and hash: when last
	twice      []again
	labels     []string // used ones
	verdicts   map[string]int
	steps      map[string]int
	drift      []string // where the answers contradict what they add up to
	now        line
	scans      int // answers
}

func newLedger(r rules) *ledger {
	return &ledger{rules: r, wishes: map[string][]wish{}, belong: map[string]map[string]bool{}, told: map[string]string{}, added: map[string]time.Time{},
		overridden: map[string][]string{}, taken: map[string][]string{}, called: map[string]map[string]bool{}, verdicts: map[string]int{}, steps: map[string]int{}}
}

// take reads one line of the log.
func (l *ledger) take(n line) {
	l.now = n
	switch n.Msg {
	case "call back":
		l.callBack(n)
	case "verdict":
		l.scans++
		l.verdicts[n.Verdict]++
		if n.Verdict == "conflict" {
			l.hear(n)
		}
		if n.Step != "" {
			l.steps[n.Step]++
			l.step(n)
		}
	}
}

// inPackage finds the package that a conflict names, as it is quoted there.
var inPackage = regexp.MustCompile(`is in package ("(?:[^"\\]|\\.)*") and stays there`)

func (l *ledger) hear(n line) {
	delete(l.told, n.Hash)
	if m := inPackage.FindStringSubmatch(n.Text); m != nil {
		if pkg, err := strconv.Unquote(m[1]); err == nil {
			l.told[n.Hash] = pkg
		}
	}
}

func (l *ledger) callBack(n line) {
	l.calls = append(l.calls, call{n.Time, n.Hash, n.Package, n.Result})
	mark(l.called, n.Package, n.Hash, true)
	if n.Result != "refused" { // the row is not ours: the station doesn't take it for its own any more, unless it wants it anew
		l.doubt(n.Package, n.Hash)
	}
}

func mark(m map[string]map[string]bool, label, hash string, v bool) {
	if m[label] == nil {
		m[label] = map[string]bool{}
	}
	m[label][hash] = v
}

func (l *ledger) doubt(label, hash string) {
	if _, there := l.belong[label][hash]; there {
		l.belong[label][hash] = false
	}
}

// step follows one step. What the number of items was afterwards is held against what the ledger makes of it.
func (l *ledger) step(n line) {
	switch n.Step {
	case "opened":
		l.open(n, nil)
	case "reopened":
		l.open(n, l.inside(n.Package, n.Count))
	case "added":
		l.add(n)
	case "removed":
		l.remove(n)
	case "closed":
		l.replace(session{}, l.shut())
	case "assigned":
		l.assign(n)
	case "cleared":
		l.clear(n)
	case "cancelled":
		l.cancel(n)
	case "undone":
		l.undone(n)
	case "resumed":
	default:
		return // nothing was done: the number may be of something else
	}
	if len(l.items) != n.Count {
		l.drift = append(l.drift, fmt.Sprintf("%d items, where the answers add up to %d: %s", n.Count, len(l.items), n.raw))
		l.items = slices.Repeat([]packed{{}}, n.Count) // go on
	}
}

// replace makes next the session, by a step that can be undone.
func (l *ledger) replace(next session, moves []move) {
	next.undo = &step{was: session{label: l.label, items: l.items, kept: l.kept}, moves: moves, count: len(next.items)}
	l.session = next
}

func (n line) said() string { return oneLine(n.Code + " " + n.Verdict + ", " + n.Step + ": " + n.Text) }

// want notes a wish for a row and what it does to the packages that the station takes it to be in.
func (l *ledger) want(hash string, values ...string) {
	l.wishes[hash] = append(l.wishes[hash], wish{l.now.Time, values, l.scans, l.now.said()})
	for label := range l.belong {
		l.doubt(label, hash)
	}
	for _, v := range values {
		if v != null && v != nothing {
			mark(l.belong, v, hash, len(values) == 1)
		}
	}
}

// before gives what a row may have shown before this station packed it: nothing but what the operator took it out of.
func (l *ledger) before(hash string) []string { return append([]string{null}, l.overridden[hash]...) }

// into wishes items into a package and gives the moves.
func (l *ledger) into(label string, list []packed) (moves []move) {
	for _, i := range list {
		values, back := []string{label}, l.before(i.hash)
		if slices.Contains(back, label) { // it may show it
			values, back = append(values, nothing), append(back, nothing)
		}
		l.want(i.hash, values...)
		moves = append(moves, move{i.hash, label, back})
	}
	return moves
}

// shut writes what was not written yet of the open package, where rows are written when it is closed.
func (l *ledger) shut() (moves []move) {
	if !l.together || l.label == "" {
		return nil
	}
	var list []packed
	if l.place("") >= 0 {
		moves = l.perhaps(l.label)
	}
	for _, i := range l.items {
		certain, there := l.belong[l.label][i.hash]
		switch {
		case i.hash == "":
		case i.added, !there && !l.called[l.label][i.hash]:
			list = append(list, i)
		case !certain || l.called[l.label][i.hash]:
			l.want(i.hash, l.label, nothing)
			moves = append(moves, move{i.hash, l.label, append(l.before(i.hash), nothing)})
		}
	}
	return append(moves, l.into(l.label, list)...)
}

// perhaps is for items that only their number is known of: whatever may be in the package may be meant.
func (l *ledger) perhaps(label string) (moves []move) {
	for hash, certain := range l.belong[label] {
		if !certain {
			l.want(hash, label, nothing)
			moves = append(moves, move{hash, label, append(l.before(hash), nothing)})
		}
	}
	return moves
}

func (l *ledger) open(n line, items []packed) {
	moves := l.shut()
	l.replace(session{label: n.Package, items: items, kept: len(items)}, moves)
	l.used(n.Package)
}

func (l *ledger) used(label string) {
	if !slices.Contains(l.labels, label) {
		l.labels = append(l.labels, label)
	}
}

// inside gives the items that the station takes to be in a package of its own, as far as their number leaves no doubt.
func (l *ledger) inside(label string, count int) (items []packed) {
	for hash := range l.belong[label] {
		items = append(items, packed{hash: hash})
	}
	if len(items) != count {
		return slices.Repeat([]packed{{}}, count)
	}
	return items
}

// add is an item that was put into the open package, or gathered.
func (l *ledger) add(n line) {
	if n.Package != l.label {
		l.drift = append(l.drift, fmt.Sprintf("%q is open, not %q: %s", l.label, n.Package, n.raw))
	}
	if pkg, told := l.told[n.Hash]; n.Code == prefix+"OVERRIDE" && told {
		l.overridden[n.Hash] = append(l.overridden[n.Hash], pkg)
	}
	here := l.place(n.Hash)
	if here < 0 && l.has(n.Hash) && n.Count == len(l.items) { // it may be one of those whose hash isn't known
		here = l.place("")
	}
	l.items = slices.Clone(l.items)
	if here < 0 {
		l.items = append(l.items, packed{n.Hash, true})
	} else {
		l.twice = append(l.twice, again{l.added[l.label+n.Hash], n.Time, n.Hash, l.label})
		l.items[here] = packed{n.Hash, true}
	}
	l.added[l.label+n.Hash] = n.Time
	switch {
	case l.label != "" && !l.together:
		l.want(n.Hash, l.label)
	case l.has(n.Hash): // it was written once and isn't there any more: at once, or when the package is closed
		l.want(n.Hash, l.label, nothing)
	}
}

func (l *ledger) has(hash string) bool {
	_, there := l.belong[l.label][hash]
	return there
}

// pop takes an item out of the session; false if it wasn't there.
func (l *ledger) pop(hash string) bool {
	n := l.place(hash)
	if n < 0 && l.has(hash) {
		n = l.place("")
	}
	if n < 0 {
		return false
	}
	l.items = slices.Delete(slices.Clone(l.items), n, n+1)
	if n < l.kept {
		l.kept--
	}
	return true
}

// takeBack wishes items out of the open package again, those that were written.
func (l *ledger) takeBack(hashes ...string) (moves []move) {
	for _, hash := range hashes {
		certain, there := l.belong[l.label][hash]
		if l.label == "" || l.together && !there {
			continue
		}
		values, back := l.before(hash), []string{l.label}
		if l.together && (!certain || l.called[l.label][hash]) {
			values, back = append(values, nothing), append(back, nothing)
		}
		l.want(hash, values...)
		if values[len(values)-1] != nothing {
			delete(l.belong[l.label], hash)
		}
		moves = append(moves, move{hash, "", back})
	}
	return moves
}

// remove is an item that was taken out. One that the station did not put there is taken out all the same: it was named.
func (l *ledger) remove(n line) {
	was := session{label: l.label, items: l.items, kept: l.kept}
	known := l.pop(n.Hash) || l.has(n.Hash)
	var moves []move
	if known || l.label == "" {
		moves = l.takeBack(n.Hash)
	} else {
		l.taken[n.Hash] = append(l.taken[n.Hash], l.label)
		l.want(n.Hash, null)
		moves = []move{{n.Hash, "", []string{l.label}}}
	}
	l.undo = &step{was: was, moves: moves, count: len(l.items)}
}

func (l *ledger) assign(n line) {
	moves := l.into(n.Package, l.items)
	l.replace(session{}, moves)
	l.used(n.Package)
}

// takenOut finds how many items were cleared.
var takenOut = regexp.MustCompile(`^taken out of package "[^"]*": ([0-9]+) item`)

// unclear notes a text that the ledger can't read: the bench has other words now, and this file has to learn them.
func (l *ledger) unclear(n line) { l.drift = append(l.drift, "nobody knows what this says: "+n.raw) }

// clear is everything of this station taken out of a package. If it was less than the ledger has there, it isn't known
// which: the station left alone what it saw somewhere else.
func (l *ledger) clear(n line) {
	var moves []move
	count := -1
	if m := takenOut.FindStringSubmatch(n.Text); m != nil {
		count, _ = strconv.Atoi(m[1])
	} else {
		l.unclear(n)
	}
	values, back := []string{null}, []string{n.Package}
	if count != len(l.belong[n.Package]) {
		values, back = append(values, nothing), append(back, nothing)
	}
	for hash := range l.belong[n.Package] {
		l.want(hash, values...)
		moves = append(moves, move{hash, "", back})
	}
	if len(values) == 1 {
		delete(l.belong, n.Package)
	}
	next := session{label: l.label, items: l.items, kept: l.kept}
	if n.Package == l.label {
		next = session{}
	}
	l.replace(next, moves)
}

func (l *ledger) cancel(n line) {
	switch {
	case strings.HasPrefix(n.Text, "nothing is waited for"):
		return
	case !strings.HasPrefix(n.Text, "taken back: "):
		l.unclear(n)
	}
	var hashes []string
	for _, i := range l.items[min(l.kept, len(l.items)):] {
		if i.hash != "" {
			hashes = append(hashes, i.hash)
		}
	}
	l.replace(session{}, l.takeBack(hashes...))
}

// undone is the last item taken out, or a scan that isn't looked for any more, or the last step.
func (l *ledger) undone(n line) {
	u := l.undo
	switch {
	case strings.Contains(n.Text, "looked for any more"):
	case n.Hash != "":
		if !l.pop(n.Hash) {
			l.drift = append(l.drift, "an item was undone that isn't there: "+n.raw)
		}
		l.kept = min(l.kept, len(l.items))
		l.takeBack(n.Hash)
	case u != nil && len(l.items) <= u.count:
		for _, m := range u.moves {
			l.want(m.hash, m.back...)
			if !slices.Contains(m.back, nothing) {
				delete(l.belong[m.now], m.hash)
			}
		}
		l.session = u.was
	default:
		l.session = session{}
	}
	if n.Hash == "" && !strings.Contains(n.Text, "looked for any more") && !strings.Contains(n.Text, "was undone") {
		l.unclear(n)
	}
}
