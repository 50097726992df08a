package vm

import (
	"errors"
	"testing"
)

func TestShowingIsReadAsAPersonWould(t *testing.T) {
	for _, c := range []struct {
		shown   Showing
		flashes string
		inTurn  bool
	}{
		{Showing{0}, "", false},
		{Showing{0, Green | Buzzer, Green, 0, Green, 0}, "green 2, buzzer 1", false},
		{Showing{Red, 0, Blue, 0, Red, Red | Blue}, "red 1, blue 2", false}, // red was lit before
		{Showing{0, Red, Yellow, Green, Blue, White, 0}, "red 1, yellow 1, green 1, blue 1, white 1", true},
		{Showing{0, Red, Green, Blue, White, 0, Yellow}, "red 1, yellow 1, green 1, blue 1, white 1", false},
		{Showing{0, Red | Yellow | Green | Blue | White}, "red 1, yellow 1, green 1, blue 1, white 1", false},
	} {
		if got := c.shown.Flashes(colours | White | Buzzer); got != c.flashes || c.shown.inTurn() != c.inTurn {
			t.Errorf("%v: %q, in turn %v", c.shown, got, c.shown.inTurn())
		}
	}
}

func TestAWatchKeepsChangesOnly(t *testing.T) {
	w := &Watch{changes: []Lamps{0}}
	for _, lit := range []Lamps{0, Red, Red, 0} {
		w.note(lit, nil)
	}
	mark := w.Mark()
	w.note(Green, nil)
	w.note(0, errors.New("gone"))
	if s, err := w.Seen(1); s.String() != "dark | red | dark | green" || err == nil {
		t.Error(s, err)
	}
	if s, _ := w.Seen(mark); s.String() != "dark | green" || s.Now() != Green {
		t.Error(s)
	}
}

// TestPinsAreWhereTheBoardHasThem: the lamps in the order of the post, whatever the order of the bits.
func TestPinsAreWhereTheBoardHasThem(t *testing.T) {
	if l := at(1<<17|1<<24, 17, 27, 22, 23, 24, 18); l != Red|White {
		t.Error(l)
	}
	if l := at(0b01010110, 0, 1, 2, 4, 5, 6); l != Yellow|Green|Blue|Buzzer {
		t.Error(l)
	}
}
