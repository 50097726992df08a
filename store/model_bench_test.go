package store

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"station-agent/store/record"
)

// benchModel is a bench and what a store must know of the labels that were used there.
type benchModel struct {
	open    string // "" if none is
	labels  map[string]*record.Use
	intents []record.Intent // that have no outcome yet, with their ids
	next    uint64
	at      record.Stamp
}

func newBenchModel() benchModel {
	return benchModel{labels: map[string]*record.Use{}, next: 1, at: testNow()}
}

func (b *benchModel) label(r *rand.Rand) string { return fmt.Sprintf("PKG-%02d", r.IntN(14)) }
func (b *benchModel) hash(r *rand.Rand) string  { return fmt.Sprintf("%032x", r.IntN(30)*7777777) }

// used notes a step on a label.
func (b *benchModel) used(label string) *record.Use {
	if b.labels[label] == nil {
		b.labels[label] = &record.Use{Package: label}
	}
	b.labels[label].At = b.at
	return b.labels[label]
}

// holder finds the label that holds an item.
func (b *benchModel) holder(hash string) string {
	for label, u := range b.labels {
		if slices.ContainsFunc(u.Items, func(p record.Packed) bool { return p.Hash == hash }) {
			return label
		}
	}
	return ""
}

func (b *benchModel) take(label, hash string) {
	if u := b.labels[label]; u != nil {
		u.Items = slices.DeleteFunc(slices.Clone(u.Items), func(p record.Packed) bool { return p.Hash == hash })
	}
}

// append takes a scan into the journal, with the session that it leaves.
func (b *benchModel) append(t *testing.T, j *Journal, step record.Step, label string, s *record.Session, intents ...record.Intent) {
	t.Helper()
	mustAppend(t, j, record.Entry{At: b.at, Scan: &record.Scan{Step: step, Package: label}, Session: s, Intents: intents})
	for _, i := range intents {
		i.ID = b.next
		b.next++
		b.intents = append(b.intents, i)
	}
}

// session is what is open, as the journal is told.
func (b *benchModel) session() *record.Session {
	s := &record.Session{Package: b.open}
	if b.open != "" {
		s.Items = slices.Clone(b.labels[b.open].Items)
	}
	return s
}

// step does one random thing at the bench.
func (b *benchModel) step(t *testing.T, r *rand.Rand, j *Journal, n int) {
	t.Helper()
	b.at.Mono = time.Duration(n) * time.Second
	switch what := r.IntN(10); {
	case what == 0 || b.open == "" && what < 6:
		b.begin(t, r, j)
	case what < 5:
		b.add(t, r, j)
	case what < 6:
		b.remove(t, r, j)
	case what < 7:
		b.clear(t, r, j)
	case what < 8:
		b.assign(t, r, j)
	default:
		b.end(t, r, j)
	}
}

// begin opens a package, closing the open one, or closes it; now and then that is undone at once.
func (b *benchModel) begin(t *testing.T, r *rand.Rand, j *Journal) {
	before, label := b.open, b.label(r)
	if label == before {
		b.open = ""
		b.used(label)
		b.append(t, j, record.Closed, label, b.session())
		return
	}
	step := record.Opened
	if b.labels[label] != nil {
		step = record.Reopened
	}
	b.used(label)
	b.open = label
	s := b.session()
	if before != "" {
		s.Undo = &record.Undoable{Step: step, Package: before}
		b.used(before)
	}
	b.append(t, j, step, label, s)
	if r.IntN(3) > 0 {
		return
	}
	if b.open = before; len(b.labels[label].Items) == 0 {
		delete(b.labels, label)
	}
	b.append(t, j, record.Undone, label, b.session())
}

