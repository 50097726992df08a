package mysql

import (
	"errors"
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	answer := errors.New("no")
	tried := []login{{user: "u", password: "old"}, {user: "u", err: errors.New("isn't there")}}
	now := time.Now()
	var p pace
	if p.answered(tried, now) != nil {
		t.Error("answers before it was asked")
	}
	for _, most := range []time.Duration{1, 2, 4, 8, 15, 15, 15} {
		most *= time.Second
		p.refused(tried, answer, now)
		until := p.until
		p.refused(tried, errors.New("again"), now) // the other one of two side by side
		if p.answer != answer || p.until != until {
			t.Errorf("%s: answered %v, until %s after %s", most, p.answer, p.until, until)
		}
		if wait := until.Sub(now); wait < most/2 || wait > most {
			t.Errorf("left alone for %s, want %s to %s", wait, most/2, most)
		}
		if p.answered(tried, until.Add(-1)) != answer || p.answered(tried, until) != nil {
			t.Errorf("%s: doesn't end when it should", most)
		}
		for _, other := range [][]login{
			{{user: "u", password: "new"}, tried[1]},
			{{user: "v", password: "old"}, tried[1]},
			{tried[0], {user: "u", password: "next"}},
			{tried[0]},
		} {
			if p.answered(other, now) != nil {
				t.Errorf("%s: doesn't ask for another login", most)
			}
		}
		now = until
	}
	p.refused([]login{{user: "u", password: "new"}}, answer, now)
	if wait := p.until.Sub(now); wait > paceLeast {
		t.Errorf("another login begins with %s", wait)
	}
}
