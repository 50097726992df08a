package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// idRange is a range of replica ids as it is written: "1000-1999". Nothing is the program's own range.
type idRange string

// parse gives the first id and how many there are, 0 and 0 for nothing.
func (r idRange) parse() (first, count uint32, err error) {
	if r == "" {
		return 0, 0, nil
	}
	low, high, _ := strings.Cut(string(r), "-")
	a, errA := strconv.ParseUint(strings.TrimSpace(low), 10, 32)
	b, errB := strconv.ParseUint(strings.TrimSpace(high), 10, 32)
	if errA != nil || errB != nil || a == 0 || b < a {
		return 0, 0, fmt.Errorf("%q is no range of numbers: write the first and the last one, such as 1000-1999", string(r))
	}
	return uint32(a), uint32(b - a + 1), nil
}

// checkServerIDs reports a range that can't be one, or that stands beside a number.
func (c *captureConfig) checkServerIDs(r report) {
	if _, _, err := c.ServerIDs.parse(); err != nil {
		r("capture.server_ids", err)
	} else if c.ServerIDs != "" && c.ServerID != 0 {
		r("capture.server_ids", errors.New("stands beside server_id: give one of them"))
	}
}

// replicaIDs is the range of a configuration that was checked.
func (c *captureConfig) replicaIDs() (first, count uint32) {
	if c.ServerID != 0 {
		return c.ServerID, 1
	}
	first, count, _ = c.ServerIDs.parse()
	return first, count
}
