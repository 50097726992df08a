package station

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"station-agent/store/record"
)

// world is a random shift at one station: an operator, the rows in the database, and a settler that is slow, dies between
// the row and the outcome, and skips intents that a newer one replaced. Reads of the rows arrive late.
type world struct {
	t       *testing.T
	r       *rand.Rand
	now     int
	rows    map[string]record.Value    // the truth in the database
	eans    map[string]string          // by hash
	foreign bool                       // somebody else writes too
	session record.Session             // the operator's
	picture *Picture                   //
	open    map[string][]record.Intent // unsettled, as the journal has them
	ids     uint64
	told    map[string]record.Value // what the green verdicts add up to
	read    []record.Row            // a read on its way
	began   int
}

func newWorld(t *testing.T, seed uint64, foreign bool) *world {
	w := &world{t: t, r: rand.New(rand.NewPCG(seed, 1)), foreign: foreign, rows: map[string]record.Value{}, eans: map[string]string{},
		picture: NewPicture(1 << 40), open: map[string][]record.Intent{}, told: map[string]record.Value{}}
	for n := range 8 {
		h := hash(string(rune('a' + n)))
		w.rows[h], w.eans[h] = nil, fmt.Sprint(400+n/2)
	}
	w.snapshot()
	w.arrive()
	return w
}

func (w *world) snapshot() {
	w.read, w.began = nil, w.now
	for _, h := range w.hashes() {
		w.read = append(w.read, record.Row{Hash: h, EAN: w.eans[h], Package: w.rows[h]})
	}
}

func (w *world) arrive() {
	if w.read != nil {
		w.picture.Replace(w.read, at(w.began))
		w.read = nil
	}
}

// hashes in a fixed order, so that a seed is a history.
func (w *world) hashes() []string { return slices.Sorted(maps.Keys(w.rows)) }

func (w *world) row() string { return hash(string(rune('a' + w.r.IntN(8)))) }

// step lets one thing happen.
func (w *world) step() {
	w.now++
	switch n := w.r.IntN(20); {
	case n < 5:
		w.scan(w.row())
	case n == 5:
		w.scan(w.eans[w.row()])
	case n < 8:
		w.scan(fmt.Sprintf("P-%d", w.r.IntN(4)))
	case n == 8:
		w.scan("CLOSE")
	case n < 12:
		w.scan("UNDO")
	case n < 15:
		w.settle(w.row())
	case n < 17:
		w.snapshot()
	case n < 19:
		w.arrive()
	case w.foreign:
		w.rows[w.row()] = []record.Value{nil, val("F"), val("")}[w.r.IntN(3)]
	}
}

func (w *world) scan(code string) record.Scan {
	was := w.session.Clone()
	d := Decide(w.session, rules, record.Tag{Code: code}, w.picture, true)
	if (d.Session != nil) != d.Scan.Verdict.Green() || (d.Scan.Step != "") != d.Scan.Verdict.Green() {
		w.t.Fatalf("half a decision: %+v", d)
	}
	if show(was) != show(w.session) {
		w.t.Fatalf("%q changed the session in place", code)
	}
	if d.Session != nil {
		w.session = *d.Session
	}
	for _, i := range d.Intents {
		w.ids++
		i.ID = w.ids
		w.open[i.Hash] = append(w.open[i.Hash], i)
		w.picture.Intended(i)
		w.told[i.Hash] = i.Package
		w.bounded(i)
	}
	w.once()
	return d.Scan
}

// bounded: an intent may replace NULL and labels of this station, never what somebody else wrote.
func (w *world) bounded(i record.Intent) {
	if i.May(val("F")) || i.May(val("")) {
		w.t.Fatalf("intent %+v may replace what somebody else wrote: %s", i, vals(i.Replaces))
	}
}

// once: no item is in a package twice, and while only this station writes, not in two.
func (w *world) once() {
	seen := map[string]bool{}
	list := w.session.Items
	if w.session.Before != nil && !w.foreign {
		list = append(w.session.Clone().Items, w.session.Before.Items...)
	}
	for _, i := range list {
		if seen[i.Hash] {
			w.t.Fatalf("%s is packed twice: %s", i.Hash[:1], show(w.session))
		}
		seen[i.Hash] = true
	}
}

// settle handles the oldest intent of a row, as a settler may.
func (w *world) settle(h string) {
	if len(w.open[h]) == 0 {
		return
	}
	i := w.open[h][0]
	if len(w.open[h]) > 1 && w.r.IntN(3) == 0 {
		w.end(i, record.Superseded)
		return
	}
	result := record.OtherValue
	switch v := w.rows[h]; {
	case record.Same(v, i.Package):
		result = record.SameValue
	case i.May(v):
		w.rows[h], result = i.Package, record.Settled
	}
	if result == record.OtherValue && !w.foreign {
		w.t.Fatalf("intent %s on %s in %s can't be settled", showIntents([]record.Intent{i}), h[:1], vals([]record.Value{w.rows[h]}))
	}
	if w.r.IntN(3) > 0 { // else the answer was lost and it is tried again
		w.end(i, result)
	}
}

func (w *world) end(i record.Intent, result record.Result) {
	w.open[i.Hash] = w.open[i.Hash][1:]
	w.now++
	w.picture.Ended(i.Hash, record.Outcome{Intent: i.ID, Result: result, Found: w.rows[i.Hash]}, at(w.now))
	w.now++
}

// drain settles everything.
func (w *world) drain() {
	for _, h := range w.hashes() {
		for len(w.open[h]) > 0 {
			w.settle(h)
		}
	}
}

func TestRandomHistories(t *testing.T) {
	for seed := range uint64(200) {
		w := newWorld(t, seed, false)
		for range 300 {
			w.step()
		}
		w.drain()
		for h, v := range w.rows {
			if !record.Same(v, w.told[h]) {
				t.Fatalf("seed %d: row %s holds %s, the verdicts say %s", seed, h[:1], vals([]record.Value{v}), vals([]record.Value{w.told[h]}))
			}
		}
		for _, i := range w.session.Items {
			if !record.Same(w.rows[i.Hash], &w.session.Package) {
				t.Fatalf("seed %d: %s is not in the open package", seed, i.Hash[:1])
			}
		}
	}
}

func TestRandomHistoriesWithASecondWriter(t *testing.T) {
	for seed := range uint64(200) {
		w := newWorld(t, seed, true)
		for range 300 {
			w.step()
		}
		w.drain()
	}
}

// TestEveryEffectIsUndoneByUndo goes one step from any state that a shift can reach, and back.
func TestEveryEffectIsUndoneByUndo(t *testing.T) {
	open := func(s record.Session) string { s.Before = nil; return show(s) }
	for seed := range uint64(300) {
		w := newWorld(t, seed, false)
		for range w.r.IntN(60) {
			w.step()
		}
		was := w.session
		told := maps.Clone(w.told)
		code := []string{w.row(), w.eans[w.row()], "P-7", "CLOSE"}[w.r.IntN(4)]
		scan := w.scan(code)
		if !scan.Verdict.Green() {
			continue
		}
		w.scan("UNDO")
		if scan.Step == record.Opened && was.Package != "" {
			w.scan("UNDO") // the label did two things: it closed a package and opened one
		}
		if open(w.session) != open(was) {
			t.Fatalf("seed %d: %q made %q of %q", seed, code, show(w.session), show(was))
		}
		w.drain()
		for h, v := range w.rows {
			if !record.Same(v, told[h]) {
				t.Fatalf("seed %d: row %s was not put back", seed, h[:1])
			}
		}
	}
}
