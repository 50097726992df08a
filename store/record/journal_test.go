package record

import (
	"reflect"
	"testing"
	"time"
)

func TestStateFoldsIntentsAndOutcomes(t *testing.T) {
	var s State
	s.Apply(Entry{Seq: 1, Scan: &Scan{Verdict: Accepted}, Intents: []Intent{{ID: 1, Hash: "a"}, {ID: 2, Hash: "b"}}})
	s.Apply(Entry{Seq: 2, Outcome: &Outcome{Intent: 1, Result: Settled}})
	s.Apply(Entry{Seq: 3, Outcome: &Outcome{Intent: 2, Result: OtherValue}})
	if len(s.Open) != 0 || len(s.Parked) != 1 || s.Parked[0].Hash != "b" {
		t.Fatalf("open %v, parked %v", s.Open, s.Parked)
	}
	s.Apply(Entry{Seq: 4, Outcome: &Outcome{Intent: 1, Result: Settled}}) // told twice, counted once
	s.Apply(Entry{Seq: 5, Intents: []Intent{{ID: 3, Hash: "b"}}})         // a newer intent takes the parked one's place
	if len(s.Parked) != 0 || len(s.Open) != 1 || s.Results[Settled] != 1 || s.Seq != 5 || s.Intent != 3 {
		t.Fatalf("%+v", s)
	}
	var again State
	again.Apply(Entry{Seq: 9, State: &s})
	if again.Seq != 9 || len(again.Open) != 1 || again.Verdicts[Accepted] != 1 {
		t.Fatalf("state at the head of a segment: %+v", again)
	}
	again.Verdicts[Accepted]++
	if s.Verdicts[Accepted] != 1 {
		t.Fatal("the copy shares its maps")
	}
}

func TestATrustedStampDatesItsBoot(t *testing.T) {
	noon := time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	trusted := Stamp{Boot: "a", Mono: time.Hour, Wall: noon, Trusted: true}
	for _, c := range []struct {
		in   Stamp
		want time.Time
	}{
		{Stamp{Boot: "a", Mono: 20 * time.Minute}, noon.Add(-40 * time.Minute)},
		{Stamp{Boot: "a", Mono: 2 * time.Hour, Wall: time.Unix(0, 0)}, noon.Add(time.Hour)},
		{Stamp{Boot: "b", Mono: 20 * time.Minute}, time.Time{}},
		{Stamp{Boot: "a", Mono: 20 * time.Minute, Wall: noon, Trusted: true}, noon},
	} {
		got := c.in.Fill(trusted)
		if !got.Wall.Equal(c.want) || got.Dated() == (c.in.Boot == "b") || got.Trusted != c.in.Trusted {
			t.Errorf("%+v: %+v", c.in, got)
		}
		if again := got.Fill(Stamp{Boot: "a", Wall: noon.AddDate(1, 0, 0), Trusted: true}); again != got {
			t.Errorf("%+v was dated again: %+v", got, again)
		}
	}
	var s State
	s.Apply(Entry{Seq: 1, At: Stamp{Boot: "a", Mono: time.Minute}, Scan: &Scan{}})
	if s.Undated != "a" || s.LastScan.Dated() {
		t.Fatalf("%+v", s)
	}
	s.Apply(Entry{Seq: 2, At: trusted, Clock: true})
	s.Apply(Entry{Seq: 3, At: Stamp{Boot: "a", Mono: 2 * time.Hour}, Scan: &Scan{}}) // trust was lost again
	if s.Undated != "" || !s.LastScan.Wall.Equal(noon.Add(time.Hour)) || s.Clock != trusted {
		t.Fatalf("%+v", s)
	}
}

func TestASessionFollowsItsEntries(t *testing.T) {
	before := Session{Package: "P", Items: []Packed{{Hash: "a"}}, Badge: &Badge{"p", 1},
		Undo: &Undoable{Step: Opened, Package: "O", Items: []Packed{{Hash: "x", Was: Package("N")}}, Moves: []Move{{Hash: "x", Now: Package("O")}}}}
	undo := func(s *Session) *Undoable { u := *s.Undo; s.Undo = &u; return s.Undo }
	more := before.Clone()
	more.Items = append(more.Items, Packed{Hash: "b", Was: Package("")})
	added, ok := more.Since(before)
	if !ok || added.Package != "P" || added.Hash != "b" {
		t.Fatal(added, ok)
	}
	got := before.Clone()
	got.Follow(Entry{Added: &added})
	if !reflect.DeepEqual(got, more) {
		t.Fatalf("%+v", got)
	}
	got.Follow(Entry{Added: &Addition{"Q", Packed{Hash: "c"}}}) // the opening of Q was lost
	if got.Package != "Q" || len(got.Items) != 1 || got.Items[0].Hash != "c" {
		t.Fatalf("%+v", got)
	}
	for what, other := range map[string]func(s *Session){
		"another package":         func(s *Session) { s.Package = "Q" },
		"another item before":     func(s *Session) { s.Items[0].Hash = "z" },
		"another value before":    func(s *Session) { s.Items[0].Was = Package("N") },
		"two more":                func(s *Session) { s.Items = append(s.Items, Packed{Hash: "c"}) },
		"another package to undo": func(s *Session) { undo(s).Package = "M" },
		"another step to undo":    func(s *Session) { undo(s).Step = Closed },
		"another count to undo":   func(s *Session) { undo(s).Count++ },
		"another move to undo":    func(s *Session) { undo(s).Moves = []Move{{Hash: "x"}} },
		"nothing to undo":         func(s *Session) { s.Undo = nil },
		"another badge":           func(s *Session) { s.Badge = &Badge{"q", 1} },
		"nobody":                  func(s *Session) { s.Badge = nil },
		"another shift":           func(s *Session) { s.Shifts++ },
	} {
		s := more.Clone()
		other(&s)
		if added, ok := s.Since(before); ok || before.Undo.Package != "O" {
			t.Errorf("%s: %+v", what, added)
		}
	}
}

func TestClassOf(t *testing.T) {
	base := errTest("x")
	if ClassOf(base) != Again || ClassOf(Never(base)) != ThisOne || ClassOf(Stop(Never(base))) != StopHere || Never(nil) != nil {
		t.Fatal("classes")
	}
}

type errTest string

func (e errTest) Error() string { return string(e) }
