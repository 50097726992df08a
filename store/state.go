package store

import (
	"maps"
	"math"
	"slices"
	"sort"

	"station-agent/store/record"
)

// state is what all commits add up to: it is kept in memory, and stands in the first commit of each file. It grows with the
// number of stretches that differ, not with the number of records: a backlog of a million is one run.
type state struct {
	Number   uint64          `json:"number"` // of the last commit
	Next     uint64          `json:"next"`   // the sequence of the next record
	Session  uint64          `json:"session"`
	Position record.Position `json:"position"`
	Snapshot string          `json:"snapshot,omitempty"`
	Missed   string          `json:"missed,omitempty"`
	Streams  streams         `json:"streams,omitempty"`
	Ways     ways            `json:"ways,omitempty"`
	Exported uint64          `json:"exported,omitempty"`
	Runs     runs            `json:"-"`                 // in columns, see packEvents
	Refused  []letter        `json:"refused,omitempty"` // in the order of their last refusal
	Again    []letter        `json:"again,omitempty"`   // records that wait once more, and what was refused of them before
	Carried  []carried       `json:"carried,omitempty"`

	QueueBytes int64  `json:"queue_bytes"`
	Accepted   uint64 `json:"accepted"`
	Anchored   uint64 `json:"anchored"`
	Retired    uint64 `json:"retired,omitempty"`
	Unverified uint64 `json:"unverified,omitempty"`
	Waived     uint64 `json:"waived,omitempty"` // so many of those a person knows of
	Lost       uint64 `json:"lost,omitempty"`
	Passed     uint64 `json:"passed,omitempty"`   // found states that were not sent, as a newer change of the row was
	Replayed   uint64 `json:"replayed,omitempty"` // accepted before, by what the service said
	Doubled    uint64 `json:"doubled,omitempty"`  // accepted, and possibly for the second time

	Horizon []horizon `json:"horizon,omitempty"` // see Posting
	spills
}

// place finds a commit: by the sequence that the next record had, then by its own number.
type place struct {
	First  uint64 `json:"first"`
	Number uint64 `json:"number"`
}

// carried says that a record was written once more, into a later commit than its sequence tells.
type carried struct {
	span
	In place        `json:"in"`
	At record.Stamp `json:"at"` // when it came in
}

// standing is how a record stands. One that is anchored, dropped or lost stands in no run.
type standing byte

const (
	waits      standing = 'w' // in the outbox
	found      standing = 'h' // in the outbox, behind all that waits: a state that was found
	accepted   standing = 'a' // in the ledger
	mismatch   standing = 'm' // in the ledger, last seen as record.Mismatch
	superseded standing = 's' // in the ledger, last seen as record.Overtaken
	unknown    standing = 'x' // in the ledger, last seen as record.Missing
	unclear    standing = 'u' // in the ledger, last seen as record.Unclear
	declined   standing = 'r' // a dead letter
)

func (s standing) queued() bool { return s == waits || s == found }

func (s standing) ledger() bool {
	return s == accepted || s == mismatch || s == superseded || s == unknown || s == unclear
}

// anchoring is the state of a record in the ledger.
func (s standing) anchoring() record.Anchoring {
	switch s {
	case mismatch:
		return record.Mismatch
	case superseded:
		return record.Overtaken
	case unknown:
		return record.Missing
	case unclear:
		return record.Unclear
	}
	return record.Pending
}

// standingOf is how a record stands after a look that doesn't end it.
func standingOf(a record.Anchoring) standing {
	for _, s := range []standing{mismatch, superseded, unknown, unclear} {
		if s.anchoring() == a {
			return s
		}
	}
	return accepted
}

// tally counts what is in the ledger.
func (rs runs) tally() (t record.Tally) {
	for _, r := range rs {
		n := int(r.Last - r.First + 1)
		switch r.As {
		case accepted:
			t.Pending += n
		case mismatch:
			t.Mismatch += n
		case superseded:
			t.Superseded += n
		case unknown:
			t.Missing += n
		case unclear:
			t.Unclear += n
		}
	}
	return t
}

// run is a stretch of records that stand alike.
type run struct {
	span
	As    standing
	In    place        // the commit with their receipts, if in the ledger
	Since record.Stamp // when they were accepted
}

// runs are in order and don't overlap.
type runs []run

