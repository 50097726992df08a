package manifest

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

func TestAClosingHasOneManifest(t *testing.T) {
	b := newBench(t)
	b.log.state.Session.Badge = nil
	b.scan(record.Opened, "P", "P")
	b.add("P", nil, "b", "a")
	b.settle(record.Settled)
	b.made() // it is open
	e := b.scan(record.Closed, "P", "")
	m := b.made("P: a b")[0]
	if m.Seq != e.Seq || m.After != "closed" || m.Station != station || m.Store != "store-1" || m.Count != 2 || m.Clock != "trusted" ||
		m.At != e.At.Wall.Format(timeForm) || m.Boot != "b" || m.SinceMS != e.At.Mono.Milliseconds() {
		t.Errorf("%+v", m)
	}
	if len(m.Scans) != 2 || m.Scans[0].Hash != "b" || m.Scans[0].Seq+1 != m.Scans[1].Seq || m.Scans[1].At == "" || m.Scans[1].Clock != "trusted" {
		t.Errorf("scans %+v", m.Scans)
	}
	r := b.box.records[0]
	if r.Database != "external" || r.Collection != "station_agent_manifests" || r.ID != "P@st-1" || r.Op != record.Insert || !r.At.Equal(e.At.Wall) ||
		r.Version != fmt.Sprint(e.At.Wall.UnixMicro()) || !strings.HasPrefix(r.Key, fmt.Sprintf("m:store-1/%d/", e.Seq)) {
		t.Errorf("%+v", r)
	}
	b.restart()
	b.made()
}

