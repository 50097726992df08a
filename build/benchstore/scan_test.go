package benchstore

import (
	"context"
	"fmt"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/build/goods"
	"station-agent/build/sheet"
	"station-agent/build/worker"
	"station-agent/station"
	"station-agent/store"
	"station-agent/store/record"
)

// operator packs ten items a package, without an end: what the bench makes of each scan is what the journal gets.
type operator struct {
	rules  station.Rules
	state  station.State
	packed int
	scans  int
}

func newOperator() *operator {
	return &operator{rules: station.Rules{Package: regexp.MustCompile(`PKG-\d{4}-\d{6}`)}}
}

// Lookup implements station.View: every item is on the station and in no package.
func (o *operator) Lookup(hash string) (station.PictureRow, bool) {
	row := record.Row{Hash: hash, EAN: "859" + goods.Digits(hash)[:10], Name: goods.Name(o.packed)}
	return station.PictureRow{Row: row, May: []record.Value{nil}}, true
}

// ByEAN implements station.View.
func (o *operator) ByEAN(string) []station.PictureRow { return nil }

// ByEPC implements station.View.
func (o *operator) ByEPC(string) []station.PictureRow { return nil }

// In implements station.View.
func (o *operator) In(record.Value) []station.PictureRow { return nil }

// Away implements station.View.
func (o *operator) Away(string) (row station.PictureRow, known bool) { return row, false }

// Use implements station.Labels: no label was used before.
func (o *operator) Use(string) (use record.Use, known bool) { return use, false }

// Standing implements station.Labels.
func (o *operator) Standing(string) (waiting, parked int) { return 0, 0 }

const perPackage = 10

// scan makes the entry of the next scan.
func (o *operator) scan() record.Entry {
	code := fmt.Sprintf("PKG-2026-%06d", o.packed/perPackage+1)
	if o.state.Package == code {
		code = goods.Hash(o.packed)
		o.packed++
	}
	return o.entry(code)
}

// refused makes the entry of a scan that changes nothing: an item without a package.
func (o *operator) refused() record.Entry {
	o.packed++
	return o.entry(goods.Hash(o.packed - 1))
}

func (o *operator) entry(code string) record.Entry {
	o.scans++
	w := station.World{Now: record.Stamp{Mono: time.Duration(o.scans) * time.Second}, Rows: o, Labels: o, Online: true}
	d := station.Decide(o.state, o.rules, record.Tag{Reader: "scanner", Code: code, Raw: []byte(code)}, w)
	o.state = d.Next
	return record.Entry{Scan: d.Scan, Session: d.Session, Intents: d.Intents}
}

// outcomes says of every open intent that the row has it.
func outcomes(j *store.Journal) (list []record.Outcome) {
	for _, i := range j.Open() {
		list = append(list, record.Outcome{Intent: i.ID, Result: record.Settled})
	}
	return list
}

const (
	bytesOfScans = 5500 // scans: several segments
	firstScans   = 150  // of them, before the first segment is half full
)

// scanBytes appends the scans of packing with their outcomes a moment later, then scans that change nothing, then scans to a
// plain bbolt.
func scanBytes(t *testing.T, k task) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, store.Config{Dir: k.Dir})
		end := running(t, s)
		o := newOperator()
		for n := range k.N {
			e := o.scan()
			mark(map[bool]string{true: "first", false: "scan"}[n < firstScans])
			_, err := s.Journal.Append(e)
			must(t, err)
			mark("between")
			time.Sleep(200 * time.Millisecond)
			mark("outcome")
			must(t, s.Journal.Settle(outcomes(s.Journal)...))
			mark("between")
			time.Sleep(5 * time.Second)
		}
		mark("end")
		end()
		s, o = open(t, store.Config{Dir: k.Dir + "/refused"}), newOperator()
		end = running(t, s)
		for range k.N {
			mark("refused")
			_, err := s.Journal.Append(o.refused())
			must(t, err)
			time.Sleep(5 * time.Second)
		}
		mark("end")
		end()
		p, o := newPlain(t, k.Dir), newOperator()
		mark("plain")
		for range plainScans {
			must(t, p.append(encoded(t, o.scan())...))
		}
		mark("end")
	})
}

const plainScans = 500

