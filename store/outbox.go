package store

import (
	"errors"
	"fmt"
	"slices"

	"station-agent/store/record"
)

// ErrNoRecord says that a record is not where a person looked for it.
var ErrNoRecord = errors.New("there is no such record")

// Put takes in a group: records to the end of the outbox, rows into the shadow, and the position, all or nothing. They are
// durable when it returns; only a position by itself waits a few seconds for company. A zero position leaves the stored one.
// When there is no room it returns ErrFull, so that scans are still taken and what is in the store can still go out.
func (s *Stream) Put(g record.Group) error {
	if len(g.Records) == 0 && len(g.Shadow) == 0 {
		return s.move(g.Position)
	}
	return s.put(g, false)
}

// PutSnapshot is Put for the last group of a snapshot: it ends the run of BeginSnapshot, and what Missed tells, with it.
func (s *Stream) PutSnapshot(g record.Group) error { return s.put(g, true) }

// move notes a position behind which nothing of ours lies.
func (s *Stream) move(p record.Position) error {
	d := s.DB
	d.turns.Lock()
	defer d.turns.Unlock()
	if d.isPaused() {
		if err := d.room(); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.broken != nil:
		return d.broken
	case !p.Zero():
		d.gather().turn(s.name, turn{Position: &p})
		d.state.turn(map[string]turn{s.name: {Position: &p}})
	}
	return nil
}

// put writes a group that is larger than one commit should be in parts, of which the last has the position.
func (s *Stream) put(g record.Group, endSnapshot bool) error {
	list := parts(g)
	for i, part := range list {
		if err := s.putPart(part, endSnapshot && i == len(list)-1); err != nil {
			return err
		}
	}
	return nil
}

// partBytes bounds the payloads of one commit.
const partBytes = 4 << 20

// parts cuts a group by bytes. What it does to the shadow goes with the last part, but for rows that are larger.
func parts(g record.Group) (list []record.Group) {
	all := 0
	for i := range g.Records {
		all += len(g.Records[i].Payload)
	}
	if all <= partBytes {
		return []record.Group{g}
	}
	var part record.Group
	size := 0
	end := func(more int) {
		if size += more; size > partBytes {
			list, part, size = append(list, part), record.Group{}, more
		}
	}
	for _, r := range g.Records {
		end(len(r.Payload))
		part.Records = append(part.Records, r)
	}
	for _, r := range g.Shadow {
		end(len(r.Payload))
		part.Shadow = append(part.Shadow, r)
	}
	part.Position = g.Position
	return append(list, part)
}

func (s *Stream) putPart(g record.Group, endSnapshot bool) error {
	d := s.DB
	records := make([]stored, len(g.Records))
	for i, r := range g.Records {
		records[i].Record = r
		if d.scan != nil {
			records[i].Scan = d.scan(r)
		}
	}
	err := d.commit(func(c *commit) error {
		if err := d.room(); err != nil {
			return err
		}
		c.records, c.shadow = records, d.shadowChanges(g)
		c.Later = d.later(c)
		c.rows = g.Shadow
		var t turn
		if !g.Position.Zero() {
			t.Position = &g.Position
		}
		if endSnapshot {
			t.Snapshot, t.Missed = new(string), s.forget()
		}
		c.turn(s.name, t)
		return nil
	})
	if err != nil {
		return err
	}
	signal(d.changed)
	_ = d.relieveRows() // the group is taken; Run tries again, and what ended all writing is said by the next call
	return nil
}

// Waiting gives f every record of the outbox, oldest first, until f returns an error.
func (d *DB) Waiting(f func(record.Queued) error) error {
	return d.each(standing.queued, func(seq uint64, r *stored) error {
		return f(record.Queued{Seq: seq, Record: r.Record})
	})
}

// each gives use every record that stands as of says, oldest first. Records that can't be read are given up: they are counted
// and told by Losses.
func (d *DB) each(of func(standing) bool, use func(uint64, *stored) error) error {
	return d.eachFrom(0, of, use)
}

// eachFrom is each for those from a sequence on.
func (d *DB) eachFrom(from uint64, of func(standing) bool, use func(uint64, *stored) error) error {
	d.mu.Lock()
	rs := slices.Clone(d.state.Runs[d.state.Runs.from(from):])
	d.mu.Unlock()
	for _, r := range rs {
		if !of(r.As) {
			continue
		}
		r.First = max(r.First, from)
		for seq := r.First; seq <= r.Last; {
			c, at, err := d.block(seq)
			if errors.Is(err, ErrDamaged) {
				if seq, err = d.lose(seq, r.Last, err); err == nil {
					continue
				}
			}
			if err != nil {
				return err
			}
			for ; at < len(c.records) && seq <= r.Last && c.seq(at) == seq; at, seq = at+1, seq+1 {
				if err := use(seq, &c.records[at]); err == errEnough {
					return nil
				} else if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// seq is the sequence of a commit's record.
func (c *commit) seq(at int) uint64 {
	for _, s := range c.Carried {
		n := int(s.Last - s.First + 1)
		if at < n {
			return s.First + uint64(at)
		}
		at -= n
	}
	return c.first + uint64(at)
}

// block gives the commit that holds record seq, and where in it.
func (d *DB) block(seq uint64) (c *commit, at int, err error) {
	d.mu.Lock()
	in, moved := place{}, false
	for _, m := range d.state.Carried {
		if seq >= m.First && seq <= m.Last {
			in, moved = m.In, true
		}
	}
	d.mu.Unlock()
	if !moved {
		c, err = d.log.holding(seq)
		if err != nil {
			return nil, 0, d.suspect(err)
		}
		return c, int(seq - c.first), nil
	}
	if c, err = d.log.commit(in); err != nil {
		return nil, 0, d.suspect(err)
	}
	for _, s := range c.Carried {
		if seq >= s.First && seq <= s.Last {
			return c, at + int(seq-s.First), nil
		}
		at += int(s.Last - s.First + 1)
	}
	return nil, 0, fmt.Errorf("read record %d: %w: it was carried on and isn't there", seq, ErrDamaged)
}

// recordNear is record for one that most likely stands in the same commit as the last one, which near knows.
func (d *DB) recordNear(near **commit, seq uint64) (*stored, error) {
	if c := *near; c != nil && len(c.Carried) == 0 && seq >= c.first && seq-c.first < uint64(len(c.records)) {
		return &c.records[seq-c.first], nil // it may have been carried on since, and is the same there
	}
	c, at, err := d.block(seq)
	if err != nil {
		return nil, err
	}
	*near = c
	return &c.records[at], nil
}

// record gives one record.
func (d *DB) record(seq uint64) (*stored, error) {
	c, at, err := d.block(seq)
	if err != nil {
		return nil, err
	}
	return &c.records[at], nil
}

func (d *DB) standing(seq uint64) (run, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state.Runs.at(seq)
}

// Changed holds a signal after a Put.
func (d *DB) Changed() <-chan struct{} { return d.changed }
