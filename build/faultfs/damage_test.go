package faultfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station-agent/store/record"
)

// damage is done to a copy of a store while nobody has it open.
type damage struct {
	file string // below the store folder
	kind string // see kinds of harm
	page int    // -1: the whole file
}

func (d damage) String() string { return fmt.Sprintf("%s/%s/%d", d.kind, d.file, d.page) }

func (d damage) inJournal() bool { return strings.HasPrefix(d.file, "journal/") }

// harms change one page of a file, b, or end the file there.
func harms() map[string]func(b []byte, page int) []byte {
	fill := func(with byte) func([]byte, int) []byte {
		return func(b []byte, page int) []byte {
			at := pageOf(b, page)
			copy(at, bytes.Repeat([]byte{with}, len(at)))
			return b
		}
	}
	return map[string]func([]byte, int) []byte{
		"zeros": fill(0), "ones": fill(0xff),
		"bit": func(b []byte, page int) []byte {
			at, r := pageOf(b, page), rand.New(rand.NewPCG(uint64(page), uint64(len(b))))
			at[r.IntN(len(at))] ^= 1 << r.IntN(8)
			return b
		},
		"other page": func(b []byte, page int) []byte {
			copy(pageOf(b, page), bytes.Clone(pageOf(b, (page+len(b)/block/2)%max(1, len(b)/block))))
			return b
		},
		"cut": func(b []byte, page int) []byte { return b[:page*block] },
	}
}

func pageOf(b []byte, page int) []byte { return b[page*block : min(len(b), (page+1)*block)] }

// patient is a store with something in every drawer, and what is known of it.
type patient struct {
	dir   string
	done  notes
	whole found
	files map[string][]byte
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	p := &patient{dir: filepath.Join(quickFolder(t), "store"), files: map[string][]byte{}}
	var err error
	p.done, err = run[notes]("work", orders{Dir: p.dir})
	ok(t, err)
	p.whole, err = run[found]("look", orders{Dir: p.dir, Done: p.done})
	if ok(t, err); len(p.done.Failures)+len(p.whole.Failures)+len(p.whole.lostRecords(p.done))+len(p.whole.lostScans(p.done)) > 0 {
		t.Fatalf("the store was ill before: %+v %+v", p.done.Failures, p.whole)
	}
	ok(t, filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(p.dir, path)
		p.files[name], err = os.ReadFile(path)
		return err
	}))
	return p
}

// quickFolder is one in memory, where flushes cost nothing, if there is such a place.
func quickFolder(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "faultfs")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// damages lists what can be done to p: every page that holds something, and the first two and the last that don't.
func (p *patient) damages() (all []damage) {
	for file, b := range p.files {
		all = append(all, damage{file, "gone", -1})
		used, pages := len(bytes.TrimRight(b, "\x00"))/block, (len(b)+block-1)/block
		for page := range pages {
			if page > used+2 && page < pages-1 {
				continue
			}
			for kind := range harms() {
				all = append(all, damage{file, kind, page})
			}
		}
	}
	slices.SortFunc(all, func(a, b damage) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// copyWith makes a copy of the store with a damage.
func (p *patient) copyWith(t *testing.T, d damage) string {
	t.Helper()
	dir := filepath.Join(quickFolder(t), "store")
	for name, b := range p.files {
		if name == d.file {
			if d.kind == "gone" {
				continue
			}
			b = harms()[d.kind](bytes.Clone(b), d.page)
		}
		path := filepath.Join(dir, name)
		ok(t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, b, 0o600)))
	}
	return dir
}

// TestDamageIsSaidAndHurtsNothingElse damages every page of every file.
func TestDamageIsSaidAndHurtsNothingElse(t *testing.T) {
	p := newPatient(t)
	all := p.damages()
	for _, n := range some(len(all), 150) {
		d := all[n-1]
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			dir := p.copyWith(t, d)
			f, err := run[found]("look", orders{Dir: dir, Done: p.done})
			ok(t, err)
			e := exam{T: t, patient: p, damage: d, dir: dir, found: f}
			e.all()
		})
	}
}

// exam holds what was found in a damaged store against what had been in it.
type exam struct {
	*testing.T
	*patient
	damage
	dir string
	found
}

func (e exam) all() {
	for _, w := range e.Invented {
		e.Error(w)
	}
	if e.opening() {
		e.scans()
		e.records()
		e.labels()
		e.afterwards()
		e.aside()
	}
}

// opening tells whether the store opened. Only one that doesn't know any more whose it is may refuse. Replay says damage of
// history, which opening doesn't read.
func (e exam) opening() bool {
	for _, f := range e.Failures {
		mayFail := f.Step == "open" && e.file == "store.json" || f.Step == "replay" && e.inJournal()
		if mayFail && f.Step == "replay" && slices.Contains(f.Is, "damaged") {
			continue
		}
		if !mayFail || f.Class != record.StopHere || !strings.Contains(f.Text, e.dir) || len(f.Is) == 0 {
			e.Errorf("%s: %s (%v)", f.Step, f.Text, f.Is)
		}
	}
	return e.Opened
}

// replayed tells whether Replay read everything and said nothing.
func (e exam) replayed() bool {
	return !slices.ContainsFunc(e.Failures, func(f failure) bool { return f.Step == "replay" })
}

// said tells how many scans or records the store says that it lost; a negative count means that it can't know.
func (e exam) said(scans bool) (n int) {
	for _, l := range e.Losses {
		switch {
		case l.Scans != scans:
		case l.Count < 0:
			return math.MaxInt
		default:
			n += l.Count
		}
	}
	return n
}

