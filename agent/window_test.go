package main

import (
	"testing"
	"time"

	"station-agent/uplink/deliver"
)

func TestAPartOfADay(t *testing.T) {
	for text, want := range map[window]deliver.Window{
		"22:00-05:00":   {From: 22 * time.Hour, To: 5 * time.Hour},
		"9:05 - 24:00":  {From: 9*time.Hour + 5*time.Minute, To: 24 * time.Hour},
		"22:00":         {},
		"22:00-22:00":   {},
		"22-05":         {},
		"25:00-05:00":   {},
		"22:00-05:00-1": {},
	} {
		got, err := text.value()
		if got != want || (err == nil) != (want != deliver.Window{}) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}
