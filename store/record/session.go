package record

import "slices"

// Session is the packing session: what is open or gathered, who packs, and what undoes the last step. It is in the journal;
// what is forgotten with the power (a command that waits for its scan) is not part of it.
type Session struct {
	Package string    `json:"package,omitempty"` // "" if none is open
	Items   []Packed  `json:"items,omitempty"`   // in the order of the scans; without a package: gathered
	Kept    int       `json:"kept,omitempty"`    // the first of them were in the package before it was opened again
	Undo    *Undoable `json:"undo,omitempty"`    // the last step that was more than adding one item
	Badge   *Badge    `json:"badge,omitempty"`   // who is signed on
	Shifts  uint64    `json:"shifts,omitempty"`  // begun at this station
}

// Packed is one item of a package and the value its row had before.
type Packed struct {
	Hash string `json:"hash"`
	Was  Value  `json:"was"`
	Due  bool   `json:"due,omitempty"` // its row is to be written when the package is closed
}

// Undoable is what it takes to undo a step: the session before it, and what it did to rows.
type Undoable struct {
	Step    Step     `json:"step"`
	Package string   `json:"package,omitempty"`
	Items   []Packed `json:"items,omitempty"`
	Kept    int      `json:"kept,omitempty"`
	Moves   []Move   `json:"moves,omitempty"`
	Badge   *Badge   `json:"badge,omitempty"`
	Count   int      `json:"count,omitempty"` // items in the session right after the step: those beyond were added since
}

// Move is what a step wanted of one row.
type Move struct {
	Hash string `json:"hash"`
	Was  Value  `json:"was"`
	Now  Value  `json:"now"`
}

// Addition is an item that was put into the open package, or gathered, behind the others.
type Addition struct {
	Package string `json:"package"`
	Packed
}

// Follow makes s what the session was after e. If the entry that opened the package is lost, s begins with e.
func (s *Session) Follow(e Entry) {
	switch {
	case e.State != nil:
		*s = e.State.Session.Clone()
	case e.Session != nil:
		*s = e.Session.Clone()
	case e.Added != nil:
		if s.Package != e.Added.Package {
			*s = Session{Package: e.Added.Package, Badge: s.Badge, Shifts: s.Shifts}
		}
		s.Items = append(s.Items, e.Added.Packed)
	}
}

// Since tells whether s is the session before with one more item, and which.
func (s Session) Since(before Session) (Addition, bool) {
	n := len(before.Items)
	if s.Package != before.Package || s.Kept != before.Kept || len(s.Items) != n+1 ||
		!slices.EqualFunc(s.Items[:n], before.Items, samePacked) || !s.Undo.same(before.Undo) ||
		!s.Badge.same(before.Badge) || s.Shifts != before.Shifts {
		return Addition{}, false
	}
	return Addition{s.Package, s.Items[n]}, true
}

func samePacked(a, b Packed) bool { return a.Hash == b.Hash && Same(a.Was, b.Was) && a.Due == b.Due }

func sameMove(a, b Move) bool { return a.Hash == b.Hash && Same(a.Was, b.Was) && Same(a.Now, b.Now) }

func (u *Undoable) same(v *Undoable) bool {
	if u == nil || v == nil {
		return u == v
	}
	return u.Step == v.Step && u.Package == v.Package && u.Kept == v.Kept && u.Count == v.Count && u.Badge.same(v.Badge) &&
		slices.EqualFunc(u.Items, v.Items, samePacked) && slices.EqualFunc(u.Moves, v.Moves, sameMove)
}

func (b *Badge) same(c *Badge) bool {
	if b == nil || c == nil {
		return b == c
	}
	return *b == *c
}

// Clone copies s deeply enough that appending to the copy leaves s alone. What Undo and Badge point to is never changed.
func (s Session) Clone() Session {
	s.Items = slices.Clone(s.Items)
	return s
}

// Use is what this station knows of a package label that it used.
type Use struct {
	Package string   `json:"package"`
	Items   []Packed `json:"items,omitempty"` // that this station put there and did not take out again, in the order of the scans
	At      Stamp    `json:"at"`              // of the last step that concerned it
}
