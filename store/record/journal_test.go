package record

import "testing"

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

func TestClassOf(t *testing.T) {
	base := errTest("x")
	if ClassOf(base) != Again || ClassOf(Never(base)) != ThisOne || ClassOf(Stop(Never(base))) != StopHere || Never(nil) != nil {
		t.Fatal("classes")
	}
}

type errTest string

func (e errTest) Error() string { return string(e) }
