package store

import (
	"errors"
	"math"

	"station-agent/store/record"
)

// The outbox has two lanes. Changes go first, in their order; states that were found (record.Found) go behind them, in theirs. Such a
// state is passed over when its row has a newer change: that one has the whole row, and is sent, or was.

const (
	// laneRuns is how many runs the state may have before found states are put among the changes, so that a sweep beside a busy
	// table doesn't make it grow without end. The order of rows holds there too.
	laneRuns = 20_000

	// aheadMost is for how many found states at once newer changes are looked for: the log is read once for so many.
	aheadMost = 16_384
)

// later gives the records of c that go into the second lane.
func (d *DB) later(c *commit) []span {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.state.Runs) > laneRuns {
		return nil
	}
	var spans []span
	for i := range c.records {
		seq := c.first + uint64(i)
		switch n := len(spans); {
		case !c.records[i].Found():
		case n > 0 && spans[n-1].Last+1 == seq:
			spans[n-1].Last = seq
		default:
			spans = append(spans, span{seq, seq})
		}
	}
	return spans
}

// changes tells whether c may hold records of the first lane.
func (c *commit) changes() bool { return uint64(c.count) > length(c.Later) || len(c.Carried) > 0 }

// ahead knows the newest record of each row of which a found state waits, for a stretch of those; what waits in the second lane
// itself doesn't count. Guarded by mu of the DB.
type ahead struct {
	span
	rows map[rowName]uint64 // sequences, 0 if there is none
}

// notice takes in what came with a commit. One that is in the log and doesn't count yet is left for when it does: only then it is
// known what of it was found. Called with mu held.
func (d *DB) notice(c *commit) {
	if len(d.ahead.rows) == 0 || c.number > d.state.Number {
		return
	}
	for i := range c.records {
		r := &c.records[i]
		name, seq := rowName{r.Collection, r.ID}, c.seq(i)
		newest, asked := d.ahead.rows[name]
		if !asked || seq <= newest {
			continue
		}
		if is, ok := d.state.Runs.at(seq); !ok || is.As != found {
			d.ahead.rows[name] = seq
		}
	}
}

// lookAhead makes the stretch that begins with seq the one that ahead knows.
func (d *DB) lookAhead(seq uint64) error {
	next := ahead{span: span{First: seq, Last: seq}, rows: map[rowName]uint64{}}
	err := d.eachFrom(seq, func(a standing) bool { return a == found }, func(seq uint64, r *stored) error {
		if len(next.rows) == aheadMost {
			return errEnough
		}
		next.Last = seq
		next.rows[rowName{r.Collection, r.ID}] = 0
		return nil
	})
	if err != nil {
		return err
	}
	c, _, err := d.block(seq)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.ahead = next // from here on new commits are noted
	d.mu.Unlock()
	err = d.log.some(c.number, (*commit).changes, func(c *commit) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.notice(c)
		return nil
	})
	return d.suspect(err)
}

// passed tells whether the found state seq need not be sent any more. A newer change that Certyo refused doesn't count.
func (d *DB) passed(seq uint64, r *stored) (bool, error) {
	d.mu.Lock()
	known := d.ahead.rows != nil && d.ahead.First <= seq && seq <= d.ahead.Last
	d.mu.Unlock()
	if !known {
		if err := d.lookAhead(seq); err != nil {
			return false, err
		}
	}
	d.mu.Lock()
	newest := d.ahead.rows[rowName{r.Collection, r.ID}]
	is, ok := d.state.Runs.at(newest)
	d.mu.Unlock()
	if newest < seq {
		return false, nil
	}
	if ok && is.As == declined {
		return d.laterInLog(record.Unproven{Seq: seq, Record: r.Record})
	}
	return true, nil
}

// Head reads the oldest records of the outbox, at most max of them and at most maxBytes of payload, but one at least. It uses the
// memory of into if that is large enough.
func (d *DB) Head(into []record.Queued, max, maxBytes int) (head []record.Queued, err error) {
	return d.Pick(into, max, maxBytes, nil)
}

const (
	pickReach  = 100_000 // how many records Pick looks at that it doesn't take
	passAtOnce = 4096    // found states that are passed over in one step
)

// Pick is Head without the records that skip names: of those that wait the changes first, then the states that were found. States
// that were found and have a newer change leave the outbox.
func (d *DB) Pick(into []record.Queued, max, maxBytes int, skip func(*record.Queued) bool) (head []record.Queued, err error) {
	d.picking.Lock()
	defer d.picking.Unlock()
	head = into[:0]
	if n := d.most(max); cap(head) < n {
		head = make([]record.Queued, 0, n)
	}
	size, skipped := 0, 0
	var q record.Queued // one for all: skip has its address
	take := func(seq uint64, r *stored) error {
		q = record.Queued{Seq: seq, Record: r.Record}
		if skip != nil && skip(&q) {
			if skipped++; skipped >= pickReach {
				return errFilled // not the second lane either: what wasn't reached may have a row in common with it
			}
			return nil
		}
		size += len(r.Payload)
		if len(head) == max || len(head) > 0 && size > maxBytes {
			return errFilled
		}
		d.dateFirst(&q)
		head = append(head, q)
		return nil
	}
	err = d.each(func(a standing) bool { return a == waits }, take)
	if err == nil {
		err = d.pickHistory(take)
	}
	if errors.Is(err, errFilled) {
		err = nil
	}
	return head, err
}

// errFilled ends a Pick that has all it may take.
var errFilled = errors.New("filled")

// pickHistory takes from the second lane.
func (d *DB) pickHistory(take func(uint64, *stored) error) error {
	var old []passing
	err := d.each(func(a standing) bool { return a == found }, func(seq uint64, r *stored) error {
		gone, err := d.passed(seq, r)
		if err != nil {
			return err
		}
		if !gone {
			return take(seq, r)
		}
		if old = append(old, passing{seq, len(r.Payload)}); len(old) == passAtOnce {
			d.pass(old)
			old = old[:0]
		}
		return nil
	})
	d.pass(old)
	return err
}

type passing struct {
	seq   uint64
	bytes int
}

// pass notes that found states need not be sent any more. It is on the card within seconds; a crash before finds it again.
func (d *DB) pass(list []passing) {
	if len(list) == 0 {
		return
	}
	d.turns.Lock()
	defer d.turns.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return
	}
	for _, p := range list {
		if is, ok := d.state.Runs.at(p.seq); ok && is.As == found {
			d.state.QueueBytes -= int64(p.bytes)
		}
	}
	c := d.gather()
	one := commit{At: c.At, number: c.number, first: c.first, Passed: spans(list, func(p *passing) uint64 { return p.seq })}
	c.Passed = append(c.Passed, one.Passed...)
	d.state.events(&one)
}

// most is how many of max records there can be in the outbox, and how many are made room for.
func (d *DB) most(max int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	waiting := d.state.Runs.count(span{0, math.MaxUint64}, standing.queued)
	return min(max, waiting, 1000)
}
