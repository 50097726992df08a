package store

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	mostSegments  = 64
	leastSegments = 8
	cardShare     = 16 // history takes a sixteenth of the card at most, so that a small one has room for records
)

// historyOn tells how many segments of that size are kept on the card of dir.
func historyOn(dir string, segment int64) int {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return leastSegments
	}
	card := int64(s.Blocks) * int64(s.Frsize)
	return int(min(max(card/cardShare/segment, leastSegments), mostSegments))
}

// removeOldest drops the oldest segment that isn't the last and tells whether there was one.
func (j *Journal) removeOldest() bool {
	firsts, err := segments(j.dir)
	return err == nil && len(firsts) > 1 && os.Remove(j.path(segmentName(firsts[0]))) == nil
}

// removeOver drops the oldest segments while there are more than most. One that can't be removed now is tried again at the
// next rotation.
func (j *Journal) removeOver(most int) {
	firsts, err := segments(j.dir)
	if err != nil {
		return
	}
	j.remove(firsts[:max(0, len(firsts)-most)])
}

func (j *Journal) remove(firsts []uint64) {
	for _, first := range firsts {
		os.Remove(j.path(segmentName(first)))
	}
}

// expire drops the segments that ended longer ago than entries are kept. A segment ended when the next one began. Only
// stamps of a trusted clock count, then and now.
func (j *Journal) expire() {
	now := j.now()
	firsts, err := segments(j.dir)
	if err != nil || !now.Trusted {
		return
	}
	over := 0
	for n := 1; n < len(firsts); n++ {
		s, err := readSegment(j.open, j.path(segmentName(firsts[n])), j.id)
		if err != nil || s.checkpoint == nil || !s.checkpoint.At.Trusted {
			continue
		}
		if now.Wall.Sub(s.checkpoint.At.Wall) <= j.keep {
			break
		}
		over = n
	}
	j.remove(firsts[:over]) // by name: segments may have come meanwhile
}
