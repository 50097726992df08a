package store

import "testing"

func TestADecisionIsKept(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	if w := s.DB.Way("a.b"); w.Name != "" {
		t.Error(w)
	}
	want := Way{"polling", "nothing else is granted"}
	ok(t, s.DB.Decide("a.b", Way{"binlog", ""}))
	ok(t, s.DB.Decide("a.b", want))
	ok(t, s.DB.Decide("a.c", Way{"queue", ""}))
	ok(t, s.DB.Decide("a.b", want)) // costs nothing
	ok(t, s.Close())
	s = openTest(t, dir)
	if w := s.DB.Way("a.b"); w != want {
		t.Error(w)
	}
	if w := s.DB.Way("a.c"); w.Name != "queue" {
		t.Error(w)
	}
	ok(t, s.Close())
}
