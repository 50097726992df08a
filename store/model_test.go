package store

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

// model is what a DB must be, kept in maps.
type model struct {
	position record.Position
	next     uint64
	passed   uint64
	records  map[uint64]record.Record
	as       map[uint64]standing
	receipts map[uint64]record.Receipt
	refusals map[uint64]string
	answers  map[uint64]string // of what is anchored
	shadow   map[string]record.ShadowRow
	bench    benchModel
}

func newModel() *model {
	return &model{next: 1, bench: newBenchModel(), records: map[uint64]record.Record{}, as: map[uint64]standing{}, receipts: map[uint64]record.Receipt{},
		refusals: map[uint64]string{}, answers: map[uint64]string{}, shadow: map[string]record.ShadowRow{}}
}

func (m *model) standing(as standing) (seqs []uint64) {
	for seq, is := range m.as {
		if is == as {
			seqs = append(seqs, seq)
		}
	}
	slices.Sort(seqs)
	return seqs
}

// queued is the outbox in order: changes, then what was found.
func (m *model) queued() []uint64 { return append(m.standing(waits), m.standing(found)...) }

// newer tells whether a later record of the row of a found state stands otherwise than refused: any, or changes alone.
func (m *model) newer(seq uint64, changes bool) bool {
	r := m.records[seq]
	for later := seq + 1; later < m.next; later++ {
		l := m.records[later]
		if l.ID == r.ID && l.Collection == r.Collection && m.as[later] != declined && (!changes || !l.Found()) {
			return true
		}
	}
	return false
}

// pass lets those found states go that the store has let go, and demands that it had a reason, and used each.
func (m *model) pass(t *testing.T, got []record.Queued) {
	t.Helper()
	kept := map[uint64]bool{}
	for _, q := range got {
		kept[q.Seq] = true
	}
	for _, seq := range m.standing(found) {
		switch {
		case kept[seq] && m.newer(seq, true):
			t.Fatalf("record %d is to be sent though a newer change of its row is there", seq)
		case !kept[seq] && !m.newer(seq, false):
			t.Fatalf("record %d is gone and nothing newer is there", seq)
		case !kept[seq]:
			delete(m.as, seq)
			m.passed++
		}
	}
}

// step does one random thing to the store and to the model.
func (m *model) step(t *testing.T, r *rand.Rand, d *DB, n int) {
	t.Helper()
	switch waiting, unproven, dead := m.queued(), m.standing(accepted), m.standing(declined); r.IntN(9) {
	case 0, 1, 2:
		m.put(t, r, d, n)
	case 3, 4:
		m.settle(t, r, d, waiting)
	case 5, 6:
		m.look(t, r, d, append(unproven, m.standing(mismatch)...))
	case 7:
		if len(dead) > 0 {
			seq := dead[r.IntN(len(dead))]
			if r.IntN(2) == 0 {
				_, err := d.Retry(seq)
				ok(t, err)
				m.as[seq] = waits
			} else {
				_, err := d.Drop(seq)
				ok(t, err)
				delete(m.as, seq)
			}
		}
	case 8:
		p := record.Position{GTID: fmt.Sprintf("0-1-%d", 1000000+n)}
		ok(t, d.Put(record.Group{Position: p}))
		m.position = p
	}
}

func (m *model) put(t *testing.T, r *rand.Rand, d *DB, n int) {
	g := record.Group{Position: record.Position{File: "binlog.000001", Pos: uint64(n)}}
	for i := range r.IntN(30) {
		id := fmt.Sprintf("%032x", r.IntN(40)*7777777)
		if r.IntN(10) == 0 {
			id = fmt.Sprintf("item %d", r.IntN(9))
		}
		rec := record.Record{Database: "external", Collection: []string{"a", "b"}[r.IntN(2)], ID: id, Version: fmt.Sprint(1770000000000000 + int64(n*1000+i)),
			Op: []record.Op{record.Insert, record.Update, record.Delete}[r.IntN(3)], At: time.UnixMicro(1770000000000000 + int64(n)).UTC(),
			Key: fmt.Sprintf("%c:0-1-%d/0/%d", "bbbs"[r.IntN(4)], n, i), Payload: json.RawMessage(fmt.Sprintf(`{"hash":%q,"n":%d,"x":"\u0001%c"}`, id, n, rune(1+r.IntN(40))))}
		g.Records = append(g.Records, rec)
		if r.IntN(5) == 0 {
			continue
		}
		row := record.ShadowRow{Collection: rec.Collection, ID: rec.ID, Version: rec.Version, Payload: rec.Payload, Gone: rec.Op == record.Delete}
		if r.IntN(4) == 0 {
			row.Left = time.Unix(int64(1770000000+n), 0).UTC()
		}
		if r.IntN(9) == 0 {
			row.Payload = json.RawMessage(`{"another":1}`)
		}
		g.Shadow = slices.DeleteFunc(g.Shadow, func(s record.ShadowRow) bool { return s.Collection == row.Collection && s.ID == row.ID })
		g.Shadow = append(g.Shadow, row)
	}
	ok(t, d.Put(g))
	m.position = g.Position
	for _, rec := range g.Records {
		if m.records[m.next], m.as[m.next] = rec, waits; rec.Found() {
			m.as[m.next] = found
		}
		m.next++
	}
	for _, row := range g.Shadow {
		key := shadowKey(row.Collection, row.ID)
		if m.shadow[key] = row; row.Gone {
			delete(m.shadow, key)
		}
	}
}

