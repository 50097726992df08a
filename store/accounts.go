package store

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"station-agent/store/record"
)

const (
	accountsAtOnce = 5000    // records whose receipts and answers are looked for in one reading of the commits behind them
	accountsBytes  = 4 << 20 // of payload
)

// errTurned says that old records went while somebody read them.
var errTurned = errors.New("the store let old records go meanwhile: ask again")

// Accounts gives f all that is known of each record that want wants, in the order of their sequences but for the few that were
// carried on, which come first. Memory is bounded by some thousand records, however many there are. What can't be read is passed
// over: Losses tells. What was exported and let go is told by ExportedAccounts, which gives behind; 0 if nobody asked it.
func (d *DB) Accounts(behind uint64, want func(*record.Record) bool, f func(*record.Account) error) error {
	d.mu.Lock()
	moved := slices.Clone(d.state.Carried)
	d.mu.Unlock()
	if kept := d.firstKept(); behind == 0 {
		behind = kept
	} else if kept != behind {
		return errTurned
	}
	b := d.newBatch(f)
	if err := d.carriedAccounts(moved, want, b); err != nil {
		return err
	}
	err := d.log.each(0, true, func(c *commit) error {
		if len(c.Carried) > 0 {
			return nil
		}
		for i := range c.records {
			seq := c.first + uint64(i)
			if isMoved(moved, seq) || !want(&c.records[i].Record) {
				continue
			}
			if err := b.add(seq, &c.records[i], c.At, c.number); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = b.end()
	}
	if err == nil && d.firstKept() != behind {
		err = errTurned
	}
	return err
}

// firstKept is the sequence from which on all records are in the store; of those before it some were carried on.
func (d *DB) firstKept() uint64 {
	d.log.mu.Lock()
	defer d.log.mu.Unlock()
	return d.log.files[0].first.First
}

func isMoved(moved []carried, seq uint64) bool {
	return slices.ContainsFunc(moved, func(m carried) bool { return m.First <= seq && seq <= m.Last })
}

// carriedAccounts adds the records that were written once more, whose first file is gone or is about to go.
func (d *DB) carriedAccounts(moved []carried, want func(*record.Record) bool, b *accountBatch) error {
	sort.Slice(moved, func(i, j int) bool { return moved[i].First < moved[j].First })
	for _, m := range moved {
		for seq := m.First; seq <= m.Last; seq++ {
			r, err := d.record(seq)
			if errors.Is(err, ErrDamaged) && record.ClassOf(err) != record.StopHere {
				continue
			}
			if err != nil {
				return err
			}
			if !want(&r.Record) {
				continue
			}
			if err := b.add(seq, r, m.At, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// accountBatch gathers records, then looks for what became of them all at once.
type accountBatch struct {
	d     *DB
	f     func(*record.Account) error
	list  []*accounted
	of    map[uint64]*accounted
	bytes int
	from  uint64 // the first commit that can tell of them
}

// accounted is an account that is being put together. Texts are shortened as in the log.
type accounted struct {
	record.Account
	stored, accepted, answered, refused record.Stamp
	end                                 record.Fate // "" if it goes on
}

func (d *DB) newBatch(f func(*record.Account) error) *accountBatch {
	return &accountBatch{d: d, f: f, of: map[uint64]*accounted{}}
}

func (b *accountBatch) add(seq uint64, r *stored, at record.Stamp, number uint64) error {
	if len(b.list) == 0 || number < b.from {
		b.from = number
	}
	a := &accounted{Account: record.Account{Seq: seq, Record: r.Record, Scan: r.Scan}, stored: at}
	b.list, b.of[seq] = append(b.list, a), a
	if b.bytes += len(r.Payload); len(b.list) < accountsAtOnce && b.bytes < accountsBytes {
		return nil
	}
	return b.end()
}

// end gives all that were gathered to f.
func (b *accountBatch) end() error {
	if len(b.list) == 0 {
		return nil
	}
	d := b.d
	d.mu.Lock()
	rs, letters, now := slices.Clone(d.state.Runs), slices.Clone(d.state.Refused), d.cfg.now()
	d.mu.Unlock()
	if err := d.Flush(); err != nil { // what led to that state has to be in the commits that are read now
		return err
	}
	clock := clocks{}
	clock.note(now)
	if err := b.follow(clock); err != nil {
		return err
	}
	for _, l := range letters {
		if a := b.of[l.Seq]; a != nil {
			a.Refusal, a.refused = l.Text, l.At
		}
	}
	for _, a := range b.list {
		r, ok := rs.at(a.Seq)
		a.conclude(r, ok, clock)
		if err := b.f(&a.Account); err != nil {
			return err
		}
	}
	b.list, b.of, b.bytes = nil, map[uint64]*accounted{}, 0
	return nil
}

// follow reads what became of the records, until all of them have come to an end.
func (b *accountBatch) follow(clock clocks) error {
	left := len(b.list)
	ends := func(a *accounted, as record.Fate) {
		if a.end == "" {
			left--
		}
		a.end = as
	}
	err := b.d.log.each(b.from, false, func(c *commit) error {
		clock.note(c.At)
		for i := range c.accepted {
			if a := b.of[c.accepted[i].seq]; a != nil && a.Receipt == nil {
				receipt := c.accepted[i].receipt
				a.Receipt = &receipt
				if len(c.Carried) == 0 { // else it was accepted before, and nobody knows when
					a.accepted = c.At
				}
			}
		}
		for i := range c.looked {
			if a := b.of[c.looked[i].seq]; a != nil && a.end == "" {
				a.look(&c.looked[i], c.At)
				if c.looked[i].state.Ends() {
					ends(a, record.Fate(c.looked[i].state))
				}
			}
		}
		for _, gone := range []struct {
			spans []span
			as    record.Fate
		}{{c.Dropped, record.Dropped}, {c.Lost, record.Lost}, {c.Passed, record.Passed}} {
			for _, s := range gone.spans {
				for _, a := range b.list {
					if s.First <= a.Seq && a.Seq <= s.Last {
						ends(a, gone.as)
					}
				}
			}
		}
		if left == 0 {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func (a *accounted) look(l *look, at record.Stamp) {
	if len(l.answer) > 0 {
		a.Answer, a.answered = l.answer, at
	}
}

// conclude tells how a record stands, by what became of it and by the run that it was in before that was read.
func (a *accounted) conclude(r run, known bool, clock clocks) {
	if a.Receipt != nil {
		m := markOf(&a.Record)
		a.Receipt.Hash = string(expand([]byte(a.Receipt.Hash), m))
		if len(a.Answer) > 0 {
			a.Answer = expand(a.Answer, m.with(a.Receipt.Hash))
		}
	}
	switch {
	case a.end != "":
		a.Fate = a.end
	case !known:
		a.Fate = record.Lost
	case r.As == declined:
		a.Fate = record.DeadLetter
	case r.As.ledger():
		a.Fate = record.Fate(r.As.anchoring())
		if a.accepted == (record.Stamp{}) {
			a.accepted = r.Since
		}
	default:
		a.Fate = record.Waits
	}
	if a.Fate == record.Waits || a.Fate == record.DeadLetter { // accepted while it was being read: that is for the next time
		a.Receipt, a.accepted, a.Answer, a.answered = nil, record.Stamp{}, nil, record.Stamp{}
	}
	if a.Fate != record.DeadLetter {
		a.Refusal, a.refused = "", record.Stamp{}
	}
	a.Stored, a.Accepted = clock.date(a.stored).Moment(), clock.date(a.accepted).Moment()
	a.Answered, a.Refused = clock.date(a.answered).Moment(), clock.date(a.refused).Moment()
}

// ExportedAccounts is Accounts for what lies in files of the export folder and not in the store any more. Whether the clock was
// trusted doesn't stand there. All records from behind on are in the store, which Accounts holds.
func (d *DB) ExportedAccounts(want func(*record.Record) bool, f func(*record.Account) error) (behind uint64, err error) {
	behind = d.firstKept()
	if d.cfg.exportDir == "" {
		return behind, nil
	}
	if _, err := os.Stat(d.cfg.exportDir); err != nil {
		return behind, fmt.Errorf("read exported evidence: %w", err)
	}
	paths, err := filepath.Glob(filepath.Join(d.cfg.exportDir, "evidence-"+d.cfg.id+"-*.ndjson.gz"))
	if err != nil {
		return behind, err
	}
	d.mu.Lock()
	moved := slices.Clone(d.state.Carried)
	d.mu.Unlock()
	slices.Sort(paths)
	given := map[uint64]bool{} // a record that was carried may stand in two files
	for _, path := range paths {
		err := readExported(path, func(e *Evidence) error {
			if e.Seq >= behind || isMoved(moved, e.Seq) || given[e.Seq] || !want(&e.Record) {
				return nil
			}
			given[e.Seq] = true
			return f(e.account())
		})
		if err != nil {
			return behind, fmt.Errorf("read exported evidence %s: %w", path, err)
		}
	}
	return behind, nil
}

func readExported(path string, f func(*Evidence) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	zip, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return err
	}
	for dec := json.NewDecoder(zip); ; {
		var e Evidence
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := f(&e); err != nil {
			return err
		}
	}
}

// account is what evidence tells. Whether the clock was trusted doesn't stand in it.
func (e *Evidence) account() *record.Account {
	receipt := e.Receipt
	a := &record.Account{Seq: e.Seq, Record: e.Record, Fate: record.Fate(e.State), Scan: e.Scan, Receipt: &receipt,
		Stored: record.Moment{Clock: "unknown"}, Accepted: record.Moment{At: e.Since.UTC(), Clock: "unknown"},
		Answered: record.Moment{Clock: "unknown"}, Refused: record.Moment{Clock: "unknown"}}
	if string(e.Answer) != "null" && len(e.Answer) > 0 {
		a.Answer, a.Answered.At = e.Answer, e.At.UTC()
	}
	return a
}
