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
	from   string // what the row is to show for that; a row that is known to show something else is left alone. "": any
	scan   int    // the answers of a station are numbered: what one asked for
	why    string // the answer
}

// sure tells whether there is no doubt what was asked.
func (w wish) sure() bool { return len(w.values) == 1 }

func (w wish) may(v string) bool { return slices.Contains(w.values, v) }

// packed is an item in the hands of the operator. Of one that was in a package before it was opened again the hash isn't
// known, and is "".
type packed struct {
	hash string
	due  bool // its row is to be written when the package is closed
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

// move is what a step did to one row: undone, a row that shows now is wished to show one of the values back.
type move struct {
	hash, now string
	back      []string
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
	mine   map[string]map[string]bool // label → items that the station may take for its own there

	told       map[string]string   // by hash: the package named by the last conflict
	overridden map[string][]string // by hash: packages of others that the operator took it out of
	taken      map[string][]string // by hash: open packages that the operator took it out of, though it came there otherwise
	calls      []call
	added      map[string]time.Time // by label and hash: when last
	twice      []again
	labels     []string // used ones
	verdicts   map[string]int
	steps      map[string]int
	drift      []string // where the answers contradict what they add up to
	now        line
	scans      int // answers
}

func newLedger(r rules) *ledger {
	return &ledger{
		rules: r, wishes: map[string][]wish{}, mine: map[string]map[string]bool{}, told: map[string]string{}, overridden: map[string][]string{},
		taken: map[string][]string{}, added: map[string]time.Time{}, verdicts: map[string]int{}, steps: map[string]int{},
	}
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
}

// step follows one step. The number of items in the answer is held against what the ledger makes of it.
func (l *ledger) step(n line) {
	switch n.Step {
	case "opened":
		l.open(n, 0)
	case "reopened":
		l.open(n, n.Count)
	case "added":
		l.add(n)
	case "removed":
		l.remove(n)
	case "closed":
		l.held(n)
		l.replace(session{}, l.shut())
		return
	case "assigned":
		l.held(n)
		l.assign(n)
		return
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
	l.held(n)
}

// held compares the number of items of an answer with what is in the session: of a package that is closed, what it went with.
func (l *ledger) held(n line) {
	if len(l.items) != n.Count {
		l.drift = append(l.drift, fmt.Sprintf("%d items, where the answers add up to %d: %s", n.Count, len(l.items), n.Raw))
		l.items = make([]packed, n.Count) // go on
	}
}

// unclear notes a text that the ledger can't read: the bench has other words now, and this file has to learn them.
func (l *ledger) unclear(n line) { l.drift = append(l.drift, "nobody knows what this says: "+n.Raw) }

// replace makes next the session, by a step that can be undone.
func (l *ledger) replace(next session, moves []move) {
	next.undo = &step{was: l.before(), moves: moves, count: len(next.items)}
	l.session = next
}

// before is the session as a step finds it.
func (l *ledger) before() session { return session{label: l.label, items: l.items, kept: l.kept} }

func said(n line) string { return oneLine(n.Code + " " + n.Verdict + ", " + n.Step + ": " + n.Text) }

// want notes a wish for a row. With from it is one for a row that shows that.
func (l *ledger) want(hash, from string, values ...string) {
	l.wishes[hash] = append(l.wishes[hash], wish{l.now.Time, values, from, l.scans, said(l.now)})
	delete(l.mine[from], hash)
	for _, v := range values {
		if l.mine[v] == nil {
			l.mine[v] = map[string]bool{}
		}
		l.mine[v][hash] = true
	}
}

// was gives what a row may have shown before this station packed it: nothing but what the operator took it out of.
func (l *ledger) was(hash string) []string {
	values := []string{null}
	for _, v := range l.overridden[hash] {
		if v != "" && !slices.Contains(values, v) { // which is never written: NULL takes its place
			values = append(values, v)
		}
	}
	return values
}

// into wishes items into a package and gives the moves. One that was taken out of that package may show it still.
func (l *ledger) into(label string, list []packed) (moves []move) {
	for _, i := range list {
		values, back := []string{label}, l.was(i.hash)
		if slices.Contains(back, label) {
			values, back = append(values, nothing), append(back, nothing)
		}
		l.want(i.hash, "", values...)
		moves = append(moves, move{i.hash, label, back})
	}
	return moves
}

// shut writes what was not written yet of the open package.
func (l *ledger) shut() []move {
	var due []packed
	for _, i := range l.items {
		if i.due {
			due = append(due, i)
		}
	}
	return l.into(l.label, due)
}

func (l *ledger) open(n line, kept int) {
	moves := l.shut()
	l.replace(session{label: n.Package, items: make([]packed, kept), kept: kept}, moves)
	l.used(n.Package)
}

func (l *ledger) used(label string) {
	if !slices.Contains(l.labels, label) {
		l.labels = append(l.labels, label)
	}
}

// add is an item that was put into the open package, or gathered. If their number stayed the same it was there already, and
// stands last now.
func (l *ledger) add(n line) {
	if n.Package != l.label {
		l.drift = append(l.drift, fmt.Sprintf("%q is open, not %q: %s", l.label, n.Package, n.Raw))
	}
	if pkg, told := l.told[n.Hash]; n.Code == prefix+"OVERRIDE" && told {
		l.overridden[n.Hash] = append(l.overridden[n.Hash], pkg)
	}
	before, held := l.before(), n.Count == len(l.items) && l.pop(n.Hash)
	l.items = append(slices.Clone(l.items), packed{n.Hash, l.together && l.label != ""})
	var moves []move
	if l.label != "" && !l.together {
		moves = l.into(l.label, []packed{{hash: n.Hash}})
	}
	if held {
		l.undo = &step{was: before, moves: moves, count: len(l.items)}
		if first, known := l.added[l.label+n.Hash]; known {
			l.twice = append(l.twice, again{first, n.Time, n.Hash, l.label})
		}
	}
	l.added[l.label+n.Hash] = n.Time
}

// pop takes an item out of the session, or one that may be it.
func (l *ledger) pop(hash string) bool {
	n := l.place(hash)
	if n < 0 {
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
func (l *ledger) takeBack(list []packed) (moves []move) {
	for _, i := range list {
		if l.label != "" && !i.due && i.hash != "" {
			l.want(i.hash, l.label, l.was(i.hash)...)
			moves = append(moves, move{i.hash, null, []string{l.label}})
		}
	}
	return moves
}

// remove is an item that was taken out, of the session or, if their number stayed the same, of the package alone: one that
// the station did not put there is taken out all the same, as it was named.
func (l *ledger) remove(n line) {
	before, item := l.before(), packed{hash: n.Hash}
	if here := l.place(n.Hash); here >= 0 {
		item = l.items[here]
	}
	if n.Count < len(l.items) {
		l.pop(n.Hash)
	} else {
		l.taken[n.Hash] = append(l.taken[n.Hash], l.label)
	}
	var moves []move
	if l.label != "" && !item.due {
		l.want(n.Hash, l.label, null)
		moves = []move{{n.Hash, null, []string{l.label}}}
	}
	l.undo = &step{was: before, moves: moves, count: len(l.items)}
}

func (l *ledger) assign(n line) {
	moves := l.into(n.Package, l.items)
	l.replace(session{}, moves)
	l.used(n.Package)
}

// takenOut finds how many items were cleared.
var takenOut = regexp.MustCompile(`^taken out of package "[^"]*": ([0-9]+) item`)

// clear is everything of this station taken out of a package. If it was less than the ledger has there, it isn't known
// which: the station left alone what it saw somewhere else.
func (l *ledger) clear(n line) {
	count := -1
	if m := takenOut.FindStringSubmatch(n.Text); m != nil {
		count, _ = strconv.Atoi(m[1])
	} else {
		l.unclear(n)
	}
	values, back := []string{null}, []string{n.Package}
	if count != len(l.mine[n.Package]) {
		values, back = append(values, nothing), append(back, nothing)
	}
	var moves []move
	for hash := range l.mine[n.Package] {
		l.want(hash, n.Package, values...)
		moves = append(moves, move{hash, null, back})
	}
	next := l.before()
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
	moves := l.takeBack(l.items[min(l.kept, len(l.items)):])
	l.replace(session{}, moves)
}

// undone is the last item taken out, or a scan that isn't looked for any more, or the last step.
func (l *ledger) undone(n line) {
	switch u := l.undo; {
	case strings.Contains(n.Text, "looked for any more"):
	case n.Hash != "":
		l.takeOut(n)
	case !strings.Contains(n.Text, "was undone"):
		l.unclear(n)
	case u != nil && len(l.items) <= u.count:
		for _, m := range u.moves {
			l.want(m.hash, m.now, m.back...)
		}
		l.session = u.was
	default:
		l.session = session{}
	}
}

func (l *ledger) takeOut(n line) {
	last := len(l.items) - 1
	if last < 0 || l.items[last].hash != n.Hash {
		l.drift = append(l.drift, "an item was undone that isn't the last: "+n.Raw)
		return
	}
	item := l.items[last]
	l.items = l.items[:last]
	l.takeBack([]packed{item})
}