// TestWhatEachStepMakes goes through the steps that change a package, each with the rows settled behind it.
func TestWhatEachStepMakes(t *testing.T) {
	for name, c := range map[string]struct {
		play func(b *bench)
		want []string
	}{
		"the next label closes": {func(b *bench) {
			b.scan(record.Opened, "P", "P")
			b.add("P", nil, "a")
			b.scan(record.Opened, "Q", "Q")
		}, []string{"P: a"}},
		"an empty package": {func(b *bench) { b.pack("P") }, []string{"P:"}},
		"reopened and closed as it was": {func(b *bench) {
			b.pack("P", "a")
			b.scan(record.Reopened, "P", "P +a")
			b.scan(record.Closed, "P", "")
		}, []string{"P: a"}},
		"reopened, one more": {func(b *bench) {
			b.pack("P", "a")
			b.scan(record.Reopened, "P", "P +a")
			b.add("P", []string{"+a"}, "b")
			b.scan(record.Closed, "P", "")
		}, []string{"P: a", "P: a b"}},
		"reopened, one less": {func(b *bench) {
			b.pack("P", "a", "b")
			b.scan(record.Reopened, "P", "P +a +b")
			b.scan(record.Removed, "P", "P +b", "a:P->")
			b.scan(record.Closed, "P", "")
		}, []string{"P: a b", "P: b"}},
		"reopened, one more, cancelled": {func(b *bench) {
			b.pack("P", "a")
			b.scan(record.Reopened, "P", "P +a")
			b.add("P", []string{"+a"}, "b")
			b.scan(record.Cancelled, "P", "", "b:P->")
		}, []string{"P: a"}},
		"reopened, one less, cancelled": {func(b *bench) {
			b.pack("P", "a", "b")
			b.scan(record.Reopened, "P", "P +a +b")
			b.scan(record.Removed, "P", "P +b", "a:P->")
			b.scan(record.Cancelled, "P", "")
		}, []string{"P: a b", "P: b"}},
		"opened and cancelled": {func(b *bench) {
			b.scan(record.Opened, "P", "P")
			b.add("P", nil, "a")
			b.scan(record.Cancelled, "P", "", "a:P->")
		}, nil},
		"opened and undone": {func(b *bench) {
			b.scan(record.Opened, "P", "P")
			b.scan(record.Undone, "P", "")
		}, nil},
		"the closing undone, and closed again": {func(b *bench) {
			b.pack("P", "a")
			b.scan(record.Undone, "P", "P a")
			b.add("P", []string{"a"}, "b")
			b.scan(record.Closed, "P", "")
		}, []string{"P: a", "P: a b"}},
		"cleared while closed": {func(b *bench) {
			b.pack("P", "a", "b")
			b.scan(record.Cleared, "P", "", "a:P->", "b:P->")
		}, []string{"P: a b", "P:"}},
		"cleared while open": {func(b *bench) {
			b.scan(record.Opened, "P", "P")
			b.add("P", nil, "a")
			b.scan(record.Cleared, "P", "", "a:P->")
		}, []string{"P:"}},
		"cleared, of long ago": {func(b *bench) { b.scan(record.Cleared, "P", "", "a:P->") }, []string{"P:"}},
		"the clearing undone": {func(b *bench) {
			b.pack("P", "a", "b")
			b.scan(record.Cleared, "P", "", "a:P->", "b:P->")
			b.scan(record.Undone, "P", "", "a:->P", "b:->P")
		}, []string{"P: a b", "P:", "P: a b"}},
		"an item moved to the next package": {func(b *bench) {
			b.pack("P", "a", "b")
			b.scan(record.Opened, "Q", "Q")
			b.scan(record.Added, "Q", "Q a", "a:P->Q")
			b.scan(record.Closed, "Q", "")
		}, []string{"P: a b", "P: b", "Q: a"}},
		"an item moved out of a package of long ago": {func(b *bench) {
			b.scan(record.Opened, "Q", "Q")
			b.scan(record.Added, "Q", "Q a", "a:old->Q")
			b.scan(record.Closed, "Q", "")
		}, []string{"Q: a"}},
		"gathered and assigned": {func(b *bench) {
			b.scan(record.Added, "", "- a")
			b.scan(record.Added, "", "- a b")
			b.scan(record.Assigned, "P", "", "a:P") // b's row shows it already
		}, []string{"P: a b"}},
		"the assigning undone": {func(b *bench) {
			b.scan(record.Added, "", "- a")
			b.scan(record.Assigned, "P", "", "a:P")
			b.scan(record.Undone, "P", "- a", "a:P->")
		}, []string{"P: a", "P:"}},
		"swept": {func(b *bench) { b.scan(record.Assigned, "P", "", "a:P", "b:P") }, []string{"P: a b"}},
		"written when it is closed": {func(b *bench) {
			b.scan(record.Opened, "P", "P")
			b.scan(record.Added, "P", "P a")
			b.scan(record.Added, "P", "P a b")
			b.scan(record.Closed, "P", "", "a:P", "b:P")
		}, []string{"P: a b"}},
		"nothing but looking": {func(b *bench) {
			b.pack("P", "a")
			b.scan(record.Told, "P", "")
			b.scan(record.SetAside, "P", "")
		}, []string{"P: a"}},
	} {
		for _, restarts := range []bool{false, true} {
			t.Run(fmt.Sprint(name, restarts), func(t *testing.T) {
				b := newBench(t)
				c.play(b)
				replay(b, b.log.entries, restarts)
				b.made(c.want...)
			})
		}
	}
}

// replay writes entries again, settles the rows behind each, and may restart between.
func replay(b *bench, entries []record.Entry, restarts bool) {
	b.t.Helper()
	b.log.entries, b.log.state, b.box.position = nil, record.State{}, record.Position{}
	b.restart()
	b.write(record.Entry{Clock: true})
	b.step()
	for _, e := range entries[1:] {
		e.Intents = slices.Clone(e.Intents)
		for n := range e.Intents {
			e.Intents[n].Scan = 0
		}
		b.write(e)
		if restarts {
			b.step()
			b.restart()
		}
		b.settle(record.Settled)
		b.step()
		if restarts {
			b.restart()
		}
	}
}

// TestScansOfGatheredItems are those that gathered them, not that of the label.
func TestScansOfGatheredItems(t *testing.T) {
	b := newBench(t)
	first := b.scan(record.Added, "", "- b")
	b.scan(record.Added, "", "- b a")
	b.restart()
	b.scan(record.Assigned, "P", "", "b:P", "a:P")
	b.settle(record.Settled)
	m := b.made("P: a b")[0]
	if m.Scans[0].Hash != "b" || m.Scans[0].Seq != first.Seq || m.Scans[1].Seq != first.Seq+1 {
		t.Errorf("%+v", m.Scans)
	}
}

