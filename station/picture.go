package station

import (
	"slices"
	"sort"
	"sync"
	"time"

	"station-agent/station/gs1"
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
//
// It also remembers rows that are not here: those that left, and those that were asked for and found elsewhere.
type Picture struct {
	stale   time.Duration
	since   func(time.Time) time.Duration // time.Since, but in a recording that is run again
	tape    *Tape                         // is told how the rows change
	still   sync.RWMutex                  // held while the bench decides: the rows don't change under it, so that a recording has them in order
	kick    chan struct{}
	changed chan struct{}

	mu      sync.Mutex
	rows    map[string]*entry     // by hash
	byEAN   map[string]*entry     // the first of each product code; the others by next
	byEPC   map[string][]*entry   // by canonical tag
	away    map[string]absence    // by hash
	wanted  []string              // hashes that the bench asks for
	own     map[string]*wishes    // by hash; also for rows that are not here
	settled map[string]settlement // by hash, since the last read began
	read    time.Time             // when the last read began; zero before the first
}

type entry struct {
	base  record.Row // read and settled
	shown PictureRow // and intended
	next  *entry     // with the same product code
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
	// Ago tells how long ago a row that isn't here was seen.
	Ago time.Duration
}

// NewPicture makes an empty Picture, which is offline once the last read is older than stale.
func NewPicture(stale time.Duration) *Picture {
	return &Picture{
		stale: stale, since: time.Since, kick: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		rows: map[string]*entry{}, byEAN: map[string]*entry{}, byEPC: map[string][]*entry{},
		away: map[string]absence{}, own: map[string]*wishes{}, settled: map[string]settlement{},
	}
}

// Replace takes in a read of the database. A row whose own write ended after the read began keeps the value it ended with. A
// read that began before the last one taken is too late and is ignored.
func (p *Picture) Replace(r record.Reading) {
	entries, byHash := entriesOf(r.Here)
	byEAN, byEPC := indexed(entries)
	p.still.Lock()
	defer p.still.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Began.Before(p.read) {
		return
	}
	if p.tape != nil {
		p.tape.rows(p.differs(r, byHash), r.Began)
	}
	for hash, e := range p.rows {
		if byHash[hash] == nil {
			p.leaves(e.base, r.Began)
		}
	}
	p.rows, p.byEAN, p.byEPC, p.read = byHash, byEAN, byEPC, r.Began
	for _, row := range r.Away {
		p.away[row.Hash] = absence{row, r.Began}
	}
	for _, hash := range r.None {
		delete(p.away, hash)
	}
	p.forgetAway()
	p.overlay(r.Began)
	signal(p.changed)
}

// Load takes in the rows that were kept on disk: no read, so that the Picture stays offline. Showed is for what own writes
// have shown since.
func (p *Picture) Load(rows []record.Row) {
	away := slices.DeleteFunc(slices.Clone(rows), func(r record.Row) bool { return !r.Away })
	p.Replace(record.Reading{Here: slices.DeleteFunc(slices.Clone(rows), func(r record.Row) bool { return r.Away }), Away: away})
}

// Showed takes in the value that a row was seen to have after the rows that were loaded had been read.
func (p *Picture) Showed(hash string, v record.Value) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holds(hash, v, time.Time{})
	p.lay(hash)
}

func entriesOf(rows []record.Row) ([]entry, map[string]*entry) {
	entries := make([]entry, len(rows))
	byHash := make(map[string]*entry, len(rows))
	for i, r := range rows {
		entries[i].base = r
		entries[i].lay(nil)
		byHash[r.Hash] = &entries[i]
	}
	return entries, byHash
}

// indexed makes the ways from a code to a row.
func indexed(entries []entry) (byEAN map[string]*entry, byEPC map[string][]*entry) {
	byEAN, byEPC = make(map[string]*entry, len(entries)), map[string][]*entry{}
	for i := range entries {
		e := &entries[i]
		if ean := product(e.base.EAN); ean != "" {
			e.next, byEAN[ean] = byEAN[ean], e
		}
		for _, epc := range e.base.EPCs {
			epc = gs1.CanonicalEPC(epc)
			byEPC[epc] = append(byEPC[epc], e)
		}
	}
	return byEAN, byEPC
}

// product is the same for all spellings of one GTIN (UPC-A, EAN-13, GTIN-14), and the code itself for what is none.
func product(ean string) string {
	if gtin, ok := gs1.GTIN14(ean); ok {
		return gtin
	}
	return ean
}

// overlay brings the newest read up to what is known beyond it.
func (p *Picture) overlay(began time.Time) {
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
	case record.NoSuchRow:
		delete(p.away, hash)
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

// holds notes what a row showed at some time; zero for a time after the rows that were kept on disk. A read that began later
// knows better.
func (p *Picture) holds(hash string, v record.Value, at time.Time) {
	if at.Before(p.read) {
		return
	}
	p.settled[hash] = settlement{v, at}
	if e := p.rows[hash]; e != nil {
		e.base.Package = v
		return
	}
	a := p.away[hash]
	a.row.Hash, a.row.Package, a.row.Away, a.seen = hash, v, true, at
	p.away[hash] = a
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
	e.shown = PictureRow{Row: e.base, May: []record.Value{e.base.Package}}
}

// over is the row with the newest wish laid over it.
func (w *wishes) over(r record.Row) PictureRow {
	r.Package = w.open[len(w.open)-1].Package
	return PictureRow{Row: r, May: w.may}
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

// Age tells how long ago the last read began; of rows that were never read, for ever.
func (p *Picture) Age(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.read.IsZero() {
		return 1<<63 - 1
	}
	return now.Sub(p.read)
}

// Count tells how many rows are here.
func (p *Picture) Count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.rows)
}

// Online tells whether the rows were read lately.
func (p *Picture) Online(now time.Time) bool { return p.Age(now) < p.stale }

// Kept gives the rows to be kept on disk, without unsettled intents, ordered by hash: those here, and those remembered
// that are not.
func (p *Picture) Kept() []record.Row {
	p.mu.Lock()
	rows := make([]record.Row, 0, len(p.rows)+len(p.away))
	for _, e := range p.rows {
		rows = append(rows, e.base)
	}
	for _, a := range p.away {
		rows = append(rows, a.row)
	}
	p.mu.Unlock()
	sort.Slice(rows, func(i, k int) bool { return rows[i].Hash < rows[k].Hash })
	return rows
}

// Kick asks for a read at once: a code was scanned that isn't here.
func (p *Picture) Kick() <-chan struct{} { return p.kick }

// Hurry asks for a read at once.
func (p *Picture) Hurry() { signal(p.kick) }

// Asked gives the hashes that the bench wants to know of, though they may not be here.
func (p *Picture) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	const look = 8 // at a time: each has its turn
	n := min(look, len(p.wanted))
	p.wanted = slices.Concat(p.wanted[n:], p.wanted[:n])
	return slices.Concat(p.wanted[len(p.wanted)-n:], p.wanted[:len(p.wanted)-n])
}

// ask wants to know of hashes, and for a read at once if there is any reason for one.
func (p *Picture) ask(hashes []string, now bool) {
	p.mu.Lock()
	p.wanted = hashes
	p.mu.Unlock()
	if now {
		signal(p.kick)
	}
}

// signal leaves a note in a channel of one place.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
