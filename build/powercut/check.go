package powercut

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"station-agent/store"
	"station-agent/store/record"
)

// Check opens the store that worked in dir, after a power cut that came when the first done of the steps were acknowledged,
// and tells what is not as promised. The store has gone on afterwards.
func Check(dir string, steps []Step, done int) error {
	p := promise{steps, done}
	if done > 0 {
		if err := p.entries(func(f func(record.Entry) error) error { return store.ReplayDir(Config(dir, nil).Dir, f) }); err != nil {
			return fmt.Errorf("read the journal without opening it: %w", err)
		}
	}
	days := 0
	s, err := store.Open(Config(dir, &days))
	if err != nil {
		return err
	}
	if losses := s.Losses(); len(losses) > 0 {
		s.Close()
		return fmt.Errorf("opening reports losses: %+v", losses)
	}
	err = errors.Join(p.entries(s.Journal.Replay), p.state(s.Journal.State()), p.records(s.DB, dir), p.shadow(s.DB), p.picture(s.DB), p.labels(s), p.tags(s))
	if err != nil {
		s.Close()
		return err
	}
	return goesOn(s, dir)
}

// entries checks that the scans which are kept are the last ones without a gap.
func (p promise) entries(replay func(func(record.Entry) error) error) error {
	var scans []int
	err := replay(func(e record.Entry) error {
		if e.Scan == nil {
			return nil
		}
		n, err := strconv.Atoi(e.Scan.Code)
		if err == nil && e.Scan.Text != scan(n).Scan.Text {
			err = errors.New("it has another text")
		}
		if err != nil {
			return fmt.Errorf("scan %s: %w", e.Scan.Code, err)
		}
		scans = append(scans, n)
		return nil
	})
	if err != nil {
		return err
	}
	sure, may := last(p.steps[:p.done], Scan), last(p.steps[:p.begun()], Scan)
	if len(scans) < min(sure, 8) {
		return fmt.Errorf("only %d scans are kept of %d", len(scans), sure)
	}
	for i, n := range scans {
		if n != scans[0]+i {
			return fmt.Errorf("scans %v: gap or order", scans)
		}
	}
	if newest := len(scans) - 1; newest >= 0 && (scans[newest] < sure-1 || scans[newest] >= may) {
		return fmt.Errorf("the last scan is %d, %d were acknowledged", scans[newest], sure)
	}
	return nil
}

// state checks what the journal adds up to.
func (p promise) state(got record.State) error {
	states := p.states()
	for _, want := range states {
		if promised(got) == promised(want) {
			return nil
		}
	}
	return fmt.Errorf("the journal adds up to %s, want one of %d states from %s to %s", brief(got), len(states),
		brief(states[0]), brief(states[len(states)-1]))
}

// promised is a state as text, without what depends on sequences and clocks.
func promised(s record.State) string {
	s = s.Clone()
	s = record.State{Intent: s.Intent, Session: s.Session, Open: s.Open, Parked: s.Parked, Verdicts: s.Verdicts, Results: s.Results}
	for i := range s.Open {
		s.Open[i].Scan = 0
	}
	for i := range s.Parked {
		s.Parked[i].Scan = 0
	}
	text, _ := json.Marshal(s) // maps in the order of their keys
	return string(text)
}

// brief is a state for a person.
func brief(s record.State) string {
	var open, parked []uint64
	for _, i := range s.Open {
		open = append(open, i.ID)
	}
	for _, i := range s.Parked {
		parked = append(parked, i.ID)
	}
	return fmt.Sprintf("{session %s, %v, %v, open %v, parked %v}", s.Session.Package, s.Verdicts, s.Results, open, parked)
}

// records checks that each record is whole, in one place and in a right one, and that the position is just behind them.
func (p promise) records(db *store.DB, dir string) error {
	found, err := find(db)
	if err != nil {
		return err
	}
	exported, err := readExports(Config(dir, nil).ExportDir)
	if err != nil {
		return err
	}
	position, err := db.Position()
	if err != nil {
		return err
	}
	put := int(position.Pos)
	if !slices.Contains([]int{p.puts(p.done), p.puts(p.begun())}, put) {
		return fmt.Errorf("position %d, acknowledged %d", put, p.puts(p.done))
	}
	var errs []error
	for n := range put {
		at := found[n]
		if len(at) == 0 {
			at = []place{dropped}
		}
		if !slices.Contains(p.places(n), at[0]) && !(at[0] == dropped && p.old(n) && exported[n]) || len(at) > 1 {
			errs = append(errs, fmt.Errorf("record %d is in %v, want %v", n, names(at), names(p.places(n))))
		}
		delete(found, n)
	}
	for n := range found {
		errs = append(errs, fmt.Errorf("record %d is in the store, but the position is %d", n, put))
	}
	return errors.Join(errs...)
}