// add puts an item into the open package, wherever it was.
func (b *benchModel) add(t *testing.T, r *rand.Rand, j *Journal) {
	hash := b.hash(r)
	from := b.holder(hash)
	i := into(b.open, hash)
	p := record.Packed{Hash: hash}
	switch {
	case from == b.open:
		b.used(from)
		b.append(t, j, record.Added, b.open, nil, i)
		return
	case from != "":
		i.Replaces, p.Was = append(i.Replaces, &from), &from
	case r.IntN(3) == 0:
		p.Was = record.Package("elsewhere")
		i.Replaces = append(i.Replaces, p.Was)
	}
	b.take(from, hash)
	u := b.used(b.open)
	u.Items = append(u.Items, p)
	b.append(t, j, record.Added, b.open, b.session(), i)
}

func (b *benchModel) remove(t *testing.T, r *rand.Rand, j *Journal) {
	u := b.labels[b.open]
	if len(u.Items) == 0 {
		return
	}
	b.used(b.open)
	hash := u.Items[r.IntN(len(u.Items))].Hash
	b.take(b.open, hash)
	b.append(t, j, record.Removed, b.open, b.session(), out(hash, b.open))
}

// clear takes all items but some out of a label that isn't open.
func (b *benchModel) clear(t *testing.T, r *rand.Rand, j *Journal) {
	label := b.label(r)
	if label == b.open || b.labels[label] == nil {
		return
	}
	var intents []record.Intent
	for _, p := range b.used(label).Items {
		if r.IntN(4) > 0 {
			b.take(label, p.Hash)
			intents = append(intents, out(p.Hash, label))
		}
	}
	b.append(t, j, record.Cleared, label, nil, intents...)
}

// assign puts items that were gathered into a label that is closed with that; without a package they have what they held.
func (b *benchModel) assign(t *testing.T, r *rand.Rand, j *Journal) {
	label := b.label(r)
	if b.open != "" {
		return
	}
	s := &record.Session{}
	var intents []record.Intent
	for range r.IntN(4) {
		hash := b.hash(r)
		if b.holder(hash) != "" || slices.ContainsFunc(s.Items, func(p record.Packed) bool { return p.Hash == hash }) {
			continue
		}
		s.Items = append(s.Items, record.Packed{Hash: hash, Was: record.Package("gathered")})
		b.append(t, j, record.Added, "", s)
		intents = append(intents, into(label, hash, "gathered"))
	}
	u := b.used(label)
	u.Items = append(u.Items, s.Items...)
	b.append(t, j, record.Assigned, label, &record.Session{}, intents...)
}

// end tells how some intents ended.
func (b *benchModel) end(t *testing.T, r *rand.Rand, j *Journal) {
	for len(b.intents) > 0 && r.IntN(5) > 0 {
		n := r.IntN(len(b.intents))
		i := b.intents[n]
		b.intents = slices.Delete(b.intents, n, n+1)
		result := []record.Result{record.Settled, record.Settled, record.SameValue, record.Superseded, record.Refused, record.OtherValue, record.NoSuchRow}[r.IntN(7)]
		again := slices.ContainsFunc(b.intents, func(o record.Intent) bool {
			return o.ID > i.ID && o.Hash == i.Hash && record.Same(o.Package, i.Package)
		})
		if i.Package != nil && !again && result.Parks() {
			b.take(*i.Package, i.Hash)
		}
		ok(t, j.Settle(record.Outcome{Intent: i.ID, Result: result}))
	}
}

// check compares what is known of every label.
func (b *benchModel) check(t *testing.T, s *Store) {
	t.Helper()
	for n := range 15 {
		label := fmt.Sprintf("PKG-%02d", n)
		got, known := s.Use(label)
		want := b.labels[label]
		if known != (want != nil) {
			t.Fatalf("%s: known %v, want %+v", label, known, want)
		}
		if known && (!slices.EqualFunc(got.Items, want.Items, func(a, b record.Packed) bool { return reflect.DeepEqual(a, b) }) || got.At != want.At || got.Package != label) {
			t.Fatalf("%+v\nwant %+v", got, want)
		}
	}
}
