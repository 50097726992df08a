package main

import (
	"fmt"
	"strings"
	"time"

	"station-agent/uplink/deliver"
)

// window is a stretch of the day as text, such as 22:00-05:00.
type window string

// value reads it.
func (w window) value() (deliver.Window, error) {
	from, to, ok := strings.Cut(string(w), "-")
	begins, ok1 := timeOfDay(from)
	ends, ok2 := timeOfDay(to)
	if !ok || !ok1 || !ok2 || begins == ends {
		return deliver.Window{}, fmt.Errorf("%q is no part of a day: write it as 22:00-05:00", string(w))
	}
	return deliver.Window{From: begins, To: ends}, nil
}

// timeOfDay reads hours and minutes; 24:00 is the end of the day.
func timeOfDay(text string) (time.Duration, bool) {
	if text = strings.TrimSpace(text); text == "24:00" {
		return 24 * time.Hour, true
	}
	t, err := time.Parse("15:04", text)
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, err == nil
}
