package benchstore

import (
	"cmp"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/build/goods"
	"station-agent/store"
	"station-agent/store/record"
)

const (
	changeRate   = 100 // a second
	stationRows  = 500
	scanEvery    = 20 // seconds
	pictureEvery = 30
	minute       = 60
)

// shift is a station at work: 100 changes a second to its 500 rows arrive in groups of a second and are accepted at once,
// each is found anchored two minutes later, an operator scans, and the rows are kept as the agent keeps them.
type shift struct {
	t     *testing.T
	s     *store.Store
	goods *goods.Goods
	now   func() record.Stamp
	o     *operator
	began time.Time
}

// steady works until all parts are under way, and then for k.N minutes that count.
func steady(t *testing.T, k task) {
	synctest.Test(t, func(t *testing.T) {
		now := stamps()
		w := &shift{t: t, s: open(t, store.Config{Dir: k.Dir, Now: now}), goods: goods.New(stationRows), now: now, o: newOperator(), began: time.Now()}
		end := running(t, w.s)
		const before = 5 * minute
		for n := range before + k.N*minute {
			if n == before {
				mark("steady")
			}
			w.second(n)
		}
		mark("end")
		proven := uint64((before-2*minute+k.N*minute)*changeRate) * 9 / 10
		if st := w.s.DB.Stats(); st.Anchored < proven || st.QueueRecords > changeRate {
			t.Errorf("the station did not keep up: %+v", st)
		}
		end()
	})
}

// second is one of them.
func (w *shift) second(n int) {
	g := w.goods.Group(changeRate)
	g.Shadow = goods.Shadow(g.Records)
	must(w.t, w.s.DB.Put(g))
	time.Sleep(150 * time.Millisecond)
	head, err := w.s.DB.Head(nil, perGroup, maxHead)
	must(w.t, err)
	must(w.t, w.s.DB.Settle(accept(head, w.now().Wall, digest)))
	time.Sleep(150 * time.Millisecond)
	if n%scanEvery == 0 {
		w.scan()
	}
	due, _, err := w.s.DB.Due(w.now().Wall, 2*changeRate)
	must(w.t, err)
	if len(due) > 0 {
		must(w.t, w.s.DB.Look(anchored(due, digest)))
	}
	if n%pictureEvery == 0 {
		w.keep()
	}
	time.Sleep(time.Until(w.began.Add(time.Duration(n+1) * time.Second)))
}

func (w *shift) scan() {
	must(w.t, appendScan(w.s.Journal, w.o))
	time.Sleep(100 * time.Millisecond)
	must(w.t, w.s.Journal.Settle(outcomes(w.s.Journal)...))
}

// keep saves the rows, which always changed.
func (w *shift) keep() {
	rows := slices.SortedFunc(maps.Values(w.goods.Rows), func(a, b record.Row) int { return cmp.Compare(a.Hash, b.Hash) })
	must(w.t, w.s.DB.SavePicture(store.Picture{Rows: rows, At: w.now().Wall}))
}

// steady notes what a second costs.
func (s *book) steady(minutes int) error {
	n, err := s.count(task{Work: "steady", N: minutes})
	if err != nil {
		return err
	}
	seconds := float64(minutes * minute)
	s.Note("store.card_bytes_per_s", n.bytes("steady")/seconds, "B/s")
	s.Note("store.card_bytes_per_s_records", n.bytes("steady records", "steady records.db")/seconds, "B/s")
	s.Note("store.card_bytes_per_s_rows", n.bytes("steady rows.db")/seconds, "B/s")
	s.Note("store.card_bytes_per_s_labels", n.bytes("steady labels.db")/seconds, "B/s")
	s.Note("store.card_bytes_per_s_journal", n.bytes("steady journal")/seconds, "B/s")
	s.Note("store.flushes_per_s", float64(n["steady"].flushes)/seconds, "flushes/s")
	return nil
}
