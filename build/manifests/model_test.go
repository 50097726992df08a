// Package manifests plays random scans against the real session, journal and outbox, with crashes between, and compares the
// manifests of packages with the rows.
package manifests

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"station-agent/station"
	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/manifest"
)

const uuid = "7d6f0f0e-3b7a-4c55-9a0b-2f1f7a4f1c11"

// world is a bench with its store, the rows in the database, and somebody else who writes there.
type world struct {
	t      *testing.T
	random *rand.Rand
	rules  station.Rules
	calm   bool // the rows are settled and manifests made behind each scan

	dir    string
	images int
	now    record.Stamp
	store  *store.Store
	maker  *manifest.Maker
	state  station.State
	rows   map[string]record.Value

	closings []closing
}

// closing is a package that the session closed, assigned or cleared, by the entry that says so.
type closing struct {
	seq uint64
	pkg string
}

type quiet struct{}

func (quiet) Lost(error) {}
func (quiet) Back()      {}

func hash(n int) string    { return fmt.Sprintf("%032x", n) }
func label(n int) string   { return fmt.Sprintf("PKG-%d", n) }
func code(c string) string { return "CMD-" + c }

func newWorld(t *testing.T, seed uint64, way station.Way, together, calm bool) *world {
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 1)), calm: calm, dir: t.TempDir(), rows: map[string]record.Value{},
		now: record.Stamp{Boot: "b", Mono: time.Hour, Wall: time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC), Trusted: true}}
	w.rules = station.Rules{Way: way, Together: together, Package: regexp.MustCompile("PKG-[0-9]+"), Item: regexp.MustCompile("[0-9a-f]{32}"),
		Badge: regexp.MustCompile("B[0-9]"), Pseudonym: func(badge string) string { return "pseudonym of " + badge }, Commands: map[string]station.Command{},
		ReopenTime: time.Hour}
	for _, c := range station.Commands() {
		w.rules.Commands[code(string(c))] = c
	}
	for n := range 8 {
		w.rows[hash(n)] = nil
	}
	w.open(filepath.Join(w.dir, "0"))
	t.Cleanup(func() { w.store.Close() })
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// open opens the store of a folder, as after a start.
func (w *world) open(dir string) {
	var err error
	w.store, err = store.Open(store.Config{Dir: dir, Now: func() record.Stamp { return w.now }, Reserve: -1, SegmentBytes: 32 << 10,
		Identity: store.Identity{Environment: "test", Station: uuid, Database: "d"}})
	w.must(err)
	stream, err := w.store.DB.Stream("manifests")
	w.must(err)
	w.maker = manifest.New(manifest.Config{Database: "external", Station: uuid, Store: w.store.ID(), Wait: 10 * time.Minute, Keep: 1000 * time.Hour,
		Now: func() record.Stamp { return w.now }}, w.store.Journal, stream, quiet{})
	w.must(w.maker.Step()) // the first one notes where it begins
	w.state = station.Resume(w.store.Journal.State().Session, w.now)
}

// crash goes on with the store as the card has it at this moment.
func (w *world) crash() {
	w.images++
	dir := filepath.Join(w.dir, strconv.Itoa(w.images))
	w.must(os.CopyFS(dir, os.DirFS(filepath.Join(w.dir, strconv.Itoa(w.images-1)))))
	_ = w.store.Close()
	w.must(os.RemoveAll(filepath.Join(w.dir, strconv.Itoa(w.images-1))))
	w.open(dir)
}

// Use and Standing implement station.Labels.
func (w *world) Use(label string) (record.Use, bool)   { return w.store.Use(label) }
func (w *world) Standing(string) (waiting, parked int) { return 0, 0 }

// scan lets one code happen at the bench.
func (w *world) scan(text string) {
	w.now.Mono += time.Second
	w.now.Wall = w.now.Wall.Add(time.Second)
	journal := w.store.Journal.State()
	p := station.NewPicture(time.Hour)
	read := record.Reading{Began: time.Now()}
	for h, v := range w.rows {
		read.Here = append(read.Here, record.Row{Hash: h, EAN: h[20:], Package: v})
	}
	p.Replace(read)
	for _, i := range journal.Open {
		p.Intended(i)
	}
	d := station.Decide(w.state, w.rules, record.Tag{Reader: "scanner", Code: text},
		station.World{Now: w.now, Rows: p, Labels: w, Online: true})
	w.state = d.Next
	if d.Scan == nil {
		return
	}
	e, err := w.store.Journal.Append(record.Entry{At: w.now, Scan: d.Scan, Session: d.Session, Intents: d.Intents})
	w.must(err)
	was := journal.Session.Package
	switch {
	case d.Session == nil:
	case e.Scan.Step == record.Closed, e.Scan.Step == record.Assigned, e.Scan.Step == record.Cleared:
		w.closings = append(w.closings, closing{e.Seq, e.Scan.Package})
	case was != "" && (e.Scan.Step == record.Opened || e.Scan.Step == record.Reopened):
		w.closings = append(w.closings, closing{e.Seq, was})
	}
}

