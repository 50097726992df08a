package store

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"syscall"

	"station-agent/store/record"
)

const (
	recordsFolder = "records"
	keptOpen      = 2  // older files that stay open for reading
	keptBlocks    = 3  // commits that stay unpacked, of those that were read
	letGoEvery    = 64 // commits
	keptFresh     = 2  // commits that stay as they were written, for the first who asks for their records
)

// recordLog is the log of commits: files one behind the other, of which the last is written and the others are only read.
// Writing is for one goroutine at a time; reading is for any.
type recordLog struct {
	dir       string
	id        string
	fileBytes int64
	probe     func(path string) error
	mend      func(f *recordFile, why error) error
	codec     *codec

	sum      uint32 // of the last commit
	commits  int    // that were written
	turnNext bool   // the next commit begins a file

	mu     sync.Mutex // guards what follows
	files  []*recordFile
	opened []*recordFile // older ones that are open, the last used last
	blocks []*commit     // unpacked, the last used last
	fresh  []*commit     // with records, as they were written; the newest last
}

// listRecords gives the first commits of all files in dir, oldest first.
func listRecords(dir string) (firsts []place, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if p, ok := parseRecordName(f.Name()); ok {
			firsts = append(firsts, p)
		}
	}
	sort.Slice(firsts, func(i, k int) bool { return firsts[i].Number < firsts[k].Number })
	return firsts, nil
}

// cardBytes is what a file takes of the card, 0 if it isn't there.
func cardBytes(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

func (l *recordLog) last() *recordFile { return l.files[len(l.files)-1] }

// encode makes the value of the commit that goes behind the last one. If the last file is full, it will begin the next one: then
// it holds the state that it leads to, which sum makes.
func (l *recordLog) encode(c *commit, sum func() *state) ([]byte, error) {
	c.previous = l.sum
	if len(l.files) == 0 || l.turnNext || l.last().bytes >= max(l.fileBytes, 4*l.last().base) {
		c.State = sum()
	}
	return l.codec.encode(c)
}

// append writes a commit behind the last one, durably.
func (l *recordLog) append(c *commit, value []byte) (err error) {
	at := place{c.first, c.number}
	if c.State != nil {
		err = l.turn(at, value)
	}
	if c.State == nil || noRoom(err) && len(l.files) > 0 { // a full card: the old file goes on
		err = l.last().append(at, value)
	}
	if err != nil {
		return err
	}
	l.sum, l.turnNext = c.sum, false
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last().bytes = cardBytes(l.last().path)
	if l.commits++; l.commits%letGoEvery == 0 {
		letGo(l.last().bolt)
	}
	if len(c.records) > 0 { // they are about to be asked for
		if len(l.fresh) == keptFresh {
			l.fresh = slices.Delete(l.fresh, 0, 1)
		}
		l.fresh = append(l.fresh, c.written())
	}
	return nil
}

// turn begins the next file with its first commit. A crash leaves the old file last, or the new one, complete.
func (l *recordLog) turn(at place, value []byte) error {
	f, err := createRecords(l.dir, l.id, at, value)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.files); n > 0 {
		l.last().close()
		if l.last().first == f.first { // it held nothing
			l.files = l.files[:n-1]
		}
	}
	l.files = append(l.files, f)
	return nil
}

// commit gives the commit at p, with its records.
func (l *recordLog) commit(p place) (*commit, error) {
	c, err := l.before(p)
	if err == nil && (c.number != p.Number || c.first != p.First) {
		return nil, fmt.Errorf("read commit %d: %w: it is missing", p.Number, ErrDamaged)
	}
	return c, err
}

// holding gives the commit that took in record seq.
func (l *recordLog) holding(seq uint64) (*commit, error) {
	c, err := l.before(place{seq, math.MaxUint64})
	if err == nil && (seq < c.first || seq-c.first >= uint64(c.count)) {
		return nil, fmt.Errorf("read record %d: %w: no commit holds it", seq, ErrDamaged)
	}
	return c, err
}

// before gives the newest commit at or before p.
func (l *recordLog) before(p place) (*commit, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.fresh {
		if c.isAt(p) {
			return c, nil
		}
	}
	for i, c := range l.blocks {
		if c.isAt(p) {
			l.blocks = append(slices.Delete(l.blocks, i, i+1), c)
			return c, nil
		}
	}
	f := l.file(p)
	if f == nil {
		return nil, fmt.Errorf("read commit %d of record %d: %w: its file is gone", p.Number, p.First, ErrDamaged)
	}
	if err := l.open(f); err != nil {
		return nil, err
	}
	var c *commit
	ok, err := f.find(p, func(_ place, value []byte) (err error) {
		c, err = l.codec.decode(value)
		return err
	})
	if err == nil && !ok {
		err = fmt.Errorf("%w: a commit is missing", ErrDamaged)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.path, err)
	}
	l.blocks = append(l.blocks, c)
	if len(l.blocks) > keptBlocks {
		l.blocks = slices.Delete(l.blocks, 0, 1)
	}
	return c, nil
}

// file gives the file that a commit at or before p lies in.
func (l *recordLog) file(p place) (f *recordFile) {
	for _, at := range l.files {
		if at.first.First > p.First || at.first.First == p.First && at.first.Number > p.Number {
			break
		}
		f = at
	}
	return f
}

