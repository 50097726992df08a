package store

import (
	"math"
	"slices"
	"time"

	"station-agent/store/record"
)

// Certyo knows an idempotency key for 24 hours. So a record that was posted, whose answer was lost and that is posted again later
// may be anchored twice, unless somebody asks first. Which records may have been posted, and since when, is all that must outlive a
// crash for that, and it is kept as a few marks instead of a note for each record.

// horizon says that no record of a lane behind the mark before it was posted before At, and none behind Upto at all.
type horizon struct {
	Later bool         `json:"later,omitempty"` // the second lane
	Upto  uint64       `json:"upto"`
	At    record.Stamp `json:"at"`
}

const (
	horizonAhead = 4096 // sequences: there is one more mark for so many records, not for each post
	horizonMost  = 64   // marks of a lane
)

// reach is a sequence of each lane.
type reach [2]uint64

func laneOf(a standing) int {
	if a == found {
		return 1
	}
	return 0
}

func (h *horizon) lane() int {
	if h.Later {
		return 1
	}
	return 0
}

// reach is how far records may have been posted.
func (s *state) reach() (r reach) {
	for i := range s.Horizon {
		h := &s.Horizon[i]
		r[h.lane()] = max(r[h.lane()], h.Upto)
	}
	return r
}

// extend adds marks, and lets go of those before which nothing waits. Of too many the two oldest are made one, which says less.
func (s *state) extend(marks []horizon) {
	if len(marks) == 0 {
		return
	}
	oldest := reach{math.MaxUint64, math.MaxUint64}
	for _, r := range s.Runs {
		if r.As.queued() {
			oldest[laneOf(r.As)] = min(oldest[laneOf(r.As)], r.First)
		}
	}
	last := s.reach()
	s.Horizon = slices.DeleteFunc(s.Horizon, func(h horizon) bool { return h.Upto < oldest[h.lane()] && h.Upto < last[h.lane()] })
	s.Horizon = append(s.Horizon, marks...)
	for lane := range 2 {
		of := func(h horizon) bool { return h.lane() == lane }
		n := 0
		for i := range s.Horizon {
			if of(s.Horizon[i]) {
				n++
			}
		}
		if n <= horizonMost {
			continue
		}
		first := slices.IndexFunc(s.Horizon, of)
		second := first + 1 + slices.IndexFunc(s.Horizon[first+1:], of)
		s.Horizon[second].At = s.Horizon[first].At
		s.Horizon = slices.Delete(s.Horizon, first, first+1)
	}
}

// Posting is called before records are posted. When it returns, it is on the card that they may have been: one write for some
// thousand records. On a full card it is in memory only, as delivery is what makes room.
func (d *DB) Posting(batch []record.Queued) error {
	marks := d.reaching(batch)
	if len(marks) == 0 {
		return d.failed()
	}
	err := d.commit(func(c *commit) error {
		for i := range marks {
			marks[i].At = d.cfg.now()
		}
		c.Horizon = append(c.Horizon, marks...)
		return nil
	})
	if record.ClassOf(err) == record.StopHere || !wantsRoom(err) {
		return err
	}
	d.turns.Lock()
	defer d.turns.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gather().Horizon = append(d.gather().Horizon, marks...)
	d.state.extend(marks)
	return nil
}

// untoldMost is how many of the oldest records a program may have posted that noted nothing of it: a request of it held no more.
const untoldMost = 1000

// untold is the mark for what such a program may have posted, since nobody knows when.
func (s *state) untold() (marks []horizon) {
	n, upto := uint64(untoldMost), uint64(0)
	for _, r := range s.Runs {
		if r.As.queued() && n > 0 {
			m := min(n, r.Last-r.First+1)
			n, upto = n-m, r.First+m-1
		}
	}
	if upto == 0 {
		return nil
	}
	return []horizon{{Upto: upto}}
}

// reaching notes how far a batch reaches and gives the marks that are missing for that.
func (d *DB) reaching(batch []record.Queued) (marks []horizon) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var far reach
	for i := range batch {
		if is, ok := d.state.Runs.at(batch[i].Seq); ok && is.As.queued() {
			far[laneOf(is.As)] = max(far[laneOf(is.As)], batch[i].Seq)
		}
	}
	upto := d.state.reach()
	for lane := range far {
		if far[lane] > upto[lane] {
			marks = append(marks, horizon{Later: lane == 1, Upto: far[lane] + horizonAhead})
		}
		d.posted[lane] = max(d.posted[lane], far[lane])
	}
	return marks
}

// dateFirst tells whether q may have been posted before, and since when.
func (d *DB) dateFirst(q *record.Queued) {
	d.mu.Lock()
	is, _ := d.state.Runs.at(q.Seq)
	lane := laneOf(is.As)
	if q.Again = q.Seq <= d.opened[lane] || q.Seq <= d.posted[lane]; !q.Again {
		d.mu.Unlock()
		return
	}
	mark := d.state.mark(lane, q.Seq)
	now := d.cfg.now()
	d.mu.Unlock()
	q.First = dated(now, mark)
	if put := dated(now, d.cameIn(q.Seq)); put.After(q.First) {
		q.First = put
	}
}

// mark is since when a record of a lane may have been posted, zero if nobody knows.
func (s *state) mark(lane int, seq uint64) record.Stamp {
	for i := range s.Horizon {
		if h := &s.Horizon[i]; h.lane() == lane && seq <= h.Upto {
			return h.At
		}
	}
	return record.Stamp{}
}

// dated puts a moment on the clock as it stands now, zero if nothing ties the two together.
func dated(now, at record.Stamp) time.Time {
	if at.Boot != "" && at.Boot == now.Boot {
		return now.Wall.Add(at.Mono - now.Mono)
	}
	if !at.Trusted || !now.Trusted {
		return time.Time{}
	}
	return at.Wall
}
