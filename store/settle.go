package store

import (
	"errors"
	"fmt"

	"station-agent/store/record"
)

// Settle notes what became of records: with a receipt they move to the ledger, with a refusal to the dead letters, and
// with neither they stay. What is not in the outbox any more is passed over. It is on the card within seconds: a crash before
// lets the record wait again, and its key is the same.
func (d *DB) Settle(deliveries []record.Delivery) error {
	d.turns.Lock()
	defer d.turns.Unlock()
	if err := d.unburden(); err != nil {
		return err
	}
	s := &d.settling
	defer func() { s.near = nil }()
	for _, y := range deliveries {
		if err := d.weigh(s, y); err != nil {
			d.settle(s)
			return fmt.Errorf("settle record %d: %w", y.Seq, err)
		}
	}
	d.settle(s)
	d.bound()
	signal(d.proof)
	if d.urgent() {
		signal(d.wake)
	}
	return nil
}

// settlement is what became of records, each named once and in their order: it is folded all at once.
type settlement struct {
	accepted []acceptance
	refused  []refusal
	bytes    int64 // of their payloads
	last     uint64
	near     *commit // that held the last record which was looked up
}

// weigh adds one delivery.
func (d *DB) weigh(s *settlement, y record.Delivery) error {
	if y.Receipt == nil && y.Refusal == "" {
		return nil
	}
	if y.Seq <= s.last { // whether it was named before shows in what is folded
		d.settle(s)
	}
	if err := d.failed(); err != nil {
		return err
	}
	if r, ok := d.standing(y.Seq); !ok || !r.As.queued() {
		return nil
	}
	m, bytes, err := d.markOf(s, y)
	if err != nil {
		return err
	}
	if y.Receipt == nil {
		s.refused = append(s.refused, refusal{y.Seq, y.Refusal, int64(bytes)})
	} else {
		a := acceptance{y.Seq, *y.Receipt}
		a.receipt.Hash = string(shorten([]byte(a.receipt.Hash), m))
		s.accepted = append(s.accepted, a)
	}
	s.bytes += int64(bytes)
	s.last = y.Seq
	return nil
}

// settle folds s into the commit that goes next and begins a new one.
func (d *DB) settle(s *settlement) {
	if len(s.accepted)+len(s.refused) > 0 {
		d.mu.Lock()
		c := d.gather()
		d.state.QueueBytes -= s.bytes
		c.accepted, c.refused = append(c.accepted, s.accepted...), append(c.refused, s.refused...)
		one := *c
		one.accepted, one.refused, one.looked = s.accepted, s.refused, nil
		d.state.events(&one)
		d.mu.Unlock()
	}
	clear(s.accepted)
	clear(s.refused)
	*s = settlement{accepted: s.accepted[:0], refused: s.refused[:0], near: s.near} // the memory is used again
}

// markOf gives what the receipt of a record is likely to repeat, and the bytes of its payload: nothing if it can't be read any
// more, as what became of it is true all the same.
func (d *DB) markOf(s *settlement, y record.Delivery) (mark, int, error) {
	r, err := d.recordNear(&s.near, y.Seq)
	if errors.Is(err, ErrDamaged) && record.ClassOf(err) != record.StopHere {
		return mark{}, 0, nil
	}
	if err != nil {
		return mark{}, 0, err
	}
	if y.Receipt == nil || y.Receipt.Hash == "" {
		return mark{}, len(r.Payload), nil
	}
	return markOf(&r.Record), len(r.Payload), nil
}
