package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

// log is a journal in memory.
type log struct {
	entries []record.Entry
	state   record.State
	fail    error // of the next Follow
}

func (l *log) Seq() uint64 { return l.state.Seq }

func (l *log) Follow(s *record.State, after uint64, f func(record.Entry, *record.State) error) error {
	for _, e := range l.entries {
		if e.Seq <= s.Seq {
			continue
		}
		if e.Seq > after {
			if err := f(e, s); err != nil {
				return err
			}
		}
		s.Apply(e)
	}
	err := l.fail
	l.fail = nil
	return err
}

// box is an outbox in memory.
type box struct {
	position record.Position
	records  []record.Record
	shadow   map[string]record.ShadowRow
	puts     int
	fail     error
}

func (b *box) Position() (record.Position, error) { return b.position, nil }
func (b *box) Flush() error                       { return nil }

func (b *box) Put(g record.Group) error {
	if b.fail != nil {
		return b.fail
	}
	b.puts++
	if !g.Position.Zero() {
		b.position = g.Position
	}
	b.records = append(b.records, g.Records...)
	for _, r := range g.Shadow {
		if r.Gone {
			delete(b.shadow, r.ID)
		} else {
			b.shadow[r.ID] = r
		}
	}
	return nil
}

func (b *box) Shadow(_ string, ids []string) (map[string]record.ShadowRow, error) {
	rows := map[string]record.ShadowRow{}
	for _, id := range ids {
		if r, ok := b.shadow[id]; ok {
			rows[id] = r
		}
	}
	return rows, nil
}

func (b *box) ShadowIDs(_, after string, n int) (ids []string, err error) {
	for _, id := range slices.Sorted(maps.Keys(b.shadow)) {
		if id > after && len(ids) < n {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// trouble keeps what it was told last.
type trouble struct{ err error }

func (t *trouble) Lost(err error) { t.err = err }
func (t *trouble) Back()          { t.err = nil }

// bench writes journals as the real one does, in a few words.
type bench struct {
	t *testing.T
	*Maker
	log  *log
	box  *box
	now  record.Stamp
	seen int
}

const station = "st-1"

func newBench(t *testing.T) *bench {
	b := &bench{t: t, log: &log{}, box: &box{shadow: map[string]record.ShadowRow{}},
		now: record.Stamp{Boot: "b", Mono: time.Hour, Wall: time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC), Trusted: true}}
	b.write(record.Entry{Clock: true})
	b.restart()
	b.step()
	return b
}

func (b *bench) restart() {
	b.Maker = New(Config{Database: "external", Station: station, Store: "store-1", Wait: 10 * time.Minute, Keep: 30 * 24 * time.Hour,
		Now: func() record.Stamp { return b.now }}, b.log, b.box, &trouble{})
}

func (b *bench) pass(d time.Duration) {
	b.now.Mono += d
	b.now.Wall = b.now.Wall.Add(d)
}

func (b *bench) write(e record.Entry) record.Entry {
	b.pass(time.Second)
	e.Seq, e.At = b.log.state.Seq+1, b.now
	for n := range e.Intents {
		i := &e.Intents[n]
		i.ID = b.log.state.Intent + uint64(n) + 1
		if i.Scan == 0 {
			i.Scan = e.Seq
		}
	}
	b.log.entries = append(b.log.entries, e)
	b.log.state.Apply(e)
	return e
}

// want is an intent: "a:P" puts a in, "a:P->" takes it out, "a:P->Q" moves it.
func want(text string) record.Intent {
	hash, move, _ := strings.Cut(text, ":")
	value := func(s string) record.Value {
		if s == "" {
			return nil
		}
		return record.Package(s)
	}
	if from, to, ok := strings.Cut(move, "->"); ok {
		return record.Intent{Hash: hash, Package: value(to), Replaces: []record.Value{value(from)}}
	}
	return record.Intent{Hash: hash, Package: value(move), Replaces: []record.Value{nil}}
}

// scan is a step: the label it concerned, the session afterwards (package and items), and the intents.
func (b *bench) scan(step record.Step, label, after string, intents ...string) record.Entry {
	fields := strings.Fields(after)
	s := record.Session{Badge: b.log.state.Session.Badge}
	for n, f := range fields {
		if n == 0 {
			s.Package = strings.TrimSuffix(f, "-")
			continue
		}
		if kept := strings.TrimPrefix(f, "+"); kept != f { // was in there when it was opened again
			f, s.Kept = kept, n
		}
		s.Items = append(s.Items, record.Packed{Hash: f})
	}
	e := record.Entry{Scan: &record.Scan{Tag: record.Tag{Code: "code"}, Verdict: record.Accepted, Step: step, Package: label}, Session: &s}
	for _, i := range intents {
		e.Intents = append(e.Intents, want(i))
	}
	if step == record.Added {
		e.Scan.Hash = fields[len(fields)-1]
	}
	return b.write(e)
}

// pack opens a package, adds items and closes it.
func (b *bench) pack(label string, hashes ...string) record.Entry {
	b.scan(record.Opened, label, label)
	b.add(label, nil, hashes...)
	return b.scan(record.Closed, label, "")
}

// add adds items to the open package, which holds some.
func (b *bench) add(label string, holds []string, hashes ...string) {
	for n, h := range hashes {
		held := strings.Join(append(append([]string{label}, holds...), hashes[:n+1]...), " ")
		b.scan(record.Added, label, held, h+":"+label)
	}
}

// settle ends every intent that is open, or those of some rows.
func (b *bench) settle(result record.Result, hashes ...string) {
	for _, i := range slices.Clone(b.log.state.Open) {
		if len(hashes) == 0 || slices.Contains(hashes, i.Hash) {
			b.write(record.Entry{Outcome: &record.Outcome{Intent: i.ID, Result: result}})
		}
	}
}

func (b *bench) step() {
	b.t.Helper()
	if err := b.Step(); err != nil {
		b.t.Fatal(err)
	}
}

// made makes what can be made and wants these manifests since the last time, each "package: hashes / open / conflict".
func (b *bench) made(want ...string) (list []Manifest) {
	b.t.Helper()
	b.step()
	var got []string
	for _, r := range b.box.records[b.seen:] {
		var m Manifest
		if err := json.Unmarshal(r.Payload, &m); err != nil {
			b.t.Fatal(err)
		}
		list = append(list, m)
		got = append(got, short(m))
	}
	b.seen = len(b.box.records)
	if !slices.Equal(got, want) {
		b.t.Errorf("made %q, want %q", got, want)
	}
	return list
}

func short(m Manifest) string {
	text := m.Package + ":"
	for _, h := range m.Hashes {
		text += " " + h
	}
	for _, part := range [][]Item{m.Open, m.Conflict} {
		text += " /"
		for _, i := range part {
			text += " " + i.Hash + map[bool]string{true: "-out"}[i.Out]
			if i.Ended != "" {
				text += fmt.Sprintf("(%s)", i.Ended)
			}
		}
	}
	return strings.TrimRight(text, " /")
}

var errFull = errors.New("the store is full")
