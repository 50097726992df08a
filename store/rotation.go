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

// rotate goes on in a new segment that begins with a checkpoint and has room for need bytes. The order:
//
//  1. flush the old segment, so that only the last one can have a torn tail
//  2. write the new one full of zeros under a temporary name and flush it (Run did this before, if it could)
//  3. write header and checkpoint into it and flush
//  4. rename it and flush the folder: from here on it is the last segment
//  5. remove what is older than the newest eight
//
// A full card is met in step 2: history makes room; when there is none left, the journal stays as it was and the next entry
// tries again.
func (j *Journal) rotate(need int) error {
	if j.durable != j.written {
		if err := j.flush(); err != nil {
			return err
		}
	}
	head, checkpoint, err := j.checkpoint()
	if err != nil {
		return err
	}
	temp, f, size, err := j.blank(len(head) + need)
	if noRoom(err) {
		return fmt.Errorf("begin journal segment in %s: %w: make room on the card", j.dir, err)
	}
	if err != nil {
		return j.fail(err)
	}
	if err := j.install(f, head, temp, checkpoint.Seq); err != nil {
		return j.fail(errors.Join(err, f.Close()))
	}
	if j.file != nil {
		j.file.Close() // flushed above, nothing is left to fail
	}
	j.file, j.size, j.end = f, size, int64(len(head))
	j.written, j.durable = checkpoint.Seq, checkpoint.Seq
	j.apply([]record.Entry{checkpoint})
	j.removeOld()
	return nil
}

// checkpoint makes the first bytes of a segment.
func (j *Journal) checkpoint() ([]byte, record.Entry, error) {
	s := j.state.Clone()
	e := record.Entry{Seq: s.Seq + 1, At: j.now(), State: &s}
	payload, err := json.Marshal(e)
	if err != nil {
		return nil, e, fmt.Errorf("encode journal checkpoint: %w", err)
	}
	b, err := appendHeader(nil, j.id, e.Seq)
	return appendFrame(b, e.Seq, s.Seq, payload), e, err
}

// blank gives a file of zeros with room for at least need bytes and half a segment, the spare one if it will do. On a full
// card it takes the room of segments that are only history, the oldest first.
func (j *Journal) blank(need int) (temp string, f file, size int64, err error) {
	size = (int64(need) + segmentSize/2 + segmentSize - 1) / segmentSize * segmentSize
	if j.spare != nil && size == segmentSize {
		f, j.spare = j.spare, nil
		return j.path(spareName), f, size, nil
	}
	temp = j.path(nextName)
	f, err = zeroFile(j.open, temp, size)
	for noRoom(err) && j.removeOldest() {
		f, err = zeroFile(j.open, temp, size)
	}
	return temp, f, size, err
}

// install finishes a segment and gives it its name, durably.
func (j *Journal) install(f file, head []byte, temp string, first uint64) error {
	if _, err := f.WriteAt(head, 0); err != nil {
		return err
	}
	if err := f.Datasync(); err != nil {
		return err
	}
	if err := os.Rename(temp, j.path(segmentName(first))); err != nil {
		return err
	}
	return syncFolder(j.open, j.dir)
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
	if f, err := zeroFile(j.open, j.path(spareName), segmentSize); err == nil {
		j.writing.Lock()
		j.spare = f
		j.writing.Unlock()
	}
}

// removeOldest drops the oldest segment that isn't the last and tells whether there was one.
func (j *Journal) removeOldest() bool {
	names, err := segments(j.dir)
	return err == nil && len(names) > 1 && os.Remove(j.path(segmentName(names[0]))) == nil
}

// removeOld drops segments behind the newest eight. One that can't be removed now is tried again at the next rotation.
func (j *Journal) removeOld() {
	names, err := segments(j.dir)
	if err != nil {
		return
	}
	for _, first := range names[:max(0, len(names)-keepSegments)] {
		os.Remove(j.path(segmentName(first)))
	}
}

// zeroFile makes a durable file of size zeros. Its blocks are written once here, so that a later flush of an entry has
// no inode to write.
func zeroFile(open opener, path string, size int64) (file, error) {
	f, err := open(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 64<<10)
	for off := int64(0); off < size && err == nil; off += int64(len(zeros)) {
		_, err = f.WriteAt(zeros, off)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}
