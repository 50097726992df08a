package station

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"station-agent/store/record"
)

// shift is a random shift at one station: an operator, the rows in the database, and a settler that is slow, dies between
// the row and the outcome, and skips intents that a newer one replaced. Reads of the rows arrive late, tags lie on an
// antenna, time goes on.
type shift struct {
	*scenario
	r       *rand.Rand
	clock   int
	table   map[string]record.Value    // the truth in the database
	eans    map[string]string          // by hash
	foreign bool                       // somebody else writes too
	open    map[string][]record.Intent // unsettled, as the journal has them
	scans   uint64
	wanted  map[string]record.Value // what the intents add up to
	read    *record.Reading         // on its way

	log      []Decision
	overrode map[string]bool // by hash: the operator took the item out of a package of somebody else
}

func newShift(t *testing.T, seed uint64, foreign bool) *shift {
	r := rand.New(rand.NewPCG(seed, 1))
	change := func(rules *Rules) {
		rules.Way = []Way{LabelFirst, LabelFirst, ItemsFirst, Sweep}[r.IntN(4)]
		rules.Together, rules.AnyUnit, rules.AllowElsewhere = r.IntN(3) == 0, r.IntN(2) == 0, r.IntN(4) == 0
		rules.TimeOut = []time.Duration{0, 20 * time.Second}[r.IntN(2)]
		rules.ReopenTime = 40 * time.Second
		rules.ReuseLabels = r.IntN(2) == 0
	}
	w := &shift{scenario: newScenario(t, change, NewPicture(1<<40)), r: r, foreign: foreign, table: map[string]record.Value{},
		eans: map[string]string{}, open: map[string][]record.Intent{}, wanted: map[string]record.Value{}, overrode: map[string]bool{}}
	for n := range 8 {
		h := hash(string(rune('a' + n)))
		w.table[h], w.eans[h] = nil, fmt.Sprint(400+n/2)
	}
	w.snapshot()
	w.arrive()
	return w
}

// snapshot begins a read; now and then rows have left the station.
func (w *shift) snapshot() {
	w.read = &record.Reading{Began: at(w.clock)}
	gone := w.r.IntN(16)
	for n, h := range w.hashes() {
		if n != gone {
			w.read.Here = append(w.read.Here, record.Row{Hash: h, EAN: w.eans[h], Product: w.eans[h], Package: w.table[h], EPCs: []string{"T-" + letter(h)}})
		}
	}
}

func (w *shift) arrive() {
	if w.read != nil {
		w.rows.Replace(*w.read)
		w.read = nil
	}
}

// fatalf ends the test, with the story that led there.
func (w *shift) fatalf(format string, args ...any) {
	w.t.Helper()
	for _, d := range w.log {
		w.t.Logf("%q %s %q, session %q, intents %q: %s", d.Scan.Code, d.Scan.Verdict, d.Scan.Step, show(d.Next.Session), showIntents(d.Intents), d.Scan.Text)
	}
	w.t.Fatalf("%s, together %v: %s", w.rules.Way, w.rules.Together, fmt.Sprintf(format, args...))
}

// hashes in a fixed order, so that a seed is a history.
func (w *shift) hashes() []string { return slices.Sorted(maps.Keys(w.table)) }

func (w *shift) row() string { return hash(string(rune('a' + w.r.IntN(8)))) }

func (w *shift) label() string { return fmt.Sprintf("P-%d", w.r.IntN(5)) }

// code is something that an operator may scan.
func (w *shift) code() string {
	commands := []string{"CLOSE", "UNDO", "UNDO", "REMOVE", "CLEAR", "CANCEL", "OVERRIDE", "LAST", "STATUS", "B-1", "B-2"}
	switch n := w.r.IntN(18); {
	case n < 5:
		return w.row()
	case n < 7:
		return w.eans[w.row()]
	case n < 10:
		return w.label()
	case n == 10, n > 15:
		return []string{"~" + w.row(), "~T-" + letter(w.row())}[w.r.IntN(2)]
	case n == 11:
		return hash("z") // there is no such row
	default:
		return commands[w.r.IntN(len(commands))]
	}
}