// from gives the place of the first run that ends at seq or behind.
func (rs runs) from(seq uint64) int {
	return sort.Search(len(rs), func(i int) bool { return rs[i].Last >= seq })
}

// at gives the run that holds seq.
func (rs runs) at(seq uint64) (run, bool) {
	if i := rs.from(seq); i < len(rs) && rs[i].First <= seq {
		return rs[i], true
	}
	return run{}, false
}

// cut takes s out of all runs and tells where it was.
func (rs *runs) cut(s span) int {
	i := rs.from(s.First)
	j := i
	var left, right []run
	for ; j < len(*rs) && (*rs)[j].First <= s.Last; j++ {
		r := (*rs)[j]
		if r.First < s.First {
			l := r
			l.Last = s.First - 1
			left = append(left, l)
		}
		if r.Last > s.Last {
			r.First = s.Last + 1
			right = append(right, r)
		}
	}
	*rs = slices.Replace(*rs, i, j, append(left, right...)...)
	return i + len(left)
}

// set makes r the standing of its span.
func (rs *runs) set(r run) {
	i := rs.cut(r.span)
	if i > 0 && (*rs)[i-1].joins(r) {
		i--
		r.First = (*rs)[i].First
		*rs = slices.Delete(*rs, i, i+1)
	}
	if i < len(*rs) && r.joins((*rs)[i]) {
		r.Last = (*rs)[i].Last
		*rs = slices.Delete(*rs, i, i+1)
	}
	*rs = slices.Insert(*rs, i, r)
}

// joins tells whether next goes on where r ends, standing alike.
func (r run) joins(next run) bool {
	return r.Last+1 == next.First && r.As == next.As && r.In == next.In && r.Since == next.Since
}

// count counts the records of s that stand as f says.
func (rs runs) count(s span, f func(standing) bool) (n int) {
	for i := rs.from(s.First); i < len(rs) && rs[i].First <= s.Last; i++ {
		if f(rs[i].As) {
			n += int(min(rs[i].Last, s.Last) - max(rs[i].First, s.First) + 1)
		}
	}
	return n
}

// within gives the parts of s that stand as f says.
func (rs runs) within(s span, f func(standing) bool) (parts []span) {
	for i := rs.from(s.First); i < len(rs) && rs[i].First <= s.Last; i++ {
		if f(rs[i].As) {
			parts = append(parts, span{max(rs[i].First, s.First), min(rs[i].Last, s.Last)})
		}
	}
	return parts
}

func everything(standing) bool { return true }

// apply folds a commit into s.
func (s *state) apply(c *commit) {
	s.events(c)
	s.place(c)
}

// place folds all of a commit but its events.
func (s *state) place(c *commit) {
	s.Number = c.number
	if c.State != nil {
		*s = c.State.clone()
		return
	}
	if c.Session > 0 {
		s.Session = c.Session
	}
	if c.Position != nil {
		s.Position = *c.Position
	}
	if c.Snapshot != nil {
		s.Snapshot = *c.Snapshot
	}
	if c.Missed != nil {
		s.miss(*c.Missed)
	}
	s.turn(c.Streams)
	for table, way := range c.Ways {
		s.decide(table, way)
	}
	s.Exported = max(s.Exported, c.Exported)
	s.Waived = max(s.Waived, c.Waived)
	s.spills.add(c.spills)
	s.QueueBytes = c.QueueBytes
	if c.count > 0 {
		s.Next = c.first + uint64(c.count)
		s.Runs.set(run{span: span{c.first, s.Next - 1}, As: waits})
		for _, sp := range c.Later {
			s.Runs.set(run{span: sp, As: found})
		}
	}
	s.extend(c.Horizon)
	s.carry(c)
	if len(c.Lost) > 0 && s.Runs.count(span{0, math.MaxUint64}, standing.queued) == 0 {
		s.QueueBytes = 0 // nobody knows any more how long those were
	}
}

// carry notes where records lie that were written once more, and their receipts with them.
func (s *state) carry(c *commit) {
	in := place{c.first, c.number}
	for i, sp := range c.Carried {
		s.Carried = slices.DeleteFunc(s.Carried, func(m carried) bool {
			return m.First <= sp.Last && m.Last >= sp.First
		})
		s.Carried = append(s.Carried, carried{sp, in, c.CarriedAt[min(i, len(c.CarriedAt)-1)]})
		i := s.Runs.from(sp.First)
		for _, r := range slices.Clone(s.Runs[i:]) {
			if r.First <= sp.Last && r.As.ledger() {
				r.span, r.In = span{max(r.First, sp.First), min(r.Last, sp.Last)}, in
				s.Runs.set(r)
			}
		}
	}
}

