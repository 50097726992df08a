package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	bolt "go.etcd.io/bbolt"

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
			d.state.Missed = "all records were lost with " + d.log.dir
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
		d.state.Position = *f.back
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
	f.s.Missed = "the beginning of " + d.log.last().path + " was lost"
	d.state, d.log.sum = f.s, f.sum
	d.leap(d.log.last().first)
	d.cfg.tell(Loss{File: d.log.last().path, Count: -1,
		What: "the state of older records is lost: what still reads is sent again under the same keys, and the rows are compared"})
	return nil
}

// check has a file read by a child process, and mends it if it is damaged.
func (l *recordLog) check(f *recordFile) error {
	err := l.probe(f.path)
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	return l.mend(f, err)
}

// mend sets a damaged file aside and makes a new one of the commits that can still be read. A crash leaves the damaged file or
// the new one.
func (d *DB) mend(f *recordFile, why error) error {
	aside := f.path + damagedSuffix
	found, err := salvage(f.path)
	if err != nil {
		return fmt.Errorf("read what is left of %s: %w", f.path, err)
	}
	if err := linkAside(f.path, aside); err != nil {
		return err
	}
	err = createBolt(f.path, func(tx *bolt.Tx) error {
		log, err := tx.CreateBucket([]byte(logBucket))
		if err != nil {
			return err
		}
		log.FillPercent = 1
		for _, v := range found {
			b, err := log.CreateBucket(place{v.first, v.number}.key())
			if err == nil {
				err = b.Put([]byte(valueKey), v.value)
			}
			if err != nil {
				return err
			}
		}
		return putMeta(tx, map[string]any{"version": recordsVersion, "id": d.cfg.id})
	})
	if err != nil {
		return err
	}
	f.bytes = cardBytes(f.path)
	n := missing(found, f.first, d.log.next(f))
	d.cfg.tell(Loss{File: aside, Count: n, What: fmt.Sprintf("a file of records is damaged (%v): %d records in it can't be read, %d commits can", why, n, len(found))})
	return nil
}

// missing counts the records between the commits that were found in a file, and to the next file, if there is one.
func missing(found []wholeCommit, first, next place) (n int) {
	want := first.First
	for _, c := range slices.Backward(found) {
		if c.first > want && c.first-want < leapRecords { // more was leapt over, after another loss
			n += int(c.first - want)
		}
		want = c.first + c.count
	}
	if next.First > want && next.First-want < leapRecords {
		n += int(next.First - want)
	}
	return n
}

type wholeCommit struct {
	number, first, count uint64
	value                []byte
}

