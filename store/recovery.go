package store

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"station-agent/store/record"
)

const segmentSuffix = ".seg"

// firstOf reads the first sequence out of the name of a segment, set aside or not.
func firstOf(path string) uint64 {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	first, _ := strconv.ParseUint(name, 16, 64) // 0 for a name that isn't ours
	return first
}

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

// openJournal reads the last segments of the journal in the store folder, cuts off a torn tail and sets aside what is
// damaged. The losses say what could not be read. A journal without a segment is lost if the store was used before, else
// it is new.
func openJournal(c Config, id string, used bool, open opener) (*Journal, []Loss, error) {
	days := cmp.Or(c.EvidenceDays, 30)
	j := &Journal{
		dir: filepath.Join(c.Dir, journalFolder), id: id, now: c.Now, open: open,
		segment: cmp.Or(c.SegmentBytes, segmentSize), keep: time.Duration(days) * 24 * time.Hour,
		reserve: reserve{path: filepath.Join(c.Dir, reserveName), size: cmp.Or(c.Reserve, reserveSize), free: freeSpace},
		changed: make(chan struct{}, 1), wake: make(chan struct{}, 1),
	}
	var err error
	if j.codec, err = newCodec(entryWords, entrySample); err != nil {
		return nil, nil, err
	}
	if err := makeFolder(j.dir); err != nil {
		return nil, nil, err
	}
	j.most = historyOn(j.dir, j.segment)
	losses, err := j.start(used)
	if err != nil {
		return nil, nil, err
	}
	return j, losses, nil
}

func (j *Journal) start(used bool) ([]Loss, error) {
	read, err := j.readBack()
	if err != nil {
		return nil, err
	}
	if err := removeTemporary(j.dir); err != nil {
		return nil, err
	}
	switch {
	case len(read) > 0:
		j.rebuild(read)
		return j.resume(read)
	case used:
		return j.startOver()
	}
	return nil, j.rotate(0, 1)
}

// readBack reads segments from the last one back, set aside or not: to one with a checkpoint, and at least one more,
// because ScanOf needs it. Nothing is changed yet.
func (j *Journal) readBack() (read []*segment, err error) {
	paths, err := segmentPaths(j.dir)
	if err != nil {
		return nil, err
	}
	for n := len(paths) - 1; n >= 0 && (len(read) < 2 || base(read) < 0); n-- {
		if err := dropCache(paths[n]); err != nil {
			return nil, fmt.Errorf("read %s: %w", paths[n], err)
		}
		s, err := readSegment(j.open, paths[n], j.id)
		if err != nil {
			return nil, err
		}
		read = slices.Insert(read, 0, s)
	}
	return read, nil
}

func readSegment(open opener, path, id string) (*segment, error) {
	data, err := readFile(open, path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	s, err := parseSegment(path, firstOf(path), data, id)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return s, nil
}

// base is the index of the newest segment with a checkpoint, -1 if there is none.
func base(read []*segment) int {
	for n := len(read) - 1; n >= 0; n-- {
		if read[n].checkpoint != nil {
			return n
		}
	}
	return -1
}

// rebuild adds up what reads, from the newest checkpoint on. Without any it begins with nothing and takes what there is.
func (j *Journal) rebuild(read []*segment) {
	from := base(read)
	for n, s := range read {
		s.each(func(e record.Entry) error {
			j.origins.note(e)
			if n >= from {
				j.state.Apply(e)
			}
			return nil
		})
	}
	j.state.Seq = max(j.state.Seq, read[len(read)-1].last())
}

// resume goes on in the last segment, or in a new one if that is damaged, and sets aside every damaged one.
func (j *Journal) resume(read []*segment) ([]Loss, error) {
	damaged := damages(read)
	last := read[len(read)-1]
	if !isAside(last.path) && !slices.ContainsFunc(damaged, func(d damage) bool { return d.segment == last }) {
		if err := j.goOn(last); err != nil {
			return nil, fmt.Errorf("resume %s: %w", last.path, err)
		}
	} else if err := j.leap(last.first); err != nil {
		return nil, err
	}
	return j.setAside(damaged)
}

// goOn repairs the end of a whole segment, and the next entry goes behind it.
func (j *Journal) goOn(s *segment) error {
	f, err := j.open(s.path, os.O_RDWR)
	if err != nil {
		return err
	}
	torn, err := repair(f, s)
	if err != nil {
		f.Close()
		return err
	}
	j.file, j.end, j.size, j.torn = f, int64(s.end()), int64(len(s.data)), torn
	j.written, j.durable = j.state.Seq, j.state.Seq
	if s.old() {
		return j.rotate(0, j.state.Seq+1)
	}
	return nil
}

// repair makes a segment whole that a power cut has torn, and tells how many bytes could not be read. What lies behind
// the last entry becomes zeros, lest a later entry ends just where a piece of the old tail begins. What lies between two
// entries becomes empty entries: nobody was promised what stood there, but sequences have no gaps.
func repair(f file, s *segment) (torn int, err error) {
	end, next := headerSize, s.first
	for _, fr := range s.frames {
		if hole := fr.off - end; hole > 0 && err == nil {
			torn += hole
			err = writeFile(f, fillers(next, fr.seq, hole), int64(end))
		}
		end, next = fr.end, fr.seq+1
	}
	if rest := len(tail(s.data, end)); rest > 0 && err == nil {
		torn += rest
		err = writeFile(f, make([]byte, rest), int64(end))
	}
	if torn == 0 || err != nil {
		return torn, err
	}
	return torn, f.Datasync()
}

// fillers makes empty entries from sequence from to before to, size bytes together. They prove nothing of others.
func fillers(from, to uint64, size int) (b []byte) {
	for seq := from; seq < to; seq++ {
		payload := []byte("{}")
		if seq == to-1 {
			payload = append(payload, strings.Repeat(" ", size-len(b)-leastFrame)...)
		}
		b = appendFrame(b, seq, 0, payload)
	}
	return b
}

func removeTemporary(dir string) (err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+temporary))
	for _, path := range paths {
		if e := os.Remove(path); err == nil {
			err = e
		}
	}
	return err
}
