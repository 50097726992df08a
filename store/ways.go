package store

import "maps"

// ways are the decisions by which way the changes of a table are found.
type ways map[string]Way

// Way is one decision. It is kept: another way means comparing all rows.
type Way struct {
	Name string `json:"name"`
	Why  string `json:"why"` // for people
}

func (s *state) decide(table string, way Way) {
	s.Ways = maps.Clone(s.Ways)
	if s.Ways == nil {
		s.Ways = make(ways)
	}
	s.Ways[table] = way
}

// Way gives the decision for a table; its name is "" if there is none.
func (d *DB) Way(table string) Way {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state.Ways[table]
}

// Decide keeps the decision for a table.
func (d *DB) Decide(table string, way Way) error {
	if d.Way(table) == way {
		return nil
	}
	return d.commit(func(c *commit) error {
		c.Ways = ways{table: way}
		return nil
	})
}
