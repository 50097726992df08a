package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"

	"station-agent/store/record"
)

// openLog opens the last file of the log and folds its commits. The others are opened when they are needed.
func (d *DB) openLog() error {
	if err := d.migrate(); err != nil {
		return err
	}
	firsts, err := listRecords(d.log.dir)
	if err != nil {
		return err
	}
	d.log.mend = d.mend
	d.state.Next = 1
	if len(firsts) == 0 {
		if !d.cfg.fresh {
			d.state.miss("all records were lost with " + d.log.dir)
			d.leap(place{1<<40 + rand.Uint64N(1<<40), 1<<40 + rand.Uint64N(1<<40)})
			d.cfg.tell(Loss{File: d.log.dir, What: "no file of records is left: what was not sent yet is lost, the rows are read anew", Count: -1})
		}
		return nil
	}
	for _, p := range firsts {
		path := d.log.path(p)
		d.log.files = append(d.log.files, &recordFile{path: path, first: p, bytes: cardBytes(path)})
	}
	last := d.log.last()
	if err := dropCache(last.path); err != nil {
		return fmt.Errorf("%w: give the agent's user a store that it can write", err)
	}
	if err := d.log.check(last); err != nil {
		return err
	}
	f, err := openRecords(last.path, d.cfg.id, last.first, os.O_RDWR)
	if err != nil {
		return err
	}
	d.log.files[len(firsts)-1] = f
	return d.fold()
}

// folding is a state that commits are folded into, and what is missing between them.
type folding struct {
	s     state
	holes int
	lost  uint64 // records
	back  *record.Position
	sum   uint32
}

var errNoBase = errors.New("the commit that a file begins with is missing")

// add folds one commit. A jump in their numbers is a hole: its records are lost, and the position goes back before it, so that
// what is still in the source is read again under the same keys.
func (f *folding) add(c *commit) error {
	switch {
	case c.State == nil && f.s.Number == 0:
		return errNoBase
	case c.State == nil && c.number != f.s.Number+1:
		f.holes++
		if c.first == f.s.Next {
			break // no record was in it
		}
		if f.back == nil {
			p := f.s.Position
			f.back = &p
		}
		f.lost += c.first - f.s.Next
		f.s.Next = c.first
	}
	f.s.apply(c)
	f.sum = c.sum
	return nil
}

// fold makes the state from the last file; if that has lost its first commit, from one before.
func (d *DB) fold() error {
	f := &folding{}
	last := len(d.log.files) - 1
	for start := last; start >= 0 && f.s.Number == 0; start-- {
		*f = folding{}
		for i := start; i <= last; i++ {
			if err := d.log.open(d.log.files[i]); err != nil {
				return err
			}
			if err := d.foldFile(f, i); errors.Is(err, errNoBase) {
				break
			} else if err != nil {
				return err
			}
		}
	}
	if f.s.Number == 0 {
		return d.foldBaseless()
	}
	d.state, d.log.sum = f.s, f.sum
	if d.state.Number < d.log.last().first.Number { // nothing of the last file reads
		d.leap(d.log.last().first)
		d.cfg.tell(Loss{File: d.log.last().path, Count: -1,
			What: "nothing in the newest file of records could be read: their changes are read again from the database, if it still has them"})
	}
	if f.holes == 0 {
		return nil
	}
	d.state.Lost += f.lost
	if f.back != nil {
		const why = "records could not be read any more"
		d.state.missNamed(why) // their sources don't give again what was taken
		if d.state.Position = *f.back; f.back.Way != "" {
			d.state.Missed = why
		}
	}
	d.log.turnNext = true // the file begins with a state again
	d.cfg.tell(Loss{File: d.log.last().path, Count: int(f.lost),
		What: fmt.Sprintf("%d records could not be read any more: their changes are read again from the database, if it still has them", f.lost)})
	return nil
}

const leapRecords = 1 << 20

// leap goes on far behind all that may have been written behind p, so that no sequence and no number is given twice.
func (d *DB) leap(p place) {
	d.state.Next, d.state.Number = max(d.state.Next, p.First)+leapRecords, max(d.state.Number, p.Number)+leapRecords
	d.log.turnNext = true
}

func (d *DB) foldFile(f *folding, i int) error {
	return d.log.files[i].each(func(_ place, v []byte) error {
		c, err := d.log.codec.decodeHead(v, false)
		if errors.Is(err, ErrDamaged) {
			return nil // a hole
		}
		if err != nil {
			return err
		}
		return f.add(c)
	})
}

// foldBaseless makes what it can of commits behind a lost beginning: their records wait again.
func (d *DB) foldBaseless() error {
	f := &folding{}
	err := d.log.last().each(func(_ place, v []byte) error {
		c, err := d.log.codec.decodeHead(v, false)
		if err != nil {
			return nil // a hole
		}
		if f.s.Number == 0 {
			f.s = state{Number: c.number - 1, Next: c.first}
		}
		return f.add(c)
	})
	if err != nil {
		return err
	}
	f.s.miss("the beginning of " + d.log.last().path + " was lost")
	d.state, d.log.sum = f.s, f.sum
	d.leap(d.log.last().first)
	d.cfg.tell(Loss{File: d.log.last().path, Count: -1,
		What: "the state of older records is lost: what still reads is sent again under the same keys, and the rows are compared"})
	return nil
}

// miss notes that the rows have to be compared. The next commit begins a file and keeps it.
func (d *DB) miss(why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.miss(why)
	d.log.turnNext = true
}
