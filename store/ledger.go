package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"station-agent/store/record"
)

// Due lists the records whose anchoring is to be looked at by now, the longest due first, at most max, and tells when
// the one behind them is due: zero if there is none. Due times run on the boot's own clock, so that setting the other one
// changes none; after a restart of the machine all that was accepted before is due.
func (d *DB) Due(now time.Time, max int) (due []record.Unproven, next time.Time, err error) {
	list, wait := d.dueNow(now, max)
	if wait > 0 {
		next = now.Add(wait)
	}
	for _, l := range list {
		u, err := d.unproven(l)
		if errors.Is(err, ErrDamaged) {
			_, err = d.lose(l.seq, l.seq, err)
			if err == nil {
				continue
			}
		}
		if errors.Is(err, ErrNoRecord) {
			continue // it left the ledger meanwhile
		}
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("read record %d of the ledger: %w", l.seq, err)
		}
		due = append(due, u)
	}
	return due, next, nil
}

type dueRecord struct {
	seq uint64
	seen
}

// dueNow lists at most max records that are due, the longest due first, and tells how long the first of the others has: 0 if
// there are none, at least a nanosecond if it is due too.
func (d *DB) dueNow(now time.Time, max int) (list []dueRecord, wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	stamp := d.cfg.now()
	at := stamp.Mono + now.Sub(stamp.Wall)
	behind := never
	take := func(r dueRecord) {
		if r.due > at {
			behind = min(behind, r.due)
			return
		}
		list = append(list, r)
		if len(list) >= 2*max+2 {
			list, behind = first(list, max, behind)
		}
	}
	for _, r := range d.state.Runs {
		if r.As.ledger() {
			d.unseen(r, stamp, at, max, take)
		}
	}
	for seq, s := range d.looked {
		if r, ok := d.state.Runs.at(seq); !ok || !r.As.ledger() {
			delete(d.looked, seq)
		} else {
			take(dueRecord{seq, s})
		}
	}
	if list, behind = first(list, max, behind); behind < never {
		wait = behind - at
		if behind <= at {
			wait = 1
		}
	}
	return list, wait
}

// first keeps those that are longest due, at most max, and tells when the first of all others is.
func first(list []dueRecord, max int, behind time.Duration) ([]dueRecord, time.Duration) {
	sort.SliceStable(list, func(i, k int) bool { return list[i].due < list[k].due })
	if len(list) <= max {
		return list, behind
	}
	return list[:max], min(behind, list[max].due)
}

// unseen takes the records of a run that were not looked at since the start: they are all due at the same moment. Those of
// another boot are due at once.
func (d *DB) unseen(r run, now record.Stamp, at time.Duration, max int, take func(dueRecord)) {
	due := time.Duration(math.MinInt64)
	if r.Since.Boot == now.Boot {
		due = r.Since.Mono + d.cfg.firstLook
	}
	n := 0
	for seq := r.First; seq <= r.Last && n <= max; seq++ {
		if _, ok := d.looked[seq]; ok {
			continue
		}
		take(dueRecord{seq, seen{due: due}})
		if n++; due > at {
			return
		}
	}
}

// unproven reads one record of the ledger with its receipt. ErrNoRecord says that it isn't there any more.
func (d *DB) unproven(l dueRecord) (u record.Unproven, err error) {
	r, err := d.record(l.seq)
	if err != nil {
		return u, err
	}
	is, ok := d.standing(l.seq)
	if !ok || !is.As.ledger() {
		return u, ErrNoRecord
	}
	receipt, err := d.receipt(l.seq, is.In, &r.Record)
	now := d.cfg.now()
	u = record.Unproven{
		Seq: l.seq, Record: r.Record, Receipt: receipt, Since: sometime(now, is.Since), State: is.As.anchoring(), Looks: l.looks, Due: now.Wall,
	}
	if l.due > math.MinInt64 {
		u.Due = now.Wall.Add(l.due - now.Mono)
	}
	return u, err
}

