package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"station-agent/store/record"
)

// clock stamps events by boot and time since that boot, which order them even while the wall clock is wrong.
type clock struct{ boot string }

func newClock() (*clock, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("read boot id: %w", err)
	}
	return &clock{strings.TrimSpace(string(b))}, nil
}

// now is the stamp of this moment. The mono part counts suspended time too.
func (c *clock) now() record.Stamp {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // can't fail: the clock id is valid
	return record.Stamp{Boot: c.boot, Mono: time.Duration(ts.Nano()), Wall: time.Now().UTC(), Trusted: clockTrusted()}
}

// clockTrusted tells whether the kernel holds the wall clock for synchronised (time daemon running), see adjtimex(2).
func clockTrusted() bool {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return err == nil && state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0
}