// step lets one thing happen.
func (w *shift) step() {
	w.clock++
	w.now += w.r.Float64() * 4
	w.online = w.r.IntN(8) > 0
	switch n := w.r.IntN(20); {
	case n < 11:
		w.scan(w.code())
	case n < 14:
		w.settle(w.row())
	case n < 16:
		w.snapshot()
	case n < 18:
		w.arrive()
	case n == 18 && w.foreign:
		w.table[w.row()] = []record.Value{nil, val("F"), val("")}[w.r.IntN(3)]
	case n == 18:
		w.state = Resume(w.state.Session, stamp(w.now)) // a restart
	default:
		w.scan("")
	}
}

func (w *shift) scan(code string) Decision {
	was := show(w.state.Session)
	before := w.state
	d := w.event(code)
	if show(before.Session) != was {
		w.fatalf("%q changed the session in place", code)
	}
	w.take(d)
	for code != "" { // what waits is answered as soon as it can be
		if d = w.event(""); d.Scan == nil {
			break
		}
		w.take(d)
	}
	return w.last
}

// take notes what a decision wants of rows.
func (w *shift) take(d Decision) {
	w.scans++
	if d.Scan != nil {
		w.log = append(w.log, d)
	}
	if d.Scan != nil && d.Scan.Code == "OVERRIDE" {
		w.overrode[d.Scan.Hash] = true
	}
	for n, i := range d.Intents {
		i.ID, i.Scan = w.ids-uint64(len(d.Intents)-1-n), w.scans
		w.open[i.Hash] = append(w.open[i.Hash], i)
		w.wanted[i.Hash] = i.Package
		w.bounded(i)
	}
	w.once()
	if d.Scan != nil && d.Scan.Step == record.Added && w.state.Package == "" && w.rules.Way != ItemsFirst {
		w.fatalf("%q joined nothing: %+v", d.Scan.Code, d.Scan)
	}
}

// bounded: an intent may replace NULL and labels of this station; what somebody else wrote only after an override, or to
// put that back.
func (w *shift) bounded(i record.Intent) {
	for _, theirs := range []record.Value{val("F"), val("")} {
		if i.May(theirs) && !w.overrode[i.Hash] {
			w.fatalf("intent %+v may replace what somebody else wrote: %s", i, vals(i.Replaces))
		}
	}
}

// once: no item is in a package twice, and in the labels' view in no two.
func (w *shift) once() {
	seen := map[string]bool{}
	for _, i := range w.state.Items {
		if seen[i.Hash] {
			w.fatalf("%s is packed twice: %s", letter(i.Hash), show(w.state.Session))
		}
		seen[i.Hash] = true
	}
	in := map[string]string{}
	for label, u := range w.labels.used {
		for _, i := range u.Items {
			if other, twice := in[i.Hash]; twice && !w.foreign {
				w.fatalf("%s is in %s and in %s", letter(i.Hash), label, other)
			}
			in[i.Hash] = label
		}
	}
}

// settle handles the oldest intent of a row, as a settler may; those that belong together in one go.
func (w *shift) settle(h string) {
	if len(w.open[h]) == 0 {
		return
	}
	i := w.open[h][0]
	if len(w.open[h]) > 1 && w.r.IntN(3) == 0 {
		w.end(i, record.Superseded)
		return
	}
	result := record.OtherValue
	switch v := w.table[h]; {
	case w.foreign && w.r.IntN(10) == 0:
		result = record.Refused
	case record.Same(v, i.Package):
		result = record.SameValue
	case i.May(v):
		w.table[h], result = i.Package, record.Settled
	}
	if result == record.OtherValue && !w.foreign {
		w.fatalf("intent %s on %s in %s can't be settled", showIntents([]record.Intent{i}), letter(h), vals([]record.Value{w.table[h]}))
	}
	if w.r.IntN(3) > 0 { // else the answer was lost and it is tried again
		w.end(i, result)
	}
}