func (e exam) scans() {
	if e.kind != "gone" { // the oldest segments may go at any time, but not in part
		e.First = 0
	}
	lost, intents := e.lostScans(e.done), e.lostIntents(e.done)
	switch {
	case len(lost) == 0 || e.inJournal() && e.unprovable(lost):
	case !e.inJournal() || e.said(true) < len(lost) && e.replayed():
		e.Errorf("scans %v are gone, losses %s, %d bytes torn", lost, asJSON(e.Losses), e.Torn)
	default:
		e.onlyDamagedScans(lost)
	}
	for _, n := range intents {
		if !slices.Contains(lost, n) {
			e.Errorf("the intent of scan %d is gone, the scan is there", n)
		}
	}
}

// touches tells whether the entry of a scan lies in the damage: in its page, behind a cut, in a lost file.
func (e exam) touches(number int) bool {
	from, to := entry(e.files[e.file], e.done.Scans[number])
	switch e.kind {
	case "gone":
		return to > 0
	case "cut":
		return to > e.page*block
	}
	return to > e.page*block && from < (e.page+1)*block
}

// entry finds the entry of a sequence in a whole segment, zero if it isn't there. DESIGN.md of the store draws it.
func entry(b []byte, seq uint64) (from, to int) {
	const header, head = 40, 24
	for from = header; from+head <= len(b); from = to {
		length := int(binary.LittleEndian.Uint32(b[from:]))
		if to = from + head + length; length == 0 {
			break
		}
		if binary.LittleEndian.Uint64(b[from+8:]) == seq {
			return from, to
		}
	}
	return 0, 0
}

func (e exam) onlyDamagedScans(lost []int) {
	for _, n := range lost {
		if !e.touches(n) {
			e.Errorf("scan %d is gone and lies elsewhere", n)
		}
	}
}

// unprovable are the last entries: behind them nothing is left that could tell damage from a torn tail.
func (e exam) unprovable(lost []int) bool {
	last := len(e.done.Scans) - len(lost)
	for i, n := range lost {
		if n != last+i || !e.touches(n) || e.kind == "gone" || e.kind == "cut" {
			return false
		}
	}
	return true
}

// labels holds that a label knows the items of all scans that are left, as it is made again from them, and that only a damaged
// map of tags is gone, and said.
func (e exam) labels() {
	scans := e.lostScans(e.done)
	for _, n := range e.lostItems(e.done) {
		if !slices.Contains(scans, n) {
			e.Errorf("the label doesn't know the item of scan %d, which is there", n)
		}
	}
	gone := e.file == "map.db" && e.Map == 0 && (len(e.Losses) > 0 || e.kind == "gone")
	if e.Map != e.done.Map && !gone {
		e.Errorf("map %d of the tags, want %d, losses %s", e.Map, e.done.Map, asJSON(e.Losses))
	}
}

// records looks for what nobody will read again: the position has passed it. What lies behind the position is still in the
// source, but a position that goes back is a loss to be told too.
func (e exam) records() {
	lost := e.lostRecords(e.done)
	given := slices.DeleteFunc(slices.Clone(lost), func(n int) bool { return n >= e.Position })
	switch {
	case e.Position > e.done.Put:
		e.Errorf("position %d of %d", e.Position, e.done.Put)
	case e.inJournal() || e.file == "lock":
		if len(lost) > 0 || e.Position != e.done.Put {
			e.Errorf("records %s are gone, position %d of %d", spans(lost), e.Position, e.done.Put)
		}
	case e.said(false) < len(given) || e.Position < e.done.Put && len(e.Losses) == 0:
		e.Errorf("records %s are gone, position %d of %d, losses %s", spans(lost), e.Position, e.done.Put, asJSON(e.Losses))
	case len(given) > 0 && e.kind != "cut" && e.kind != "gone":
		e.onlyOnePageOfGroups(given)
	}
}

// spans writes rising numbers shortly.
func spans(numbers []int) (s string) {
	for i, n := range numbers {
		switch {
		case i == 0 || numbers[i-1] != n-1:
			s += fmt.Sprint(" ", n)
		case i == len(numbers)-1 || numbers[i+1] != n+1:
			s += fmt.Sprint("-", n)
		}
	}
	return s
}

// onlyOnePageOfGroups holds that the lost records lay in one page: in groups that follow one another, those between the first
// and the last small enough that a page holds them.
func (e exam) onlyOnePageOfGroups(lost []int) {
	small, first, last := 0, e.group(lost[0]), e.group(lost[len(lost)-1])
	for g := first + 1; g < last; g++ {
		small += e.done.Groups[g] - e.done.Groups[g-1]
	}
	if small > 40 {
		e.Errorf("records %s of %d groups are gone by one page, losses %s", spans(lost), last-first+1, asJSON(e.Losses))
	}
}

func (e exam) group(n int) int {
	g, _ := slices.BinarySearch(e.done.Groups, n+1)
	return g
}

// afterwards holds that the store can be worked with, and that the next opening finds no less.
func (e exam) afterwards() {
	if e.Failed() {
		return
	}
	checkGoingOn(e.T, e.dir, e.dir, e.done, e.found)
	again, err := run[found]("look", orders{Dir: e.dir})
	if ok(e.T, err); len(again.lostRecords(e.done)) > len(e.lostRecords(e.done)) {
		e.Errorf("at the next opening records %s are gone", spans(again.lostRecords(e.done)))
	}
}

// aside holds that a person finds the damaged file where Losses says that it is.
func (e exam) aside() {
	for _, l := range e.Losses {
		path := l.File
		if !filepath.IsAbs(path) {
			path = filepath.Join(e.dir, path)
		}
		if _, err := os.Stat(path); err != nil && e.kind != "gone" || l.What == "" {
			e.Errorf("%+v: %v", l, err)
		}
	}
}
