package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// used gives the time that each process ran on a processor: nanoseconds of all its threads (schedstat, see the kernel's
// Documentation/scheduler/sched-stats.rst).
func used(pids []int) (list []time.Duration, err error) {
	for _, pid := range pids {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil || len(files) == 0 {
			return nil, fmt.Errorf("count time of process %d: it is gone, or the kernel has no schedstat", pid)
		}
		var sum time.Duration
		for _, file := range files {
			text, err := os.ReadFile(file)
			fields := strings.Fields(string(text))
			if err != nil || len(fields) == 0 {
				continue // the thread ended
			}
			n, err := strconv.ParseInt(fields[0], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("count time of process %d: %w", pid, err)
			}
			sum += time.Duration(n)
		}
		list = append(list, sum)
	}
	return list, nil
}

// resident is the memory of a process, in 1e6 bytes.
func resident(pid int) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return float64(pages*int64(os.Getpagesize())) / 1e6
}
