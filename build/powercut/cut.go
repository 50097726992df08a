package powercut

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sort"
)

// kind tells what a power cut leaves of the writes behind the last flush.
type kind string

const (
	none kind = "none"
	all  kind = "all"
	torn kind = "torn" // any sectors of them
)

// Cut is one moment at which the power may fail, and one state in which that may leave the card.
type Cut struct {
	kind    kind
	flushed int // entries of the log that surely are on the card
	to      int // entries that were written
}

// String names the cut for a person.
func (c Cut) String() string {
	return fmt.Sprintf("%s of the entries %d to %d", c.kind, c.flushed, c.to)
}

// cuts lists every cut of a log, in the order of time.
func cuts(log []write) []Cut {
	var cuts []Cut
	flushed := 0
	for n := 0; n <= len(log); n++ {
		if n > flushed {
			cuts = append(cuts, Cut{all, flushed, n}, Cut{torn, flushed, n})
		}
		if n == len(log) || log[n].flush {
			cuts = append(cuts, Cut{none, flushed, n})
			flushed = n + 1
		}
	}
	return cuts
}

// leaves gives the card after a cut. Before is what was on it when c.flushed entries had been written. What a torn one
// keeps is decided by seed.
func (c Cut) leaves(before card, log []write, seed uint64) card {
	after := maps.Clone(before)
	switch c.kind {
	case all:
		for _, w := range log[c.flushed:c.to] {
			after.write(w.at, w.data)
		}
	case torn:
		random := rand.New(rand.NewPCG(seed, uint64(c.to)))
		share := random.Float64()
		for _, w := range log[c.flushed:c.to] {
			for n := 0; n < len(w.data); {
				size := min(piece(w.at+int64(n)), len(w.data)-n)
				if random.Float64() < share {
					after.write(w.at+int64(n), w.data[n:n+size])
				}
				n += size
			}
		}
	}
	return after
}

// piece is how many bytes from there on are written together or not at all. That is a sector, but for ext4's superblock,
// which has a checksum over two of them and is written outside ext4's journal: a card that tears it is lost to any program.
func piece(at int64) int {
	if at < block {
		return int(block - at)
	}
	return sector
}

// state is a card after a power cut.
type state struct {
	cut  Cut
	card card
	size int64
	done int // steps that were acknowledged
}

// each gives f the state after every cut for which pick is true, in the order of time. Before the card is mounted there
// is nothing to see.
func (r Recording) each(seed uint64, pick func(Cut) bool, f func(state) error) error {
	log, err := readLog(r.Log)
	if err != nil {
		return fmt.Errorf("read the log of writes: %w", err)
	}
	before, size, err := readCard(r.Card)
	if err != nil {
		return err
	}
	flushed := 0
	for _, c := range cuts(log) {
		for ; flushed < c.flushed; flushed++ {
			before.write(log[flushed].at, log[flushed].data)
		}
		if done := r.done(log, c.to); done >= 0 && pick(c) {
			if err := f(state{c, c.leaves(before, log, seed), size, done}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Cuts lists every cut of a recording, in the order of time.
func (r Recording) Cuts() ([]Cut, error) {
	log, err := readLog(r.Log)
	return cuts(log), err
}

// done is the number of steps that were acknowledged when n entries had been written, -1 if the card was not yet mounted.
func (r Recording) done(log []write, n int) int {
	length := int64(sector)
	if n > 0 {
		length = log[n-1].end
	}
	marks := sort.Search(len(r.Marks), func(i int) bool { return r.Marks[i] > length })
	if marks > 0 && r.recovery {
		return r.before
	}
	return marks - 1
}
