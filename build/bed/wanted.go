package bed

import (
	"fmt"
	"slices"

	"station-agent/store/record"
)

// wanted is what the journal says that the agent owes the rows.
type wanted struct {
	steps    map[string][]step        // by row, in order
	results  map[uint64]record.Result // by intent
	promised int                      // items put into a package
	put      map[string]bool          // items that were accepted and whose rows are to be written when their package is closed
	session  record.Session           // as the last entry left it
	unsure   map[string]bool          // items that were accepted without knowing how their rows stood
	spoilt   map[uint64]bool          // what one scan wanted together and could not have, because of a row that is excused
	faults   []string
}

func newWanted() *wanted {
	return &wanted{steps: map[string][]step{}, results: map[uint64]record.Result{}, put: map[string]bool{},
		unsure: map[string]bool{}, spoilt: map[uint64]bool{}}
}

// note takes in one entry. rows is what became of the rows.
func (w *wanted) note(e record.Entry, rows map[string]*history) {
	w.takenOut(e, rows)
	if e.Scan != nil && e.Scan.Step == record.Added {
		w.unsure[e.Scan.Hash] = e.Scan.Verdict != record.Accepted
	}
	packs := e.Scan != nil && putsIn(e.Scan.Step)
	for _, i := range e.Intents {
		s := step{pkg: show(i.Package), intent: i.ID, scan: i.Scan, green: packs && i.Package != nil}
		s.offline = packs && (w.unsure[i.Hash] || e.Scan.Verdict != record.Accepted)
		if i.Together {
			s.group = i.Scan
		}
		if s.green {
			w.promised++
		}
		if e.Scan == nil {
			s.green, s.offline = w.retry(i)
		}
		w.steps[i.Hash] = append(w.steps[i.Hash], s)
	}
	if o := e.Outcome; o != nil && o.Result != record.Dismissed { // by a person, who saw how it ended
		w.results[o.Intent] = o.Result
	}
	if e.Scan != nil && e.Session != nil {
		w.follow(e, rows)
		w.session = *e.Session
	}
}

// putsIn tells whether a step puts items into a package: at once, or those of the package that it closes.
func putsIn(s record.Step) bool {
	return slices.Contains([]record.Step{record.Added, record.Assigned, record.Closed, record.Opened, record.Reopened}, s)
}

// retry hands the promise of a parked intent on to the one that a person made of it.
func (w *wanted) retry(again record.Intent) (green, offline bool) {
	steps := w.steps[again.Hash]
	for n := range steps {
		if s := &steps[n]; s.green && s.scan == again.Scan && s.pkg == show(again.Package) {
			green, offline = true, s.offline
			s.green = false
		}
	}
	return green, offline
}

// follow holds that an item which was accepted without an intent is taken out again, or gets one with the scan that closes
// its package.
func (w *wanted) follow(e record.Entry, rows map[string]*history) {
	switch {
	case e.Scan.Step == record.Added:
		if len(e.Intents) == 0 {
			w.put[e.Scan.Hash] = true
		}
	case putsIn(e.Scan.Step):
		label := e.Scan.Package
		if e.Scan.Step != record.Assigned && e.Session.Undo != nil {
			label = e.Session.Undo.Package // which another label may have closed
		}
		w.closed(label, e, rows)
	default:
		w.keep(*e.Session)
	}
}

// closed holds that all items that were put into label get their intents now. Only a row that showed the label already
// needs none.
func (w *wanted) closed(label string, e record.Entry, rows map[string]*history) {
	for hash := range w.put {
		of := func(i record.Intent) bool { return i.Hash == hash && show(i.Package) == label }
		if row := rows[hash]; slices.ContainsFunc(e.Intents, of) || row != nil && row.held[label] {
			continue
		}
		w.faults = append(w.faults, fmt.Sprintf("row %s: was accepted for %s, and nothing was wanted of it when that was closed", hash, label))
	}
	clear(w.put)
}

// keep forgets what was taken out. What is gathered has no intents, if it was taken back from a package too.
func (w *wanted) keep(s record.Session) {
	was := w.put
	w.put = map[string]bool{}
	for _, i := range s.Items {
		if was[i.Hash] || s.Package == "" {
			w.put[i.Hash] = true
		}
	}
}

// settle tells each step how it ended, and finds what was spoilt. It adds the rows that never were.
func (w *wanted) settle(rows map[string]*history) {
	for hash, steps := range w.steps {
		if rows[hash] == nil {
			rows[hash] = &history{}
		}
		for n := range steps {
			s := &steps[n]
			s.result = w.results[s.intent]
			if s.group != 0 && rows[hash].excuses(*s) {
				w.spoilt[s.group] = true
			}
		}
	}
}

// takenOut holds that an item which is taken out of its package gets an intent that says so, unless its row was never to be
// in there, or is known to show something else.
func (w *wanted) takenOut(e record.Entry, rows map[string]*history) {
	if e.Scan == nil || e.Session == nil {
		return
	}
	var list []string
	switch e.Scan.Step {
	case record.Removed, record.Undone: // without an item it undid another step
		list = []string{e.Scan.Hash}
	case record.Cancelled:
		for _, i := range w.session.Items[min(w.session.Kept, len(w.session.Items)):] {
			list = append(list, i.Hash)
		}
	}
	for _, hash := range list {
		of := func(i record.Intent) bool { return i.Hash == hash && show(i.Package) != e.Scan.Package }
		steps := w.steps[hash]
		if row := rows[hash]; row != nil && (row.foreign || row.gone) {
			continue
		}
		if n := len(steps); n > 0 && steps[n-1].pkg == e.Scan.Package && !w.results[steps[n-1].intent].Parks() && !slices.ContainsFunc(e.Intents, of) {
			w.faults = append(w.faults, fmt.Sprintf("row %s: was taken out of %s (%s), and nothing was wanted of it", hash, e.Scan.Package, e.Scan.Step))
		}
	}
}
