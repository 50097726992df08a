package binlog

import (
	"crypto/sha256"
	"time"

	"station-agent/uplink/capture"
)

// touched are the rows that the stream had in hand lately, by digests: they take the same little room whatever the keys are. When
// there are too many, all are forgotten; a chunk that needs to know of them is then read again later.
type touched struct {
	at   map[[16]byte]int64 // unix nanoseconds
	lost time.Time          // those before it are not known any more
}

const (
	touchedSpan = 30 * time.Second // more than a replica's acknowledgement takes (rpl_semi_sync_master_timeout is 10 s)
	touchedMost = 100_000
)

func digest(table *capture.Spec, id string) [16]byte {
	h := sha256.Sum256([]byte(table.Collection() + "\x00" + id))
	return [16]byte(h[:16])
}

// note takes in a row at a time. Those that were touched before since may be forgotten.
func (t *touched) note(table *capture.Spec, id string, now, since time.Time) {
	if len(t.at) >= touchedMost {
		t.prune(since)
		if len(t.at) > touchedMost/2 { // it would be looked through again soon
			clear(t.at)
			t.lost = now
		}
	}
	if t.at == nil {
		t.at = make(map[[16]byte]int64)
	}
	t.at[digest(table, id)] = now.UnixNano()
}

// prune forgets the rows that were touched before since.
func (t *touched) prune(since time.Time) {
	for d, at := range t.at {
		if at < since.UnixNano() {
			delete(t.at, d)
		}
	}
}

func (t *touched) has(table *capture.Spec, id string) bool {
	_, ok := t.at[digest(table, id)]
	return ok
}

// knows tells whether all rows are known that were touched from since on.
func (t *touched) knows(since time.Time) bool { return t.lost.Before(since) }