func (s *book) scanBytes() error {
	n, err := s.count(task{Work: "scan bytes", N: bytesOfScans})
	if err != nil {
		return err
	}
	s.Note("scan.flushes", float64(n["first"].flushes)/firstScans, "flushes")
	s.Note("scan.flushes_with_rotation", float64(n["first"].flushes+n["scan"].flushes)/bytesOfScans, "flushes")
	s.Note("scan.card_bytes", n.bytes("first", "scan", "between")/bytesOfScans, "B")
	s.Note("scan.card_bytes_labels", n.bytes("first labels.db", "scan labels.db", "between labels.db")/bytesOfScans, "B")
	s.Note("scan.card_bytes_refused", n.bytes("refused")/bytesOfScans, "B")
	s.Note("scan.card_bytes_outcome", n.bytes("outcome")/bytesOfScans, "B")
	s.Note("scan.card_bytes_bbolt", n.bytes("plain")/plainScans, "B")
	return nil
}

// rush has a goroutine take in groups of 1000 records as fast as the store can, until the returned function is called.
func rush(t *testing.T, s *store.Store, groups []record.Group) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		var err error
		for n := 0; ctx.Err() == nil && err == nil; n++ {
			err = s.DB.Put(groups[n%len(groups)])
		}
		ended <- err
	}()
	return func() {
		cancel()
		must(t, <-ended)
	}
}

// scanTimes tells, a round each, the median of a scan, of a bare flush and of a scan in a plain bbolt, and the slowest
// hundredth of scans alone and beside a catch-up.
func scanTimes(t *testing.T, k task) {
	s := open(t, store.Config{Dir: k.Dir})
	end := running(t, s)
	b, p, o := newBare(t, k.Dir), newPlain(t, k.Dir), newOperator()
	scan := func() error { return appendScan(s.Journal, o) }
	g := goods.New(0)
	groups := make([]record.Group, 16)
	for i := range groups {
		groups[i] = g.Group(1000)
	}
	must(t, scan())
	for range k.Rounds {
		idle, flushes, slow := turns(t, k.N, scan, b.flush, func() error { return p.append(encoded(t, o.scan())...) })
		worker.Tell("scan", sheet.Median(idle))
		worker.Tell("idle p99", sheet.Quantile(idle, 0.99))
		worker.Tell("flush", sheet.Median(flushes))
		worker.Tell("plain", sheet.Median(slow))
		stop := rush(t, s, groups)
		busy, _, _ := turns(t, k.N, scan, nil, nil)
		stop()
		worker.Tell("busy p50", sheet.Median(busy))
		worker.Tell("busy p99", sheet.Quantile(busy, 0.99))
		must(t, s.Journal.Settle(outcomes(s.Journal)...))
		must(t, s.Journal.Flush())
	}
	end()
}

func appendScan(j *store.Journal, o *operator) error {
	_, err := j.Append(o.scan())
	return err
}

// turns does a, b and c in turn, a and b n times and c, which is slow, a quarter of it, and gives the milliseconds of each.
func turns(t *testing.T, n int, a, b, c func() error) (as, bs, cs []float64) {
	for i := range n {
		as = timed(t, as, a)
		bs = timed(t, bs, b)
		if i%4 == 0 {
			cs = timed(t, cs, c)
		}
	}
	return as, bs, cs
}

// timed adds the milliseconds that f takes, if there is an f.
func timed(t *testing.T, list []float64, f func() error) []float64 {
	if f == nil {
		return nil
	}
	began := time.Now()
	err := f()
	took := time.Since(began)
	must(t, err)
	return append(list, milliseconds(took))
}

const rounds = 5

// scanTimes notes the times at the speed of the disk and on two slow cards.
func (s *book) scanTimes() error {
	native := task{Work: "scan times", Dir: s.folder(), N: 400, Rounds: rounds}
	a, err := worker.Run(native)
	if err != nil {
		return err
	}
	s.noteScan("_native", a)
	a, err = s.slowed(task{Work: "scan times", N: 200, Rounds: rounds}, 8*time.Millisecond)
	if err != nil {
		return err
	}
	s.noteScan("", a)
	a, err = s.slowed(task{Work: "scan times", N: 40, Rounds: rounds}, 30*time.Millisecond)
	if err != nil {
		return err
	}
	s.noteScan("_30ms", a)
	return nil
}

func (s *book) noteScan(which string, a worker.Answer) {
	s.Note("scan.p50_ms"+which, sheet.Median(a["scan"]), "ms")
	s.Note("scan.p50_ms_flush"+which, sheet.Median(a["flush"]), "ms")
	s.Note("scan.p50_ms_bbolt"+which, sheet.Median(a["plain"]), "ms")
	s.Note("scan.p50_ms_catchup"+which, sheet.Median(a["busy_p50"]), "ms")
	s.Note("scan.p50_vs_flush"+which, sheet.Ratio(a["scan"], a["flush"]), "x")
	s.Note("scan.p99_catchup_vs_idle"+which, sheet.Ratio(a["busy_p99"], a["idle_p99"]), "x")
}
