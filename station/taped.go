package station

import (
	"maps"
	"regexp"
	"slices"
	"sort"
	"time"

	"station-agent/store/record"
)

// Event is one line of a recording: one thing that happened. Times are since boot.
type Event struct {
	At    time.Duration   `json:"at"`
	Start *Start          `json:"start,omitempty"` // the first line: all that the bench knew
	Heard *Heard          `json:"heard,omitempty"` // a reader said something
	Rows  *RowsRead       `json:"rows,omitempty"`  // the rows of this station were read
	Asked *Asked          `json:"asked,omitempty"` // a tag came, or time went on so far that something follows
	Told  *Told           `json:"told,omitempty"`  // what the bench said to that
	Ended *TapedEnd       `json:"ended,omitempty"` // an intent was settled, or went wrong
	Again []record.Intent `json:"again,omitempty"` // a person made these open once more
}

// idle tells whether e says only that the rows are as they were.
func (e Event) idle() bool {
	return e.Rows != nil && len(e.Rows.Put)+len(e.Rows.Gone)+len(e.Rows.Away)+len(e.Rows.None) == 0
}

// Start is all that the bench knew when a recording begins.
type Start struct {
	Version string        `json:"version"` // of the program
	Readers []TapedReader `json:"readers"`
	Rules   Rules         `json:"rules"`
	State   TapedState    `json:"state"`
	Rows    TapedRows     `json:"rows"`
	Lost    int           `json:"lost,omitempty"` // events that there was no room for: what follows them may differ
}

// Heard is what one reader said.
type Heard struct {
	Reader string       `json:"reader"`
	Bytes  []byte       `json:"bytes,omitempty"`
	Idle   bool         `json:"idle,omitempty"`  // and then nothing for a while
	Gone   bool         `json:"gone,omitempty"`  // and then it was unplugged
	First  uint64       `json:"first,omitempty"` // how many tags it had read before
	Tags   int          `json:"tags,omitempty"`  // how many came of it
	Read   []record.Tag `json:"read,omitempty"`  // those, where somebody listens
}

// RowsRead is one reading of the rows, as far as it differs from what was known.
type RowsRead struct {
	Began time.Duration `json:"began"`
	Put   []record.Row  `json:"put,omitempty"`
	Gone  []string      `json:"gone,omitempty"`
	Away  []record.Row  `json:"away,omitempty"`
	None  []string      `json:"none,omitempty"`
}

// Asked is one question to the session and what it could know beside the rows.
type Asked struct {
	Tag     *record.Tag            `json:"tag,omitempty"` // nil: time went on
	Number  uint64                 `json:"number,omitempty"`
	Now     record.Stamp           `json:"now"`
	Online  bool                   `json:"online,omitempty"`
	Age     time.Duration          `json:"age"`
	Field   []string               `json:"field,omitempty"`
	Uses    map[string]*record.Use `json:"uses,omitempty"`     // what the store said of labels; nil of those that it doesn't know
	Waits   map[string][2]int      `json:"standing,omitempty"` // intents that wait and are parked, by label
	Nothing bool                   `json:"nothing,omitempty"`  // nobody was told anything
}

// Told is what came of the last question.
type Told struct {
	Seq  uint64      `json:"seq,omitempty"`
	IDs  []uint64    `json:"intents,omitempty"`
	Err  string      `json:"err,omitempty"` // why it could not be saved
	Scan record.Scan `json:"scan"`
}

// TapedEnd is how an intent ended, and when that was known.
type TapedEnd struct {
	record.Parked
	Known time.Duration `json:"known"`
}

// TapedState is a State with what it keeps to itself.
type TapedState struct {
	State
	Named   []record.Named `json:"named,omitempty"`
	Reader  string         `json:"heard_reader,omitempty"`
	Code    string         `json:"heard_code,omitempty"`
	HeardAt time.Duration  `json:"heard_at,omitempty"`
	Refused *record.Scan   `json:"refused,omitempty"`
}

func tapedState(s State, rules Rules) TapedState {
	t := TapedState{State: s.clone(), Reader: s.heard.reader, HeardAt: s.heard.at, Refused: s.refused}
	t.Code = hiddenTag(rules, record.Tag{Code: s.heard.code}, TapedReader{}).Code
	for code, c := range s.Units.byCode {
		t.Named = append(t.Named, record.Named{Code: code, Hash: c.hash})
	}
	sort.Slice(t.Named, func(i, k int) bool {
		return s.Units.byCode[t.Named[i].Code].age < s.Units.byCode[t.Named[k].Code].age
	})
	return t
}

func (t TapedState) state() State {
	s := t.State
	s.heard, s.refused, s.Units = heard{t.Reader, t.Code, t.HeardAt}, t.Refused, units{}
	for _, n := range t.Named {
		s.Units = s.Units.with(n.Code, n.Hash)
	}
	return s
}

