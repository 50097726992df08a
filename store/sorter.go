package store

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

const sortAtOnce = 16384 // keys in memory

// sorter puts any number of keys in order with little memory: some thousand at a time are sorted and written behind one
// another, and read back side by side.
//
//	length uvarint | key     of each key; the keys of a run are in order
type sorter struct {
	file *os.File // has no name: the card gets its room back whatever happens
	room func() error
	keys [][]byte
	runs []int64 // where each begins
	end  int64
}

func newSorter(path string, room func() error) (*sorter, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &sorter{file: f, room: room}, nil
}

func (s *sorter) close() { _ = s.file.Close() } // nothing in it is kept

func (s *sorter) add(key []byte) error {
	s.keys = append(s.keys, key)
	if len(s.keys) < sortAtOnce {
		return nil
	}
	return s.run()
}

// run writes what is in memory. It is flushed, so that a scan which is flushed meanwhile has little to carry.
func (s *sorter) run() error {
	if err := s.room(); err != nil {
		return err
	}
	slices.SortFunc(s.keys, bytes.Compare)
	s.runs = append(s.runs, s.end)
	w := bufio.NewWriterSize(io.NewOffsetWriter(s.file, s.end), 64<<10)
	var size []byte
	for _, key := range s.keys {
		size = binary.AppendUvarint(size[:0], uint64(len(key)))
		_, _ = w.Write(size)
		_, _ = w.Write(key) // Flush tells
		s.end += int64(len(size) + len(key))
	}
	s.keys = s.keys[:0]
	return errors.Join(w.Flush(), s.file.Sync())
}

// each gives use every key once, in order.
func (s *sorter) each(use func(key []byte) error) error {
	if err := s.run(); err != nil {
		return err
	}
	s.keys = nil
	var h sortedRuns
	for n, start := range s.runs {
		end := append(s.runs, s.end)[n+1]
		r := &sortedRun{r: bufio.NewReaderSize(io.NewSectionReader(s.file, start, end-start), 4<<10)}
		if more, err := r.next(); err != nil {
			return err
		} else if more {
			h = append(h, r)
		}
	}
	heap.Init(&h)
	for last, begun := []byte(nil), false; len(h) > 0; begun = true {
		if key := h[0].key; !begun || !bytes.Equal(key, last) {
			if err := use(key); err != nil {
				return err
			}
			last = append(last[:0], key...)
		}
		if more, err := h[0].next(); err != nil {
			return err
		} else if more {
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h)
		}
	}
	return nil
}

// sortedRun is what is left of one, its next key taken off.
type sortedRun struct {
	r   *bufio.Reader
	key []byte
}

// next takes off a key and tells whether there was one.
func (r *sortedRun) next() (more bool, err error) {
	n, err := binary.ReadUvarint(r.r)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	r.key = slices.Grow(r.key[:0], int(n))[:n]
	if err == nil {
		_, err = io.ReadFull(r.r, r.key)
	}
	if err != nil {
		return false, fmt.Errorf("read back what was sorted: %w", err)
	}
	return true, nil
}

// sortedRuns is a heap: the one with the first key first.
type sortedRuns []*sortedRun

func (h sortedRuns) Len() int           { return len(h) }
func (h sortedRuns) Less(i, j int) bool { return bytes.Compare(h[i].key, h[j].key) < 0 }
func (h sortedRuns) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *sortedRuns) Push(r any)        { *h = append(*h, r.(*sortedRun)) }

// Pop takes off the last one.
func (h *sortedRuns) Pop() any {
	r := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return r
}
