package store

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"station-agent/store/record"
)

const segmentSuffix = ".seg"

func segmentName(first uint64) string { return fmt.Sprintf("%016x%s", first, segmentSuffix) }

// segments lists the first sequences of all segments in dir, oldest first.
func segments(dir string) ([]uint64, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var firsts []uint64
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), segmentSuffix)
		first, err := strconv.ParseUint(name, 16, 64)
		if ok && err == nil && segmentName(first) == f.Name() {
			firsts = append(firsts, first)
		}
	}
	slices.Sort(firsts)
	return firsts, nil
}

// openJournal reads the last segment of the journal in dir and cuts off its torn tail. A fresh store gets a first
// segment; in any other a journal without one is damage.
func openJournal(dir, id string, fresh bool, now func() record.Stamp, open opener) (*Journal, error) {
	j := &Journal{dir: dir, id: id, now: now, open: open,
		changed: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	if err := removeTemporary(dir); err != nil {
		return nil, err
	}
	firsts, err := segments(dir)
	if err != nil {
		return nil, err
	}
	if len(firsts) == 0 {
		if !fresh {
			return nil, fmt.Errorf("%w: %s has no segment left: restore it or use another store folder", ErrDamaged, dir)
		}
		err = j.rotate(0)
	} else {
		err = j.recover(firsts)
	}
	if err != nil {
		return nil, err
	}
	j.removeOld()
	return j, nil
}

// recover rebuilds the state from the last segment. One without a checkpoint was never in use and goes, if there is one
// before it.
func (j *Journal) recover(firsts []uint64) error {
	for n := len(firsts) - 1; ; n-- {
		err := j.load(firsts[n])
		if err == nil {
			return nil
		}
		path := j.path(segmentName(firsts[n]))
		if !errors.Is(err, errNoCheckpoint) || errors.Is(err, ErrDamaged) {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if n == 0 {
			return fmt.Errorf("read %s: %w: %w: restore it or use another store folder", path, ErrDamaged, err)
		}
		if err := errors.Join(os.Remove(path), syncFolder(j.open, j.dir)); err != nil {
			return err
		}
	}
}

func (j *Journal) load(first uint64) error {
	path := j.path(segmentName(first))
	if err := dropCache(path); err != nil {
		return err
	}
	data, err := readSegment(path)
	if err != nil {
		return err
	}
	end, err := walk(data, j.id, first, func(e record.Entry) error { j.state.Apply(e); return nil })
	if err != nil {
		j.state = record.State{}
		return err
	}
	f, err := j.open(path, os.O_RDWR)
	if err != nil {
		return err
	}
	torn := len(tail(data, end))
	if err := cut(f, int64(end), torn); err != nil {
		return errors.Join(err, f.Close())
	}
	j.file, j.end, j.size, j.torn = f, int64(end), int64(len(data)), torn
	j.written, j.durable = j.state.Seq, j.state.Seq
	return nil
}

// readSegment reads a whole segment; it has its full length before it has its name.
func readSegment(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err == nil && (len(data) == 0 || len(data)%segmentSize != 0) {
		return nil, fmt.Errorf("%w: the file is cut off at byte %d: restore it or use another store folder", ErrDamaged, len(data))
	}
	return data, err
}

// cut writes zeros over a torn tail, lest a later entry ends just where a piece of the old tail begins.
func cut(f file, end int64, torn int) error {
	if torn == 0 {
		return nil
	}
	if _, err := f.WriteAt(make([]byte, torn), end); err != nil {
		return err
	}
	return f.Datasync()
}

func removeTemporary(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+temporary))
	for _, path := range paths {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// Replay gives f every entry that is still kept, oldest first, without the checkpoints. Entries that are appended
// meanwhile are left out; nobody waits for f.
func (j *Journal) Replay(f func(record.Entry) error) error {
	return replay(j.dir, j.State().Seq, f)
}

// ReplayDir does the same for the store folder dir without its lock and without writing to it, for tools that look at a
// stopped or running agent. A torn tail is passed over.
func ReplayDir(dir string, f func(record.Entry) error) error {
	return replay(filepath.Join(dir, journalFolder), math.MaxUint64, f)
}

var errEnough = errors.New("enough")

func replay(dir string, last uint64, f func(record.Entry) error) error {
	firsts, err := segments(dir)
	if err != nil {
		return fmt.Errorf("replay journal: %w", err)
	}
	for n, first := range firsts {
		path := filepath.Join(dir, segmentName(first))
		err := replaySegment(path, first, n == len(firsts)-1, func(e record.Entry) error {
			if e.Seq > last {
				return errEnough
			}
			if e.State != nil {
				return nil
			}
			return f(e)
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it may have been removed since
			return fmt.Errorf("replay %s: %w", path, err)
		}
	}
	return nil
}

func replaySegment(path string, first uint64, last bool, f func(record.Entry) error) error {
	data, err := readSegment(path)
	if err != nil {
		return err
	}
	end, err := walk(data, "", first, f)
	if last && errors.Is(err, errNoCheckpoint) && !errors.Is(err, ErrDamaged) {
		return nil
	}
	if err == nil && !last && len(tail(data, end)) > 0 {
		return fmt.Errorf("%w: the entries from byte %d on can't be read", ErrDamaged, end)
	}
	return err
}
