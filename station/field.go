package station

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// maxField is how many tags can be told apart on the antennas of one station.
const maxField = 4096

// Field is the RFID tags that lie on the antennas. A tag that lies there is read again and again: it is one presentation
// from the first read until it was not seen for a while. So what lies there when a package is opened never joins it, unless
// it leaves and comes back. The zero value with Gone set is empty.
type Field struct {
	Gone time.Duration // without a read, then the tag has left

	seen map[string]time.Duration // by code: the last read, since boot
}

// Saw takes one read and tells whether the tag came just now. More tags than can be told apart are never said to come.
func (f *Field) Saw(code string, now time.Duration) (came bool) {
	last, there := f.seen[code]
	if f.seen == nil {
		f.seen = map[string]time.Duration{}
	}
	if !there && len(f.seen) >= maxField {
		maps.DeleteFunc(f.seen, func(_ string, last time.Duration) bool { return now-last > f.Gone })
		if len(f.seen) >= maxField {
			return false
		}
	}
	f.seen[code] = now
	return !there || now-last > f.Gone
}

// Tags lists what lies there now.
func (f *Field) Tags(now time.Duration) []string {
	var tags []string
	for code, last := range f.seen {
		if now-last <= f.Gone {
			tags = append(tags, code)
		}
	}
	slices.SortFunc(tags, strings.Compare)
	return tags
}
