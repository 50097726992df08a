package faultfs

import (
	"fmt"
	"reflect"
	"slices"

	"station-agent/store"
	"station-agent/store/record"
)

// found is what a child reads out of a store.
type found struct {
	Opened   bool
	Failures []failure // of reading; opening first
	Losses   []store.Loss
	Torn     int
	Scans    map[int]uint64   // number to sequence
	First    uint64           // the oldest entry that is kept
	Open     map[int]bool     // scans with an open intent
	Accepted uint64           // scans ever, by the state
	Records  map[int][]string // number to the places where it lies
	Position int
	Stats    store.Stats
	Rows     int          // of the picture
	Shadow   int          // rows
	Packed   map[int]bool // scans whose item is known to be in the package
	Map      int          // the number of the map of tags
	Invented []string     // what nobody wrote, or not so

	want func(n int) record.Record
}

// look opens the store and reads everything in it.
func look(o orders) any {
	f := newFound(rec)
	s, err := store.Open(config(o.Dir))
	if err != nil {
		f.failed("open", err)
		return f
	}
	f.Opened, f.Torn, f.Stats = true, s.Journal.Torn(), s.DB.Stats()
	f.readJournal(s)
	f.readRecords(s)
	f.readRows(s)
	f.readLabels(s)
	f.Losses = s.Losses() // with what only reading has shown
	f.failed("close", s.Close())
	return f
}

func newFound(want func(n int) record.Record) *found {
	return &found{Scans: map[int]uint64{}, Open: map[int]bool{}, Records: map[int][]string{}, Packed: map[int]bool{}, want: want}
}

func (f *found) failed(step string, err error) {
	if err != nil {
		f.Failures = append(f.Failures, newFailure(step, err))
	}
}

func (f *found) invented(format string, args ...any) {
	f.Invented = append(f.Invented, fmt.Sprintf(format, args...))
}

func (f *found) readJournal(s *store.Store) {
	last := uint64(0)
	f.failed("replay", s.Journal.Replay(func(e record.Entry) error {
		if f.First == 0 {
			f.First = e.Seq
		}
		if e.Seq <= last {
			f.invented("entry %d stands behind entry %d", e.Seq, last)
		}
		if last = e.Seq; e.Scan != nil {
			f.readScan(e)
		}
		return nil
	}))
	for _, i := range s.Journal.Open() {
		f.Open[number(i.Hash)] = true
	}
	f.Accepted = s.Journal.State().Verdicts[record.Accepted]
}

func (f *found) readScan(e record.Entry) {
	n := number(e.Scan.Code)
	want := scan(n)
	if n < 0 || asJSON(e.Scan) != asJSON(want.Scan) || len(e.Intents) != 1 || e.Intents[0].Hash != want.Intents[0].Hash || e.Intents[0].Scan != e.Seq {
		f.invented("entry %d is not the scan %s as it was", e.Seq, e.Scan.Code)
	}
	if before, twice := f.Scans[n]; twice {
		f.invented("scan %d is entry %d and %d", n, before, e.Seq)
	}
	f.Scans[n] = e.Seq
}

func (f *found) readRecords(s *store.Store) {
	f.failed("waiting", s.DB.Waiting(func(q record.Queued) error { f.readRecord("waiting", q.Record); return nil }))
	f.failed("dead letters", s.DB.DeadLetters(func(l store.DeadLetter) error { f.readRecord("refused", l.Record); return nil }))
	f.failed("evidence", s.DB.Evidence(func(e store.Evidence) error { f.readRecord("evidence", e.Record); return nil }))
	due, _, err := s.DB.Due(birth().AddDate(1, 0, 0), 1<<20)
	f.failed("due", err)
	for _, u := range due {
		f.readRecord("ledger", u.Record)
	}
	p, err := s.DB.Position()
	f.failed("position", err)
	f.Position = int(p.Pos)
}

func (f *found) readRecord(place string, r record.Record) {
	n := number(r.Key)
	if n < 0 || !reflect.DeepEqual(r, f.want(n)) {
		f.invented("record %q in %s is not as it was", r.Key, place)
	}
	if slices.Contains(f.Records[n], place) {
		f.invented("record %d lies in %s twice", n, place)
	}
	f.Records[n] = append(f.Records[n], place)
}

func (f *found) readRows(s *store.Store) {
	f.failed("shadow", s.DB.ShadowAll(table, func(r record.ShadowRow) error {
		want := rec(number("key-" + r.Version))
		if f.Shadow++; string(r.Payload) != string(want.Payload) || r.ID != shadowID(number("key-"+r.Version)) {
			f.invented("shadow row %s version %s is not as it was", r.ID, r.Version)
		}
		return nil
	}))
	saved, err := s.DB.LoadPicture()
	rows := saved.Rows
	f.failed("picture", err)
	if f.Rows = len(rows); f.Rows > 0 && !reflect.DeepEqual(rows, pictureRows()) {
		f.invented("the picture is not as it was")
	}
}

// readLabels reads what is known of the package and of the tags.
func (f *found) readLabels(s *store.Store) {
	use, _ := s.Use("P")
	for _, i := range use.Items {
		f.Packed[number(i.Hash)] = true
	}
	for item := range tagged {
		epcs := s.EPCsOf(digest("row", item)[:32])
		n := 0
		if len(epcs) > 0 {
			n = number(epcs[0])
		}
		if item == 0 {
			f.Map = n
		}
		if len(epcs) > 1 || n != f.Map {
			f.invented("item %d has the tags %v, another that of map %d", item, epcs, f.Map)
		}
	}
}

// lostItems are the acknowledged scans whose item is not known to be in the package.
func (f *found) lostItems(n notes) (lost []int) {
	for number := range n.Scans {
		if !f.Packed[number] {
			lost = append(lost, number)
		}
	}
	slices.Sort(lost)
	return lost
}

// lostScans are the acknowledged scans that are not in the journal any more, although older ones are.
func (f *found) lostScans(n notes) (lost []int) {
	for number, seq := range n.Scans {
		if f.Scans[number] != seq && (seq >= f.First || f.First == 0) {
			lost = append(lost, number)
		}
	}
	slices.Sort(lost)
	return lost
}

// lostIntents are the acknowledged intents that nobody settled and that are not open.
func (f *found) lostIntents(n notes) (lost []int) {
	for number := range n.Scans {
		if !n.Closed[number] && !f.Open[number] {
			lost = append(lost, number)
		}
	}
	slices.Sort(lost)
	return lost
}

// lostRecords are the acknowledged records that are nowhere.
func (f *found) lostRecords(n notes) (lost []int) {
	for number := range n.Put {
		if len(f.Records[number]) == 0 {
			lost = append(lost, number)
		}
	}
	return lost
}
