package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"station-agent/store/record"
)

const (
	nextName  = "next" + temporary
	spareName = "spare" + temporary
)

func (j *Journal) path(name string) string { return filepath.Join(j.dir, name) }

// rotate goes on in a new segment that begins with a checkpoint of sequence seq and has room for need bytes. The order:
//
//  1. flush the old segment, so that only the last one can have a torn tail
//  2. write the new one full of zeros under a temporary name and flush it (Run did this before, if it could)
//  3. write header and checkpoint into it and flush
//  4. rename it and flush the folder: from here on it is the last segment
//  5. remove what is too much history
//
// A full card is met in steps 2 to 4: reserve and history make room; when there is none left, the journal stays as it was
// and the next entry tries again.
func (j *Journal) rotate(need int, seq uint64) error {
	if j.durable != j.written {
		if err := j.flush(); err != nil {
			return err
		}
	}
	head, checkpoint, err := j.checkpoint(need, seq)
	if err != nil {
		return err
	}
	temp, f, err := j.blank(checkpoint.Bytes)
	if err == nil {
		err = j.install(f, head, temp, seq)
	}
	if noRoom(err) {
		return fmt.Errorf("begin journal segment in %s: %w: make room on the card", j.dir, err)
	}
	if err != nil {
		return j.fail(err)
	}
	if err := syncFolder(j.open, j.dir); err != nil { // it has its name: nothing to try again
		return j.fail(errors.Join(err, f.Close()))
	}
	j.closeSegment()
	j.file, j.size, j.end = f, checkpoint.Bytes, int64(len(head))
	j.written, j.durable = seq, seq
	j.apply([]record.Entry{checkpoint})
	j.removeOver(j.most)
	signal(j.wake)
	return nil
}

// checkpoint makes the first bytes of a segment that has room for them, for need more and for half a segment.
func (j *Journal) checkpoint(need int, seq uint64) ([]byte, record.Entry, error) {
	s := j.state.Clone()
	e := record.Entry{Seq: seq, At: j.now(), State: &s, Bytes: j.segment}
	for {
		payload, err := json.Marshal(e)
		if err != nil {
			return nil, e, fmt.Errorf("encode journal checkpoint: %w", err)
		}
		b, err := appendHeader(nil, j.id, seq)
		b = appendFrame(b, seq, s.Seq, j.codec.packEntry(payload))
		room := (int64(len(b)+need) + j.segment/2 + j.segment - 1) / j.segment * j.segment
		if err != nil || room <= e.Bytes {
			return b, e, err
		}
		e.Bytes = room
	}
}

// blank gives a file of zeros, the spare one if it will do. On a full card it takes the room of the reserve, then of
// segments that are only history, the oldest first.
func (j *Journal) blank(size int64) (temp string, f file, err error) {
	if j.spare != nil && size == j.segment {
		f, j.spare = j.spare, nil
		return j.path(spareName), f, nil
	}
	temp = j.path(nextName)
	f, err = zeroFile(j.open, temp, size, size)
	for noRoom(err) && (j.reserve.spend() || j.removeOldest()) {
		f, err = zeroFile(j.open, temp, size, size)
	}
	return temp, f, err
}

// install finishes a segment and gives it its name. One that gets none is thrown away: nothing depends on it.
func (j *Journal) install(f file, head []byte, temp string, first uint64) error {
	err := writeFile(f, head, 0)
	if err == nil {
		err = f.Datasync()
	}
	if err == nil {
		err = os.Rename(temp, j.path(segmentName(first)))
	}
	if err != nil {
		err = errors.Join(err, f.Close(), os.Remove(temp))
	}
	return err
}

// closeSegment closes the last segment when everything in it was flushed and nobody flushes it any more.
func (j *Journal) closeSegment() {
	if j.file == nil {
		return
	}
	j.flushing.Lock()
	defer j.flushing.Unlock()
	j.file.Close() // nothing is left to fail
}

// prepare fills a spare segment when the last one is half full, so that no scan has to wait for a mebibyte of zeros. If
// it can't, rotate will try itself and say why.
func (j *Journal) prepare() {
	j.writing.Lock()
	needed := j.broken == nil && j.spare == nil && j.end > j.size/2
	j.writing.Unlock()
	if !needed {
		return
	}
	if f, err := zeroFile(j.open, j.path(spareName), j.segment, gentle); err == nil {
		j.writing.Lock()
		j.spare = f
		j.writing.Unlock()
	}
}
