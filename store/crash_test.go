package store

import (
	"bufio"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

const (
	childVariable = "STORE_TEST_CHILD" // what the re-executed test program does instead of testing
	childFolder   = "STORE_TEST_FOLDER"
)

func TestMain(m *testing.M) {
	what := os.Getenv(childVariable)
	if what == "" {
		os.Exit(m.Run())
	}
	if what == "small card" {
		if err := smallCard(os.Getenv(childFolder)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	if what == "probe" {
		if err := Probe(os.Getenv(childFolder)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	s, err := Open(testConfig(os.Getenv(childFolder), here))
	if err == nil && what == "work" {
		err = work(s)
	}
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// probeInChild is what Config.Probe is for.
func probeInChild(path string) error {
	if out, err := child("probe", path).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, firstLine(out), err)
	}
	return nil
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}

// work writes for ever and prints what was acknowledged: "scan SEQ INTENT ITEM", "settled INTENT", "put N", "accepted SEQ",
// "map GENERATION", "event LOG SEQ N".
func work(s *Store) error {
	put := 0
	if p, err := s.DB.Position(); err != nil {
		return err
	} else if p.File != "" {
		put = int(p.Pos)
	}
	for n := 0; ; n++ {
		e, err := s.Journal.Append(bigOrSmall(n))
		if err != nil {
			return err
		}
		fmt.Println("scan", e.Seq, e.Intents[0].ID, e.Scan.Hash)
		if n%5 == 0 {
			if err := s.labels.fold(); err != nil {
				return err
			}
		}
		if n%10 == 9 {
			generation := generationOf(s, 0) + 1
			if _, err := s.ImportMap(generationLines(generation)); err != nil {
				return err
			}
			fmt.Println("map", generation)
		}
		if err := s.Events.Add(Event{Body: json.RawMessage(fmt.Sprintf(`"scan %d"`, e.Seq)), Warning: true}); err != nil {
			return err
		}
		told, _ := s.Events.Next(s.Events.Last() - 1)
		fmt.Println("event", told.Log, told.Seq, e.Seq)
		if n%2 == 0 {
			if err := s.Journal.Settle(record.Outcome{Intent: e.Intents[0].ID, Result: record.Settled}); err != nil {
				return err
			}
			fmt.Println("settled", e.Intents[0].ID)
		}
		g := group(put, put+3)
		put += 3
		g.Position = record.Position{File: "binlog.1", Pos: uint64(put)}
		if err := s.DB.Put(g); err != nil {
			return err
		}
		fmt.Println("put", put)
		q, err := s.DB.Head(nil, 2, 1<<20)
		if err != nil {
			return err
		}
		if err := s.DB.Settle([]record.Delivery{{Seq: q[0].Seq, Receipt: &record.Receipt{}}}); err != nil {
			return err
		}
		fmt.Println("accepted", q[0].Seq)
	}
}

const generationItems = 20

// generationLines is a map of tags that tells its number.
func generationLines(generation int) iter.Seq2[MapLine, error] {
	return func(yield func(MapLine, error) bool) {
		for n := range generationItems {
			if !yield(MapLine{fmt.Sprintf("TAG-%d", generation), fmt.Sprintf("%032x", n)}, nil) {
				return
			}
		}
	}
}

// generationOf tells the number of the map that knows an item, 0 if none does and -1 if more than one.
func generationOf(s *Store, item int) (generation int) {
	epcs := s.EPCsOf(fmt.Sprintf("%032x", item))
	if len(epcs) > 1 {
		return -1
	}
	for _, epc := range epcs {
		fmt.Sscanf(epc, "TAG-%d", &generation)
	}
	return generation
}

func bigOrSmall(n int) record.Entry {
	e := scanEntry(fmt.Sprint(n))
	if n%3 == 0 {
		e.Scan.Text = noise(n, 50<<10) // segments rotate within a round
	}
	return e
}

// eventNumber is what the fleet knows an event by.
type eventNumber struct {
	log string
	seq uint64
}

// TestAcknowledgedWorkSurvivesKill kills a working process ten times at random moments.
func TestAcknowledgedWorkSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	var scans, open []uint64
	var put, accepted, generation int
	items := map[string]bool{}
	events, lastEvent := map[eventNumber]uint64{}, uint64(0)
	for round := range 10 {
		for _, line := range killed(t, dir, round%5 == 4) {
			var a, b uint64
			switch what, rest, _ := strings.Cut(line, " "); what {
			case "scan":
				var item string
				fmt.Sscan(rest, &a, &b, &item)
				scans, open, items[item] = append(scans, a), append(open, b), true
			case "settled":
				fmt.Sscan(rest, &a)
				open = slices.DeleteFunc(open, func(id uint64) bool { return id == a })
			case "put":
				fmt.Sscan(rest, &put)
			case "accepted":
				accepted++
			case "event":
				var log string
				fmt.Sscan(rest, &log, &a, &b)
				if before, twice := events[eventNumber{log, a}]; twice && before != b || a < lastEvent {
					t.Fatalf("round %d: event %d of %s is of scan %d and of %d, and came after %d", round, a, log, before, b, lastEvent)
				}
				events[eventNumber{log, a}], lastEvent = b, a
			case "map":
				fmt.Sscan(rest, &generation)
			default:
				t.Fatal(line)
			}
		}
		if len(scans) == 0 && !exists(filepath.Join(dir, journalFolder)) {
			continue // it was killed before it came so far, on a busy machine
		}
		seen := map[uint64]bool{}
		ok(t, ReplayDir(dir, func(e record.Entry) error { seen[e.Seq] = true; return nil }))
		s := openTest(t, dir)
		again := 0
		ok(t, s.Journal.Replay(func(record.Entry) error { again++; return nil }))
		if again != len(seen) {
			t.Fatalf("round %d: %d entries by ReplayDir, %d by Replay", round, len(seen), again)
		}
		oldest := slices.Min(append(slices.Collect(keys(seen)), 1<<62))
		for _, seq := range scans {
			if seq >= oldest && !seen[seq] {
				t.Fatalf("round %d: acknowledged entry %d is gone", round, seq)
			}
		}
		var left []uint64
		for _, i := range s.Journal.Open() {
			left = append(left, i.ID)
		}
		for n, id := range open { // the last may have been settled without a word
			if n < len(open)-1 && !slices.Contains(left, id) {
				t.Fatalf("round %d: open intent %d is gone", round, id)
			}
		}
		open = left
		p, err := s.DB.Position()
		ok(t, err)
		st := s.DB.Stats()
		if int(p.Pos) < put || int(p.Pos) > put+3 || st.QueueRecords+int(st.Accepted) != int(p.Pos) || len(head(t, s.DB)) != st.QueueRecords {
			t.Fatalf("round %d: position %d, put %d, %+v", round, p.Pos, put, st)
		}
		if int(st.Accepted) < accepted-1-round || int(st.Accepted) > accepted+1+round { // a receipt goes with the next group
			t.Fatalf("round %d: %d accepted, %+v", round, accepted, st)
		}
		if last := s.Events.Last(); last < lastEvent || last > lastEvent+1 {
			t.Fatalf("round %d: the last event is %d, %d was told", round, last, lastEvent)
		}
		for _, e := range s.Events.Kept() {
			if scan, known := events[eventNumber{e.Log, e.Seq}]; known && string(e.Body) != fmt.Sprintf(`"scan %d"`, scan) {
				t.Fatalf("round %d: event %d of %s was told of scan %d and is now %s", round, e.Seq, e.Log, scan, e.Body)
			}
		}
		packed := hashesOf(s, "P")
		for item := range items {
			if !slices.Contains(packed, item) {
				t.Fatalf("round %d: item %s was packed, and the label doesn't know", round, item)
			}
		}
		if now := generationOf(s, 0); now < generation || now > generation+1 {
			t.Fatalf("round %d: map %d, %d was acknowledged", round, now, generation)
		}
		for item := range generationItems {
			if generationOf(s, item) != generationOf(s, 0) {
				t.Fatalf("round %d: item %d is in map %d, others in %d", round, item, generationOf(s, item), generationOf(s, 0))
			}
		}
		ok(t, s.Close())
	}
	if generation == 0 {
		t.Fatal("no map was imported")
	}
	if len(events) < 20 {
		t.Fatal("only", len(events), "events")
	}
	if len(scans) < 20 {
		t.Fatal("only", len(scans), "scans")
	}
}

func keys(m map[uint64]bool) func(func(uint64) bool) {
	return func(yield func(uint64) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// killed runs a working child, kills it a moment after its first line, or early, after its start, and gives the whole lines that
// it printed.
func killed(t *testing.T, dir string, early bool) (lines []string) {
	t.Helper()
	c := child("work", dir)
	out, err := c.StdoutPipe()
	ok(t, err)
	ok(t, c.Start())
	for r := bufio.NewReader(out); ; early = false {
		if early || len(lines) == 1 {
			timer := time.AfterFunc(time.Duration(50+rand.IntN(150))*time.Millisecond, func() { c.Process.Kill() })
			defer timer.Stop()
		}
		line, err := r.ReadString('\n')
		if err != nil {
			break
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	if err := c.Wait(); err == nil {
		t.Fatal("it ended by itself")
	}
	return lines
}
