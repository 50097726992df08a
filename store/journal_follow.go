package store

import (
	"errors"

	"station-agent/store/record"
)

// Follow gives f, in order, the entries behind a sequence that are on the card for good, each with what all entries before it
// add up to, until f returns an error. S is the follower's own: zero at first, and handed in again it spares reading what was
// given already. It says what all entries add up to that f has taken. Entries that can't be read are passed over, and so are
// those whose segment went. Nobody waits for f, which must not keep before.
func (j *Journal) Follow(s *record.State, after uint64, f func(e record.Entry, before *record.State) error) error {
	j.writing.Lock()
	last := j.durable // what isn't flushed may be lost, and its sequences used again
	j.writing.Unlock()
	err := eachSegmentFrom(j.dir, j.id, max(after, s.Seq)+1, func(g, _ *segment, _ bool) error {
		for _, fr := range g.frames {
			if fr.seq > last {
				return errEnough
			}
			if fr.seq <= s.Seq {
				continue
			}
			e, ok := fr.entry(fr.off == headerSize)
			if !ok {
				continue
			}
			if e.Seq > after && !empty(e) {
				if err := f(e, s); err != nil {
					return err
				}
			}
			s.Apply(e)
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}
