package store

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"station-agent/store/record"
)

// What gives way when there is no room, in this order: capture (Put refuses, the database still holds the changes), evidence
// that was exported, evidence that then is, the oldest evidence. Never what waits, what isn't proven, or a scan.
const (
	leastFree    = 32 << 20 // on the card: for the journal, and for what goes out
	housekeeping = 10 * time.Second
	turnBytes    = 1 << 20 // a file that holds more is ended when it holds nothing that is needed, or is a day old
	turnAge      = 24 * time.Hour
	carryMost    = 1000 // records that still need something are carried out of a file that is to go; more hold it
	dayLength    = 24 * time.Hour
)

// short tells why there is no room, nil if there is. Slack is how much more there has to be.
func (d *DB) short(slack int64) error {
	all, _ := d.log.bytes(0)
	all += cardBytes(d.rows.path)
	if all > d.cfg.maxBytes-slack {
		return fmt.Errorf("put records into %s: %w: %d MiB of %d are in use: capture goes on when records have gone out, or with a larger store.max_mb",
			d.log.dir, ErrFull, all>>20, d.cfg.maxBytes>>20)
	}
	free, err := d.free(d.log.dir)
	if err != nil {
		return fmt.Errorf("ask for room on the card of %s: %w", d.log.dir, err)
	}
	if free < leastFree+slack {
		return fmt.Errorf("put records into %s: %w: the card has %d MiB left, %d are kept for scans and receipts: make room on the card; "+
			"capture goes on by itself", d.log.dir, ErrFull, free>>20, int64(leastFree+slack)>>20)
	}
	return nil
}

// room refuses what comes in when there is none, until there is a good deal again.
func (d *DB) room() error {
	d.mu.Lock()
	slack := int64(0)
	if d.paused {
		slack = min(leastFree/4, d.cfg.maxBytes/16)
	}
	d.mu.Unlock()
	err := d.short(slack)
	d.mu.Lock()
	defer d.mu.Unlock()
	if full := errors.Is(err, ErrFull); full != d.paused {
		d.paused = full
		signal(d.wake)
	}
	return err
}

