package store

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
)

const (
	reserveName = "reserve"
	reserveSize = 8 << 20
)

// reserve is a file of zeros that keeps room on the card. It goes when a segment of the journal finds no other room, so
// that scans go on while people make some.
type reserve struct {
	path  string
	size  int64 // negative: none is kept
	free  func(path string) (int64, error)
	short atomic.Bool // it is spent, and there is no room for a new one
}

// spend gives the room back to the card and tells whether there was any.
func (r *reserve) spend() bool {
	if r.size < 0 || os.Remove(r.path) != nil {
		return false
	}
	r.short.Store(true)
	return true
}

// fill makes the file if it is not there and the card has room for it twice over. If that fails, it is tried again later.
func (r *reserve) fill(open opener) {
	if r.size < 0 || exists(r.path) {
		return
	}
	temp := r.path + temporary
	_ = os.Remove(temp) // what an interrupted filling left
	free, err := r.free(filepath.Dir(r.path))
	if err == nil && free >= 2*r.size {
		var f file
		if f, err = zeroFile(open, temp, r.size, 1<<20); err == nil {
			err = errors.Join(f.Close(), os.Rename(temp, r.path))
		}
	}
	r.short.Store(err != nil || free < 2*r.size)
}

// Short tells whether the reserve that keeps room for scans on a full card is spent. Make room on the card: Run then fills
// it again.
func (j *Journal) Short() bool { return j.reserve.short.Load() }
