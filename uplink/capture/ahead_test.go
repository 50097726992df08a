package capture

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// However large the rows are, what is read ahead of the store is bounded.
func TestFewLargeRowsAreReadAhead(t *testing.T) {
	row := make([]byte, 1<<20)
	for name, tx := range map[string]mappedTx{
		"found":   (&mapper{}).tx(Tx{Found: []State{{Payload: row}, {Payload: row}}}),
		"changed": {changes: []*change{{payload: row, old: row}}},
		"missing": (&mapper{}).tx(Tx{Missing: make([]Absence, ahead)}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, n := newQueue(), 0
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				for ; q.put(ctx, tx) == nil; n++ {
					if n > 10 {
						t.Fatal("there is no end")
					}
				}
				if n == 0 {
					t.Error("not even one")
				}
				for range n {
					tx := <-q.list
					q.took(&tx)
				}
				if !q.room.TryAcquire(ahead) {
					t.Error("room is lost")
				}
			})
		})
	}
}
