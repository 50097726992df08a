package binlog

import (
	"encoding/json"
	"sync"
)

// Memory keeps small values over a restart, by name. What it lost is found again or said: it may be empty at any time.
type Memory interface {
	LoadNote(name string) ([]byte, error) // nil if there is none
	SaveNote(name string, value []byte) error
}

// volatile is a Memory that ends with the program.
type volatile struct {
	mu    sync.Mutex
	notes map[string][]byte
}

func (v *volatile) LoadNote(name string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.notes[name], nil
}

func (v *volatile) SaveNote(name string, value []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.notes == nil {
		v.notes = make(map[string][]byte)
	}
	v.notes[name] = value
	return nil
}

// recall reads a note into a value; false if there is none that can be read.
func recall(m Memory, name string, into any) (bool, error) {
	text, err := m.LoadNote(name)
	if err != nil || text == nil {
		return false, err
	}
	return json.Unmarshal(text, into) == nil, nil
}

func remember(m Memory, name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return m.SaveNote(name, text)
}