// open opens an older file for reading; it was checked in a child process before.
func (l *recordLog) open(f *recordFile) error {
	if i := slices.Index(l.opened, f); i >= 0 {
		l.opened = append(slices.Delete(l.opened, i, i+1), f)
		return nil
	}
	if f == l.last() {
		return nil
	}
	if !f.checked {
		if err := l.check(f); err != nil {
			return err
		}
	}
	f.checked = true
	o, err := openRecords(f.path, l.id, f.first, os.O_RDONLY)
	if err != nil {
		return err
	}
	f.bolt = o.bolt
	if len(l.opened) == keptOpen {
		l.opened[0].close()
		l.opened = slices.Delete(l.opened, 0, 1)
	}
	l.opened = append(l.opened, f)
	return nil
}

// each gives use every commit from number on, oldest first, with its records if whole. Commits that come meanwhile may be
// left out, and those whose file is dropped meanwhile; what can't be read is passed over.
func (l *recordLog) each(number uint64, whole bool, use func(*commit) error) error {
	return l.some(number, func(*commit) bool { return whole }, use)
}

// some is each with the records of those whose head is as whole says.
func (l *recordLog) some(number uint64, whole func(*commit) bool, use func(*commit) error) error {
	l.mu.Lock()
	files := slices.Clone(l.files)
	l.mu.Unlock()
	for i, f := range files {
		if i+1 < len(files) && files[i+1].first.Number <= number {
			continue
		}
		places, err := l.places(f)
		if err != nil {
			return err
		}
		for _, p := range places {
			if p.Number < number {
				continue
			}
			c, err := l.get(f, p, whole)
			if errors.Is(err, errDropped) {
				break
			}
			if errors.Is(err, ErrDamaged) && !errors.Is(err, errFault) {
				continue
			}
			if err == nil {
				err = use(c)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

var errDropped = errors.New("the file is gone")

// places lists the commits of a file, oldest first, none if it was dropped.
func (l *recordLog) places(f *recordFile) (all []place, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.files, f) {
		return nil, nil
	}
	if err := l.open(f); err != nil {
		return nil, err
	}
	return all, f.each(func(p place, _ []byte) error { all = append(all, p); return nil })
}

func whole(*commit) bool { return true }

func headOnly(*commit) bool { return false }

// get reads one commit of a file, with its records if its head is as whole says.
func (l *recordLog) get(f *recordFile, p place, whole func(*commit) bool) (c *commit, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.files, f) {
		return nil, errDropped
	}
	if err := l.open(f); err != nil {
		return nil, err
	}
	_, err = f.find(p, func(_ place, value []byte) (err error) {
		if c, err = l.codec.decodeHead(value, false); err == nil && whole(c) {
			c, err = l.codec.decode(value)
		}
		return err
	})
	if err == nil && c == nil {
		err = fmt.Errorf("%w: commit %d is missing", ErrDamaged, p.Number)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.path, err)
	}
	return c, nil
}

// behind gives the first sequence of the next commit behind record seq that can be read, the highest there is if there is none.
func (l *recordLog) behind(seq uint64) uint64 {
	next := uint64(math.MaxUint64)
	l.mu.Lock()
	files := slices.Clone(l.files)
	l.mu.Unlock()
	for _, f := range files {
		if f.first.First > seq {
			return min(next, f.first.First)
		}
		places, err := l.places(f)
		if err != nil {
			continue
		}
		for _, p := range places {
			if p.First > seq {
				return p.First
			}
		}
	}
	return next
}

// began gives the stamp of a file's first commit.
func (l *recordLog) began(f *recordFile) (record.Stamp, error) {
	l.mu.Lock()
	known := f.begun
	l.mu.Unlock()
	if known != (record.Stamp{}) {
		return known, nil
	}
	c, err := l.get(f, f.first, headOnly)
	if err != nil {
		return record.Stamp{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f.begun = c.At
	return c.At, nil
}

// next gives the first commit of the file behind f, nothing if f is the last.
func (l *recordLog) next(f *recordFile) (p place) {
	for i, at := range l.files {
		if at.first == f.first && i+1 < len(l.files) {
			p = l.files[i+1].first
		}
	}
	return p
}

// drop removes the oldest file.
func (l *recordLog) drop() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.files[0]
	if i := slices.Index(l.opened, f); i >= 0 {
		l.opened = slices.Delete(l.opened, i, i+1)
	}
	f.close()
	if err := os.Remove(f.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l.files = slices.Delete(l.files, 0, 1)
	l.blocks, l.fresh = nil, nil
	return syncFolder(openFile, l.dir)
}

// bytes is what all files take, and what those take in which no record from live on lies.
func (l *recordLog) bytes(live uint64) (all, done int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, f := range l.files {
		all += f.bytes
		if i+1 < len(l.files) && l.files[i+1].first.First <= live {
			done += f.bytes
		}
	}
	return all, done
}

func (l *recordLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.files {
		f.close()
	}
}

func (l *recordLog) path(first place) string { return filepath.Join(l.dir, recordName(first)) }
