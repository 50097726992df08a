package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	cmds "station-agent/uplink/fleet/command"
)

const (
	keysFile  = "keys.json" // changes that commands made
	maxKeys   = 64 << 10
	keysEvery = time.Second // the file is looked at no more often
)

// trustedKeys are the keys whose commands count: those of the file of the configuration, which is read again when it changes, and
// what commands have said since.
type trustedKeys struct {
	file    string // "": nobody is trusted
	dir     string
	cond    *condition
	replace func(path string, b []byte) error

	mu      sync.Mutex
	looked  time.Time
	stamp   fileStamp
	lines   []cmds.Line
	changes cmds.Changes
	keys    cmds.Keys
}

// fileStamp tells one state of a file from another.
type fileStamp struct {
	at   time.Time
	size int64
}

// newTrustedKeys reads what commands have said. If that can't be read nobody is trusted, as it may have been that a key is stolen.
func newTrustedKeys(t *trustedKeys) *trustedKeys {
	b, err := readBounded(filepath.Join(t.dir, keysFile), maxKeys)
	if err == nil {
		err = json.Unmarshal(b, &t.changes)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.cond.Lost(fmt.Errorf("read keys that commands trusted and revoked: %w: no command counts: bring fleet.keys_file up, then remove %s and restart the agent",
			err, filepath.Join(t.dir, keysFile)))
		t.file = ""
	}
	return t
}

// now gives the keys that count now.
func (t *trustedKeys) now() cmds.Keys {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.look()
	return t.keys
}

// look reads the file if it has changed. One that can't be read trusts nobody.
func (t *trustedKeys) look() {
	if t.file == "" || !t.looked.IsZero() && time.Since(t.looked) < keysEvery {
		return
	}
	first := t.looked.IsZero()
	t.looked = time.Now()
	info, err := os.Stat(t.file)
	if err == nil {
		stamp := fileStamp{info.ModTime(), info.Size()}
		if !first && stamp == t.stamp {
			return
		}
		t.stamp = stamp
		err = t.read()
	} else {
		t.stamp, t.lines = fileStamp{}, nil
	}
	if err != nil {
		t.cond.Lost(fmt.Errorf("read fleet.keys_file: %w: correct it", err))
	} else {
		t.cond.Back()
	}
	t.keys = t.changes.Over(t.lines)
}

func (t *trustedKeys) read() (err error) {
	t.lines = nil
	b, err := readBounded(t.file, maxKeys)
	if err == nil {
		t.lines, err = cmds.ReadKeys(b)
	}
	return err
}

// change makes a change durable, and the keys those that it leaves.
func (t *trustedKeys) change(f func(cmds.Changes, []cmds.Line) (cmds.Changes, error)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.looked = time.Time{}
	t.look()
	changed, err := f(t.changes, t.lines)
	if err != nil {
		return err
	}
	if err := keep(t.replace, filepath.Join(t.dir, keysFile), changed); err != nil {
		return err
	}
	t.changes, t.keys = changed, changed.Over(t.lines)
	return nil
}