// TestAManifestWaitsForTheRows, for so long and no longer, and another one follows when they are settled after all.
func TestAManifestWaitsForTheRows(t *testing.T) {
	b := newBench(t)
	b.pack("P", "a", "b")
	b.pack("Q", "c") // waits behind P, as manifests are in the order of the journal
	b.settle(record.Settled, "a", "c")
	b.made()
	b.restart()
	b.made()
	b.pass(10 * time.Minute)
	m := b.made("P: a / b", "Q: c")[0]
	if m.Count != 1 || m.Open[0].Intent != 2 {
		t.Errorf("%+v", m)
	}
	b.restart()
	b.made()
	b.settle(record.Settled)
	if m := b.made("P: a b")[0]; m.After != "settled" || m.Seq != b.log.state.Seq {
		t.Errorf("%+v", m)
	}
	if first, last := b.box.records[0], b.box.records[2]; first.Key == last.Key || laterThan(first.Version, last.Version) || last.Op != record.Update {
		t.Errorf("%+v\n%+v", first, last)
	}
}

// TestAWaitBeginsAnewWithTheMachine: nobody knows how long it was off.
func TestAWaitBeginsAnewWithTheMachine(t *testing.T) {
	b := newBench(t)
	b.pack("P", "a")
	b.made()
	b.now.Boot, b.now.Mono = "c", time.Minute
	b.restart()
	b.made()
	b.pass(9 * time.Minute)
	b.made()
	b.pass(time.Minute)
	b.made("P: / a")
}

// TestWhatWasMadeIsNotMadeAgain though its entries are followed again, as a package is open since before them.
func TestWhatWasMadeIsNotMadeAgain(t *testing.T) {
	b := newBench(t)
	b.pack("P", "a")
	b.settle(record.Settled)
	b.made("P: a")
	b.scan(record.Opened, "Q", "Q")
	b.scan(record.Cleared, "P", "Q", "a:P->")
	b.settle(record.Settled)
	b.made("P:")
	b.scan(record.Undone, "P", "Q", "a:->P")
	b.settle(record.Settled)
	b.made("P: a")
	b.restart()
	b.made()
	b.scan(record.Added, "Q", "Q a", "a:P->Q")
	b.scan(record.Closed, "Q", "")
	b.settle(record.Settled)
	b.made("P:", "Q: a")
}

// TestScansOfWhatIsWrittenAtClosing are those that added the items.
func TestScansOfWhatIsWrittenAtClosing(t *testing.T) {
	b := newBench(t)
	b.scan(record.Opened, "P", "P")
	first := b.scan(record.Added, "P", "P b")
	b.restart()
	b.scan(record.Added, "P", "P b a")
	b.scan(record.Closed, "P", "", "b:P", "a:P")
	b.settle(record.Settled)
	m := b.made("P: a b")[0]
	if m.Scans[0].Hash != "b" || m.Scans[0].Seq != first.Seq || m.Scans[0].At != first.At.Wall.Format(timeForm) || m.Scans[1].Seq != first.Seq+1 {
		t.Errorf("%+v", m.Scans)
	}
}

func laterThan(a, b string) bool {
	x, _ := strconv.ParseInt(a, 10, 64)
	y, _ := strconv.ParseInt(b, 10, 64)
	return x >= y
}

// TestWhatWillNotShowIsNamed and never claimed.
func TestWhatWillNotShowIsNamed(t *testing.T) {
	for result, want := range map[record.Result]string{
		record.SameValue: "P: a b", record.OtherValue: "P: a / / b(conflict)", record.NoSuchRow: "P: a / / b(no such row)",
		record.Refused: "P: a / / b(refused)", record.Superseded: "P: a / / b(superseded)", record.Dismissed: "P: a / / b(dismissed)",
	} {
		b := newBench(t)
		b.pack("P", "a", "b")
		b.settle(record.Settled, "a")
		b.made()
		b.settle(result)
		b.made(want)
	}
}

