package faultfs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"station-agent/store"
	"station-agent/store/record"
)

// notes are what a child knows for certain when it ends.
type notes struct {
	Scans    map[int]uint64 // acknowledged scans and their sequences
	Tried    int            // scans below this number were tried
	Closed   map[int]bool   // scans whose intent may have an outcome
	Put      int            // records below this number were acknowledged
	TriedPut int            // and below this one tried
	Groups   []int          // where each acknowledged group ends
	Map      int            // this map of tags was acknowledged
	TriedMap int            // and this one tried
	Stopped  bool           // an error of class Stop ended it
	Failures []failure
	Wrong    []string // broken promises
}

// failure is an error that somebody was told.
type failure struct {
	Step  string
	Class record.Class
	Text  string
	Is    []string // what callers may ask about
}

func newFailure(step string, err error) failure {
	f := failure{Step: step, Class: record.ClassOf(err), Text: err.Error()}
	for name, is := range map[string]error{"full": store.ErrFull, "damaged": store.ErrDamaged, "newer": store.ErrNewer, "foreign": store.ErrForeign} {
		if errors.Is(err, is) {
			f.Is = append(f.Is, name)
		}
	}
	return f
}

// worker uses a store as the agent does and holds it to its word.
type worker struct {
	notes
	dir  string
	s    *store.Store
	dead map[string]bool // halves of the store that have said Stop
	end  func()
}

const (
	journal  = "journal"
	database = "database"
)

// work is a whole life in two sessions. An agent that was told to stop ends there; its process is not used again.
func work(o orders) any {
	w := newWorker(o)
	if !w.open() {
		return w.notes
	}
	w.scan(4)
	w.put(1, 5, 60)
	w.settle(30)
	w.look()
	w.snapshot()
	w.scan(14)
	w.put(200, 1, 1)
	w.picture()
	w.tags(1)
	w.settle(100)
	w.close()
	if w.Stopped || !w.open() {
		return w.notes
	}
	w.scan(14)
	w.put(3, 150)
	w.settle(200)
	w.look()
	w.tags(2)
	w.put(40)
	w.close()
	return w.notes
}

// goOn does a little more in a store that was mended or damaged.
func goOn(o orders) any {
	w := newWorker(o)
	if w.open() {
		w.scan(2)
		w.put(2)
		w.settle(1)
		w.close()
	}
	return w.notes
}

func newWorker(o orders) *worker {
	w := &worker{notes: o.Done, dir: o.Dir}
	w.Stopped = false
	if w.Scans == nil {
		w.Scans, w.Closed = map[int]uint64{}, map[int]bool{}
	}
	return w
}

