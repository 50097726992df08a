package store

import (
	"cmp"
	"math"
	"path/filepath"
	"slices"
	"time"

	"station-agent/store/record"
)

// Stats are counts and sizes. Asking for the sizes costs a look at the card.
type Stats struct {
	QueueRecords     int          `json:"queue_records"`
	QueueHistory     int          `json:"queue_history"` // of these, found states that go behind the others
	QueueBytes       int64        `json:"queue_bytes"`
	OldestQueued     time.Time    `json:"oldest_queued,omitzero"` // when it was put, by the clock as it stands now
	OldestPosted     time.Time    `json:"oldest_posted,omitzero"` // since when a record waits that was posted and isn't answered; zero: none, or nobody knows
	Unanchored       int          `json:"unanchored"`
	OldestUnanchored time.Time    `json:"oldest_unanchored,omitzero"` // when the first of the queue's order was accepted
	Anchored         uint64       `json:"anchored"`                   // ever
	Accepted         uint64       `json:"accepted"`                   // ever
	DeadLetters      int          `json:"dead_letters"`
	DeadLetterBytes  int64        `json:"dead_letter_bytes"`          // of their payloads
	OldestRefused    time.Time    `json:"oldest_refused,omitzero"`    // when the dead letter was refused that lies longest
	LettersSpilled   uint64       `json:"dead_letters_dropped"`       // for want of room, ever
	NewlySpilled     uint64       `json:"newly_dead_letters_dropped"` // of these, since Acknowledge
	LettersExported  uint64       `json:"dead_letters_exported"`      // for want of room, ever
	Mismatches       int          `json:"mismatches"`                 // in the ledger, last seen as record.Mismatch
	Ledger           record.Tally `json:"ledger"`                     // how all in it stand
	Retired          uint64       `json:"retired"`                    // superseded and given up, ever
	Unverified       uint64       `json:"unverified"`                 // accepted and given up unproven, ever
	NewlyUnverified  uint64       `json:"newly_unverified"`           // of these, since Acknowledge
	Passed           uint64       `json:"passed"`                     // found states that were not sent, as a newer change of their row was, ever
	Replayed         uint64       `json:"replayed"`                   // accepted once more, by what Certyo said: the first answer was lost, ever
	Doubled          uint64       `json:"possibly_doubled"`           // accepted after a post that was more than a day old and may have arrived, ever
	Lost             uint64       `json:"lost"`                       // records that could not be read any more, ever
	RecordBytes      int64        `json:"record_bytes"`               // of all record files on the card
	EvidenceBytes    int64        `json:"evidence_bytes"`             // of those in which every record is anchored
	RowBytes         int64        `json:"row_bytes"`                  // of shadow and picture
	LabelBytes       int64        `json:"label_bytes"`                // of what is known of used package labels
	MapBytes         int64        `json:"map_bytes"`                  // of the map of tags
	FreeBytes        int64        `json:"free_bytes"`                 // of the card
	Paused           bool         `json:"paused"`                     // Put refuses: there is no room
	Trouble          string       `json:"trouble,omitempty"`          // why evidence can't be exported or let go
}

// Stats are counts and sizes as they stand.
func (d *DB) Stats() Stats {
	out := d.Counts()
	d.mu.Lock()
	oldest := oldestOf(d.state.Runs)
	d.mu.Unlock()
	out.RecordBytes, out.EvidenceBytes = d.log.bytes(oldest)
	out.RowBytes = cardBytes(d.rows.path)
	out.LabelBytes = cardBytes(filepath.Join(d.cfg.dir, labelsName))
	out.MapBytes = cardBytes(filepath.Join(d.cfg.dir, mapName))
	out.FreeBytes, _ = d.free(d.log.dir) // 0 if it can't be asked
	return out
}