func (w *shift) end(i record.Intent, result record.Result) {
	w.open[i.Hash] = w.open[i.Hash][1:]
	w.clock++
	w.rows.Ended(i.Hash, record.Outcome{Intent: i.ID, Result: result, Found: w.table[i.Hash]}, at(w.clock))
	w.clock++
}

// drain settles everything.
func (w *shift) drain() {
	for _, h := range w.hashes() {
		for len(w.open[h]) > 0 {
			w.settle(h)
		}
	}
}

// holds compares the table with what the operator was told.
func (w *shift) holds(seed uint64) {
	w.t.Helper()
	w.drain()
	for h, v := range w.table {
		if !record.Same(v, w.wanted[h]) {
			w.fatalf("seed %d: row %s holds %s, the verdicts say %s", seed, letter(h), vals([]record.Value{v}), vals([]record.Value{w.wanted[h]}))
		}
	}
	if w.rules.Together {
		return
	}
	for _, i := range w.state.Items {
		if v, there := w.table[i.Hash]; there && w.state.Package != "" && !record.Same(v, &w.state.Package) {
			w.fatalf("seed %d: %s is not in the open package", seed, letter(i.Hash))
		}
	}
}

func TestRandomHistories(t *testing.T) {
	for seed := range uint64(400) {
		w := newShift(t, seed, false)
		for range 300 {
			w.step()
		}
		if w.state.Package != "" && w.rules.Together {
			w.state.Ask = Nothing
			w.now++
			w.scan("CLOSE")
		}
		w.holds(seed)
	}
}

func TestRandomHistoriesWithASecondWriter(t *testing.T) {
	for seed := range uint64(400) {
		w := newShift(t, seed, true)
		for range 300 {
			w.step()
		}
		w.drain()
	}
}

// second is a scan that what is armed may be waiting for.
func (w *shift) second() string {
	switch w.state.Armed.By {
	case Override:
		return "OVERRIDE"
	case Remove:
		if n := len(w.state.Items); n > 0 {
			return w.state.Items[w.r.IntN(n)].Hash
		}
		return w.row()
	case Clear, Status:
		return w.label()
	default:
		return w.state.Armed.Package
	}
}

// TestEveryEffectIsUndoneByUndo goes one step from any state that a shift can reach, and back.
func TestEveryEffectIsUndoneByUndo(t *testing.T) {
	undone := map[record.Step]int{}
	for seed := range uint64(6000) {
		w := newShift(t, seed, false)
		for range w.r.IntN(60) {
			w.step()
		}
		w.now += 20 // nothing is armed any more
		w.rules.TimeOut = 0
		for w.event("").Scan != nil {
		}
		was := w.state
		wanted := maps.Clone(w.wanted)
		w.online = true
		w.scan([]string{w.code(), w.code(), "REMOVE", "CLEAR"}[w.r.IntN(4)])
		if w.state.Armed != nil { // it takes two
			w.now++
			w.scan(w.second())
		}
		d := w.last
		if d.Session == nil || d.Scan.Step == record.Undone || d.Scan.Step == record.Resumed || w.state.Ask != Nothing || len(w.state.Waiting) > 0 {
			continue
		}
		w.now++
		w.scan("UNDO")
		undone[d.Scan.Step]++
		if show(w.state.Session) != show(was.Session) {
			w.fatalf("seed %d: %q %q, undone, made %q of %q", seed, d.Scan.Code, d.Scan.Step, show(w.state.Session), show(was.Session))
		}
		w.drain()
		for h, v := range w.table {
			if !record.Same(v, wanted[h]) {
				w.fatalf("seed %d: %q: row %s was not put back", seed, d.Scan.Step, letter(h))
			}
		}
	}
	for _, s := range []record.Step{record.Opened, record.Reopened, record.Added, record.Removed, record.Closed, record.Assigned, record.Cleared, record.Cancelled, record.SignedOn, record.SignedOff} {
		if undone[s] < 5 {
			t.Errorf("%q was undone %d times", s, undone[s])
		}
	}
}