// keepHouse makes room, ends files and lets old evidence go. One step that fails keeps none of the others from being tried.
func (d *DB) keepHouse() error {
	var errs []error
	for _, step := range []func() error{d.makeRoom, d.relieveRows, d.limitLetters, d.endFile, d.prune} {
		err := step()
		if record.ClassOf(err) == record.StopHere {
			return err
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// makeRoom lets the oldest files go while Put refuses.
func (d *DB) makeRoom() error {
	for d.isPaused() {
		f, next := d.oldest()
		if f == nil {
			return d.endDone()
		}
		gone, err := d.let(f, next, true)
		if err != nil || !gone {
			return err
		}
		d.turns.Lock()
		err = d.room()
		d.turns.Unlock()
		if err != nil && !errors.Is(err, ErrFull) {
			return err
		}
	}
	return nil
}

// endFile begins the next file when the last one is a day old or holds nothing that is needed any more: only whole files can
// go.
func (d *DB) endFile() error {
	d.turns.Lock()
	defer d.turns.Unlock()
	if len(d.log.files) == 0 || d.log.last().bytes < turnBytes {
		return nil
	}
	began, err := d.log.began(d.log.last())
	if err != nil {
		return d.suspect(err)
	}
	now := d.cfg.now()
	d.mu.Lock()
	done := len(d.state.Runs) == 0
	d.mu.Unlock()
	if !done && now.Wall.Sub(sometime(now, began)) < turnAge {
		return nil
	}
	d.log.turnNext = true
	return d.commitNow(func(*commit) error { return nil })
}

// endDone begins the next file, however small the last one is, if that holds nothing that is needed and there is no room.
func (d *DB) endDone() error {
	d.turns.Lock()
	defer d.turns.Unlock()
	d.mu.Lock()
	done := len(d.state.Runs) == 0
	d.mu.Unlock()
	if !done || len(d.log.files) == 0 || d.log.last().bytes < 64<<10 {
		return nil
	}
	d.log.turnNext = true
	return d.commitNow(func(*commit) error { return nil })
}

// prune drops files whose evidence is older than it has to be kept, if the clock can be trusted: all files before one that was
// begun long enough ago.
func (d *DB) prune() error {
	now := d.cfg.now()
	if !now.Trusted {
		return nil
	}
	d.log.mu.Lock()
	files := slices.Clone(d.log.files)
	d.log.mu.Unlock()
	old := 0
	for i, f := range files {
		at, err := d.log.began(f)
		if errors.Is(err, ErrDamaged) && !errors.Is(err, errFault) {
			continue // another tells
		}
		if err != nil {
			return d.suspect(err)
		}
		if at.Trusted && now.Wall.Sub(at.Wall) >= time.Duration(d.cfg.evidenceDays)*dayLength {
			old = i
		}
	}
	for i := range old {
		if gone, err := d.let(files[i], files[i+1].first, false); err != nil || !gone {
			return err
		}
	}
	return nil
}

// oldest gives the oldest file that isn't the last, and the first commit behind it.
func (d *DB) oldest() (*recordFile, place) {
	d.log.mu.Lock()
	defer d.log.mu.Unlock()
	if len(d.log.files) < 2 {
		return nil, place{}
	}
	return d.log.files[0], d.log.files[1].first
}

// let lets the oldest file go, the one before next, and tells whether it could. Its evidence is exported first, if that is wished;
// only a store without room does without. Records that still need something are carried on, unless they are many.
func (d *DB) let(f *recordFile, next place, needed bool) (gone bool, err error) {
	if err := d.Flush(); err != nil && !needed { // what frees it must be on the card
		return false, err
	}
	if n := length(d.liveBefore(next)); n > carryMost {
		return false, nil
	}
	d.mu.Lock()
	exported := d.state.Exported >= next.First
	d.mu.Unlock()
	if d.cfg.exportDir != "" && !exported {
		err := d.exportEvidence(f, next)
		d.mu.Lock()
		d.exportErr = err
		d.mu.Unlock()
		if record.ClassOf(err) == record.StopHere || err != nil && !needed {
			return false, err
		}
	}
	return d.drop(next, needed)
}

// drop removes the oldest file, after what it still holds is carried on and what it did to the rows is in the rows file. On a
// full card it goes even if the rows can't be written: then they are compared with the database.
func (d *DB) drop(next place, needed bool) (gone bool, err error) {
	d.turns.Lock()
	defer d.turns.Unlock()
	if live := d.liveBefore(next); length(live) > carryMost {
		return false, nil
	} else if err := d.carry(live); err != nil {
		return false, err
	}
	d.mu.Lock()
	behind, pending := d.applied+1 < next.Number, d.pending != nil
	d.lag.turned = d.lag.turned || behind // the rows file has to say how far it is, whatever changed
	d.mu.Unlock()
	if pending {
		if err := d.commitNow(func(*commit) error { return nil }); err != nil {
			return false, err
		}
	}
	if behind {
		if err := d.writeRows(); record.ClassOf(err) == record.StopHere || err != nil && !needed {
			return false, err
		}
	}
	if err := d.log.drop(); err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.Carried = slices.DeleteFunc(d.state.Carried, func(m carried) bool { return m.In.Number < next.Number })
	return true, nil
}

func length(spans []span) (n uint64) {
	for _, s := range spans {
		n += s.Last - s.First + 1
	}
	return n
}

// liveBefore gives the records that need something and lie in a commit before next.
func (d *DB) liveBefore(next place) (live []span) {
	d.mu.Lock()
	defer d.mu.Unlock()
	live = d.state.Runs.within(span{0, next.First - 1}, everything)
	for _, m := range d.state.Carried {
		if m.In.Number >= next.Number { // it lies behind
			live = outside(live, m.span)
		}
	}
	return live
}

// outside gives what of list is not in s.
func outside(list []span, s span) (out []span) {
	for _, l := range list {
		if l.Last < s.First || l.First > s.Last {
			out = append(out, l)
			continue
		}
		if l.First < s.First {
			out = append(out, span{l.First, s.First - 1})
		}
		if l.Last > s.Last {
			out = append(out, span{s.Last + 1, l.Last})
		}
	}
	return out
}

// carry writes records once more, with their receipts, so that the file they lie in can go. What can't be read is given up.
// Called with turns held.
func (d *DB) carry(live []span) error {
	if len(live) == 0 {
		return nil
	}
	if err := d.commitNow(func(*commit) error { return nil }); err != nil { // what waits must not share the commit
		return err
	}
	return d.commitNow(func(c *commit) error {
		for _, s := range live {
			for seq := s.First; seq <= s.Last; seq++ {
				if err := d.carryOne(c, seq); err != nil {
					return err
				}
			}
		}
		c.Carried = spans(c.carried, func(seq *uint64) uint64 { return *seq })
		for _, s := range c.Carried {
			c.CarriedAt = append(c.CarriedAt, d.cameIn(s.First))
		}
		return nil
	})
}

func (d *DB) carryOne(c *commit, seq uint64) error {
	r, err := d.record(seq)
	if errors.Is(err, ErrDamaged) && !errors.Is(err, errFault) {
		d.cfg.tell(Loss{File: d.log.dir, Count: 1, What: fmt.Sprintf("record %d could not be read any more (%v): it is given up", seq, err)})
		missed := "records could not be read any more"
		c.Lost, c.Missed = append(c.Lost, span{seq, seq}), &missed
		return nil
	}
	if err != nil {
		return err
	}
	c.records, c.carried = append(c.records, *r), append(c.carried, seq)
	is, ok := d.standing(seq)
	if !ok || !is.As.ledger() {
		return nil
	}
	receipt, err := d.receipt(seq, is.In, &r.Record)
	if err != nil {
		return err
	}
	receipt.Hash = string(shorten([]byte(receipt.Hash), markOf(&r.Record)))
	c.accepted = append(c.accepted, acceptance{seq, receipt})
	return nil
}

// freeSpace tells how many bytes the agent's user may still write to the card that holds path.
func freeSpace(path string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, os.NewSyscallError("statfs", err)
	}
	return int64(s.Bavail) * int64(s.Frsize), nil
}