// Counts are Stats without the sizes on the card. They are in memory; now and then one commit has to be read, to tell when its
// records came in.
func (d *DB) Counts() Stats {
	d.mu.Lock()
	s, now := d.state.clone(), d.cfg.now()
	out := Stats{QueueBytes: s.QueueBytes, Anchored: s.Anchored, Accepted: s.Accepted, DeadLetters: len(s.Refused), Lost: s.Lost, Paused: d.paused,
		DeadLetterBytes: lettersBytes(s.Refused), LettersSpilled: s.Spilled, NewlySpilled: s.Spilled - s.SpillsKnown, LettersExported: s.SpillsExported,
		Retired: s.Retired, Unverified: s.Unverified, NewlyUnverified: s.Unverified - s.Waived, Passed: s.Passed, Replayed: s.Replayed, Doubled: s.Doubled}
	fronts, waiting := d.fronts, d.waiting()
	if err := cmp.Or(d.trouble, d.exportErr, d.letterErr, d.lazyErr); err != nil {
		out.Trouble = err.Error()
	}
	d.mu.Unlock()
	if len(s.Refused) > 0 {
		out.OldestRefused = sometime(now, s.Refused[0].At)
	}
	all := span{0, math.MaxUint64}
	out.QueueRecords = s.Runs.count(all, standing.queued)
	out.QueueHistory = s.Runs.count(all, func(a standing) bool { return a == found })
	t := s.Runs.tally()
	out.Unanchored, out.Mismatches, out.Ledger = t.All(), t.Mismatch, t
	for lane, w := range waiting {
		if w.seq == 0 {
			continue
		}
		put := sometime(now, d.frontSince(fronts[lane], lane, w.seq))
		if out.OldestQueued.IsZero() || put.Before(out.OldestQueued) {
			out.OldestQueued = put
		}
		if posted := later(dated(now, w.mark), put); w.posted && !posted.IsZero() && (out.OldestPosted.IsZero() || posted.Before(out.OldestPosted)) {
			out.OldestPosted = posted
		}
	}
	if i := slices.IndexFunc(s.Runs, func(r run) bool { return r.As.ledger() }); i >= 0 {
		out.OldestUnanchored = sometime(now, s.Runs[i].Since)
	}
	return out
}

// foremost is the oldest record of a lane.
type foremost struct {
	seq    uint64 // 0: none waits
	posted bool   // it may have been posted
	mark   record.Stamp
}

// waiting gives the oldest record of each lane. Called with mu held.
func (d *DB) waiting() (list [2]foremost) {
	for _, r := range d.state.Runs {
		if lane := laneOf(r.As); r.As.queued() && list[lane].seq == 0 {
			list[lane].seq = r.First
		}
	}
	for lane := range list {
		w := &list[lane]
		w.posted = w.seq > 0 && (w.seq <= d.opened[lane] || w.seq <= d.posted[lane])
		if w.posted {
			w.mark = d.state.mark(lane, w.seq)
		}
	}
	return list
}

// later is the later of a moment, if it is known, and another.
func later(at, other time.Time) time.Time {
	if at.IsZero() || at.After(other) {
		return at
	}
	return other
}

// waitsSince is when a record was put.
type waitsSince struct {
	seq uint64
	at  record.Stamp
}

// frontSince tells when the oldest record of a lane was put, as known before or from its commit.
func (d *DB) frontSince(known waitsSince, lane int, seq uint64) record.Stamp {
	if known.seq == seq {
		return known.at
	}
	at := d.cameIn(seq)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fronts[lane] = waitsSince{seq, at}
	return at
}

// cameIn tells when a record was put, zero if that can't be read: Head says so.
func (d *DB) cameIn(seq uint64) record.Stamp {
	d.mu.Lock()
	for _, m := range d.state.Carried {
		if m.First <= seq && seq <= m.Last {
			d.mu.Unlock()
			return m.At
		}
	}
	d.mu.Unlock()
	c, _, err := d.block(seq)
	if err != nil {
		return record.Stamp{}
	}
	return c.At
}

// oldestOf is the first sequence that is still needed.
func oldestOf(rs runs) uint64 {
	if len(rs) == 0 {
		return math.MaxUint64
	}
	return rs[0].First
}

// sometime puts a moment on the clock as it stands now: by the monotonic one if it was in this boot. A moment that would lie
// ahead is now.
func sometime(now, at record.Stamp) time.Time {
	wall := at.Wall
	if at.Boot == now.Boot {
		wall = now.Wall.Add(at.Mono - now.Mono)
	}
	if wall.After(now.Wall) {
		return now.Wall
	}
	return wall
}
