package station

import (
	"slices"
	"strings"
	"sync"
	"time"

	"station-agent/store/record"
)

// Picture is the rows on this station as the bench sees them: as they were last read, with this station's own unsettled
// intents laid over. It is safe for concurrent use and holds its lock only for moments, however many rows there are.
//
// A row's value is known in layers, the later over the earlier:
//
//	read       what the last read of the database said
//	settled    what an own write, or the conflict it met, showed after that read had begun
//	intended   what the newest unsettled intent wants, as long as the layers below show a value that it may replace
//
// If they show another value, somebody else wrote it and the intents will fail: that value is what the row holds.
type Picture struct {
	stale time.Duration
	kick  chan struct{}

	mu      sync.Mutex
	rows    map[string]*entry     // by hash
	byEAN   map[string]*entry     // the first of each EAN; the others by next
	own     map[string]*wishes    // by hash; also for rows that are not here
	settled map[string]settlement // by hash, since the last read began
	read    time.Time             // when the last read began; zero before the first
}

type entry struct {
	base  record.Row // read and settled
	shown PictureRow // and intended
	next  *entry     // with the same EAN
}

// wishes are the unsettled intents on one row.
type wishes struct {
	open []record.Intent // oldest first
	// may holds what they want and what they may replace. The latter keeps the wish of an earlier intent that was
	// superseded without anybody knowing whether its write had arrived.
	may []record.Value
}

type settlement struct {
	value record.Value
	at    time.Time
}

// PictureRow is one row with its effective package.
type PictureRow struct {
	record.Row
	// May holds every value that the row may have now, as far as this station knows: the one that was read, or while own
	// intents are unsettled what they want and what they may replace. Read only.
	May []record.Value
}

// NewPicture makes an empty Picture, which is offline once the last read is older than stale.
func NewPicture(stale time.Duration) *Picture {
	return &Picture{
		stale: stale, kick: make(chan struct{}, 1),
		rows: map[string]*entry{}, byEAN: map[string]*entry{}, own: map[string]*wishes{}, settled: map[string]settlement{},
	}
}

// Replace takes in all rows of this station, from a read that began at began. A row whose own write ended after that keeps
// the value it ended with. A read that began before the last one taken is too late and is ignored. For rows that were kept
// on disk began is the zero time: they are no read, and the Picture stays offline.
func (p *Picture) Replace(rows []record.Row, began time.Time) {
	entries := make([]entry, len(rows))
	byHash := make(map[string]*entry, len(rows))
	byEAN := make(map[string]*entry, len(rows))
	for i, r := range rows {
		e := &entries[i]
		e.base = r
		e.lay(nil)
		byHash[r.Hash] = e
		if r.EAN != "" {
			e.next, byEAN[r.EAN] = byEAN[r.EAN], e
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if began.Before(p.read) {
		return
	}
	p.rows, p.byEAN, p.read = byHash, byEAN, began
	for hash, s := range p.settled {
		if s.at.Before(began) {
			delete(p.settled, hash)
		} else if e := p.rows[hash]; e != nil {
			e.base.Package = s.value
			p.lay(hash)
		}
	}
	for hash := range p.own {
		p.lay(hash)
	}
}

// Intended lays an unsettled intent over its row.
func (p *Picture) Intended(i record.Intent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.own[i.Hash]
	if w == nil {
		w = &wishes{}
		p.own[i.Hash] = w
	}
	w.open = append(w.open, i)
	w.may = slices.Clip(union(union(w.may, i.Replaces...), i.Package))
	p.lay(i.Hash)
}

// Ended takes an intent on the row hash away: it ended with o, and that was known at at. If it settled, the row holds its
// value; if it met another value, the row holds that one.
func (p *Picture) Ended(hash string, o record.Outcome, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.take(hash, o.Intent)
	if !ok {
		return
	}
	switch o.Result {
	case record.Settled, record.SameValue:
		p.holds(hash, i.Package, at)
	case record.OtherValue:
		p.holds(hash, o.Found, at)
	}
	p.lay(hash)
}

func (p *Picture) take(hash string, id uint64) (i record.Intent, ok bool) {
	w := p.own[hash]
	if w == nil {
		return i, false
	}
	n := slices.IndexFunc(w.open, func(i record.Intent) bool { return i.ID == id })
	if n < 0 {
		return i, false
	}
	i = w.open[n]
	w.open = slices.Delete(w.open, n, n+1)
	if len(w.open) == 0 {
		delete(p.own, hash)
	}
	return i, true
}

func (p *Picture) holds(hash string, v record.Value, at time.Time) {
	p.settled[hash] = settlement{v, at}
	if e := p.rows[hash]; e != nil {
		e.base.Package = v
	}
}

func (p *Picture) lay(hash string) {
	if e := p.rows[hash]; e != nil {
		e.lay(p.own[hash])
	}
}

// lay works out anew what the row shows. w is nil if nothing is unsettled.
func (e *entry) lay(w *wishes) {
	if w != nil && contains(w.may, e.base.Package) {
		e.shown = w.over(e.base)
		return
	}
	e.shown = PictureRow{e.base, []record.Value{e.base.Package}}
}

// over is the row with the newest wish laid over it.
func (w *wishes) over(r record.Row) PictureRow {
	r.Package = w.open[len(w.open)-1].Package
	return PictureRow{r, w.may}
}

// union appends those of more that are not in list yet.
func union(list []record.Value, more ...record.Value) []record.Value {
	for _, v := range more {
		if !contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}

func contains(list []record.Value, v record.Value) bool {
	return slices.ContainsFunc(list, func(w record.Value) bool { return record.Same(v, w) })
}

// Lookup gives the row hash and whether it is on this station. For one that isn't, Package and May tell what unsettled
// intents make of it, if there are any.
func (p *Picture) Lookup(hash string) (PictureRow, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.rows[hash]; e != nil {
		return e.shown, true
	}
	row := record.Row{Hash: hash}
	if w := p.own[hash]; w != nil {
		return w.over(row), false
	}
	return PictureRow{Row: row}, false
}

// ByEAN gives all rows with that EAN, those in a package too, in no order.
func (p *Picture) ByEAN(ean string) []PictureRow {
	p.mu.Lock()
	defer p.mu.Unlock()
	var rows []PictureRow
	for e := p.byEAN[ean]; e != nil; e = e.next {
		rows = append(rows, e.shown)
	}
	return rows
}

// Online tells whether the rows were read lately.
func (p *Picture) Online(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.read.IsZero() && now.Sub(p.read) < p.stale
}

// Rows gives the rows without unsettled intents, ordered by hash, to be kept on disk.
func (p *Picture) Rows() []record.Row {
	p.mu.Lock()
	rows := make([]record.Row, 0, len(p.rows))
	for _, e := range p.rows {
		rows = append(rows, e.base)
	}
	p.mu.Unlock()
	slices.SortFunc(rows, func(a, b record.Row) int { return strings.Compare(a.Hash, b.Hash) })
	return rows
}

// Kick asks for a read at once: a code was scanned that isn't here.
func (p *Picture) Kick() <-chan struct{} { return p.kick }

func (p *Picture) ask() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}
