package store

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"station-agent/store/record"
)

// Replay gives f every entry that is still kept and reads, oldest first, without the checkpoints, dated where the clock
// was trusted later in that boot. Damage is said at the end, behind all that reads. Entries that are appended meanwhile
// are left out; nobody waits for f.
func (j *Journal) Replay(f func(record.Entry) error) error {
	return replay(j.dir, j.State().Seq, f)
}

// ReplayDir does the same for the store folder dir without its lock and without writing to it, for tools that look at a
// stopped or running agent. A torn tail is passed over.
func ReplayDir(dir string, f func(record.Entry) error) error {
	return replay(filepath.Join(dir, journalFolder), math.MaxUint64, f)
}

func replay(dir string, last uint64, f func(record.Entry) error) error {
	clocks, err := readClocks(dir)
	if err != nil {
		return fmt.Errorf("replay journal: %w", err)
	}
	var given uint64
	var session record.Session
	var damage error
	err = eachSegment(dir, "", func(s, next *segment, continued bool) error {
		if d, bad := examine(s, next, continued); bad && !isAside(s.path) {
			damage = errors.Join(damage, fmt.Errorf("replay %s: %w: %s", s.path, ErrDamaged, d.loss(s.path, record.Stamp{}).What))
		}
		return s.each(func(e record.Entry) error {
			session.Follow(e)
			if e.Added != nil {
				whole := session.Clone()
				e.Session, e.Added = &whole, nil
			}
			if empty(e) || e.Seq <= given || e.Seq > last {
				return nil
			}
			given, e.At = e.Seq, clocks.date(e.At)
			return f(e)
		})
	})
	if err != nil {
		return fmt.Errorf("replay journal: %w", err)
	}
	return damage
}

// clocks holds a trusted stamp of each boot that has one. It dates the other stamps of that boot.
type clocks map[string]record.Stamp

func (c clocks) note(s record.Stamp) {
	if _, ok := c[s.Boot]; s.Trusted && !ok {
		c[s.Boot] = s
	}
}

func (c clocks) date(s record.Stamp) record.Stamp { return s.Fill(c[s.Boot]) }

func readClocks(dir string) (clocks, error) {
	c := clocks{}
	return c, eachSegment(dir, "", func(s, _ *segment, _ bool) error {
		return s.each(func(e record.Entry) error { c.note(e.At); return nil })
	})
}

// surveyJournal reads the whole journal in the store folder dir without writing, and tells how many entries read and what
// is damaged. What was set aside was said when that happened: its entries count, its losses don't.
func surveyJournal(dir, id string) (entries int, losses []Loss, err error) {
	err = eachSegment(dir, id, func(s, next *segment, continued bool) error {
		s.each(func(e record.Entry) error {
			if !empty(e) {
				entries++
			}
			return nil
		})
		if d, bad := examine(s, next, continued); bad && !isAside(s.path) {
			losses = append(losses, d.loss(s.path, record.Stamp{}))
		}
		return nil
	})
	if err != nil {
		return entries, losses, fmt.Errorf("check journal: %w", err)
	}
	return entries, losses, nil
}

func isAside(path string) bool { return strings.Contains(filepath.Base(path), asideMark) }

// empty tells an entry that only heads a segment or fills a hole from one that says what happened.
func empty(e record.Entry) bool { return e.State != nil || e.At == (record.Stamp{}) }

// eachSegment gives f every segment of the journal in dir, oldest first, with the next one and whether it goes on where
// the one before ended. A file that was removed meanwhile is passed over.
func eachSegment(dir, id string, f func(s, next *segment, continued bool) error) error {
	return eachSegmentFrom(dir, id, 0, f)
}

// eachSegmentFrom leaves out the segments in which all entries are before seq.
func eachSegmentFrom(dir, id string, seq uint64, f func(s, next *segment, continued bool) error) error {
	paths, err := segmentPaths(dir)
	if err != nil {
		return err
	}
	start := 0
	for n := range paths {
		if first := firstOf(paths[n]); first <= seq && first != firstOf(paths[start]) {
			start = n
		}
	}
	paths = paths[start:]
	var before, s *segment
	for _, path := range append(paths, "") {
		next, err := nextSegment(path, id)
		if err != nil {
			return err
		}
		if path != "" && next == nil {
			continue
		}
		if s != nil {
			if err := f(s, next, before != nil && before.last()+1 == s.first); err != nil {
				return err
			}
		}
		before, s = s, next
	}
	return nil
}

// nextSegment reads the segment at path, nil if there is none.
func nextSegment(path, id string) (*segment, error) {
	if path == "" {
		return nil, nil
	}
	s, err := readSegment(openFile, path, id)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return s, err
}

// segmentPaths lists the segments of dir and what was set aside, oldest first.
func segmentPaths(dir string) ([]string, error) {
	firsts, err := segments(dir)
	if err != nil {
		return nil, err
	}
	paths, err := asides(dir)
	for _, first := range firsts {
		paths = append(paths, filepath.Join(dir, segmentName(first)))
	}
	slices.Sort(paths)
	return paths, err
}
