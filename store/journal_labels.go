package store

import (
	"slices"

	"station-agent/store/record"
)

// labelNotes are what entries did to labels that labels.db doesn't have yet.
type labelNotes struct {
	by     map[string][]labelChange // by label, in order
	count  int
	turned uint64 // the last checkpoint: what is before it should be in labels.db, lest opening has to read old segments
}

// note takes in one more entry. Before is what all entries before it add up to.
func (n *labelNotes) note(e record.Entry, before *record.State) {
	if e.State != nil {
		n.turned = e.Seq
	}
	if n.by == nil {
		n.by = map[string][]labelChange{}
	}
	for _, c := range labelChanges(e, before) {
		n.by[c.label] = append(n.by[c.label], c)
		n.count++
	}
}

// upTo gives the notes of entries up to seq. What is noted meanwhile doesn't touch them.
func (n *labelNotes) upTo(seq uint64) map[string][]labelChange {
	by := make(map[string][]labelChange, len(n.by))
	for label, changes := range n.by {
		if first := changes[:behind(changes, seq)]; len(first) > 0 {
			by[label] = slices.Clip(first)
		}
	}
	return by
}

// forget drops the notes of entries up to seq.
func (n *labelNotes) forget(seq uint64) {
	for label, changes := range n.by {
		gone := behind(changes, seq)
		n.count -= gone
		if gone == len(changes) {
			delete(n.by, label)
		} else {
			n.by[label] = slices.Clone(changes[gone:])
		}
	}
}

// behind is the index of the first change of an entry behind seq.
func behind(changes []labelChange, seq uint64) int {
	n := slices.IndexFunc(changes, func(c labelChange) bool { return c.seq > seq })
	if n < 0 {
		return len(changes)
	}
	return n
}

// notedOf gives what entries did to a label lately, and a trusted stamp to date it by.
func (j *Journal) notedOf(label string) ([]labelChange, record.Stamp) {
	j.reading.Lock()
	defer j.reading.Unlock()
	return slices.Clip(j.labels.by[label]), j.state.Clock
}

// lag tells how much labels.db doesn't have yet: changes, and up to which entry it should have all.
func (j *Journal) labelLag() (changes int, turned uint64) {
	j.reading.Lock()
	defer j.reading.Unlock()
	return j.labels.count, j.labels.turned
}

// foldable gives what entries that are on the card did to labels and labels.db doesn't have yet. What isn't flushed may be
// lost, and its sequences used again.
func (j *Journal) foldable() (upTo uint64, changes map[string][]labelChange, clock record.Stamp) {
	j.writing.Lock()
	upTo = j.durable
	j.writing.Unlock()
	j.reading.Lock()
	defer j.reading.Unlock()
	return upTo, j.labels.upTo(upTo), j.state.Clock
}

// folded forgets what labels.db has now.
func (j *Journal) folded(upTo uint64) {
	j.reading.Lock()
	defer j.reading.Unlock()
	j.labels.forget(upTo)
}
