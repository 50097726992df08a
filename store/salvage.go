package store

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"station-agent/store/record"
)

const (
	asideMark  = ".damaged-" // and a number: a segment so named is only read for history
	keepAside  = 8           // damaged segments; a ninth takes the place of the oldest
	leapNumber = 1 << 20     // sequences and intent ids that nobody uses behind a loss: more than fit into what was lost
)

// damage is what is wrong with one segment. Entries is -1 if nobody can tell how many are missing.
type damage struct {
	*segment
	entries  int
	from, to record.Stamp
}

// damages finds the damaged ones of consecutive segments, the last of the journal at the end. What was set aside was said
// when that happened.
func damages(read []*segment) (found []damage) {
	for n, s := range read {
		var next *segment
		if n+1 < len(read) {
			next = read[n+1]
		}
		if d, ok := examine(s, next, n > 0 && read[n-1].last()+1 == s.first); ok && !isAside(s.path) {
			found = append(found, d)
		}
	}
	return found
}

// examine tells what is wrong with s. The checkpoint of the next segment, if there is one, says how far s went. If the
// one before s is complete up to s, it has the state that the checkpoint of s repeated.
func examine(s, next *segment, continued bool) (damage, bool) {
	d := damage{segment: s}
	var known uint64
	if next != nil && next.checkpoint != nil {
		d.to = next.checkpoint.At
		if before := next.checkpoint.State.Seq; before+1 == next.first { // else a leap lies between
			known = before
		}
	}
	h := s.missing(known)
	d.entries = int(min(h.entries, math.MaxInt32))
	if known == 0 && s.fault != "" && !s.tells(continued) {
		d.entries = -1
	}
	if s.fault == "" && d.entries == 0 {
		return d, false
	}
	d.from, d.to = s.around(h, d.to)
	return d, true
}

// tells whether the entries of a damaged segment can be counted: some read, what was before them is known, and nothing
// was cut off behind them.
func (s *segment) tells(continued bool) bool {
	if s.checkpoint == nil && (len(s.frames) == 0 || !continued) {
		return false
	}
	room := len(s.data)-s.end() >= frameHead && len(tail(s.data, s.end())) == 0
	return room || s.checkpoint != nil && !s.cutOff()
}

// around gives the times of the entries before and behind a hole, dated if the segment has a trusted one of that boot.
func (s *segment) around(h hole, behind record.Stamp) (from, to record.Stamp) {
	clocks := clocks{}
	to = behind
	for n, f := range s.frames {
		e, _ := f.entry(f.off == headerSize)
		clocks.note(e.At)
		if n <= h.before {
			from = e.At
		}
		if n == h.after {
			to = e.At
		}
	}
	return clocks.date(from), clocks.date(to)
}

// leap begins a new segment with what was salvaged. Its numbers are beyond any that a lost entry can have had: an intent
// has an outcome with a sequence of its own, so there are no more intents than sequences.
func (j *Journal) leap(seq uint64) error {
	seq = max(seq, j.state.Seq) + leapNumber
	j.state.Intent = max(j.state.Intent, seq)
	return j.rotate(0, seq)
}

// startOver begins a journal of which nothing is left, not even how far its numbers went.
func (j *Journal) startOver() ([]Loss, error) {
	j.state.Seq = 1<<40 + rand.Uint64N(1<<30)*leapNumber
	if err := j.leap(j.state.Seq); err != nil {
		return nil, err
	}
	return []Loss{{File: j.dir, What: "the journal is gone, with all scans that were not settled: " + advice, Count: -1, Scans: true}}, nil
}

const advice = "look at what was packed then and scan it again where the database doesn't show it"

// setAside gives damaged segments another name, after what they held has a new place, and tells what is lost. Nothing
// reads them any more but people and Replay.
func (j *Journal) setAside(damaged []damage) (losses []Loss, err error) {
	for _, d := range damaged {
		path, err := asideName(d.path)
		if err == nil {
			err = os.Rename(d.path, path)
		}
		if err != nil {
			return nil, fmt.Errorf("set aside damaged journal segment: %w", err)
		}
		losses = append(losses, d.loss(path, j.now()))
	}
	if len(damaged) == 0 {
		return nil, nil
	}
	return losses, errors.Join(dropAside(j.dir), syncFolder(j.open, j.dir))
}

func asideName(path string) (string, error) {
	for n := 1; n < 1000; n++ {
		if name := fmt.Sprint(path, asideMark, n); !exists(name) {
			return name, nil
		}
	}
	return "", fmt.Errorf("%s was set aside too often: take the files %s* away", path, path+asideMark)
}

// asides lists the damaged segments of dir, oldest first.
func asides(dir string) ([]string, error) {
	return filepath.Glob(filepath.Join(dir, strings.Repeat("[0-9a-f]", 16)+segmentSuffix+asideMark+"*")) // sorted
}

func dropAside(dir string) error {
	paths, err := asides(dir)
	for len(paths) > keepAside && err == nil {
		err = os.Remove(paths[0])
		paths = paths[1:]
	}
	return err
}

// loss says for a person what d means. The file lies at path now.
func (d damage) loss(path string, now record.Stamp) Loss {
	if d.to == (record.Stamp{}) {
		d.to = now
	}
	l := Loss{File: path, Count: d.entries, Scans: true, Moment: moment(d.from) + " to " + moment(d.to)}
	why := d.fault
	if why == "" {
		why = "entries in it can't be read"
	}
	what := fmt.Sprintf("the card damaged the journal (%s: %s): ", filepath.Base(d.path), why)
	switch {
	case d.entries < 0:
		l.What = fmt.Sprintf("%san unknown number of scans from %s may be lost: %s", what, l.Moment, advice)
	case d.entries == 0:
		l.What, l.Moment = what+"nothing in it is lost, as far as the rest tells", ""
	default:
		l.What = fmt.Sprintf("%sup to %d scans from %s may be lost: %s", what, d.entries, l.Moment, advice)
	}
	return l
}

// moment is a time for a person.
func moment(s record.Stamp) string {
	if !s.Dated() {
		return "an unknown time"
	}
	return s.Wall.UTC().Format(time.DateTime) + " UTC"
}
