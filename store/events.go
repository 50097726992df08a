package store

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"station-agent/store/record"
)

// packEvents writes the JSON of c and then, in columns:
//
//	accepted: count, sequences in order, hashes, times, replayed, snapshots
//	refused:  count, sequences, texts
//	looked:   count, sequences, states, answers
//	shadow:   count, of, left times, and for complete rows: collection, id, version, gone, payload
//	runs of the state, if there is one
//
// Sequences are kept as the distance from the one before.
func packEvents(dst []byte, c *commit) ([]byte, error) {
	c.Refused = nil
	for _, r := range c.refused {
		c.Refused = append(c.Refused, r.bytes)
	}
	b, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	p := &packer{b: dst}
	p.text(b)
	slices.SortStableFunc(c.accepted, func(a, b acceptance) int { return cmp.Compare(a.seq, b.seq) })
	p.uint(uint64(len(c.accepted)))
	seqs(p, c.accepted, func(a *acceptance) uint64 { return a.seq })
	column(p, c.accepted, func(a *acceptance) string { return a.receipt.Hash })
	column(p, c.accepted, func(a *acceptance) string { return clockText(a.receipt.AcceptedAt) })
	column(p, c.accepted, func(a *acceptance) string { return again(&a.receipt) })
	column(p, c.accepted, func(a *acceptance) string { return a.receipt.Snapshot })
	p.uint(uint64(len(c.refused)))
	seqs(p, c.refused, func(r *refusal) uint64 { return r.seq })
	column(p, c.refused, func(r *refusal) string { return r.text })
	p.uint(uint64(len(c.looked)))
	seqs(p, c.looked, func(l *look) uint64 { return l.seq })
	column(p, c.looked, func(l *look) string { return string(l.state) })
	column(p, c.looked, func(l *look) string { return string(l.answer) })
	p.shadow(c.shadow)
	if c.State != nil {
		p.runs(c.State.Runs)
	}
	if len(p.b) > maxPlain {
		return nil, fmt.Errorf("the state has %d bytes: more than %d don't fit", len(p.b), maxPlain)
	}
	return p.b, nil
}

// runs writes the distances of the numbers from those of the run before.
func (p *packer) runs(rs runs) {
	p.uint(uint64(len(rs)))
	var last run
	boot := ""
	for _, r := range rs {
		p.uint(r.First - last.Last)
		p.uint(r.Last - r.First)
		p.b = append(p.b, byte(r.As))
		p.int(int64(r.In.First - last.In.First))
		p.int(int64(r.In.Number - last.In.Number))
		p.like(&boot, r.Since.Boot)
		p.int(int64(r.Since.Mono - last.Since.Mono))
		p.int(r.Since.Wall.Unix() - last.Since.Wall.Unix())
		p.uint(uint64(r.Since.Wall.Nanosecond()))
		p.uint(uint64(len(yes(r.Since.Trusted))))
		last = r
	}
}

func (u *unpacker) runs() runs {
	rs := make(runs, u.count())
	var last run
	boot := ""
	for i := range rs {
		r := &rs[i]
		r.First = last.Last + u.uint()
		r.Last = r.First + u.uint()
		if as := u.take(1); as != nil {
			r.As = standing(as[0])
		}
		r.In.First = last.In.First + uint64(u.int())
		r.In.Number = last.In.Number + uint64(u.int())
		r.Since.Boot = u.like(&boot)
		r.Since.Mono = last.Since.Mono + time.Duration(u.int())
		r.Since.Wall = time.Unix(last.Since.Wall.Unix()+u.int(), int64(u.uint()%1e9)).UTC()
		r.Since.Trusted = u.uint() > 0
		last = *r
	}
	return rs
}