// find reads every record of the store, compares it with what was put and tells where it is.
func find(db *store.DB) (map[int][]place, error) {
	found := map[int][]place{}
	add := func(p place, r record.Record) error {
		n := number(r)
		if !reflect.DeepEqual(r, change(n)) {
			return fmt.Errorf("record %d in the %s is not as it was put: %+v", n, p, r)
		}
		found[n] = append(found[n], p)
		return nil
	}
	due, _, err := db.Due(never(), 1<<20)
	for _, u := range due {
		err = errors.Join(err, add(ledger, u.Record), same(u.Receipt, receipt(number(u.Record))))
	}
	return found, errors.Join(err,
		db.Waiting(func(q record.Queued) error { return add(waiting, q.Record) }),
		db.DeadLetters(func(d store.DeadLetter) error { return add(refused, d.Record) }),
		db.Evidence(func(e store.Evidence) error {
			n := number(e.Record)
			return errors.Join(add(evidence, e.Record), same(e.Receipt, receipt(n)), same(string(e.Answer), string(answer(n))))
		}))
}

// readExports tells which records are in the files of exported evidence.
func readExports(dir string) (map[int]bool, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.gz"))
	if err != nil {
		return nil, err
	}
	exported := map[int]bool{}
	for _, name := range files {
		if err := readExport(name, exported); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return exported, nil
}

func readExport(name string, exported map[int]bool) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for lines := json.NewDecoder(text); ; {
		var e store.Evidence
		if err := lines.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		exported[number(e.Record)] = true
	}
}

func same(got, want any) error {
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("%+v, want %+v", got, want)
	}
	return nil
}

// shadow checks that each row is one that was put, and not older than the last one that is firm.
func (p promise) shadow(db *store.DB) error {
	newest := map[int]int{}
	err := db.ShadowAll("buylo_products", func(r record.ShadowRow) error {
		n, err := strconv.Atoi(r.Version)
		if err != nil {
			return err
		}
		newest[n%shadowed] = n
		return same(r, shadow(n))
	})
	if err != nil {
		return err
	}
	for n := range p.puts(p.firm()) {
		if got, is := newest[n%shadowed]; n%4 == 0 && (!is || got < n) {
			return fmt.Errorf("shadow row %d is of record %d, want %d", n%shadowed, got, n)
		}
	}
	for _, n := range newest {
		if n >= p.puts(p.begun()) {
			return fmt.Errorf("the shadow knows record %d, which was never put", n)
		}
	}
	return nil
}

// picture checks that the picture is one that was saved, and not older than the last one that is firm.
func (p promise) picture(db *store.DB) error {
	saved, err := db.LoadPicture()
	rows := saved.Rows
	if err != nil {
		return err
	}
	got := 0
	if len(rows) > 0 {
		n, err := strconv.Atoi(rows[0].Hash)
		if err := errors.Join(err, same(rows, picture(n))); err != nil {
			return fmt.Errorf("picture: %w", err)
		}
		got = n + 1
	}
	if got < last(p.steps[:p.firm()], Picture) || got > last(p.steps[:p.begun()], Picture) {
		return fmt.Errorf("picture %d, want %d to %d", got, last(p.steps[:p.firm()], Picture), last(p.steps[:p.begun()], Picture))
	}
	return nil
}

// labels checks that the label of each acknowledged scan is known, with its item unless the row turned out not to be ours. One
// of long ago may be forgotten.
func (p promise) labels(s *store.Store) error {
	var errs []error
	for n := range last(p.steps[:p.done], Scan) {
		label, item := "P-"+strconv.Itoa(n), "item-"+strconv.Itoa(n)
		use, known := s.Use(label)
		holds := known && len(use.Items) == 1 && use.Items[0].Hash == item
		if !holds && !(known && len(use.Items) == 0 && p.parked(n)) && !p.longAgo(n) {
			errs = append(errs, fmt.Errorf("label %s: known %v, %v, want %s", label, known, use.Items, item))
		}
	}
	return errors.Join(errs...)
}

// tags checks that the map of tags is one that was imported, whole, and not older than the last acknowledged one.
func (p promise) tags(s *store.Store) error {
	n := -1
	for item := range tagged {
		epcs := s.EPCsOf(tagHash(item))
		if item == 0 && len(epcs) == 1 {
			n, _ = strconv.Atoi(strings.TrimPrefix(epcs[0], "tag-")) // another is none that was imported
		}
		if n >= 0 && !slices.Equal(epcs, []string{"tag-" + strconv.Itoa(n)}) || n < 0 && len(epcs) > 0 {
			return fmt.Errorf("item %d has the tags %v, item 0 that of map %d", item, epcs, n)
		}
	}
	if from, to := last(p.steps[:p.done], Map), last(p.steps[:p.begun()], Map); n+1 != from && n+1 != to {
		return fmt.Errorf("map %d, want %d or %d", n, from-1, to-1)
	}
	return nil
}

// goesOn works a little with the store, closes it, and looks whether that is there when it is opened again.
func goesOn(s *store.Store, dir string) error {
	const far = 1 << 20
	before := s.Journal.State().Seq
	_, err := s.Journal.Append(scan(far))
	err = errors.Join(err, s.DB.Put(group(far, far+1)), s.Close())
	if err != nil {
		return fmt.Errorf("go on: %w", err)
	}
	days := 0
	again, err := store.Open(Config(dir, &days))
	if err != nil {
		return fmt.Errorf("go on: %w", err)
	}
	position, err := again.DB.Position()
	after := again.Journal.State().Seq
	if err == nil && (after <= before || position.Pos != far+1 || len(again.Losses()) > 0) {
		err = fmt.Errorf("what was done after the power cut is not there: position %d, entry %d after %d",
			position.Pos, after, before)
	}
	return errors.Join(err, again.Close())
}
