package capture

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture/capturetest"
)

// asked counts the rows that are read from the Shadow.
type asked struct {
	*capturetest.Store
	ids []string
}

func (a *asked) Shadow(collection string, ids []string) (map[string]record.ShadowRow, error) {
	a.ids = append(a.ids, ids...)
	return a.Store.Shadow(collection, ids)
}

// A row that changes in group after group is read from the Shadow once, its versions rise, and what was deleted is not
// remembered: it is as new when it comes back.
func TestARowIsReadFromTheShadowOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, store := &fakeSource{}, &asked{Store: &capturetest.Store{}}
		runner, _ := newRunner(t, here, nil, source, store, nil)
		stop := begin(t, runner)
		at := time.Now() // the same for all: only the Shadow makes versions rise
		change := func(op record.Op, before, after []any) {
			source.commit(at, RowChange{Op: op, Before: before, After: after})
			time.Sleep(2 * groupEvery)
		}
		a, b := image("x", here, "P-1"), image("x", here, "P-2")
		change(record.Insert, nil, a)
		change(record.Update, a, b)
		change(record.Update, b, a)
		change(record.Delete, a, nil)
		change(record.Insert, nil, a)
		stop()
		list := store.Records()
		for i, r := range list[1:4] {
			if r.Version <= list[i].Version {
				t.Errorf("version %s after %s", r.Version, list[i].Version)
			}
		}
		if got := fmt.Sprint(store.ids); got != "[x x]" || len(list) != 5 {
			t.Errorf("asked for %s, %d records", got, len(list))
		}
	})
}

// A change costs so many allocations from the source's row to what the store is given, and no more: what is done for each
// record of a catch-up counts two hundred thousand times.
func TestAllocationsOfAChange(t *testing.T) {
	const rows, most = 1000, 8.0
	runner, _ := newRunner(t, here, nil, &fakeSource{}, nothing{}, nil)
	runner.recent = newRecent()
	txs := make([]Tx, rows)
	for i := range txs {
		id := fmt.Sprintf("%032x", i)
		change := RowChange{Table: testTable, Op: record.Update, Before: image(id, here, "P-1"), After: image(id, here, "P-2")}
		txs[i] = Tx{ID: fmt.Sprintf("0-1-%d", i), At: time.Unix(1_779_170_400, 0), Tick: int64(i), Rows: []RowChange{change}}
	}
	m := mapper{tables: []*Spec{testSpec}}
	all := testing.AllocsPerRun(10, func() {
		g := &group{}
		for i := range txs {
			tx := m.tx(txs[i])
			if err := g.add(&tx); err != nil {
				t.Fatal(err)
			}
		}
		if err := runner.enter(g); err != nil {
			t.Fatal(err)
		}
	})
	if each := all / rows; each > most {
		t.Errorf("%.2f allocations a change, at most %.0f", each, most)
	} else {
		t.Logf("%.2f allocations a change", each)
	}
}

// nothing is a Store that keeps nothing.
type nothing struct{ Store }

func (nothing) Shadow(string, []string) (map[string]record.ShadowRow, error) { return nil, nil }

func (nothing) Put(record.Group) error { return nil }