func (m *model) settle(t *testing.T, r *rand.Rand, d *DB, waiting []uint64) {
	var out []record.Delivery
	for _, seq := range waiting {
		rec := m.records[seq]
		switch r.IntN(4) {
		case 0, 1:
			receipt := record.Receipt{Hash: "0x" + markOf(&rec).sum, AcceptedAt: time.UnixMilli(1770000000000 + int64(seq)).UTC(), Replayed: seq%7 == 0, Snapshot: "s"}
			if r.IntN(3) == 0 {
				receipt.Hash = []string{fmt.Sprintf("unlike %d \x02", seq), fmt.Sprintf("sha256:%064x", seq*77777777777)}[seq%2]
			}
			out = append(out, record.Delivery{Seq: seq, Receipt: &receipt})
			m.as[seq], m.receipts[seq] = accepted, receipt
		case 2:
			if r.IntN(5) == 0 {
				m.refusals[seq] = fmt.Sprintf("no %d", seq)
				out = append(out, record.Delivery{Seq: seq, Refusal: m.refusals[seq]})
				m.as[seq] = declined
			}
		}
	}
	ok(t, d.Settle(out))
}

func (m *model) look(t *testing.T, r *rand.Rand, d *DB, unproven []uint64) {
	var looks []record.Look
	for _, seq := range unproven {
		rec := m.records[seq]
		l := record.Look{Seq: seq, Due: testNow().Wall.Add(time.Hour), Answer: fmt.Appendf(nil, `{"id":%q, "sum":"%s","hash":%q,"seq":%d}`, rec.ID, markOf(&rec).sum, m.receipts[seq].Hash, seq%3)}
		switch r.IntN(5) {
		case 0, 1:
			l.State = record.Anchored
			m.answers[seq] = string(l.Answer)
			delete(m.as, seq)
		case 2:
			l.State, m.as[seq] = record.Mismatch, mismatch
		case 3:
			l.State, m.as[seq] = record.Pending, accepted
		default:
			continue
		}
		looks = append(looks, l)
	}
	ok(t, d.Look(looks))
}

// check compares all that can be seen.
func (m *model) check(t *testing.T, d *DB) {
	t.Helper()
	if p, err := d.Position(); err != nil || p != m.position {
		t.Fatalf("position %v, want %v, %v", p, m.position, err)
	}
	outbox := head(t, d)
	m.pass(t, outbox)
	m.sameSeqs(t, "outbox", m.queued(), outbox)
	var letters []record.Queued
	ok(t, d.DeadLetters(func(l DeadLetter) error {
		if l.Refusal != m.refusals[l.Seq] {
			t.Fatalf("refusal of %d: %q", l.Seq, l.Refusal)
		}
		letters = append(letters, l.Queued)
		return nil
	}))
	m.sameSeqs(t, "dead letters", m.standing(declined), letters)
	due, _, err := d.Due(testNow().Wall.AddDate(1, 0, 0), 1<<20)
	ok(t, err)
	var unproven []record.Queued
	for _, u := range due {
		if u.Receipt != m.receipts[u.Seq] {
			t.Fatalf("receipt of %d: %+v, want %+v", u.Seq, u.Receipt, m.receipts[u.Seq])
		}
		unproven = append(unproven, record.Queued{Seq: u.Seq, Record: u.Record})
	}
	slices.SortFunc(unproven, func(a, b record.Queued) int { return int(a.Seq) - int(b.Seq) })
	both := append(m.standing(accepted), m.standing(mismatch)...)
	slices.Sort(both)
	m.sameSeqs(t, "ledger", both, unproven)
	m.checkShadow(t, d)
	st := d.Stats()
	bytes := 0
	for _, seq := range m.queued() {
		bytes += len(m.records[seq].Payload)
	}
	if st.QueueRecords != len(m.queued()) || st.QueueHistory != len(m.standing(found)) || st.Passed != m.passed || st.QueueBytes != int64(bytes) || st.Unanchored != len(both) || st.DeadLetters != len(letters) ||
		st.Mismatches != len(m.standing(mismatch)) || st.Anchored != uint64(len(m.answers)) || st.Lost != 0 {
		t.Fatalf("%+v", st)
	}
}