// hiddenRules take what stands in a recording for badges and command codes.
func hiddenRules(r Rules) Rules {
	codes := map[string]Command{}
	for _, c := range r.Commands {
		codes[hiddenCommand+string(c)] = c
	}
	r.Commands, r.Pseudonym = codes, nil
	if r.Badge != nil {
		r.Badge = regexp.MustCompile(`^` + hiddenBadge + `.+$`)
	}
	return r
}

// TapedRows is a Picture.
type TapedRows struct {
	Here    []record.Row          `json:"here"`
	Away    []TapedAway           `json:"away,omitempty"`
	Own     map[string]TapedWish  `json:"own,omitempty"`
	Settled map[string]TapedValue `json:"settled,omitempty"`
	Read    time.Duration         `json:"read"` // 0: never
}

// TapedAway is a row that isn't here and when it was seen; 0: nobody knows.
type TapedAway struct {
	record.Row
	Seen time.Duration `json:"seen"`
}

// TapedWish is what this station wants of one row.
type TapedWish struct {
	Open []record.Intent `json:"open"`
	May  []record.Value  `json:"may"`
}

// TapedValue is what a row was seen to hold.
type TapedValue struct {
	Value record.Value  `json:"value"`
	At    time.Duration `json:"at"`
}

// taped copies the Picture. mono makes moments of times.
func (p *Picture) taped(mono func(time.Time) time.Duration) TapedRows {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := TapedRows{Here: make([]record.Row, 0, len(p.rows)), Own: map[string]TapedWish{}, Settled: map[string]TapedValue{}, Read: mono(p.read)}
	for _, e := range p.rows {
		t.Here = append(t.Here, e.base)
	}
	for _, a := range p.away {
		t.Away = append(t.Away, TapedAway{a.row, mono(a.seen)})
	}
	for hash, w := range p.own {
		t.Own[hash] = TapedWish{slices.Clone(w.open), w.may}
	}
	for hash, s := range p.settled {
		t.Settled[hash] = TapedValue{s.value, mono(s.at)}
	}
	sort.Slice(t.Here, func(i, k int) bool { return t.Here[i].Hash < t.Here[k].Hash })
	return t
}

// untaped makes the Picture again.
func untaped(t TapedRows) *Picture {
	p := NewPicture(0)
	entries, byHash := entriesOf(t.Here)
	p.rows, p.read = byHash, moment(t.Read)
	p.byEAN, p.byEPC = indexed(entries)
	for _, a := range t.Away {
		p.away[a.Hash] = absence{a.Row, moment(a.Seen)}
	}
	for hash, w := range t.Own {
		p.own[hash] = &wishes{w.Open, w.May}
	}
	for hash, s := range t.Settled {
		p.settled[hash] = settlement{s.Value, moment(s.At)}
	}
	for hash := range p.own {
		p.lay(hash)
	}
	return p
}

// moment is a time that stands for one since boot.
func moment(mono time.Duration) time.Time {
	if mono == 0 {
		return time.Time{}
	}
	return time.Unix(0, 0).Add(mono)
}

// differs tells how a reading differs from what is known.
func (p *Picture) differs(r record.Reading, byHash map[string]*entry) *RowsRead {
	d := &RowsRead{Away: r.Away, None: r.None}
	for _, row := range r.Here {
		if old := p.rows[row.Hash]; old == nil || !sameRow(old.base, row) {
			d.Put = append(d.Put, row)
		}
	}
	for hash := range p.rows {
		if byHash[hash] == nil {
			d.Gone = append(d.Gone, hash)
		}
	}
	return d
}

// read is the reading that d came of.
func (p *Picture) reading(d *RowsRead) record.Reading {
	rows := map[string]record.Row{}
	for hash, e := range p.rows {
		rows[hash] = e.base
	}
	for _, hash := range d.Gone {
		delete(rows, hash)
	}
	for _, r := range d.Put {
		rows[r.Hash] = r
	}
	return record.Reading{Here: slices.Collect(maps.Values(rows)), Away: d.Away, None: d.None, Began: moment(d.Began)}
}

func sameRow(a, b record.Row) bool {
	return a.Hash == b.Hash && a.Product == b.Product && a.EAN == b.EAN && a.Name == b.Name && record.Same(a.Package, b.Package) &&
		a.Created.Equal(b.Created) && slices.Equal(a.EPCs, b.EPCs) && record.Same(a.Station, b.Station) && a.Away == b.Away
}

// asking wraps what the bench knows of labels, and notes what was asked.
type asking struct {
	labels Labels
	asked  Asked
}

// Use implements Labels.
func (a *asking) Use(label string) (record.Use, bool) {
	u, ok := a.labels.Use(label)
	if a.asked.Uses == nil {
		a.asked.Uses = map[string]*record.Use{}
	}
	if a.asked.Uses[label] = nil; ok {
		a.asked.Uses[label] = &u
	}
	return u, ok
}

// Standing implements Labels.
func (a *asking) Standing(label string) (waiting, parked int) {
	waiting, parked = a.labels.Standing(label)
	if a.asked.Waits == nil {
		a.asked.Waits = map[string][2]int{}
	}
	a.asked.Waits[label] = [2]int{waiting, parked}
	return waiting, parked
}