// TestARetryAfterAConflict makes another manifest once the row shows it.
func TestARetryAfterAConflict(t *testing.T) {
	b := newBench(t)
	b.pack("P", "a")
	b.settle(record.OtherValue)
	b.made("P: / / a(conflict)")
	b.restart()
	b.write(record.Entry{Intents: []record.Intent{{Hash: "a", Package: record.Package("P"), Scan: 3, Replaces: []record.Value{nil}}}})
	b.made()
	b.settle(record.Settled)
	m := b.made("P: a")[0]
	if m.After != "retried" || m.Scans[0].Seq != 3 {
		t.Errorf("%+v", m)
	}
}

// TestWhatIsNotOutYetIsOpen: a row may show the package still.
func TestWhatIsNotOutYetIsOpen(t *testing.T) {
	for result, want := range map[record.Result]string{
		record.Settled: "P: b", record.OtherValue: "P: b", record.NoSuchRow: "P: b", record.Refused: "P: b / / a-out(refused)",
	} {
		b := newBench(t)
		b.pack("P", "a", "b")
		b.settle(record.Settled)
		b.made("P: a b")
		b.scan(record.Reopened, "P", "P +a +b")
		b.scan(record.Removed, "P", "P +b", "a:P->")
		b.scan(record.Closed, "P", "")
		b.made()
		b.pass(10 * time.Minute)
		b.made("P: b / a-out")
		b.restart()
		b.settle(result)
		b.made(want)
	}
}

// TestWithoutAClock holds that versions rise, and that the manifest says what is known of the times.
func TestWithoutAClock(t *testing.T) {
	b := newBench(t)
	b.log.state.Clock, b.now.Boot, b.now.Trusted, b.now.Wall = record.Stamp{}, "c", false, time.Unix(0, 0)
	b.pack("P", "a")
	b.settle(record.Settled)
	m := b.made("P: a")[0]
	if m.Clock != "untrusted" || m.Boot != "c" || m.At[:4] != "1970" || b.box.records[0].Version != "1" || b.box.records[0].At.Year() != 1970 {
		t.Errorf("%+v %+v", m, b.box.records[0])
	}
	b.scan(record.Cleared, "P", "", "a:P->")
	b.settle(record.Settled)
	b.now.Trusted, b.now.Wall = true, time.Date(2025, 3, 2, 0, 0, 0, 0, time.UTC)
	b.write(record.Entry{Clock: true})
	m = b.made("P:")[0]
	if m.Clock != "filled" || m.At[:10] != "2025-03-01" || b.box.records[1].Version != fmt.Sprint(b.box.records[1].At.UnixMicro()) {
		t.Errorf("%+v %+v", m, b.box.records[1])
	}
	b.now.Wall = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC) // and stepped back
	b.pack("P", "a")
	b.settle(record.Settled)
	b.made("P: a")
	if v, last := b.box.records[2].Version, b.box.records[1].Version; laterThan(last, v) {
		t.Errorf("version %s after %s", v, last)
	}
}

// TestOnlyAPseudonymIsTold: no code, no name.
func TestOnlyAPseudonymIsTold(t *testing.T) {
	b := newBench(t)
	badge := &record.Badge{Pseudonym: "0a1b2c", Shift: 7}
	b.write(record.Entry{Scan: &record.Scan{Step: record.SignedOn, Badge: badge, Text: "Anna"}, Session: &record.Session{Badge: badge}})
	b.pack("P", "a")
	b.settle(record.Settled)
	if m := b.made("P: a")[0]; m.Badge != "0a1b2c" || m.Shift != 7 {
		t.Errorf("%+v", m)
	}
	if text := string(b.box.records[0].Payload); strings.Contains(text, "Anna") || strings.Contains(text, "code") {
		t.Error(text)
	}
}

// TestNoRoomIsWaitedOut: nothing is made twice or left out.
func TestNoRoomIsWaitedOut(t *testing.T) {
	b := newBench(t)
	b.box.fail = errFull
	b.pack("P", "a")
	b.settle(record.Settled)
	for range 3 {
		if err := b.Step(); err == nil || !strings.Contains(err.Error(), "full") {
			t.Fatal(err)
		}
	}
	b.pack("Q", "b")
	b.settle(record.Settled)
	b.box.fail = nil
	b.made("P: a", "Q: b")
}

