package store

import (
	"math"

	"station-agent/store/record"
)

// boundMost is how many records are given up at once; the next Settle goes on.
const boundMost = 20 * pendingMost

// bound keeps the ledger to what is configured: what exceeds is given up, the oldest first, and is evidence then. First those that
// were superseded, then those of which nothing is known. What needs a person stays. Called with turns held.
func (d *DB) bound() {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := span{0, math.MaxUint64}
	over := min(d.state.Runs.count(all, standing.ledger)-d.cfg.maxUnproven, boundMost)
	if over <= 0 || d.broken != nil {
		return
	}
	var given []look
	give := func(of func(standing) bool, as record.Anchoring) {
		for _, s := range d.state.Runs.within(all, of) {
			for seq := s.First; seq <= s.Last && len(given) < over; seq++ {
				given = append(given, look{seq: seq, state: as})
				delete(d.looked, seq)
			}
		}
	}
	give(func(a standing) bool { return a == superseded }, record.Retired)
	give(func(a standing) bool { return a == accepted || a == unclear }, record.GivenUp)
	c := d.gather()
	one := *c
	one.accepted, one.refused, one.looked = nil, nil, given
	c.looked = append(c.looked, given...)
	d.state.events(&one)
}

// waive notes that a person knows of all that was given up unverified, and of the dead letters that went for want of room.
func (d *DB) waive() error {
	return d.commit(func(c *commit) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.state.Spilled > d.state.SpillsKnown {
			c.SpillsKnown = d.state.Spilled
		}
		if d.state.Unverified > d.state.Waived {
			c.Waived = d.state.Unverified
		}
		return nil
	})
}

// Tally counts the ledger by how its records stand.
func (d *DB) Tally() record.Tally {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state.Runs.tally()
}

// Holds tells whether a record is in the ledger.
func (d *DB) Holds(seq uint64) bool {
	r, ok := d.standing(seq)
	return ok && r.As.ledger()
}
