package deliver

import (
	"fmt"
	"time"
)

// maxStanding bounds the memory that trouble takes; what is beyond is known to the ledger alone.
const maxStanding = 10_000

// standing is the set of records that are in one kind of trouble, as far as the looks of this run told.
type standing map[uint64]troubled

type troubled struct {
	name  string
	since time.Time
}

// count is a number of records for a person.
type count int

func (n count) String() string {
	switch {
	case n == 1:
		return "1 record"
	case n >= maxStanding:
		return fmt.Sprintf("%d records or more", int(n))
	}
	return fmt.Sprintf("%d records", int(n))
}

// set puts a record in or takes it out.
func (s standing) set(seq uint64, name string, since time.Time, in bool) {
	switch {
	case !in:
		delete(s, seq)
	case len(s) < maxStanding:
		s[seq] = troubled{name, since}
	}
}

// oldest counts the records that are in the ledger still, and gives the oldest of them.
func (s standing) oldest(book Book) (n count, first troubled) {
	for seq, t := range s {
		if !book.Holds(seq) { // it was given up
			delete(s, seq)
			continue
		}
		if first.since.IsZero() || t.since.Before(first.since) {
			first = t
		}
	}
	return count(len(s)), first
}
