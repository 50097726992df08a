package e2e

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"station-agent/build/bed"
)

// work is what operator and bridge do during the crashes, and what the lamps promised the operator.
type work struct {
	*site
	arrived atomic.Int64 // number of the item that arrived last, 0 before the first

	mu     sync.Mutex
	green  map[string]string // item → package of the last green answer that nothing took back
	out    map[string]string // item → package that it was taken out of since
	kept   map[string]bool   // items that were in their package when it was opened again
	open   string            // the package that the lamps said is open
	asked  bool              // after a start, for its label: nothing may join before that is answered
	afloat map[string]bool   // codes that got no answer; a new agent may still read them
	label  int               // the last one used
	told   map[string]int    // steps and verdicts
}

func newWork(s *site) *work {
	return &work{site: s, green: map[string]string{}, out: map[string]string{}, kept: map[string]bool{},
		afloat: map[string]bool{}, told: map[string]int{}}
}

// operate packs whatever is not packed yet, scanning again whenever the lamp stays dark.
func (w *work) operate(ctx context.Context, random *rand.Rand) {
	last := bed.Line{}
	for ctx.Err() == nil {
		code := w.next(last, random)
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		line, err := w.Scan(short, code)
		cancel()
		if err != nil {
			w.unanswered(code, last)
			last = bed.Line{}
			pause(ctx, 30*time.Millisecond)
			continue
		}
		last = line
		pause(ctx, time.Duration(random.IntN(60))*time.Millisecond)
	}
}

// next is what the operator scans after the lamp's last answer.
func (w *work) next(last bed.Line, random *rand.Rand) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := random.IntN(20)
	switch {
	case last.Verdict == "question" && k < 12:
		return last.Package
	case last.Verdict == "conflict" && k < 8:
		return bed.OverrideCode
	case last.Code == bed.RemoveCode && last.Step == "armed" && k < 18:
		return w.packed(random)
	case w.open == "" || k < 2:
		return w.aLabel(random)
	case k < 4:
		return bed.UndoCode
	case k < 6:
		return bed.CloseCode
	case k < 8:
		return bed.RemoveCode
	case k < 9:
		return bed.CancelCode
	default:
		return w.item(random)
	}
}

// aLabel is mostly a new one.
func (w *work) aLabel(random *rand.Rand) string {
	n := w.label + 1
	if w.label > 0 && random.IntN(4) == 0 {
		n = w.label - random.IntN(min(w.label, 8))
	}
	w.label = max(w.label, n)
	return fmt.Sprintf("PKG-2026-%05d", n)
}

// item is one of those that were there from the start, or that arrived lately.
func (w *work) item(random *rand.Rand) string {
	if last := int(w.arrived.Load()); last > 0 && random.IntN(2) == 0 {
		return bed.Hash(last - random.IntN(min(last-firstNew+1, 10)))
	}
	return bed.Hash(1 + random.IntN(30))
}

// packed is an item of the open package, if the operator knows of one.
func (w *work) packed(random *rand.Rand) string {
	for hash, pkg := range w.green {
		if pkg == w.open {
			return hash
		}
	}
	return w.item(random)
}

// changing lists the commands after which nothing is sure that was promised before, until their answer is seen.
func changing() []string {
	return []string{bed.UndoCode, bed.CancelCode, bed.RemoveCode, bed.OverrideCode}
}

// unanswered notes a code of which nobody knows whether it was read, or will be when an agent runs again.
func (w *work) unanswered(code string, last bed.Line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.afloat[code] = true
	w.doubt()
	delete(w.out, code)
	if last.Step == "armed" {
		delete(w.green, code)
	}
}

// doubt forgets what a command may have changed without a word.
func (w *work) doubt() {
	for _, code := range changing() {
		if w.afloat[code] {
			clear(w.green)
			clear(w.out)
		}
	}
}

// see remembers what a lamp promised. The answer to what was scanned while no agent ran comes when the next one starts, and
// that to an item which was looked for comes by itself.
func (w *work) see(l bed.Line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch l.Msg {
	case "start":
		w.doubt() // the one before may have read a command and died before it answered
	case "still open":
		w.open, w.asked = l.Package, true
	case "call back": // what was green offline met a row that shows something else
		delete(w.green, l.Hash)
	case "verdict":
		if w.told[cmp.Or(l.Step, l.Verdict)]++; l.Code == bed.OverrideCode && l.Step == "added" {
			w.told["overridden"]++
		}
		delete(w.afloat, l.Code)
		w.note(l)
	}
}

func (w *work) note(l bed.Line) {
	switch l.Step {
	case "opened", "reopened", "resumed", "closed", "cancelled":
		w.asked = false
	case "added":
		if w.asked {
			w.t.Errorf("joined a package that may have been swapped: %s", l.Raw)
		}
	}
	switch l.Step {
	case "opened", "resumed":
		w.open = l.Package
	case "reopened":
		w.open = l.Package
		for hash, pkg := range w.green {
			w.kept[hash] = w.kept[hash] || pkg == l.Package
		}
	case "added":
		w.green[l.Hash] = l.Package
		delete(w.kept, l.Hash)
		delete(w.out, l.Hash)
	case "removed":
		w.takeOut(l.Hash, l.Package)
	case "undone":
		w.undone(l)
	case "closed":
		w.open = ""
	case "cancelled":
		w.cancelled(l)
	}
	switch l.Verdict {
	case "waiting":
		delete(w.out, l.Code) // it may be answered when nobody hears it any more
	case "no package open":
		w.open = ""
	case "question":
		w.open = l.Package
	}
}

func (w *work) takeOut(hash, pkg string) {
	delete(w.green, hash)
	delete(w.kept, hash)
	w.out[hash] = pkg
}

// undone takes one item out, or reverts a step: what that took out may be in again.
func (w *work) undone(l bed.Line) {
	if l.Hash != "" {
		w.takeOut(l.Hash, l.Package)
		return
	}
	clear(w.out)
}

// cancelled takes out what was added since the package was opened; or nothing, if a command was waiting for its scan.
func (w *work) cancelled(l bed.Line) {
	if l.Count > 0 {
		return
	}
	for hash, pkg := range maps.Clone(w.green) {
		if pkg == l.Package && !w.kept[hash] {
			w.takeOut(hash, pkg)
		}
	}
	w.open = ""
}

// check holds what the lamps promised last against the rows.
func (w *work) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t.Logf("%d items are to be in, %d out", len(w.green), len(w.out))
	for hash, pkg := range w.green {
		if got := w.shows(hash); got != pkg {
			w.t.Errorf("item %s was answered green for %s, the row shows %q", hash, pkg, got)
		}
	}
	for hash, pkg := range w.out {
		if got := w.shows(hash); got == pkg {
			w.t.Errorf("item %s was taken out of %s, the row shows it", hash, pkg)
		}
	}
}
