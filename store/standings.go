package store

import (
	"errors"

	"station-agent/store/record"
)

// happened is how a record stood last within some commits.
type happened struct {
	state record.Anchoring
	at    record.Stamp
	receiptAt
}

// Standings tells what became of accepted records behind a mark, for one that writes it elsewhere and keeps the mark, from 0 on:
// each record once, as it stood last, in chunks of chunk. It reads some commits, at least chunk changes if there are so many, and
// gives the mark behind them: the same one if there is nothing new. What is not on the card yet comes later. Records whose file is
// gone are passed over. A mark of another store begins anew.
func (d *DB) Standings(mark uint64, chunk int, f func([]record.Standing) error) (next uint64, err error) {
	d.mu.Lock()
	last := d.state.Number
	d.mu.Unlock()
	if mark > last {
		mark = 0
	}
	if next = mark; mark == last {
		return mark, nil
	}
	order, of := []uint64{}, map[uint64]*happened{}
	note := func(seq uint64) *happened {
		if of[seq] == nil {
			of[seq] = &happened{}
			order = append(order, seq)
		}
		return of[seq]
	}
	err = d.log.each(mark+1, false, func(c *commit) error {
		if len(order) >= chunk {
			return errEnough
		}
		next = c.number
		for _, a := range c.accepted {
			h := note(a.seq)
			h.receiptAt = receiptAt{a.receipt, c.At}
			if len(c.Carried) == 0 { // else it was accepted before, and nothing became of it
				h.state, h.at = record.Pending, c.At
			}
		}
		for _, l := range c.looked {
			h := note(l.seq)
			h.state, h.at = l.state, c.At
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return mark, d.suspect(err)
	}
	if err := d.findReceipts(of); err != nil {
		return mark, err
	}
	list := make([]record.Standing, 0, min(chunk, len(order)))
	for i, seq := range order {
		s, known, err := d.stood(seq, of[seq])
		if err != nil {
			return mark, err
		}
		if known {
			list = append(list, s)
		}
		if len(list) == chunk || i == len(order)-1 && len(list) > 0 {
			if err := f(list); err != nil {
				return mark, err
			}
			list = list[:0]
		}
	}
	return next, nil
}

// findReceipts looks for the receipts that lie in older commits.
func (d *DB) findReceipts(of map[uint64]*happened) error {
	left, from := 0, uint64(0)
	for seq, h := range of {
		if h.since != (record.Stamp{}) {
			continue
		}
		c, _, err := d.block(seq)
		if errors.Is(err, ErrDamaged) && record.ClassOf(err) != record.StopHere {
			continue // it is passed over
		}
		if err != nil {
			return err
		}
		if left++; from == 0 || c.number < from {
			from = c.number
		}
	}
	if left == 0 {
		return nil
	}
	err := d.log.each(from, false, func(c *commit) error {
		for _, a := range c.accepted {
			if h := of[a.seq]; h != nil && h.since == (record.Stamp{}) {
				h.receiptAt = receiptAt{a.receipt, c.At}
				left--
			}
		}
		if left <= 0 {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return d.suspect(err)
}

// stood reads the record of what happened. It isn't known if its file is gone, or if nothing became of it.
func (d *DB) stood(seq uint64, h *happened) (record.Standing, bool, error) {
	if h.state == "" {
		return record.Standing{}, false, nil
	}
	r, err := d.record(seq)
	if errors.Is(err, ErrDamaged) && record.ClassOf(err) != record.StopHere {
		return record.Standing{}, false, nil
	}
	if err != nil {
		return record.Standing{}, false, err
	}
	h.Hash = string(expand([]byte(h.Hash), markOf(&r.Record)))
	now := d.cfg.now()
	return record.Standing{
		Seq: seq, Record: r.Record, Receipt: h.Receipt, State: h.state, Since: sometime(now, h.since), At: sometime(now, h.at),
	}, true, nil
}
