package capture

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// queue holds transactions between the source and the store, so that the one reads while the other writes. It is bounded by
// the rows in them, of which a transaction may have one or very many, and by their bytes.
type queue struct {
	list chan mappedTx
	room *semaphore.Weighted
}

// ahead is how many changes are read ahead.
const ahead = groupRecords / 2

func newQueue() *queue { return &queue{make(chan mappedTx, ahead), semaphore.NewWeighted(ahead)} }

// weight is how much room a transaction takes. One that is larger than all of it waits until there is nothing else.
func weight(tx *mappedTx) int64 {
	bytes := 0
	for _, c := range tx.changes {
		bytes += len(c.payload) + len(c.old)
	}
	return int64(min(max(1, len(tx.changes), bytes/(PageBytes/ahead)), ahead))
}

// put adds a transaction when there is room. The list has room for as many as the semaphore lets in.
func (q *queue) put(ctx context.Context, tx mappedTx) error {
	if err := q.room.Acquire(ctx, weight(&tx)); err != nil {
		return err
	}
	q.list <- tx
	return nil
}

// took makes the room free again that a transaction took.
func (q *queue) took(tx *mappedTx) { q.room.Release(weight(tx)) }
