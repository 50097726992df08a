// Package capturetest has stand-ins for what capture is given, for tests only. They promise what the real ones promise,
// and fail when they are told to.
package capturetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"station-agent/store/record"
)

// Store is a capture.Store in memory. What was put survives the death of its user: a new user goes on from it.
type Store struct {
	mu       sync.Mutex
	position record.Position
	records  []record.Record
	shadow   map[string]record.ShadowRow
	groups   []record.Group
	run      string
	runs     int
	missed   string
	changed  chan struct{}

	// Fail is called before each Put and PutSnapshot if set; its error is returned and nothing is put.
	Fail func(record.Group) error
}

// ErrKilled is for Fail to return.
var ErrKilled = errors.New("killed")

// Position implements capture.Store.
func (s *Store) Position() (record.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.position, nil
}

// Put implements capture.Store.
func (s *Store) Put(g record.Group) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.put(g)
}

func (s *Store) put(g record.Group) error {
	if s.Fail != nil {
		if err := s.Fail(g); err != nil {
			return err
		}
	}
	if !g.Position.Zero() {
		s.position = g.Position
	}
	s.records = append(s.records, g.Records...)
	if s.shadow == nil {
		s.shadow = make(map[string]record.ShadowRow)
	}
	for _, row := range g.Shadow {
		if row.Gone {
			delete(s.shadow, row.Collection+"/"+row.ID)
		} else {
			s.shadow[row.Collection+"/"+row.ID] = row
		}
	}
	g.Records, g.Shadow = slices.Clone(g.Records), slices.Clone(g.Shadow) // their memory is the caller's
	s.groups = append(s.groups, g)
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
	return nil
}

// Shadow implements capture.Store.
func (s *Store) Shadow(collection string, ids []string) (map[string]record.ShadowRow, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := make(map[string]record.ShadowRow)
	for _, id := range ids {
		if row, ok := s.shadow[collection+"/"+id]; ok {
			found[id] = row
		}
	}
	return found, nil
}

// ShadowAll implements capture.Store.
func (s *Store) ShadowAll(collection string, f func(record.ShadowRow) error) error {
	s.mu.Lock()
	var rows []record.ShadowRow
	for _, row := range s.shadow {
		if row.Collection == collection {
			rows = append(rows, row)
		}
	}
	s.mu.Unlock()
	for _, row := range rows {
		if err := f(row); err != nil {
			return err
		}
	}
	return nil
}

// ShadowIDs gives up to n ids of a collection behind one, in order.
func (s *Store) ShadowIDs(collection, after string, n int) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, row := range s.shadow {
		if row.Collection == collection && row.ID > after {
			ids = append(ids, row.ID)
		}
	}
	slices.Sort(ids)
	return ids[:min(n, len(ids))], nil
}

// BeginSnapshot implements capture.Store.
func (s *Store) BeginSnapshot() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == "" {
		s.runs++
		s.run = fmt.Sprintf("run-%d", s.runs)
	}
	return s.run, nil
}

// PutSnapshot implements capture.Store.
func (s *Store) PutSnapshot(g record.Group) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.put(g); err != nil {
		return err
	}
	s.run, s.missed = "", ""
	return nil
}

// Missed implements capture.Salvager.
func (s *Store) Missed() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.missed, nil
}

// Salvage makes it a store that was damaged: it stands at p again, and has lost records if there is a reason.
func (s *Store) Salvage(p record.Position, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.position, s.missed = p, reason
}

// Records is a copy of all records that were put.
func (s *Store) Records() []record.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]record.Record(nil), s.records...)
}

// Groups is a copy of all groups that were put.
func (s *Store) Groups() []record.Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]record.Group(nil), s.groups...)
}

// Changed is closed at the next put.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// Condition is a capture.Condition that keeps what it is told.
type Condition struct {
	mu     sync.Mutex
	lost   []string
	back   int
	alarms int
	down   bool
}

// Lost implements capture.Condition.
func (c *Condition) Lost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = append(c.lost, err.Error())
	if !c.down {
		c.alarms++
	}
	c.down = true
}

// Back implements capture.Condition.
func (c *Condition) Back() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.back++
	c.down = false
}

// Said is what Lost was told, and how often Back was called.
func (c *Condition) Said() ([]string, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.lost...), c.back
}

// Alarms is how often it was lost anew, and whether it is lost now.
func (c *Condition) Alarms() (alarms int, down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alarms, c.down
}
