package store

import (
	"errors"
	"fmt"
	"path/filepath"

	"station-agent/store/record"
)

// openRows opens the rows file and brings the shadow up to the log. A damaged or missing one is made again: then the rows have
// to be compared.
func (d *DB) openRows() error {
	path := filepath.Join(d.cfg.dir, rowsName)
	if err := removeFile(path + temporary); err != nil {
		return err
	}
	if err := lookOver(path, d.cfg.probe); errors.Is(err, ErrDamaged) || errors.Is(err, errNoFile) {
		if err := d.newRows(path, err); err != nil {
			return err
		}
	} else if err != nil {
		return err
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

// newRows makes an empty rows file in place of a damaged or missing one.
func (d *DB) newRows(path string, why error) error {
	began := d.state.Number > 0
	if !errors.Is(why, errNoFile) {
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
	c, err := d.log.get(f, p, headOnly)
	if err == nil && len(c.shadow) > 0 {
		if c, err = d.log.get(f, p, whole); err == nil {
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