// TestAJournalThatDoesNotRead is read again from the mark.
func TestAJournalThatDoesNotRead(t *testing.T) {
	b := newBench(t)
	b.pack("P", "a")
	b.settle(record.Settled)
	b.log.fail = errFull
	if err := b.Step(); err == nil {
		t.Fatal("nothing was said")
	}
	b.made("P: a")
}

// TestTheFirstStartBeginsNow, and a mark that the journal has lost is none.
func TestTheFirstStartBeginsNow(t *testing.T) {
	b := newBench(t)
	b.box.position = record.Position{}
	b.pack("P", "a")
	b.settle(record.Settled)
	b.restart()
	b.made()
	b.box.position.Pos = 1000
	b.restart()
	b.made()
	b.pack("Q", "b")
	b.settle(record.Settled)
	b.made("Q: b")
}

// TestWhatHappenedUnseenIsNotGuessed: while manifests were off, nobody knows what became of a package.
func TestWhatHappenedUnseenIsNotGuessed(t *testing.T) {
	b := newBench(t)
	b.pack("P", "a", "b")
	b.settle(record.Settled)
	b.made("P: a b")
	b.box.position = record.Position{} // switched off
	b.scan(record.Cleared, "P", "", "a:P->", "b:P->")
	b.settle(record.Settled)
	b.restart() // and on
	b.made()
	b.scan(record.Opened, "Q", "Q")
	b.scan(record.Added, "Q", "Q b", "b:P->Q") // as far as the bench knows
	b.scan(record.Closed, "Q", "")
	b.settle(record.Settled)
	b.made("Q: b")
	b.scan(record.Reopened, "P", "P +c")
	b.scan(record.Closed, "P", "")
	b.made("P: c")
}

// TestSwitchedOnWhileAPackageIsOpen: of what was packed before, nobody knows any more which rows came to show it.
func TestSwitchedOnWhileAPackageIsOpen(t *testing.T) {
	b := newBench(t)
	b.scan(record.Opened, "P", "P")
	b.add("P", nil, "a", "b", "c")
	b.settle(record.Settled, "a")
	b.settle(record.OtherValue, "b", "c")
	b.write(record.Entry{Outcome: &record.Outcome{Intent: 2, Result: record.Dismissed}})
	b.box.position = record.Position{} // switched on now
	b.restart()
	b.made()
	b.add("P", []string{"a", "b", "c"}, "d")
	b.settle(record.Settled, "d")
	b.scan(record.Closed, "P", "")
	b.made("P: d / a(unknown) b(unknown) / c(conflict)")
	b.restart()
	b.scan(record.Reopened, "P", "P +a +b +c +d")
	b.scan(record.Removed, "P", "P +a +c +d", "b:P->")
	b.scan(record.Closed, "P", "")
	b.settle(record.Settled)
	b.made("P: d / a(unknown) / c(conflict)")
}

// TestTheMarkMovesWithoutManifests, seldom, and never behind what is open.
func TestTheMarkMovesWithoutManifests(t *testing.T) {
	b := newBench(t)
	opened := b.scan(record.Opened, "P", "P")
	b.add("P", nil, "a")
	b.settle(record.Settled)
	puts := b.box.puts
	for range noteEvery - 10 {
		b.scan(record.Told, "P", "P a")
	}
	b.step()
	if b.box.puts != puts {
		t.Errorf("%d puts for nothing", b.box.puts-puts)
	}
	for range 20 {
		b.scan(record.Told, "P", "P a")
	}
	b.step()
	if p := b.box.position; b.box.puts != puts+1 || p.Pos != b.log.state.Seq || p.Begun != int64(opened.Seq)-1 {
		t.Errorf("%d puts, %+v", b.box.puts-puts, p)
	}
	b.restart()
	b.scan(record.Closed, "P", "")
	if m := b.made("P: a")[0]; m.Scans[0].Seq != opened.Seq+1 {
		t.Errorf("%+v", m.Scans)
	}
}