// settle works at some of the intents as the settler does: the newest of a row decides, and those before it are superseded.
func (w *world) settle(all bool) {
	open := w.store.Journal.Open()
	ends := func(i record.Intent, r record.Result) {
		w.must(w.store.Journal.Settle(record.Outcome{Intent: i.ID, Result: r}))
	}
	for n, i := range open {
		same := func(j record.Intent) bool { return j.Hash == i.Hash }
		if slices.ContainsFunc(open[n+1:], same) || !all && w.random.IntN(3) > 0 {
			continue
		}
		for _, older := range open[:n] {
			if same(older) {
				ends(older, record.Superseded)
			}
		}
		switch row := w.rows[i.Hash]; {
		case record.Same(row, i.Package):
			ends(i, record.SameValue)
		case i.May(row):
			w.rows[i.Hash] = i.Package
			ends(i, record.Settled)
		default:
			ends(i, record.OtherValue)
		}
	}
	w.must(w.store.Journal.Flush())
}

// play is one random moment.
func (w *world) play() {
	commands := []string{"close", "close", "undo", "remove", "clear", "cancel", "override", "remaining-one", "set-aside", "status"}
	switch n := w.random.IntN(20); {
	case n < 9:
		w.scan(hash(w.random.IntN(8)))
	case n < 13:
		w.scan(label(w.random.IntN(5)))
	case n < 18:
		w.scan(code(commands[w.random.IntN(len(commands))]))
	case n < 19:
		w.scan(fmt.Sprint("B", w.random.IntN(2)))
	default: // somebody else, who leaves our packages alone
		h := hash(w.random.IntN(8))
		if v := w.rows[h]; v == nil {
			w.rows[h] = record.Package("X")
		} else if *v == "X" {
			w.rows[h] = nil
		}
	}
}

// made are all manifests, with their keys and versions, by package.
func (w *world) made() map[string][]manifest.Manifest {
	w.t.Helper()
	by, keys, versions := map[string][]manifest.Manifest{}, map[string]bool{}, map[string]int64{}
	w.must(w.store.DB.Waiting(func(q record.Queued) error {
		var m manifest.Manifest
		w.must(json.Unmarshal(q.Payload, &m))
		v, err := strconv.ParseInt(q.Version, 10, 64)
		if err != nil || v <= versions[q.ID] || keys[q.Key] || q.ID != m.Package+"@"+uuid {
			w.t.Errorf("record %d %s: version %s after %d, key %s used: %v", q.Seq, q.ID, q.Version, versions[q.ID], q.Key, keys[q.Key])
		}
		keys[q.Key], versions[q.ID] = true, v
		by[m.Package] = append(by[m.Package], m)
		return nil
	}))
	return by
}

// in lists the rows that show a package.
func (w *world) in(pkg string) []string {
	list := []string{}
	for h, v := range w.rows {
		if record.Same(v, record.Package(pkg)) {
			list = append(list, h)
		}
	}
	slices.Sort(list)
	return list
}

// check holds the last manifest of each package that is closed against the rows, once all is settled.
func (w *world) check() {
	w.t.Helper()
	made := w.made()
	for pkg, list := range made {
		last := list[len(list)-1]
		if pkg == w.store.Journal.State().Session.Package {
			continue
		}
		if !slices.Equal(last.Hashes, w.in(pkg)) || last.Count != len(last.Hashes) || len(last.Open) > 0 {
			w.t.Fatalf("after entry %d: manifest of %s after entry %d (%s): %v, open %v, conflict %v; the rows say %v",
				w.store.Journal.Seq(), pkg, last.Seq, last.After, last.Hashes, last.Open, last.Conflict, w.in(pkg))
		}
	}
	for _, c := range w.closings {
		n := 0
		var before *manifest.Manifest
		for i := range made[c.pkg] {
			switch m := &made[c.pkg][i]; {
			case m.Seq == c.seq:
				n++
			case m.Seq < c.seq:
				before = m
			}
		}
		if n > 1 || n == 0 && before == nil {
			w.t.Fatalf("%s, closed by entry %d, has %d manifests", c.pkg, c.seq, n)
		}
	}
}

// TestManifestsAreWhatTheRowsSay plays some seeds, more if SEEDS says so.
func TestManifestsAreWhatTheRowsSay(t *testing.T) {
	closed, made, seeds := 0, 0, uint64(3)
	if n, err := strconv.ParseUint(os.Getenv("SEEDS"), 10, 32); err == nil {
		seeds = n
	}
	for _, way := range []station.Way{station.LabelFirst, station.ItemsFirst, station.Sweep} {
		for _, together := range []bool{false, true} {
			for _, calm := range []bool{true, false} {
				for seed := range seeds {
					t.Run(fmt.Sprint(way, " together ", together, " calm ", calm, " ", seed), func(t *testing.T) {
						w := newWorld(t, seed, way, together, calm)
						for range 200 {
							w.play()
							if calm {
								w.settle(true)
								w.must(w.maker.Step())
								w.check()
							} else {
								w.settle(false)
								if w.random.IntN(4) == 0 {
									w.must(w.maker.Step())
								}
							}
							if w.random.IntN(40) == 0 {
								w.crash()
							}
						}
						w.settle(true)
						w.crash()
						w.must(w.maker.Step())
						w.check()
						closed += len(w.closings)
						for _, list := range w.made() {
							made += len(list)
						}
					})
				}
			}
		}
	}
	t.Logf("%d closings, %d manifests", closed, made)
	if closed < 200 || made < 150 {
		t.Errorf("%d closings, %d manifests: hardly anything was shown", closed, made)
	}
}