func (p *packer) shadow(changes []shadowChange) {
	p.uint(uint64(len(changes)))
	last := -1
	for _, s := range changes {
		if s.of < 0 {
			p.int(0)
			continue
		}
		p.int(int64(s.of-last)*2 + 1) // odd: of a record
		last = s.of
	}
	column(p, changes, func(s *shadowChange) string { return s.left })
	for _, s := range changes {
		p.uint(uint64(len(yes(s.row.Gone))))
		if s.of >= 0 {
			continue
		}
		for _, text := range []string{s.row.Collection, s.row.ID, s.row.Version, string(s.row.Payload)} {
			p.text([]byte(text))
		}
	}
}

func unpackEvents(b []byte, c *commit) error {
	u := &unpacker{b: b}
	if err := json.Unmarshal(u.text(), c); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	c.accepted = make([]acceptance, u.count())
	unseqs(u, c.accepted, func(a *acceptance, seq uint64) { a.seq = seq })
	uncolumn(u, c.accepted, func(a *acceptance, s string) { a.receipt.Hash = s })
	uncolumn(u, c.accepted, func(a *acceptance, s string) { a.receipt.AcceptedAt = textClock(s) })
	uncolumn(u, c.accepted, func(a *acceptance, s string) { a.receipt.Replayed, a.receipt.Doubled = s == "1", s == "2" })
	uncolumn(u, c.accepted, func(a *acceptance, s string) { a.receipt.Snapshot = s })
	c.refused = make([]refusal, u.count())
	unseqs(u, c.refused, func(r *refusal, seq uint64) { r.seq = seq })
	uncolumn(u, c.refused, func(r *refusal, s string) { r.text = s })
	for i := range min(len(c.refused), len(c.Refused)) {
		c.refused[i].bytes = c.Refused[i]
	}
	c.looked = make([]look, u.count())
	unseqs(u, c.looked, func(l *look, seq uint64) { l.seq = seq })
	uncolumn(u, c.looked, func(l *look, s string) { l.state = record.Anchoring(s) })
	uncolumn(u, c.looked, func(l *look, s string) { l.answer = []byte(s) })
	c.shadow = u.shadow()
	if c.State != nil {
		c.State.Runs = u.runs()
	}
	return u.err
}

func (u *unpacker) shadow() []shadowChange {
	changes := make([]shadowChange, u.count())
	last := -1
	for i := range changes {
		changes[i].of = -1
		if d := u.int(); d != 0 {
			last += int((d - 1) / 2)
			changes[i].of = last
		}
	}
	uncolumn(u, changes, func(s *shadowChange, left string) { s.left = left })
	for i := range changes {
		s := &changes[i]
		s.row.Gone = u.uint() > 0
		if s.of >= 0 {
			continue
		}
		s.row.Collection, s.row.ID, s.row.Version = string(u.text()), string(u.text()), string(u.text())
		s.row.Payload = bytes.Clone(u.text())
	}
	return changes
}

// clockText is empty for the zero time.
func clockText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func textClock(s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	t, _ := time.Parse(time.RFC3339Nano, s) // zero for what isn't one
	return t
}

// again tells what is known of an earlier post of a record.
func again(r *record.Receipt) string {
	if r.Doubled && !r.Replayed {
		return "2"
	}
	return yes(r.Replayed)
}

func yes(b bool) string {
	if b {
		return "1"
	}
	return ""
}

func seqs[T any](p *packer, list []T, of func(*T) uint64) {
	var last uint64
	for i := range list {
		seq := of(&list[i])
		p.int(int64(seq - last))
		last = seq
	}
}

func unseqs[T any](u *unpacker, list []T, into func(*T, uint64)) {
	var last uint64
	for i := range list {
		last += uint64(u.int())
		into(&list[i], last)
	}
}

func column[T any](p *packer, list []T, of func(*T) string) {
	last := ""
	for i := range list {
		p.like(&last, of(&list[i]))
	}
}

func uncolumn[T any](u *unpacker, list []T, into func(*T, string)) {
	last := ""
	for i := range list {
		into(&list[i], u.like(&last))
	}
}