func (m *model) sameSeqs(t *testing.T, what string, want []uint64, got []record.Queued) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%s: %d records, want %d", what, len(got), len(want))
	}
	for i, q := range got {
		if q.Seq != want[i] || !reflect.DeepEqual(q.Record, m.records[q.Seq]) {
			t.Fatalf("%s: %+v\nwant %d %+v", what, q, want[i], m.records[q.Seq])
		}
	}
}

func (m *model) checkShadow(t *testing.T, d *DB) {
	t.Helper()
	n := 0
	for _, collection := range []string{"a", "b"} {
		var ids []string
		ok(t, d.ShadowAll(collection, func(r record.ShadowRow) error {
			if want := m.shadow[shadowKey(r.Collection, r.ID)]; !reflect.DeepEqual(r, want) {
				t.Fatalf("shadow %+v\nwant %+v", r, want)
			}
			ids = append(ids, r.ID)
			return nil
		}))
		if !slices.IsSorted(ids) {
			t.Fatal("not in order", ids)
		}
		n += len(ids)
		rows, err := d.Shadow(collection, append(ids, "nobody"))
		ok(t, err)
		if len(rows) != len(ids) {
			t.Fatalf("%d rows by id, %d in all", len(rows), len(ids))
		}
	}
	if n != len(m.shadow) {
		t.Fatalf("%d rows, want %d", n, len(m.shadow))
	}
}

func (m *model) checkEvidence(t *testing.T, d *DB) {
	t.Helper()
	n := 0
	ok(t, d.Evidence(func(e Evidence) error {
		n++
		if !reflect.DeepEqual(e.Record, m.records[e.Seq]) || e.Receipt != m.receipts[e.Seq] || string(e.Answer) != m.answers[e.Seq] {
			t.Fatalf("evidence %+v\nwant %+v %+v %s", e, m.records[e.Seq], m.receipts[e.Seq], m.answers[e.Seq])
		}
		return nil
	}))
	if n != len(m.answers) {
		t.Fatalf("evidence of %d records, want %d", n, len(m.answers))
	}
}

// TestRandomHistories does random things, reopens at random moments, lets files go at others, and compares all with a model.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(12) {
		r, m, dir := rand.New(rand.NewPCG(seed, 0)), newModel(), t.TempDir()
		cfg := testConfig(dir, here)
		cfg.FileBytes, cfg.SegmentBytes = 48<<10, 32<<10
		open := func() *Store {
			s, err := Open(cfg)
			ok(t, err)
			return s
		}
		s := open()
		for n := range 250 {
			m.step(t, r, s.DB, n)
			m.bench.step(t, r, s.Journal, n)
			switch r.IntN(25) {
			case 0:
				ok(t, s.Close())
				s = open()
			case 1: // the copy is what a killed agent leaves, with what it wrote last
				ok(t, s.DB.Flush())
				at := filepath.Join(t.TempDir(), "copy")
				ok(t, os.CopyFS(at, os.DirFS(dir)))
				copied := cfg
				copied.Dir = at
				c, err := Open(copied)
				ok(t, err)
				as, passed := maps.Clone(m.as), m.passed
				m.check(t, c.DB)
				m.as, m.passed = as, passed
				m.bench.check(t, c)
				ok(t, c.Close())
			case 2:
				m.check(t, s.DB)
				m.bench.check(t, s)
			case 3:
				ok(t, s.DB.flushRows())
				ok(t, s.labels.fold())
			}
		}
		m.check(t, s.DB)
		m.bench.check(t, s)
		m.checkEvidence(t, s.DB)
		if len(s.DB.log.files) < 3 {
			t.Fatal("only", len(s.DB.log.files), "files")
		}
		for range 3 { // the oldest go, what is needed is carried on
			_, err := s.DB.sacrifice()
			ok(t, err)
			m.check(t, s.DB)
		}
		ok(t, s.Close())
		ok(t, os.Remove(filepath.Join(dir, labelsName)))
		s = open()
		m.check(t, s.DB)
		m.bench.check(t, s)
		ok(t, s.Close())
		for _, f := range names(t, filepath.Join(dir, recordsFolder)) {
			ok(t, Probe(filepath.Join(dir, recordsFolder, f)))
		}
	}
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	ok(t, err)
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), temporary) {
			names = append(names, f.Name())
		}
	}
	return names
}

// sacrifice lets the oldest file go as a store without room does.
func (d *DB) sacrifice() (gone bool, err error) {
	f, next := d.oldest()
	if f == nil {
		return false, nil
	}
	return d.let(f, next, true)
}