// salvage reads the commits that are whole, one of each number: where there are two, one was never finished, and the commit
// behind names the right one.
func salvage(path string) (list []wholeCommit, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() // it was only read
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	type found struct {
		*commit
		off int64
	}
	all := map[uint64][]found{}
	var last uint64
	err = scanCommits(file, info.Size(), func(off int64, c *commit) error {
		all[c.number] = append(all[c.number], found{c, off})
		last = max(last, c.number)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var next *commit
	for n := last; len(all) > 0; n-- {
		these := all[n]
		delete(all, n)
		if len(these) == 0 {
			next = nil
			continue
		}
		best := these[0]
		if i := slices.IndexFunc(these, func(f found) bool { return next != nil && f.sum == next.previous }); i >= 0 {
			best = these[i]
		} else if next != nil { // none of them is the one that was finished
			next = nil
			continue
		}
		next = best.commit
		v := make([]byte, best.size)
		if _, err := file.ReadAt(v, best.off); err != nil {
			continue
		}
		list = append(list, wholeCommit{best.number, best.first, uint64(best.count), v})
	}
	return list, nil
}

const damagedSuffix = ".damaged"

// linkAside gives a damaged file a second name, durably; an older one of that name goes.
func linkAside(path, aside string) error {
	_ = os.Remove(aside) // if it stays, Link says so
	if err := os.Link(path, aside); err != nil {
		return fmt.Errorf("set %s aside: %w", path, err)
	}
	return syncFolder(openFile, filepath.Dir(path))
}

// lose gives up the records from seq on that can't be read, up to last at most, and tells where reading goes on. It looks
// again first, while nothing is written: a record that was carried on meanwhile, or left, is not lost.
func (d *DB) lose(seq, last uint64, why error) (next uint64, err error) {
	if record.ClassOf(why) == record.StopHere {
		return seq, why
	}
	d.turns.Lock()
	defer d.turns.Unlock()
	r, ok := d.standing(seq)
	if !ok {
		return seq + 1, nil
	}
	if _, _, err := d.block(seq); !errors.Is(err, ErrDamaged) || errors.Is(err, errFault) {
		return seq, err
	}
	gone := span{seq, min(last, r.Last, d.extent(seq))}
	missed := fmt.Sprintf("records %d to %d could not be read any more", gone.First, gone.Last)
	err = d.commitNow(func(c *commit) error {
		c.Lost = append(c.Lost, gone)
		c.Missed = &missed
		return nil
	})
	if err != nil {
		return seq, fmt.Errorf("give up records that can't be read: %w", err)
	}
	d.cfg.tell(Loss{File: d.log.dir, Count: int(gone.Last - gone.First + 1), What: fmt.Sprintf("%s (%v): they are given up", missed, why)})
	return gone.Last + 1, nil
}

// extent gives the last record that lies where seq does, in a commit that can't be read.
func (d *DB) extent(seq uint64) uint64 {
	end := d.log.behind(seq) - 1
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.state.Carried {
		if m.First <= seq && seq <= m.Last {
			return m.Last
		}
		if m.First > seq {
			end = min(end, m.First-1)
		}
	}
	return end
}

// miss notes that the rows have to be compared. The next commit begins a file and keeps it.
func (d *DB) miss(why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.Missed, d.log.turnNext = why, true
}

// openRows opens the rows file and brings the shadow up to the log. A damaged or missing one is made again: then the rows have
// to be compared.
func (d *DB) openRows() error {
	path := filepath.Join(d.cfg.dir, rowsName)
	if err := os.Remove(path + temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	err := d.checkRows(path)
	if err != nil {
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, errNoRows) {
			return err
		}
		if err := d.newRows(path, err); err != nil {
			return err
		}
	}
	rows, applied, err := openRowsFile(path, d.cfg.id, d.log.codec)
	if err != nil {
		return err
	}
	d.rows, d.applied = rows, applied
	if applied > d.state.Number { // it has seen more than is left of the log
		d.leap(place{d.state.Next, applied})
		d.cfg.tell(Loss{File: d.log.dir, Count: -1,
			What: "the newest file of records is missing: its changes are read again from the database, if it still has them"})
		applied = 0
	}
	return d.castSince(applied)
}

func (d *DB) checkRows(path string) error {
	if !exists(path) {
		return errNoRows
	}
	if err := dropCache(path); err != nil {
		return err
	}
	return d.cfg.probe(path)
}

// newRows makes an empty rows file in place of a damaged or missing one.
func (d *DB) newRows(path string, why error) error {
	began := d.state.Number > 0
	if !errors.Is(why, errNoRows) {
		if err := linkAside(path, path+damagedSuffix); err != nil {
			return err
		}
	}
	if began { // noted first: a crash behind it compares once too often
		missed := fmt.Sprintf("the shadow of the rows was lost (%v)", why)
		d.cfg.tell(Loss{File: path, What: missed + ": they are compared with the database"})
		if err := d.commit(func(c *commit) error { c.Missed = &missed; return nil }); record.ClassOf(err) == record.StopHere {
			return err
		} else if err != nil {
			d.miss(missed)
		}
	}
	return createRows(path, d.cfg.id, d.state.Number)
}

// castSince folds into the shadow what the commits behind number did to it.
func (d *DB) castSince(number uint64) error {
	if number >= d.state.Number {
		return nil
	}
	last := number
	for i, f := range d.log.files {
		if i+1 < len(d.log.files) && d.log.files[i+1].first.Number <= number+1 {
			continue
		}
		places, err := d.log.places(f)
		if err != nil {
			return err
		}
		for _, p := range places {
			if p.Number <= number {
				continue
			}
			if n := p.Number - last; n > 1 && n < leapRecords { // more was leapt over, after another loss
				d.miss(fmt.Sprintf("what commits %d to %d did to the rows could not be read", last+1, p.Number-1))
			}
			last = p.Number
			if err := d.castCommit(f, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// castCommit folds one commit into the shadow. If it can't be read, the rows have to be compared.
func (d *DB) castCommit(f *recordFile, p place) error {
	var rows []record.ShadowRow
	c, err := d.log.get(f, p, false)
	if err == nil && len(c.shadow) > 0 {
		if c, err = d.log.get(f, p, true); err == nil {
			rows, err = c.shadowRows()
		}
	}
	if errors.Is(err, ErrDamaged) {
		d.miss(fmt.Sprintf("what commit %d did to the rows could not be read", p.Number))
		return nil
	}
	if err == nil {
		d.cast(rows, c.At.Mono)
	}
	return err
}
