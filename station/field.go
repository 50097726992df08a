package station

import (
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	maxField   = 4096            // tags that can be told apart on the antennas of one station
	fieldBegin = 5 * time.Second // after the start: what a reader sees first lay there before
)

// Field is the RFID tags that lie on the antennas. A tag that lies there is read again and again: it is one presentation
// from the first read until it was not seen for a while. So what lies there when a package is opened never joins it, unless
// it leaves and comes back. While nobody looks, nothing leaves: not while a reader is lost, nor while the bench itself is held
// up. Times are since boot.
type Field struct {
	Gone  time.Duration // without a read, then the tag has left
	Began time.Duration // when the bench was started

	seen  map[string]sighting      // by code
	first map[string]time.Duration // by reader: its first read
	lost  map[string]time.Duration // by reader: since when it is away
}

type sighting struct {
	reader string
	last   time.Duration
}

// Saw takes one read and tells whether the tag came just now. More tags than can be told apart are never said to come.
func (f *Field) Saw(reader, code string, at time.Duration) (came bool) {
	if f.seen == nil {
		f.seen, f.first, f.lost = map[string]sighting{}, map[string]time.Duration{}, map[string]time.Duration{}
	}
	f.back(reader, at)
	if _, known := f.first[reader]; !known {
		f.first[reader] = at
	}
	s, there := f.seen[code]
	if !there && len(f.seen) >= maxField {
		maps.DeleteFunc(f.seen, func(_ string, s sighting) bool { return !f.lies(s, at) })
		if len(f.seen) >= maxField {
			return false
		}
	}
	came = !there || !f.lies(s, at)
	f.seen[code] = sighting{reader, max(at, s.last)}
	return came && (at-f.Began > fieldBegin || at-f.first[reader] > f.Gone)
}

// lies tells whether a tag that was seen is still there. What a lost reader saw is.
func (f *Field) lies(s sighting, now time.Duration) bool {
	if since, lost := f.lost[s.reader]; lost {
		now = since
	}
	return now-s.last <= f.Gone
}

// Lost says that the reader is away: what it saw stays until it is back.
func (f *Field) Lost(reader string, at time.Duration) {
	if _, known := f.first[reader]; known {
		f.lost[reader] = at
	}
}

// back ends the absence of a reader. Its tags have had no time to leave.
func (f *Field) back(reader string, at time.Duration) {
	since, lost := f.lost[reader]
	if !lost {
		return
	}
	delete(f.lost, reader)
	for code, s := range f.seen {
		if s.reader == reader && since-s.last <= f.Gone {
			f.seen[code] = sighting{reader, s.last + at - since}
		}
	}
}

// Excuse says that nothing was read for d: the bench was held up.
func (f *Field) Excuse(d time.Duration) {
	for code, s := range f.seen {
		f.seen[code] = sighting{s.reader, s.last + d}
	}
}

// Tags lists what lies there now.
func (f *Field) Tags(now time.Duration) []string {
	var tags []string
	for code, s := range f.seen {
		if f.lies(s, now) {
			tags = append(tags, code)
		}
	}
	slices.SortFunc(tags, strings.Compare)
	return tags
}
