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

// noRoom is what Put says while it refuses. Called with mu held.
func (d *DB) noRoom() error {
	return fmt.Errorf("put records into %s: %w: capture goes on when there is room", d.log.dir, ErrFull)
}

// keepHouse ends files, lets old evidence go, and makes room.
func (d *DB) keepHouse() error {
	if err := d.relieveRows(); err != nil {
		return err
	}
	if err := d.endFile(); err != nil {
		return err
	}
	if err := d.prune(); err != nil {
		return err
	}
	d.mu.Lock()
	paused := d.paused
	d.mu.Unlock()
	for paused {
		gone, err := d.sacrifice()
		if err != nil || !gone {
			return err
		}
		d.turns.Lock()
		paused = errors.Is(d.room(), ErrFull)
		d.turns.Unlock()
	}
	return nil
}

// endFile begins the next file when the last one holds nothing that is needed any more, or is a day old: only whole files can
// go.
func (d *DB) endFile() error {
	d.turns.Lock()
	full := len(d.log.files) > 0 && d.log.last().bytes >= turnBytes
	d.mu.Lock()
	now := d.cfg.now()
	if d.began.Boot != now.Boot {
		d.began = now
	}
	end := full && (len(d.state.Runs) == 0 || now.Mono-d.began.Mono > turnAge)
	if end {
		d.log.turnNext, d.began = true, now
	}
	d.mu.Unlock()
	d.turns.Unlock()
	if !end {
		return nil
	}
	return d.commit(func(*commit) error { return nil })
}

// prune drops files whose evidence is older than it has to be kept, if the clock can be trusted.
func (d *DB) prune() error {
	now := d.cfg.now()
	for now.Trusted {
		f, next := d.oldest()
		if f == nil {
			return nil
		}
		c, err := d.log.commit(next)
		if err != nil {
			return d.suspect(err)
		}
		if !c.At.Trusted || now.Wall.Sub(c.At.Wall) < time.Duration(d.cfg.evidenceDays)*dayLength {
			return nil
		}
		if gone, err := d.let(f, next, false); err != nil || !gone {
			return err
		}
	}
	return nil
}

// sacrifice drops the oldest file for the room it takes and tells whether it could.
func (d *DB) sacrifice() (gone bool, err error) {
	f, next := d.oldest()
	if f == nil {
		return false, nil
	}
	return d.let(f, next, true)
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

// let lets the oldest file go, the one before next. Its evidence is exported first, if that is wished; only a store without
// room does without. Records that still need something are carried on, unless they are many.
func (d *DB) let(f *recordFile, next place, needed bool) (gone bool, err error) {
	d.mu.Lock()
	live, exported := d.liveBefore(next), d.state.Exported >= next.First
	d.mu.Unlock()
	if n := length(live); n > carryMost {
		return false, nil
	}
	if d.cfg.exportDir != "" && !exported {
		err := d.exportEvidence(f, next)
		d.mu.Lock()
		d.exportErr = err
		d.mu.Unlock()
		if record.ClassOf(err) == record.StopHere || err != nil && !needed {
			return false, err
		}
	}
	if err := d.carry(live); err != nil {
		return false, err
	}
	if err := d.flushRows(); err != nil {
		return false, err
	}
	d.turns.Lock()
	defer d.turns.Unlock()
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

// liveBefore gives the records that need something and lie in a commit before next. Called with mu held.
func (d *DB) liveBefore(next place) (live []span) {
	live = d.state.Runs.within(span{0, next.First - 1}, everything)
	for _, m := range d.state.Carried {
		if m.In.Number >= next.Number { // it lies behind
			live = slices.Concat(outside(live, m.span))
		} else if m.First >= next.First {
			live = append(live, d.state.Runs.within(m.span, everything)...)
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

// carry writes records once more, with their receipts, so that the file they lie in can go.
func (d *DB) carry(live []span) error {
	if len(live) == 0 {
		return nil
	}
	if err := d.Flush(); err != nil { // what waits must not share the commit
		return err
	}
	return d.commit(func(c *commit) error {
		for _, s := range live {
			for seq := s.First; seq <= s.Last; seq++ {
				r, err := d.record(seq)
				if err != nil {
					return err
				}
				c.records = append(c.records, *r)
				is, ok := d.standing(seq)
				if !ok || !is.As.ledger() {
					continue
				}
				receipt, _, err := d.receipt(seq, is.In, &r.Record)
				if err != nil {
					return err
				}
				receipt.Hash = string(shorten([]byte(receipt.Hash), markOf(&r.Record)))
				c.accepted = append(c.accepted, acceptance{seq, receipt})
			}
			c.Carried = append(c.Carried, s)
		}
		return nil
	})
}

// freeSpace tells how many bytes the agent's user may still write to the card that holds path.
func freeSpace(path string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, os.NewSyscallError("statfs", err)
	}
	return int64(s.Bavail) * int64(s.Frsize), nil
}
