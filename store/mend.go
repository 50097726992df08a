package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	bolt "go.etcd.io/bbolt"

	"station-agent/store/record"
)

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
