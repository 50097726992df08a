package store

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// leastReserve is the least room on the card that Put leaves alone. It is a good deal more than a segment of the journal
// and its spare one, and than what a Settle and a Look of a thousand records copy before they free what they replace.
const leastReserve = 32 << 20

// space is how the file and its card stand, in bytes. Pages that were freed in the file are used again: they are room too.
type space struct {
	size int64 // of the file
	used int64 // in use, of size
	free int64 // on the card
}

func (d *DB) space(t *txn) (s space, err error) {
	s.size = t.Size()
	s.used = s.size - int64(d.bolt.Stats().FreePageN)*pageSize
	if s.free, err = d.free(d.path); err != nil {
		return s, fmt.Errorf("ask for room on the card of %s: %w", d.path, err)
	}
	return s, nil
}

// reserve is what Put leaves alone.
func (s space) reserve() int64 { return max(leastReserve, s.size/8) }

// most is how much the file may hold before Put refuses: bounded by the file, or by the card.
func (s space) most(limit int64) int64 { return min(limit, s.size+s.free-s.reserve()) }

// room refuses what comes in when the file or its card is nearly full, so that scans, receipts and evidence still find a
// place.
func (d *DB) room(t *txn) error {
	s, err := d.space(t)
	switch {
	case err != nil || s.used <= s.most(d.limit):
		return err
	case s.used > d.limit:
		return fmt.Errorf("put records into %s: %w: %d MiB are in use: capture goes on when records have gone out", d.path, ErrFull, s.used>>20)
	}
	return fmt.Errorf("put records into %s: %w: the card has %d MiB left, %d are kept for scans and receipts: "+
		"make room on the card; capture goes on then, or when records have gone out",
		d.path, ErrFull, (s.free+s.size-s.used)>>20, s.reserve()>>20)
}

// trim drops the oldest evidence, a step at most, while it takes more than half of what the file may hold: proofs of the
// past must not keep the present out. It asks no clock. On a card so full that even an empty file would be refused, it
// drops nothing: that would help nobody.
func (d *DB) trim(t *txn) error {
	s, err := d.space(t)
	if err != nil {
		return err
	}
	most := s.most(d.limit)
	for n := 0; n < pruneStep && most > 0 && t.stats.EvidenceBytes > most/2; n++ {
		if some, err := t.dropOldest(); err != nil || !some {
			return err
		}
	}
	return nil
}

// freeSpace tells how many bytes the agent's user may still write to the card that holds path.
func freeSpace(path string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Frsize), nil
}
