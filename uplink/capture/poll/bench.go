package poll

import (
	"context"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// bench looks at a table with stations: all rows here, and what became of those that aren't here any more.
type bench struct {
	*session
	mover
	here    map[string][16]byte  // what was found here last
	missing map[string]time.Time // rows that were not found once, and when they were seen last
	last    time.Time            // of the look before, by the server's clock

	after string // how far the rows that left earlier were looked at
	round int
	sweep capture.Progress // all that stands here is wanted once
	swept bool             // all of them were, since the start
}

const (
	earlierEvery = 5   // looks between those at rows that left earlier
	earlier      = 200 // rows
)

// newBench begins with the rows that the Shadow has here.
func newBench(o *session, from record.Position) (*bench, error) {
	sweeps, err := capture.ParseSweeps(from.Sweep)
	if err != nil {
		return nil, err
	}
	b := &bench{session: o, sweep: sweeps[o.cfg.Table.Collection()], here: make(map[string][16]byte), missing: make(map[string]time.Time), last: from.At}
	err = o.cfg.Shadow.ShadowAll(o.cfg.Table.Collection(), func(row record.ShadowRow) error {
		if row.Left.IsZero() {
			b.here[row.ID] = [16]byte{}
		}
		return nil
	})
	return b, err
}

func (b *bench) look(ctx context.Context) ([]capture.Tx, error) {
	read := b.read.HereNow
	if b.cfg.Here != nil {
		read = b.cfg.Here
	}
	now, here, err := read(ctx, b.table)
	if err != nil {
		return nil, err
	}
	if b.sweep.Run != "" {
		return b.all(now, here), nil
	}
	tx := capture.Tx{ID: Way, At: now, Tick: now.UnixMicro()}
	was := b.here
	b.here = make(map[string][16]byte, len(here))
	for i := range here {
		s := &here[i]
		b.here[s.ID] = sum(s)
		delete(b.missing, s.ID)
		if b.here[s.ID] != was[s.ID] {
			tx.Found = append(tx.Found, *s)
		}
		delete(was, s.ID)
	}
	if err := b.lookFor(ctx, was, &tx); err != nil {
		return nil, err
	}
	b.last = now
	if found := len(tx.Found)+len(tx.Missing) > 0; b.due(found) {
		tx.Position = record.Position{Way: Way, At: now}
	} else if !found {
		tx.ID = ""
	}
	return []capture.Tx{tx}, nil
}

// all gives every row here, once.
func (b *bench) all(now time.Time, here []capture.State) []capture.Tx {
	tx := capture.Tx{ID: Way, At: now, Tick: now.UnixMicro(), Found: here, Run: b.sweep.Run, All: true, Position: record.Position{Way: Way, At: now}}
	b.sweep = capture.Progress{}
	return []capture.Tx{tx}
}

// lookFor reads the rows that were here and aren't, those that were not found a look ago, and some that left earlier. What
// isn't found twice is missing.
func (b *bench) lookFor(ctx context.Context, gone map[string][16]byte, tx *capture.Tx) error {
	ids := make([]string, 0, len(gone)+len(b.missing))
	for id := range gone {
		ids = append(ids, id)
	}
	for id := range b.missing {
		ids = append(ids, id)
	}
	more, err := b.earlier()
	if err != nil {
		return err
	}
	for _, id := range more {
		_, here := b.here[id]
		_, asked := gone[id]
		if _, too := b.missing[id]; !here && !asked && !too {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	found, err := b.read.Those(ctx, b.table, ids)
	if err != nil {
		return err
	}
	there := make(map[string]bool, len(found))
	for _, s := range found {
		there[s.ID] = true
		delete(b.missing, s.ID)
	}
	tx.Found = append(tx.Found, found...)
	for _, id := range ids {
		if there[id] {
			continue
		}
		if since, twice := b.missing[id]; twice {
			delete(b.missing, id)
			tx.Missing = append(tx.Missing, capture.Absence{Table: b.cfg.Table, ID: id, From: since, To: tx.At})
			continue
		}
		b.missing[id] = b.last
	}
	return nil
}

// earlier gives some rows that the Shadow has, in turn: each look until all had their turn once, then now and then.
func (b *bench) earlier() ([]string, error) {
	b.round++
	if b.swept && b.round%earlierEvery != 0 {
		return nil, nil
	}
	ids, err := b.cfg.Shadow.ShadowIDs(b.cfg.Table.Collection(), b.after, earlier)
	if err != nil {
		return nil, err
	}
	if len(ids) < earlier {
		b.after, b.swept = "", true
	} else {
		b.after = ids[len(ids)-1]
	}
	return ids, nil
}
