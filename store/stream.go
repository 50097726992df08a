package store

import (
	"maps"

	"station-agent/store/record"
)

// Stream is what one source of changes puts into the DB: it has a position, a snapshot and a memory for losses of its own,
// and shares everything else. A DB is itself the stream without a name.
type Stream struct {
	*DB
	name string
}

// turn is what a commit does to a stream.
type turn struct {
	Position *record.Position `json:"position,omitempty"`
	Snapshot *string          `json:"snapshot,omitempty"`
	Missed   *string          `json:"missed,omitempty"`
}

// streams are the streams with a name.
type streams map[string]streamState

type streamState struct {
	Position record.Position `json:"position,omitzero"`
	Snapshot string          `json:"snapshot,omitempty"`
	Missed   string          `json:"missed,omitempty"`
}

// turn adds what happens to a stream.
func (c *commit) turn(name string, t turn) {
	if name == "" {
		if t.Position != nil {
			c.Position = t.Position
		}
		if t.Snapshot != nil {
			c.Snapshot = t.Snapshot
		}
		if t.Missed != nil {
			c.Missed = t.Missed
		}
		return
	}
	c.Streams = maps.Clone(c.Streams) // the commit that is gathered lives on if this one fails
	if c.Streams == nil {
		c.Streams = make(map[string]turn)
	}
	was := c.Streams[name]
	if t.Position == nil {
		t.Position = was.Position
	}
	if t.Snapshot == nil {
		t.Snapshot = was.Snapshot
	}
	if t.Missed == nil {
		t.Missed = was.Missed
	}
	if t != (turn{}) {
		c.Streams[name] = t
	}
}

// turn folds what happened to streams.
func (s *state) turn(turns map[string]turn) {
	for name, t := range turns {
		one := s.stream(name)
		if t.Position != nil {
			one.Position = *t.Position
		}
		if t.Snapshot != nil {
			one.Snapshot = *t.Snapshot
		}
		if t.Missed != nil {
			one.Missed = *t.Missed
		}
		s.setStream(name, one)
	}
}

func (s *state) stream(name string) streamState {
	if name == "" {
		return streamState{s.Position, s.Snapshot, s.Missed}
	}
	return s.Streams[name]
}

func (s *state) setStream(name string, one streamState) {
	if name == "" {
		s.Position, s.Snapshot, s.Missed = one.Position, one.Snapshot, one.Missed
		return
	}
	s.Streams = maps.Clone(s.Streams)
	if s.Streams == nil {
		s.Streams = make(streams)
	}
	if s.Streams[name] = one; one == (streamState{}) {
		delete(s.Streams, name)
	}
}

// miss notes for every stream that its rows must be compared; "" ends it for the one without a name.
func (s *state) miss(why string) {
	s.Missed = why
	if why != "" {
		s.missNamed(why)
	}
}

// missNamed is miss for the streams with a name.
func (s *state) missNamed(why string) {
	for name, one := range s.Streams {
		one.Missed = why
		s.setStream(name, one)
	}
}

// Stream gives the stream with a name. What is missing when it begins is missing for it too.
func (d *DB) Stream(name string) (*Stream, error) {
	s := &Stream{DB: d, name: name}
	d.mu.Lock()
	why := d.state.Missed
	_, known := d.state.Streams[name]
	d.mu.Unlock()
	if name == "" || known || why == "" {
		return s, nil
	}
	return s, d.commit(func(c *commit) error {
		c.turn(name, turn{Missed: &why})
		return nil
	})
}

// Retire forgets every stream with a name that is not in use: were it used again, it would have to begin anew.
func (d *DB) Retire(used []string) error {
	in := make(map[string]bool)
	for _, name := range used {
		in[name] = true
	}
	return d.end(func(name string) bool { return !in[name] })
}

// Forget is Retire of one stream with a name.
func (d *DB) Forget(name string) error {
	return d.end(func(other string) bool { return other == name })
}

// end makes the streams whose names fit begin anew.
func (d *DB) end(fits func(name string) bool) error {
	return d.commit(func(c *commit) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		for name := range d.state.Streams {
			if fits(name) {
				c.turn(name, turn{new(record.Position), new(string), new(string)})
			}
		}
		return nil
	})
}

// Main is the stream without a name.
func (d *DB) Main() *Stream { return &Stream{DB: d} }

// Position is Stream.Position of the stream without a name.
func (d *DB) Position() (record.Position, error) { return d.Main().Position() }

// Put is Stream.Put of the stream without a name.
func (d *DB) Put(g record.Group) error { return d.Main().Put(g) }

// BeginSnapshot is Stream.BeginSnapshot of the stream without a name.
func (d *DB) BeginSnapshot() (string, error) { return d.Main().BeginSnapshot() }

// PutSnapshot is Stream.PutSnapshot of the stream without a name; what was missed until now is then no more.
func (d *DB) PutSnapshot(g record.Group) error { return d.Main().PutSnapshot(g) }

// Missed is Stream.Missed of the stream without a name.
func (d *DB) Missed() (string, error) { return d.Main().Missed() }

// Position is the place in the source up to which every change is in the store, zero at first. One that moved without a
// record is on the card within seconds: after a crash it may be older.
func (s *Stream) Position() (record.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.stream(s.name).Position, s.broken
}

// BeginSnapshot gives the id of the snapshot in progress, and makes one if there is none. A crash keeps it, so that the
// same row has the same key when it is read again.
func (s *Stream) BeginSnapshot() (id string, err error) {
	s.mu.Lock()
	id = s.state.stream(s.name).Snapshot
	s.mu.Unlock()
	if id != "" {
		return id, nil
	}
	id = newID()
	return id, s.commit(func(c *commit) error {
		c.turn(s.name, turn{Snapshot: &id})
		return nil
	})
}

// Missed tells why the rows must be compared with the shadow before the source goes on: "" if they needn't. PutSnapshot ends it.
func (s *Stream) Missed() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	why := s.state.stream(s.name).Missed
	s.asked[s.name] = why
	return why, s.broken
}

// Compared tells that all rows of the first table are in the Shadow that belong there: none are being read for a snapshot, or are to be
// compared. Unlike Missed it promises nobody that they will be.
func (d *DB) Compared() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state.Missed == "" && d.state.Snapshot == ""
}

// forget ends what Missed told, but not what was missed since.
func (s *Stream) forget() *string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.stream(s.name).Missed != s.asked[s.name] {
		return nil
	}
	return new(string)
}
