package main

import (
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

// TestTheWindowOfTheKeysIsSaidBeforeItEnds: once at half of it, once at its end.
func TestTheWindowOfTheKeysIsSaidBeforeItEnds(t *testing.T) {
	b := newBoard(quiet())
	now := time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	posted := now
	a := &attention{keys: b.condition("key window"), now: func() record.Stamp { return record.Stamp{Wall: now} }}
	for _, step := range []struct {
		wait  time.Duration
		posed bool
		count uint64
		text  string
		left  float64
	}{
		{0, true, 0, "", 0}, {11 * time.Hour, true, 0, "", 0}, {time.Hour, true, 1, "make delivery go on before", 12 * 3600},
		{time.Hour, true, 1, "2025-03-01T12:00:00Z", 12 * 3600}, {11 * time.Hour, true, 2, "may have forgotten", 0}, {99 * time.Hour, true, 2, "may have forgotten", 0},
		{0, false, 0, "", 0},
	} {
		now = now.Add(step.wait)
		if !step.posed {
			posted = time.Time{}
		}
		a.lookAtKeys(posted)
		p := b.problems()
		if step.count == 0 && len(p) == 0 {
			continue
		}
		if step.count == 0 || len(p) != 1 || p[0].Code != "key_window_ending" || p[0].Count != step.count || !strings.Contains(p[0].Text, step.text) ||
			p[0].LeftS == nil || *p[0].LeftS > step.left || *p[0].LeftS < step.left-5 {
			t.Errorf("after %v: %+v", step.wait, p)
		}
	}
}