// TestOldPackagesAreForgotten, while the clock is trusted.
func TestOldPackagesAreForgotten(t *testing.T) {
	b := newBench(t)
	b.pack("P", "a")
	b.pass(20 * 24 * time.Hour)
	b.pack("Q", "b")
	b.settle(record.Settled)
	b.made("P: a", "Q: b")
	b.pass(11 * 24 * time.Hour)
	b.now.Trusted = false
	b.step()
	if len(b.box.shadow) != 2 {
		t.Error("forgotten by a clock that nobody trusts")
	}
	b.now.Trusted = true
	b.step()
	if _, ok := b.box.shadow["Q@st-1"]; !ok || len(b.box.shadow) != 1 {
		t.Errorf("%v", b.box.shadow)
	}
	b.scan(record.Cleared, "P", "", "a:P->") // as one of before manifests were made
	b.settle(record.Settled)
	b.made("P:")
}

// TestVersionsRiseThoughThePackageWasForgotten, also without a clock.
func TestVersionsRiseThoughThePackageWasForgotten(t *testing.T) {
	b := newBench(t)
	b.pack("P", "a")
	b.settle(record.Settled)
	b.made("P: a")
	b.pass(31 * 24 * time.Hour)
	b.step()
	if len(b.box.shadow) != 0 {
		t.Fatal("it isn't forgotten")
	}
	b.log.state.Clock, b.now = record.Stamp{}, record.Stamp{Boot: "c", Mono: time.Minute, Wall: time.Unix(60, 0)}
	b.restart()
	b.scan(record.Cleared, "P", "", "a:P->")
	b.settle(record.Settled)
	b.made("P:")
	if v, last := b.box.records[1].Version, b.box.records[0].Version; laterThan(last, v) {
		t.Errorf("version %s after %s", v, last)
	}
}

// TestAQueueIsBounded: what exceeds waits in the journal.
func TestAQueueIsBounded(t *testing.T) {
	b := newBench(t)
	b.cfg.Wait = 24 * time.Hour
	for n := range queueMost + 50 {
		b.pack(fmt.Sprint("P", n), "a")
	}
	b.step()
	if len(b.queue) != queueMost || len(b.box.records) != 0 {
		t.Errorf("%d in the queue, %d made", len(b.queue), len(b.box.records))
	}
	b.pass(25 * time.Hour)
	b.step()
	b.step()
	if n := len(b.box.records); n < queueMost+50 {
		t.Errorf("%d made", n)
	}
}

// TestAManifestReadsBack is what later ones build on.
func TestAManifestReadsBack(t *testing.T) {
	at := record.Stamp{Boot: "b", Mono: 5 * time.Second, Wall: time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC), Trusted: true}
	c := &contents{
		items: []item{{"a", 3, at, 1, settled}, {"b", 4, at, 2, waiting}, {"c", 5, at, 3, "conflict"}},
		out:   []item{{hash: "d", intent: 4, fate: waiting}, {hash: "e", intent: 5, fate: "refused"}},
	}
	var m Manifest
	c.say(&m, record.Stamp{})
	if short(m) != ": a / b d-out / c(conflict) e-out(refused)" {
		t.Error(short(m))
	}
	var again Manifest
	m.contents().say(&again, record.Stamp{})
	m.Scans[0].Moment, again.Scans[0].Moment = Moment{}, Moment{}
	if !reflect.DeepEqual(m, again) {
		t.Errorf("%+v\n%+v", m, again)
	}
}

// TestACardThatWasPutBack: the same sequences are given again, to other closings.
func TestACardThatWasPutBack(t *testing.T) {
	var keys []string
	for _, boot := range []string{"b", "c"} {
		b := newBench(t)
		b.now.Boot = boot
		b.pack("P", "a")
		b.settle(record.Settled)
		b.made("P: a")
		keys = append(keys, b.box.records[0].Key)
	}
	if keys[0] == keys[1] {
		t.Errorf("two closings have the key %s", keys[0])
	}
}

// TestALongOutageIsMadeUpAtOnce: what became of the rows lies behind more closings than are queued.
func TestALongOutageIsMadeUpAtOnce(t *testing.T) {
	b := newBench(t)
	var want []string
	for n := range queueMost + 100 {
		b.pack(fmt.Sprint("P", n), fmt.Sprint("i", n))
		want = append(want, fmt.Sprintf("P%d: i%d", n, n))
	}
	b.settle(record.Settled)
	b.now.Boot, b.now.Mono = "c", time.Minute
	b.restart()
	b.step()
	b.made(want...)
}
