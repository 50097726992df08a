package station

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// told is a Condition that keeps what it was told.
type told struct{ list []string }

func (c *told) Lost(err error) { c.list = append(c.list, err.Error()) }
func (c *told) Back()          { c.list = append(c.list, "back") }

func TestFaultIsShownAfterTwoSecondsAndEndsWithAValidCode(t *testing.T) {
	const again = "reader s: it is plugged in again and has read nothing yet: scan any code, or lay a tag on it"
	gone := errors.New("gone")
	wait := func(d time.Duration) func(*Fault) { return func(*Fault) { time.Sleep(d) } }
	lost := func(f *Fault) { f.Lost(gone) }
	back, heard, end := (*Fault).Back, (*Fault).Heard, (*Fault).End
	for name, c := range map[string]struct {
		steps []func(*Fault)
		want  []string
	}{
		"it was there from the start":            {[]func(*Fault){back, wait(time.Hour), heard}, []string{"back"}},
		"it is away for a moment":                {[]func(*Fault){back, lost, wait(1999 * time.Millisecond), back, wait(time.Hour)}, []string{"back", "back"}},
		"it is away":                             {[]func(*Fault){back, lost, wait(2 * time.Second)}, []string{"back", "gone"}},
		"nobody waits for the next try":          {[]func(*Fault){lost, wait(time.Hour)}, []string{"gone"}},
		"it comes back":                          {[]func(*Fault){back, lost, wait(3 * time.Second), back, wait(time.Hour)}, []string{"back", "gone", again}},
		"it comes back and reads":                {[]func(*Fault){back, lost, wait(3 * time.Second), back, heard, heard}, []string{"back", "gone", again, "back"}},
		"each try fails":                         {[]func(*Fault){lost, wait(time.Second), lost, wait(time.Second), lost}, []string{"gone", "gone"}},
		"it goes and comes without a code":       {[]func(*Fault){lost, wait(time.Second), back, lost, wait(900 * time.Millisecond), back, wait(200 * time.Millisecond), lost}, []string{"back", "back", "gone"}},
		"a short absence does not add to a new":  {[]func(*Fault){lost, back, wait(time.Hour), lost, wait(time.Second), back}, []string{"back", "back"}},
		"it goes again, told of, without a code": {[]func(*Fault){lost, wait(3 * time.Second), back, wait(3 * time.Second), lost, back, heard}, []string{"gone", again, "gone", again, "back"}},
		"the program ends while it is away":      {[]func(*Fault){lost, end, wait(time.Hour)}, nil},
		"away again after a code":                {[]func(*Fault){lost, back, heard, wait(time.Second), lost, wait(1500 * time.Millisecond)}, []string{"back", "back"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var cond told
				f := NewFault("s", &cond)
				for _, step := range c.steps {
					step(f)
					synctest.Wait()
				}
				if !slices.Equal(cond.list, c.want) {
					t.Errorf("told %q, want %q", cond.list, c.want)
				}
				f.End()
			})
		})
	}
}