// events folds what became of records that were there before. What is said of one that stands otherwise is passed over, so
// that folding twice is folding once.
func (s *state) events(c *commit) {
	in := place{c.first, c.number}
	for i := range c.accepted {
		s.tellAgain(&c.accepted[i])
	}
	for _, sp := range spans(c.accepted, func(a *acceptance) uint64 { return a.seq }) {
		for _, part := range s.Runs.within(sp, standing.queued) {
			s.Accepted += part.Last - part.First + 1
			s.Runs.set(run{span: part, As: accepted, In: in, Since: c.At})
		}
		s.forget(sp)
	}
	for _, r := range c.refused {
		if w, ok := s.Runs.at(r.seq); ok && w.As.queued() {
			s.Runs.set(run{span: span{r.seq, r.seq}, As: declined})
			s.refuse(r, c.At)
		}
	}
	for rest := c.looked; len(rest) > 0; {
		n := alike(rest)
		s.look(rest[0].state, span{rest[0].seq, rest[n-1].seq})
		rest = rest[n:]
	}
	for _, sp := range c.Passed {
		for _, part := range s.Runs.within(sp, func(a standing) bool { return a == found }) {
			s.Passed += part.Last - part.First + 1
			s.Runs.cut(part)
		}
	}
	for _, sp := range c.Retried {
		for _, part := range s.Runs.within(sp, func(a standing) bool { return a == declined }) {
			s.Runs.set(run{span: part, As: waits})
		}
		s.again(sp)
	}
	for _, sp := range c.Lost {
		s.Lost += uint64(s.Runs.count(sp, everything))
	}
	for _, sp := range slices.Concat(c.Dropped, c.Lost) {
		s.Runs.cut(sp)
		s.forgive(sp)
		s.forget(sp)
	}
}

// tellAgain counts a record that was accepted before, or may have been.
func (s *state) tellAgain(a *acceptance) {
	if !a.receipt.Replayed && !a.receipt.Doubled {
		return
	}
	if r, ok := s.Runs.at(a.seq); !ok || !r.As.queued() {
		return
	}
	if a.receipt.Replayed {
		s.Replayed++
	} else {
		s.Doubled++
	}
}

// alike tells how many looks from the first on follow one another and say the same, which ends it.
func alike(looks []look) int {
	n := 1
	for looks[0].state.Ends() && n < len(looks) && looks[n].state == looks[0].state && looks[n].seq == looks[n-1].seq+1 {
		n++
	}
	return n
}

// look notes how the records of sp stand that are in the ledger. If that ends it they leave, all at once where nothing else lies
// between them: taking one out costs as much as there are runs.
func (s *state) look(as record.Anchoring, sp span) {
	parts := s.Runs.within(sp, standing.ledger)
	n := length(parts)
	switch as {
	case record.Anchored:
		s.Anchored += n
	case record.Retired:
		s.Retired += n
	case record.GivenUp:
		s.Unverified += n
	}
	if as.Ends() && n > 0 && s.Runs.count(sp, everything) == int(n) {
		parts = []span{sp}
	}
	for _, part := range parts {
		if as.Ends() {
			s.Runs.cut(part)
			continue
		}
		r, _ := s.Runs.at(part.First)
		r.span, r.As = part, standingOf(as)
		s.Runs.set(r)
	}
}

// spans joins what is consecutive.
func spans[T any](list []T, of func(*T) uint64) (out []span) {
	for i := range list {
		seq := of(&list[i])
		if n := len(out); n > 0 && out[n-1].Last+1 == seq {
			out[n-1].Last = seq
		} else {
			out = append(out, span{seq, seq})
		}
	}
	return out
}

func (s state) clone() state {
	s.Runs, s.Refused, s.Carried = slices.Clone(s.Runs), slices.Clone(s.Refused), slices.Clone(s.Carried)
	s.Streams, s.Horizon = maps.Clone(s.Streams), slices.Clone(s.Horizon)
	s.Again = slices.Clone(s.Again)
	return s
}
