package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"station-agent/store/record"
)

// Due lists the records whose anchoring is to be looked at by now, the longest due first, at most max, and tells when
// the one behind them is due: zero if there is none. Due times run on the boot's own clock, so that setting the other one
// changes none; after a new start all that was accepted more than FirstLook ago is due.
func (d *DB) Due(now time.Time, max int) (due []record.Unproven, next time.Time, err error) {
	list, at := d.dueNow(now)
	if len(list) > max {
		next = now.Add(list[max].due - at)
		list = list[:max]
	}
	for i, l := range list {
		if l.due > at {
			next = now.Add(l.due - at)
			list = list[:i]
			break
		}
	}
	for _, l := range list {
		u, err := d.unproven(l)
		if errors.Is(err, ErrDamaged) {
			if _, err = d.lose(l.seq, l.run.Last, err); err == nil {
				continue
			}
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
	run run
	seen
}

// dueAtOnce is how many records that were not looked at yet are weighed at once: those behind them are due no earlier.
const dueAtOnce = 1000

// dueNow lists what is due first, the longest due first, and tells what the boot's clock says at now.
func (d *DB) dueNow(now time.Time) (list []dueRecord, at time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	stamp := d.cfg.now()
	at = stamp.Mono + now.Sub(stamp.Wall)
	for _, r := range d.state.Runs {
		if len(list) < dueAtOnce && r.As.ledger() {
			list = d.unseen(list, r, stamp)
		}
	}
	for seq, s := range d.looked {
		if r, ok := d.state.Runs.at(seq); ok && r.As.ledger() && s.due < never {
			list = append(list, dueRecord{seq, r, s})
		} else if !ok {
			delete(d.looked, seq)
		}
	}
	slices.SortStableFunc(list, func(a, b dueRecord) int { return int(min(max(a.due-b.due, -1), 1)) })
	return list, at
}

// unseen adds the records of a run that were not looked at since the start. Those of another boot are due.
func (d *DB) unseen(list []dueRecord, r run, now record.Stamp) []dueRecord {
	due := now.Mono
	if r.Since.Boot == now.Boot {
		due = r.Since.Mono + d.cfg.firstLook
	}
	for seq := r.First; seq <= r.Last && len(list) < dueAtOnce; seq++ {
		if _, ok := d.looked[seq]; !ok {
			list = append(list, dueRecord{seq, r, seen{due: due}})
		}
	}
	return list
}

// unproven reads one record of the ledger with its receipt.
func (d *DB) unproven(l dueRecord) (record.Unproven, error) {
	r, err := d.record(l.seq)
	if err != nil {
		return record.Unproven{}, err
	}
	receipt, since, err := d.receipt(l.seq, l.run.In, &r.Record)
	now := d.cfg.now()
	u := record.Unproven{Seq: l.seq, Record: r.Record, Receipt: receipt, Since: sometime(now, since), Looks: l.looks}
	u.Due = now.Wall.Add(l.due - now.Mono)
	return u, err
}

// receipt finds the receipt of record seq in the commit that took it in, which may not be written yet.
func (d *DB) receipt(seq uint64, in place, r *record.Record) (record.Receipt, record.Stamp, error) {
	d.mu.Lock()
	c := d.pending
	var list []acceptance
	if c != nil && c.number == in.Number {
		list = slices.Clone(c.accepted)
	}
	d.mu.Unlock()
	if list == nil {
		var err error
		if c, err = d.log.commit(in); err != nil {
			return record.Receipt{}, record.Stamp{}, d.suspect(err)
		}
		i, _ := slices.BinarySearchFunc(c.accepted, seq, func(a acceptance, seq uint64) int { return cmp.Compare(a.seq, seq) })
		list = c.accepted[i:min(i+1, len(c.accepted))]
	}
	for _, a := range list {
		if a.seq == seq {
			a.receipt.Hash = string(expand([]byte(a.receipt.Hash), markOf(r)))
			return a.receipt, c.At, nil
		}
	}
	return record.Receipt{}, c.At, nil // lost with a damaged commit: it is verified all the same
}

// Look notes what verifications said. Anchored moves a record from the ledger to the evidence; Mismatch and Unclear are kept
// with their answer; anything else only counts the look and sets the next due time, until the next start. A zero Due means
// that the record is not looked at again by itself before the next start: it stays in the ledger and its counts. What is not in
// the ledger any more is passed over. It is on the card within seconds; a crash before has the record looked at again.
func (d *DB) Look(looks []record.Look) error {
	d.turns.Lock()
	defer d.turns.Unlock()
	if err := d.failed(); err != nil {
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
	if l.State == record.Anchored {
		delete(d.looked, l.Seq)
	} else {
		s := seen{looks: d.looked[l.Seq].looks + 1, due: never}
		if !l.Due.IsZero() {
			s.due = now.Mono + l.Due.Sub(now.Wall)
		}
		d.looked[l.Seq] = s
	}
	if l.State == record.Pending && is.As == accepted {
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
		if receipt, _, err = d.receipt(seq, in, &r.Record); err == nil {
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

// Evidence is what stays of a record once its anchoring is proven, for the days that are configured and while there is room.
// Payload and Answer are kept to the byte.
type Evidence struct {
	Seq     uint64          `json:"seq"`
	Record  record.Record   `json:"record"`
	Receipt record.Receipt  `json:"receipt"`
	Answer  json.RawMessage `json:"answer"`         // of the verification that proved it
	Since   time.Time       `json:"since"`          // when the record was accepted, by our clock
	At      time.Time       `json:"at"`             // when the anchoring was proven, by our clock
	Scan    uint64          `json:"scan,omitempty"` // journal sequence of the scan that led to it
	Read    *record.Entry   `json:"read,omitempty"` // that scan, in an export
}
