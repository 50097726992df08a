package store

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

// says writes what is known of a label in short: its items with the values they had, and the second of its stamp.
func says(u record.Use, known bool) string {
	if !known {
		return "unknown"
	}
	var items []string
	for _, i := range u.Items {
		if i.Was != nil {
			i.Hash += "<" + *i.Was
		}
		items = append(items, i.Hash)
	}
	return fmt.Sprintf("[%s]@%d", strings.Join(items, " "), u.At.Mono/time.Second)
}

// packing makes entries as the bench does, each a second after the one before.
type packing struct {
	entries []record.Entry
	intent  uint64
}

func (p *packing) at() record.Stamp {
	at := testNow()
	at.Mono = time.Duration(len(p.entries)+1) * time.Second
	return at
}

// scan adds a scan with the session that it leaves (nil: as it was) and its intents.
func (p *packing) scan(step record.Step, label string, s *record.Session, intents ...record.Intent) {
	p.entries = append(p.entries, record.Entry{At: p.at(), Scan: &record.Scan{Step: step, Package: label}, Session: s, Intents: intents})
	p.intent += uint64(len(intents))
}

// ends adds the outcome of the last intent.
func (p *packing) ends(r record.Result) {
	p.entries = append(p.entries, record.Entry{At: p.at(), Outcome: &record.Outcome{Intent: p.intent, Result: r}})
}

func opened(label string, items ...record.Packed) *record.Session {
	return &record.Session{Package: label, Items: items}
}

func item(hash string, was ...string) record.Packed {
	if len(was) > 0 {
		return record.Packed{Hash: hash, Was: &was[0]}
	}
	return record.Packed{Hash: hash}
}

// into wants an item in a package that holds one of these values or none.
func into(label, hash string, replaces ...string) record.Intent {
	i := record.Intent{Hash: hash, Package: &label, Replaces: []record.Value{nil}}
	for _, r := range replaces {
		i.Replaces = append(i.Replaces, &r)
	}
	return i
}

// out wants an item in no package.
func out(hash string, replaces ...string) record.Intent {
	i := into("", hash, replaces...)
	i.Package, i.Replaces = nil, i.Replaces[1:]
	return i
}

