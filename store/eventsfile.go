package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// page is the payload of a frame: what one write adds. The first of a half has all that is kept.
//
//	half   frame | frame | … | what is left of an earlier turn
//	frame  length u32 | crc u32 | turn u64 | 0 u64 | page in JSON
//
// The file has two halves. When one is full, the other is begun, with a turn one higher; it counts as soon as its first frame is
// whole. Each frame is flushed before the next is written.
type page struct {
	ID     string  `json:"id"`
	Told   uint64  `json:"told"`
	Last   uint64  `json:"last"`
	Events []Event `json:"events"`
}

// load takes over what the file has. False: go on in a new file, as something in this one isn't as it was written.
func (l *EventLog) load(data []byte) (sound bool) {
	if len(data) != 2*l.half {
		return false
	}
	halves := [2][]byte{data[:l.half], data[l.half:]}
	var found [2][]frame
	for i, h := range halves {
		found[i] = pages(h)
	}
	now := 0
	if len(found[0]) == 0 || len(found[1]) > 0 && found[1][0].seq > found[0][0].seq {
		now = 1
	}
	if len(found[now]) == 0 {
		return false
	}
	l.turn = found[now][0].seq
	id := ""
	for _, f := range found[now] {
		var p page
		if json.Unmarshal(f.payload, &p) != nil {
			return false
		}
		id, l.told, l.last = p.ID, p.Told, p.Last
		l.events = append(l.events, p.Events...)
		l.off = f.end
	}
	l.trim()
	if int(l.turn%2) != now || torn(halves[now], l.off, l.turn) || halfBegun(halves[1-now], found[1-now], l.turn) {
		return false
	}
	l.id, l.noted = id, l.told
	return true
}

// pages gives the frames of a half, which all have the turn of the first.
func pages(half []byte) (frames []frame) {
	f, ok := frameAt(half, 0, 1, 1<<62)
	for ; ok; f, ok = frameAt(half, f.end, f.seq, f.seq) {
		frames = append(frames, f)
	}
	return frames
}

// torn tells whether something of this turn stands behind its last whole frame: it was being written, or was damaged.
func torn(half []byte, off int, turn uint64) bool {
	if off+16 <= len(half) && bytes.Equal(half[off+8:off+16], appendFrame(nil, turn, 0, nil)[8:16]) {
		return true
	}
	for i := off; i < len(half); i++ {
		if _, ok := frameAt(half, i, turn, turn); ok {
			return true
		}
	}
	return false
}

// halfBegun tells whether the half that isn't in use is neither empty nor the one before.
func halfBegun(half []byte, found []frame, turn uint64) bool {
	if len(found) > 0 {
		return found[0].seq != turn-1
	}
	return len(tail(half, 0)) > 0
}

// create makes the file with all that is known, under its name only when it is whole. What comes then is numbered under id. Called
// with writing held, or alone.
func (l *EventLog) create(id string) error {
	l.turn = 2 // the first half
	f, err := l.frame(id, true, nil)
	if err != nil {
		return err
	}
	temp := l.path + temporary
	c, err := zeroFile(l.open, temp, int64(2*l.half), int64(2*l.half))
	if err != nil {
		return err
	}
	if err = errors.Join(writeFile(c, f, 0), c.Sync()); err == nil {
		err = os.Rename(temp, l.path)
	}
	if err == nil {
		err = syncFolder(l.open, filepath.Dir(l.path))
	}
	if err != nil {
		return errors.Join(err, c.Close(), removeFile(temp))
	}
	l.file, l.off = c, len(f)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id = id
	return nil
}

// frame makes the frame of what is added; whole has all that is kept. Called with writing held, or alone.
func (l *EventLog) frame(id string, whole bool, added []Event) ([]byte, error) {
	l.mu.Lock()
	p := page{ID: id, Told: l.told, Last: l.last, Events: added}
	if whole {
		p.Events = append(slices.Clone(l.events), added...)
	}
	l.mu.Unlock()
	if len(added) > 0 {
		p.Last = added[len(added)-1].Seq
	}
	l.noted = p.Told
	b, err := json.Marshal(p)
	return appendFrame(nil, l.turn, 0, b), err
}

var errNoEvents = errors.New("the file can't be had")

// write puts events into the file, durably. Called with writing held.
func (l *EventLog) write(added []Event) error {
	if l.file == nil || l.broken {
		return errNoEvents
	}
	l.mu.Lock()
	id := l.id
	l.mu.Unlock()
	f, err := l.frame(id, false, added)
	if err != nil {
		return err
	}
	turned := l.off+len(f) > l.half
	if turned {
		l.turn++
		if f, err = l.frame(id, true, added); err != nil {
			return err
		}
		l.off = 0
		if len(f) > l.half {
			l.broken = true
			return fmt.Errorf("%d bytes of events don't fit", len(f))
		}
	}
	at := l.off + int(l.turn%2)*l.half
	if err := errors.Join(writeFile(l.file, f, int64(at)), l.file.Datasync()); err != nil {
		l.broken = true // what failed once may be on the card or not
		return err
	}
	l.off += len(f)
	return nil
}
