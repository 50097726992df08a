package store

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"station-agent/store/record"
)

// openLabels opens labels.db. A damaged one is set aside; follow makes it again, as it does a missing one.
func openLabels(c Config, id string, tell func(Loss)) (*labels, error) {
	l := &labels{path: filepath.Join(c.Dir, labelsName), id: id, now: c.Now, keep: time.Duration(c.EvidenceDays) * dayLength, tell: tell}
	if err := removeFile(l.path + temporary); err != nil {
		return nil, err
	}
	err := lookOver(l.path, c.Probe)
	if err == nil {
		l.file, err = openLabelsFile(l.path, id)
	}
	if errors.Is(err, ErrDamaged) || errors.Is(err, errNoFile) {
		if err = l.begin(err, filepath.Join(c.Dir, reserveName)); err == nil {
			l.file, err = openLabelsFile(l.path, id)
		}
	}
	return l, err
}

// begin makes an empty file in place of a damaged or missing one. It is small: a full card gives it the room of the reserve.
func (l *labels) begin(why error, reserve string) error {
	if errors.Is(why, ErrDamaged) {
		if err := linkAside(l.path, l.path+damagedSuffix); err != nil {
			return err
		}
		l.tell(Loss{File: l.path + damagedSuffix, What: fmt.Sprintf("the index of used package labels is damaged (%v): it is made again "+
			"from the journal; labels that were used before its oldest scan are taken for new ones", why)})
	}
	err := createLabels(l.path, l.id)
	if noRoom(err) && os.Remove(reserve) == nil {
		err = createLabels(l.path, l.id)
	}
	return err
}

// follow reads what the journal has and the file doesn't: usually nothing, after a crash the newest segments, and all of them
// if the file is new. Lost tells whether the journal said that it lost something.
func (l *labels) follow(j *Journal, lost bool) error {
	last := j.State().Seq
	var err error
	switch {
	case l.file.folded < last:
		if err = l.leap(j.dir, lost); err == nil {
			err = l.readBack(j)
		}
	case l.file.folded > last: // it has seen more than is left of the journal, which uses those sequences again
		err = l.judge(l.file.goBack(last))
	}
	if err == nil {
		l.journal = j
	}
	return err
}

// leap goes on where the journal begins, if entries went that the file had not seen: there was no other room on the card.
func (l *labels) leap(dir string, lost bool) error {
	paths, err := segmentPaths(dir)
	if err != nil || len(paths) == 0 || l.file.folded == 0 || firstOf(paths[0]) <= l.file.folded+1 {
		return err
	}
	if !lost {
		l.tell(Loss{File: l.path, Count: -1, What: "entries of the journal went before the index of used package labels had them: " +
			"labels that were used then are taken for new ones"})
	}
	return unlessFull(l.write(firstOf(paths[0])-1, nil, record.Stamp{}))
}

// readBack notes what entries behind the file did. When that is much it goes into the file at once, if there is room.
func (l *labels) readBack(j *Journal) error {
	var s record.State
	most := foldAtOnce
	return eachSegmentFrom(j.dir, j.id, l.file.folded+1, func(g, _ *segment, _ bool) error {
		return g.each(func(e record.Entry) error {
			if e.Seq > l.file.folded {
				j.labels.note(e, &s)
			}
			if s.Apply(e); len(j.labels.by) < most {
				return nil
			}
			err := l.write(e.Seq, j.labels.upTo(e.Seq), s.Clock)
			if err == nil {
				j.labels.forget(e.Seq)
			} else {
				most = math.MaxInt // all of it stays in memory
			}
			return unlessFull(err)
		})
	})
}

// unlessFull leaves out that there was no room: what was to be written stays in memory, or is found again.
func unlessFull(err error) error {
	if noRoom(err) && record.ClassOf(err) != record.StopHere {
		return nil
	}
	return err
}
