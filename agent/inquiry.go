package main

import (
	"context"
	"errors"
	"slices"
	"sync"

	"station-agent/store/record"
)

// inquiries are people's questions about single rows. The watcher asks them along with the bench's, so that they cost no
// connection of their own.
type inquiries struct {
	hurry func() // asks for a read at once

	mu   sync.Mutex
	open map[string][]chan record.Reading // by hash
}

func newInquiries(hurry func()) *inquiries {
	return &inquiries{hurry: hurry, open: map[string][]chan record.Reading{}}
}

var errNoRow = errors.New("no such row")

// ask waits for the next read that tells of hash. errNoRow says that it is not in the table.
func (q *inquiries) ask(ctx context.Context, hash string) (record.Row, error) {
	c := make(chan record.Reading, 1)
	q.mu.Lock()
	q.open[hash] = append(q.open[hash], c)
	q.mu.Unlock()
	defer q.forget(hash, c)
	q.hurry()
	select {
	case r := <-c:
		for _, row := range slices.Concat(r.Here, r.Away) {
			if row.Hash == hash {
				return row, nil
			}
		}
		return record.Row{}, errNoRow
	case <-ctx.Done():
		return record.Row{}, ctx.Err()
	}
}

func (q *inquiries) forget(hash string, c chan record.Reading) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open[hash] = slices.DeleteFunc(q.open[hash], func(o chan record.Reading) bool { return o == c })
	if len(q.open[hash]) == 0 {
		delete(q.open, hash)
	}
}

// with adds the hashes that people ask for to those of the bench.
func (q *inquiries) with(asked func() []string) func() []string {
	return func() []string {
		q.mu.Lock()
		defer q.mu.Unlock()
		list := slices.Clip(asked())
		for hash := range q.open {
			list = append(list, hash)
		}
		return list
	}
}

// answer takes one read to those who asked for a row that it tells of.
func (q *inquiries) answer(r record.Reading) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.open) == 0 {
		return
	}
	told := slices.Clone(r.None)
	for _, row := range slices.Concat(r.Here, r.Away) {
		told = append(told, row.Hash)
	}
	for _, hash := range told {
		for _, c := range q.open[hash] {
			select {
			case c <- r:
			default: // it was told already
			}
		}
	}
}
