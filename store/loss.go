package store

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
)

// Loss is what could not be read and was set aside or given up.
type Loss struct {
	File   string `json:"file"`   // where the damaged file lies now
	What   string `json:"what"`   // one line for a person
	Count  int    `json:"count"`  // -1: nobody knows
	Scans  bool   `json:"scans"`  // Count is of journal entries, else of records
	Moment string `json:"moment"` // from when to when, as far as it is known
}

const lossesFile = "losses.json"

// losses are kept until a person has seen them: an agent that starts again must not make an alarm go away.
type losses struct {
	path string

	mu   sync.Mutex
	list []Loss
}

// openLosses reads what nobody has acknowledged yet. A file that can't be read is none: the damaged files are still there.
func openLosses(path string) *losses {
	l := &losses{path: path}
	if b, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(b, &l.list)
	}
	return l
}

// add notes losses, on the card too if it takes them.
func (l *losses) add(more ...Loss) {
	if len(more) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range more {
		if !slices.Contains(l.list, m) { // an opening that was tried again says the same again
			l.list = append(l.list, m)
		}
	}
	if b, err := json.MarshalIndent(l.list, "", "  "); err == nil {
		_ = replaceFile(l.path, append(b, '\n')) // what is told matters more than that it is told again
	}
}

func (l *losses) all() []Loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

// clear forgets them, on a person's word.
func (l *losses) clear() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := os.Remove(l.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l.list = nil
	return nil
}