// receipt finds the receipt of record seq in the commit that took it in, which may not be written yet. One that can't be read
// any more is empty: Certyo has the record all the same.
func (d *DB) receipt(seq uint64, in place, r *record.Record) (record.Receipt, error) {
	d.mu.Lock()
	var list []acceptance
	if d.pending != nil && d.pending.number == in.Number {
		list = slices.Clone(d.pending.accepted)
	}
	d.mu.Unlock()
	if list == nil {
		c, err := d.log.commit(in)
		if errors.Is(err, ErrDamaged) && !errors.Is(err, errFault) {
			return record.Receipt{}, nil
		}
		if err != nil {
			return record.Receipt{}, d.suspect(err)
		}
		i, _ := slices.BinarySearchFunc(c.accepted, seq, func(a acceptance, seq uint64) int { return cmp.Compare(a.seq, seq) })
		list = c.accepted[i:min(i+1, len(c.accepted))]
	}
	for _, a := range list {
		if a.seq == seq {
			a.receipt.Hash = string(expand([]byte(a.receipt.Hash), markOf(r)))
			return a.receipt, nil
		}
	}
	return record.Receipt{}, nil
}

// Look notes what verifications said. A state that ends it moves a record from the ledger to the evidence; all others but Pending
// are kept with their answer. Pending, and a state that was known and comes without an answer, only counts the look and sets the
// next due time, until the next start. A zero Due means
// that the record is not looked at again by itself before the next start: it stays in the ledger and its counts. What is not in
// the ledger any more is passed over. It is on the card within seconds; a crash before has the record looked at again.
func (d *DB) Look(looks []record.Look) error {
	d.turns.Lock()
	defer d.turns.Unlock()
	if err := d.unburden(); err != nil {
		return err
	}
	for _, l := range looks {
		if err := d.look(l); err != nil {
			return fmt.Errorf("note look at record %d: %w", l.Seq, err)
		}
	}
	signal(d.proof)
	if d.urgent() {
		signal(d.wake)
	}
	return nil
}

const never = time.Duration(1<<63 - 1)

func (d *DB) look(l record.Look) error {
	is, ok := d.standing(l.Seq)
	if !ok || !is.As.ledger() {
		return d.failed()
	}
	var answer []byte
	if l.State != record.Pending {
		m, err := d.markOfAnswer(l.Seq, is.In)
		if err != nil {
			return err
		}
		answer = shorten(l.Answer, m)
	}
	now := d.cfg.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return d.broken
	}
	if l.State.Ends() {
		delete(d.looked, l.Seq)
	} else {
		s := seen{looks: d.looked[l.Seq].looks + 1, due: never}
		if !l.Due.IsZero() {
			s.due = now.Mono + l.Due.Sub(now.Wall)
		}
		d.looked[l.Seq] = s
	}
	if l.State == is.As.anchoring() && (l.State == record.Pending || len(l.Answer) == 0) {
		return nil // nothing that is worth a write
	}
	c := d.gather()
	one := *c
	one.accepted, one.refused, one.looked = nil, nil, []look{{l.Seq, l.State, answer}}
	c.looked = append(c.looked, one.looked...)
	d.state.events(&one)
	return nil
}

// markOfAnswer gives what a verification's answer is likely to repeat, nothing if the record can't be read any more.
func (d *DB) markOfAnswer(seq uint64, in place) (mark, error) {
	r, err := d.record(seq)
	if err == nil {
		var receipt record.Receipt
		if receipt, err = d.receipt(seq, in, &r.Record); err == nil {
			return markOf(&r.Record).with(receipt.Hash), nil
		}
	}
	if errors.Is(err, ErrDamaged) && record.ClassOf(err) != record.StopHere {
		return mark{}, nil
	}
	return mark{}, err
}

// LedgerChanged holds a signal after a Settle and after a Look.
func (d *DB) LedgerChanged() <-chan struct{} { return d.proof }

// Evidence is what stays of a record once its anchoring is proven, or it was given up, for the days that are configured and
// while there is room. Payload and Answer are kept to the byte.
type Evidence struct {
	Seq     uint64           `json:"seq"`
	Record  record.Record    `json:"record"`
	Receipt record.Receipt   `json:"receipt"`
	State   record.Anchoring `json:"state"`          // record.Anchored, or how it ended unproven
	Answer  json.RawMessage  `json:"answer"`         // of the verification that ended it; null if none did
	Since   time.Time        `json:"since"`          // when the record was accepted, by our clock
	At      time.Time        `json:"at"`             // when the anchoring was proven or given up, by our clock
	Scan    uint64           `json:"scan,omitempty"` // journal sequence of the scan that led to it
	Read    *record.Entry    `json:"read,omitempty"` // that scan, in an export
}
