package main

import (
	"encoding/json"
	"os"
	"path/filepath"

	"station-agent/uplink/fleet/message"
)

// late is what is told at the next start.
const (
	lateFile = "late.json"
	mostLate = 8
)

// addLate keeps a result until the next start.
func addLate(dir string, replace func(string, []byte) error, r message.Result) error {
	list := append(readLate(dir), r)
	return keep(replace, filepath.Join(dir, lateFile), list[max(0, len(list)-mostLate):])
}

// keep writes what commands leave behind, durably, as JSON.
func keep(replace func(string, []byte) error, path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return replace(path, append(b, '\n'))
}

// readLate gives what was kept; nothing if that can't be read.
func readLate(dir string) (list []message.Result) {
	b, err := readBounded(filepath.Join(dir, lateFile), 64<<10)
	if err != nil || json.Unmarshal(b, &list) != nil {
		return nil
	}
	return list
}
