package assign

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
)

// word is an error that says what uplink/mysql says of it.
type word struct {
	error
	contended, unknown bool
}

func (w word) Contended() bool { return w.contended }
func (w word) Unknown() bool   { return w.unknown }

// TestTroubleIsToldWhenItStays: what passes by itself is tried again before anybody is called.
func TestTroubleIsToldWhenItStays(t *testing.T) {
	for name, c := range map[string]struct {
		err         error
		untold      int // failures before the first that is told
		least, most int // tries in a minute
	}{
		"ordinary":                 {errors.New("refused"), 0, 6, 18},
		"contended":                {word{contended: true, error: errors.New("1205")}, 2, 30, 160},
		"unknown":                  {word{unknown: true, error: errors.New("4711")}, 9, 6, 18},
		"asked, and it is neither": {word{error: errors.New("1290")}, 0, 6, 18},
	} {
		for _, together := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				db := sql.OpenDB(nowhere{})
				defer db.Close()
				l, tries := &lamp{}, 0
				j := newJournal(
					record.Intent{ID: 1, Hash: "a", Package: pkg("P"), Replaces: may(none), Scan: 1, Together: together},
					record.Intent{ID: 2, Hash: "b", Package: pkg("P"), Replaces: may(none), Scan: 1, Together: together},
				)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				explain := func(error) error {
					if ctx.Err() == nil {
						tries++
					}
					return c.err
				}
				s, _ := NewSettler(SettlerConfig{DB: db, Explain: explain, Table: table, Intents: j, Condition: l})
				if err := s.Run(ctx); err != nil {
					t.Fatal(err)
				}
				if tries < c.least || tries > c.most || tries-l.times() != c.untold || len(j.Open()) != 2 {
					t.Errorf("%s, together %t: %d tries, %d told, %d open", name, together, tries, l.times(), len(j.Open()))
				}
			})
		}
	}
}

// TestRowsOfFailures: what else is settled meanwhile doesn't end a row of failures; a pass without one does.
func TestRowsOfFailures(t *testing.T) {
	p := newPatience()
	locked := word{contended: true, error: errors.New("1205")}
	for n, want := range []bool{false, false, true, true} {
		if _, tell := p.fail(locked); tell != want {
			t.Errorf("failure %d told: %t", n+1, tell)
		}
		p.reset() // another row was settled
	}
	s, err := NewSettler(SettlerConfig{Table: table, Intents: newJournal()})
	if err != nil {
		t.Fatal(err)
	}
	s.patience = p
	if _, err := s.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d, tell := s.patience.fail(locked); tell || d > 250*time.Millisecond {
		t.Errorf("the first after it was over: told %t, pause %v", tell, d)
	}
	if _, tell := s.patience.fail(errors.New("refused")); !tell {
		t.Error("the server is away, and nobody was told")
	}
}