// open opens the store, and compares the position with what was acknowledged.
func (w *worker) open() bool {
	s, err := store.Open(config(w.dir))
	if err != nil {
		w.note("open", err)
		if record.ClassOf(err) != record.StopHere {
			w.wrong("opening failed and it is not of class Stop: %v", err)
		}
		return false
	}
	w.s, w.dead = s, map[string]bool{}
	p, err := s.DB.Position()
	if err != nil {
		w.note("position", err)
	} else if at := int(p.Pos); at < w.Put || at > w.TriedPut {
		w.wrong("position %d, acknowledged %d, tried %d", at, w.Put, w.TriedPut)
	} else {
		w.Put = at
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	w.end = func() {
		cancel()
		if err := <-ended; err != nil {
			w.note("run", err)
		}
	}
	return true
}

func (w *worker) close() {
	w.end()
	if err := w.s.Close(); err != nil {
		w.note("close", err)
	}
}

func (w *worker) wrong(format string, args ...any) {
	w.Wrong = append(w.Wrong, fmt.Sprintf(format, args...))
}

// note keeps an error, and says what is wrong with it as an error.
func (w *worker) note(step string, err error) {
	f := newFailure(step, err)
	w.Failures = append(w.Failures, f)
	w.Stopped = w.Stopped || f.Class == record.StopHere
	if f.Class == record.ThisOne {
		w.wrong("%s: class Never: %v", step, err)
	}
	if !strings.Contains(f.Text, w.dir) {
		w.wrong("%s: it names no path: %v", step, err)
	}
}

// write does something that changes half of the store. Once that has said Stop, it must say so again and again.
func (w *worker) write(half, step string, err error) bool {
	if err == nil {
		if w.dead[half] {
			w.wrong("%s: it worked after the %s had stopped", step, half)
		}
		return true
	}
	w.note(step, err)
	stop := record.ClassOf(err) == record.StopHere
	if w.dead[half] && !stop {
		w.wrong("%s: it is of another class after the %s had stopped: %v", step, half, err)
	}
	w.dead[half] = w.dead[half] || stop
	return false
}

// scan takes n scans and settles every second one.
func (w *worker) scan(n int) {
	for range n {
		number := w.Tried
		w.Tried++
		e, err := w.s.Journal.Append(scan(number))
		if !w.write(journal, "scan", err) {
			continue
		}
		w.Scans[number] = e.Seq
		if number%2 == 0 {
			w.Closed[number] = true
			w.write(journal, "outcome", w.s.Journal.Settle(record.Outcome{Intent: e.Intents[0].ID, Result: record.Settled}))
		}
	}
}

// put puts groups of these sizes. One that was not taken is read again from the source, at the next put.
func (w *worker) put(sizes ...int) {
	for _, size := range sizes {
		w.putWith(size, w.s.DB.Put)
	}
}

func (w *worker) putWith(size int, put func(record.Group) error) {
	if w.dead[database] { // the agent has ended; what it put last may be there or not
		w.write(database, "put", put(group(w.TriedPut, w.TriedPut+size)))
		return
	}
	w.TriedPut = max(w.TriedPut, w.Put+size)
	if w.write(database, "put", put(group(w.Put, w.Put+size))) {
		w.Put += size
		w.Groups = append(w.Groups, w.Put)
	}
}

func (w *worker) snapshot() {
	_, err := w.s.DB.BeginSnapshot()
	if w.write(database, "begin snapshot", err) {
		w.putWith(20, w.s.DB.PutSnapshot)
	}
}

func (w *worker) picture() {
	w.write(database, "save picture", w.s.DB.SavePicture(store.Picture{Rows: pictureRows(), At: birth()}))
}

// tags imports the n-th map of tags. One that was not taken can be imported again, whatever happened to the store.
func (w *worker) tags(n int) {
	w.TriedMap = max(w.TriedMap, n)
	if _, err := w.s.ImportMap(tags(n)); err != nil {
		w.note("import map", err)
		return
	}
	w.Map = n
}

// settle delivers the oldest n records: each seventh is refused, each eleventh stays.
func (w *worker) settle(n int) {
	head, err := w.s.DB.Head(nil, n, 1<<30)
	if err != nil {
		w.note("head", err)
		return
	}
	var deliveries []record.Delivery
	for _, q := range head {
		d := record.Delivery{Seq: q.Seq, Receipt: &record.Receipt{Hash: "h"}}
		switch n := number(q.Key); {
		case n%7 == 3:
			d.Receipt, d.Refusal = nil, "not like this"
		case n%11 == 5:
			d.Receipt = nil
		}
		deliveries = append(deliveries, d)
	}
	w.write(database, "settle", w.s.DB.Settle(deliveries))
}

// look finds half of what was accepted anchored.
func (w *worker) look() {
	due, _, err := w.s.DB.Due(birth().AddDate(1, 0, 0), 100)
	if err != nil {
		w.note("due", err)
		return
	}
	var looks []record.Look
	for _, u := range due {
		l := record.Look{Seq: u.Seq, State: record.Anchored, Answer: []byte(`{"anchored": true}`)}
		if number(u.Record.Key)%2 == 0 {
			l = record.Look{Seq: u.Seq, State: record.Pending, Due: birth().Add(time.Hour), Answer: []byte(`{}`)}
		}
		looks = append(looks, l)
	}
	w.write(database, "look", w.s.DB.Look(looks))
}