// TestWhatEntriesDoToLabels: by the entries alone, by the journal's memory, and by the file.
func TestWhatEntriesDoToLabels(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(p *packing)
		want string // what is known of P, Q
	}{
		"opened": {func(p *packing) { p.scan(record.Opened, "P", opened("P")) }, "[]@1 unknown"},
		"two items": {func(p *packing) {
			p.scan(record.Opened, "P", opened("P"))
			p.scan(record.Added, "P", opened("P", item("a")), into("P", "a"))
			p.scan(record.Added, "P", opened("P", item("a"), item("b", "X")), into("P", "b", "X"))
		}, "[a b<X]@3 unknown"},
		"a version 1 entry, which had no addition, and one without a step": {func(p *packing) {
			p.scan("", "P", nil, into("P", "a"))
		}, "[a]@1 unknown"},
		"closed by the next": {func(p *packing) {
			p.scan(record.Opened, "P", opened("P"))
			p.scan(record.Added, "P", opened("P", item("a")), into("P", "a"))
			s := opened("Q")
			s.Undo = &record.Undoable{Step: record.Opened, Package: "P"}
			p.scan(record.Opened, "Q", s)
		}, "[a]@3 []@3"},
		"closed, then taken up again": {func(p *packing) {
			p.scan(record.Opened, "P", opened("P"))
			p.scan(record.Added, "P", opened("P", item("a")), into("P", "a"))
			p.scan(record.Closed, "P", opened(""))
			p.scan(record.Opened, "Q", opened("Q"))
			s := opened("P", item("a"))
			s.Undo = &record.Undoable{Step: record.Reopened, Package: "Q"}
			p.scan(record.Reopened, "P", s)
			p.scan(record.Resumed, "P", opened("P", item("a")))
		}, "[a]@6 []@5"},
		"moved to another package and back": {func(p *packing) {
			p.scan(record.Added, "P", opened("P", item("a"), item("b")), into("P", "a"), into("P", "b"))
			p.scan(record.Added, "Q", opened("Q", item("a", "P")), into("Q", "a", "P"))
			p.scan(record.Undone, "Q", opened("P", item("a"), item("b")), into("P", "a", "Q"))
		}, "[b a]@1 unknown"},
		"given back to a package of others": {func(p *packing) {
			p.scan(record.Added, "P", opened("P", item("a", "Q")), into("P", "a", "Q"))
			p.scan(record.Undone, "P", opened("P"), into("Q", "a", "P"))
		}, "[]@1 unknown"},
		"taken from one of its own, and given back": {func(p *packing) {
			p.scan(record.Added, "Q", opened("Q", item("a")), into("Q", "a"))
			p.scan(record.Added, "P", opened("P", item("a", "Q")), into("P", "a", "Q"))
			p.scan(record.Removed, "P", opened("P"), into("Q", "a", "P"))
		}, "[]@3 [a]@1"},
		"retried": {func(p *packing) {
			p.scan(record.Added, "P", opened("P", item("a")), into("P", "a"))
			p.ends(record.OtherValue)
			p.entries = append(p.entries, record.Entry{At: p.at(), Intents: []record.Intent{into("P", "a")}})
		}, "[a]@1 unknown"},
		"written when its package is closed, by the label of the next": {func(p *packing) {
			p.scan(record.Opened, "P", opened("P"))
			p.scan(record.Added, "P", opened("P", item("a", "X")))
			s := opened("Q")
			s.Undo = &record.Undoable{Step: record.Opened, Package: "P"}
			p.scan(record.Opened, "Q", s, into("P", "a", "X"))
		}, "[a<X]@3 []@3"},
		"the same, after what cancelled the package was undone": {func(p *packing) {
			p.scan(record.Opened, "P", opened("P"))
			p.scan(record.Added, "P", opened("P", item("a", "X")))
			p.scan(record.Cancelled, "P", opened(""))
			p.scan(record.Undone, "P", opened("P", item("a", "X")))
			s := opened("Q")
			s.Undo = &record.Undoable{Step: record.Opened, Package: "P"}
			p.scan(record.Opened, "Q", s, into("P", "a", "X"))
		}, "[a<X]@5 []@5"},
		"an item stays where it is": {func(p *packing) {
			p.scan(record.Added, "P", opened("P", item("a", "X"), item("b")), into("P", "a"), into("P", "b"))
			p.scan(record.Added, "P", nil, into("P", "a", "P"))
		}, "[a<X b]@2 unknown"},
		"removed": {func(p *packing) {
			p.scan(record.Added, "P", opened("P", item("a"), item("b")), into("P", "a"), into("P", "b"))
			p.scan(record.Removed, "P", opened("P", item("b")), out("a", "P"))
		}, "[b]@2 unknown"},
		"gathered and assigned": {func(p *packing) {
			p.scan(record.Added, "", opened("", item("a", "X")))
			p.scan(record.Added, "", opened("", item("a", "X"), item("b")))
			p.scan(record.Assigned, "P", opened(""), into("P", "a", "X"), into("P", "b"))
		}, "[a<X b]@3 unknown"},
		"cleared, but for one": {func(p *packing) {
			p.scan(record.Added, "P", opened("P", item("a"), item("b")), into("P", "a"), into("P", "b"))
			p.scan(record.Cleared, "P", opened(""), out("a", "P"))
		}, "[b]@2 unknown"},
		"cleared": {func(p *packing) {
			p.scan(record.Added, "P", opened("P", item("a")), into("P", "a"))
			p.scan(record.Cleared, "P", opened(""), out("a", "P"))
		}, "[]@2 unknown"},
		"opened by mistake": {func(p *packing) {
			p.scan(record.Opened, "P", opened("P"))
			p.scan(record.Undone, "P", opened(""))
		}, "unknown unknown"},
		"opened by mistake, and used then": {func(p *packing) {
			p.scan(record.Opened, "P", opened("P"))
			p.scan(record.Undone, "P", opened(""))
			p.scan(record.Opened, "P", opened("P"))
		}, "[]@3 unknown"},
		"the closing undone: it is open again": {func(p *packing) {
			p.scan(record.Opened, "P", opened("P"))
			p.scan(record.Closed, "P", opened(""))
			p.scan(record.Undone, "P", opened("P"))
		}, "[]@2 unknown"},
		"undone with something left in it": {func(p *packing) {
			p.scan(record.Added, "P", opened("P", item("a")), into("P", "a"))
			p.scan(record.Undone, "P", opened(""))
		}, "[a]@1 unknown"},
		"cancelled with all items": {func(p *packing) {
			p.scan(record.Added, "P", opened("P", item("a")), into("P", "a"))
			p.scan(record.Cancelled, "P", opened(""), out("a", "P"))
		}, "unknown unknown"},
		"undone without a session: what is open stays": {func(p *packing) {
			p.scan(record.Opened, "P", opened("P"))
			p.scan(record.Undone, "P", nil)
		}, "[]@1 unknown"},
		"settled": {func(p *packing) {
			p.scan(record.Added, "P", opened("P", item("a")), into("P", "a"))
			p.ends(record.Settled)
		}, "[a]@1 unknown"},
		"refused": {func(p *packing) {
			p.scan(record.Added, "P", opened("P", item("a")), into("P", "a"))
			p.ends(record.Refused)
		}, "[]@1 unknown"},
		"the row holds another value": {func(p *packing) {
			p.scan(record.Added, "P", opened("P", item("a")), into("P", "a"))
			p.ends(record.OtherValue)
		}, "[]@1 unknown"},
		"the row is gone": {func(p *packing) {
			p.scan(record.Added, "P", opened("P", item("a")), into("P", "a"))
			p.ends(record.NoSuchRow)
		}, "[]@1 unknown"},
		"the row could not be cleared": {func(p *packing) {
			p.scan(record.Added, "P", opened("P", item("a")), into("P", "a"))
			p.scan(record.Added, "Q", opened("Q", item("b")), into("Q", "b"))
			p.scan(record.Removed, "Q", opened("Q"), out("b", "Q"))
			p.ends(record.OtherValue)
		}, "[a]@1 []@3"},
		"a newer intent wants the same": {func(p *packing) {
			p.scan(record.Added, "P", opened("P", item("a")), into("P", "a"))
			p.scan(record.Added, "P", nil, into("P", "a", "X"))
			p.intent--
			p.ends(record.OtherValue)
		}, "[a]@2 unknown"},
		"a step that concerns no package": {func(p *packing) {
			p.scan(record.Acknowledged, "P", nil)
			p.scan(record.Told, "P", nil)
			p.scan(record.Listed, "P", nil)
		}, "unknown unknown"},
		"the empty value and one that is too long are no labels": {func(p *packing) {
			p.scan(record.Opened, "", nil, into(strings.Repeat("x", longestLabel+1), "a", ""), into("", "b"))
		}, "unknown unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &packing{}
			c.do(p)
			dir := t.TempDir()
			s := openTest(t, dir)
			for _, e := range p.entries {
				if e.Outcome != nil {
					ok(t, s.Journal.Settle(*e.Outcome))
				} else {
					mustAppend(t, s.Journal, e)
				}
			}
			check := func(where string) {
				t.Helper()
				if got := says(s.Use("P")) + " " + says(s.Use("Q")); got != c.want {
					t.Fatalf("%s: %s, want %s", where, got, c.want)
				}
			}
			check("in memory")
			ok(t, s.Journal.Flush())
			ok(t, s.labels.fold())
			if n, _ := s.Journal.labelLag(); n != 0 {
				t.Fatalf("%d notes are kept", n)
			}
			check("in the file")
			ok(t, s.Close())
			ok(t, Probe(s.labels.path))
			s = openTest(t, dir)
			check("opened again")
			ok(t, s.Close())
			ok(t, removeFile(s.labels.path))
			s = openTest(t, dir)
			check("made again")
		})
	}
}

// TestFoldingTwiceIsFoldingOnce: what is folded while somebody asks is in the file and in memory.
func TestFoldingTwiceIsFoldingOnce(t *testing.T) {
	var s record.State
	p := &packing{}
	p.scan(record.Added, "P", opened("P", item("a"), item("b")), into("P", "a"), into("P", "b"))
	p.scan(record.Removed, "P", opened("P", item("b")), out("a", "P"))
	p.scan(record.Added, "P", opened("P", item("b"), item("c")), into("P", "c"))
	var changes []labelChange
	for n, e := range p.entries {
		e.Seq = uint64(n + 1)
		changes = append(changes, labelChanges(e, &s)...)
		s.Apply(e)
	}
	whole := use{}.with(changes)
	for n := range changes {
		if got := (use{}).with(changes[:n]).with(changes); n > 0 && changes[n].seq == changes[n-1].seq {
			continue // no fold ends within an entry
		} else if !reflect.DeepEqual(got, whole) {
			t.Errorf("after %d changes: %+v, want %+v", n, got, whole)
		}
	}
	if len(whole.items) != 2 {
		t.Fatalf("%+v", whole)
	}
}
