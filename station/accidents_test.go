package station

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/station/presence"
	"station-agent/store/record"
)

const (
	tagOne = "3074257BF7194E4000001A85" // two serial numbers of one product
	tagTwo = "3074257BF7194E4000001A86"
)

func mug(l string, epcs ...string) record.Row {
	return record.Row{Hash: hash(l), EAN: "80614141123458", Product: "mug", EPCs: epcs}
}

// ended tells the Picture how the newest intent of a row ended.
func (s *scenario) ended(h string, r record.Result, found string) {
	w := s.rows.own[h]
	s.rows.Ended(h, record.Outcome{Intent: w.open[len(w.open)-1].ID, Result: r, Found: val(found)}, time.Now())
}

// TestAccidents are stories in which once something joined, left or was told that should not.
func TestAccidents(t *testing.T) {
	a, c, d, f := hash("a"), hash("c"), hash("d"), hash("f")
	open := step{1000, "P-1", okay, "opened", "P-1", "", ""}
	t.Run("a tag that flickers packs no second unit, nor in the next package", func(t *testing.T) {
		for _, any := range []func(*Rules){nil, anyUnit} {
			s := newScenario(t, any, picture(mug("m")))
			s.run("", []step{open, {1001, "~" + tagOne, okay, "added", "P-1:m", "m→P-1 for -", ""}})
			s.rows.Replace(here(2, mug("m"), mug("n")))
			s.run("", []step{
				{1010, "~" + tagOne, "", "", "P-1:m", "", ""},
				{1011, "P-2", okay, "opened", "P-2", "", ""},
				{1020, "~" + tagOne, "conflict", "", "P-2", "", `"P-1"`},
				{1021, "OVERRIDE", okay, "added", "P-2:m", "m→P-2 for - P-1", ""},
				{1030, "~" + tagOne, "", "", "P-2:m", "", ""},
				{1031, "UNDO", okay, "undone", "P-2", "m→P-1 for - P-1 P-2", ""},
			})
		}
	})
	t.Run("a tag that another item carries, by the map, is not guessed by its product", func(t *testing.T) {
		s := newScenario(t, nil, picture(mug("m", tagTwo)))
		s.run("", []step{open, {1001, tagOne, "waiting", "", "P-1", "", ""}, {1005, "", "unknown", "", "P-1", "", "has another tag"}})
	})
	t.Run("its own tag names an item, though the chain has no map", func(t *testing.T) {
		s := newScenario(t, func(r *Rules) { r.Naming = []Naming{ByGTIN} }, picture(mug("m", "3074257bf7194e4000001a85"), mug("n", tagTwo)))
		s.run("", []step{open, {1001, tagOne, okay, "added", "P-1:m", "m→P-1 for -", ""}})
	})
	t.Run("a tag that is mapped to two items stays ambiguous", func(t *testing.T) {
		s := newScenario(t, nil, picture(record.Row{Hash: a, EPCs: []string{"T"}}, record.Row{Hash: hash("b"), EPCs: []string{"T"}}))
		s.run("", []step{open, {1001, a, okay, "added", "P-1:a", "a→P-1 for -", ""}, {1002, "T", "ambiguous", "", "P-1:a", "", "correct the map"}})
	})
	t.Run("what nobody scanned takes nothing from what somebody armed", func(t *testing.T) {
		rows := func() *Picture {
			return picture(rowOf(a, "", "-"), rowOf(c, "", "-"), rowOf(d, "", "P-9"), rowOf(hash("y"), "", "P-8"), rowOf(hash("x"), "", "P-7"))
		}
		s := newScenario(t, nil, rows())
		s.run("override", []step{open, {1001, d, "conflict", "", "P-1", "", ""}, {1002, "~" + hash("y"), "conflict", "", "P-1", "", ""},
			{1003, "OVERRIDE", okay, "added", "P-1:d", "d→P-1 for P-9", ""}})
		s = newScenario(t, nil, rows())
		s.run("two tags", []step{open, {1001, "~" + hash("x"), "conflict", "", "P-1", "", ""}, {1002, "~" + hash("y"), "conflict", "", "P-1", "", ""},
			{1003, "OVERRIDE", "no package open", "", "P-1", "", "no item was refused"}})
		s = newScenario(t, nil, rows())
		s.run("clear", []step{open, {1001, a, okay, "added", "P-1:a", "a→P-1 for -", ""}, {1002, "P-2", okay, "opened", "P-2", "", ""},
			{1003, "CLEAR", okay, "armed", "P-2", "", ""}, {1004, "~" + d, "conflict", "", "P-2", "", ""}, {1005, "P-1", okay, "cleared", "P-2", "a→- for - P-1", ""}})
		s = newScenario(t, nil, rows())
		s.run("remove", []step{open, {1001, a, okay, "added", "P-1:a", "a→P-1 for -", ""},
			{1003, "REMOVE", okay, "armed", "P-1:a", "", ""}, {1004, "~" + d, "conflict", "", "P-1:a", "", ""}, {1005, a, okay, "removed", "P-1", "a→- for - P-1", ""}})
	})
	t.Run("commit at close: an item that is added again is written", func(t *testing.T) {
		s := newScenario(t, together, rowsHere())
		s.run("", []step{open, {1001, a, okay, "added", "P-1:a", "", ""}, {1002, "CLOSE", okay, "closed", "", "a→P-1 for - together", ""}})
		s.ended(a, record.Refused, "-")
		s.run("", []step{
			{1003, "P-1", okay, "reopened", "P-1:a", "", ""},
			{1004, a, okay, "added", "P-1:a", "", ""},
			{1005, "CLOSE", okay, "closed", "", "a→P-1 for - together", ""},
		})
		s = newScenario(t, func(r *Rules) { r.Together, r.ReuseLabels = true, true }, rowsHere())
		s.run("", []step{open, {1001, a, okay, "added", "P-1:a", "", ""}, {1002, "CLOSE", okay, "closed", "", "a→P-1 for - together", ""}})
		s.ended(a, record.OtherValue, "-")
		s.run("", []step{
			{9003, "P-1", okay, "opened", "P-1", "", ""},
			{9004, a, okay, "added", "P-1:a", "", ""},
			{9005, "CLOSE", okay, "closed", "", "a→P-1 for - together", ""},
		})
	})
	t.Run("an item that is added again is the last one, and goes back to where it was now", func(t *testing.T) {
		s := newScenario(t, nil, rowsHere())
		s.run("", []step{open, {0, a, okay, "added", "P-1:a", "a→P-1 for -", ""}, {0, c, okay, "added", "P-1:ac", "c→P-1 for -", ""}})
		s.ended(a, record.Refused, "-")
		s.run("order", []step{{0, a, okay, "added", "P-1:ca", "a→P-1 for -", ""}, {0, "UNDO", okay, "undone", "P-1:ac", "a→- for - P-1", ""}})

		s = newScenario(t, nil, rowsHere())
		s.run("", []step{open, {0, d, "conflict", "", "P-1", "", ""}, {0, "OVERRIDE", okay, "added", "P-1:d", "d→P-1 for P-9", ""}})
		s.ended(d, record.OtherValue, "-")
		s.run("value", []step{{0, d, okay, "added", "P-1:d", "d→P-1 for -", ""}, {0, "UNDO", okay, "undone", "P-1:d", "d→- for - P-1", ""}})

		s = newScenario(t, nil, rowsHere())
		s.run("", []step{open, {0, a, okay, "added", "P-1:a", "a→P-1 for -", ""}})
		s.ended(a, record.OtherValue, "F")
		s.run("foreign", []step{{0, a, "conflict", "", "P-1:a", "", ""}, {0, "OVERRIDE", okay, "added", "P-1:a", "a→P-1 for F", ""}, {0, "UNDO", okay, "undone", "P-1:a", "a→F for F P-1", ""}})
	})
	t.Run("a reopened package ends with what it began with", func(t *testing.T) {
		s := newScenario(t, nil, rowsHere())
		s.run("", []step{open, {0, a, okay, "added", "P-1:a", "a→P-1 for -", ""}, {0, c, okay, "added", "P-1:ac", "c→P-1 for -", ""}, {0, "CLOSE", okay, "closed", "", "", ""},
			{0, "P-1", okay, "reopened", "P-1:ac", "", ""},
			{0, "REMOVE", okay, "armed", "P-1:ac", "", ""}, {0, c, okay, "removed", "P-1:a", "c→- for - P-1", ""},
			{0, "UNDO", okay, "undone", "P-1:ac", "c→P-1 for - P-1", ""},
			{0, "UNDO", okay, "undone", "", "", `the opening of package "P-1" was undone`}})
	})
	t.Run("remove takes out what others put there too", func(t *testing.T) {
		for _, commit := range []func(*Rules){nil, together} {
			s := newScenario(t, commit, rowsHere())
			s.run("", []step{open, {0, "REMOVE", okay, "armed", "P-1", "", ""}})
			s.now++
			if d := s.event(f); len(d.Intents) != 1 || d.Intents[0].Package != nil || d.Scan.Step != record.Removed {
				t.Errorf("%+v: %s", d.Scan, showIntents(d.Intents))
			}
		}
	})
	t.Run("an item that proved not to be there is no duplicate", func(t *testing.T) {
		z := hash("z")
		s := newScenario(t, nil, rowsHere())
		s.online = false
		s.run("", []step{{1000, "P-1", offline, "opened", "P-1", "", ""}, {0, z, record.Unverified, "added", "P-1:z", "z→P-1 for - unverified", ""}})
		s.ended(z, record.NoSuchRow, "-")
		s.online = true
		s.run("", []step{{0, z, "waiting", "", "P-1:z", "", ""}, {1010, "", "unknown", "", "P-1:z", "", "no item"}})
	})
	t.Run("the empty text is never put back", func(t *testing.T) {
		s := newScenario(t, nil, rowsHere())
		s.run("", []step{open, {0, hash("e"), "conflict", "", "P-1", "", ""}, {0, "OVERRIDE", okay, "added", "P-1:e", "e→P-1 for ", ""}, {0, "UNDO", okay, "undone", "P-1", "e→- for  P-1", ""}})
	})
	t.Run("undo is for what was done just now", func(t *testing.T) {
		s := newScenario(t, nil, rowsHere())
		s.run("", []step{open, {0, a, okay, "added", "P-1:a", "a→P-1 for -", ""}, {0, "CLOSE", okay, "closed", "", "", ""}, {9000, "UNDO", "no package open", "", "", "", "ago"}})
		s.state = Resume(s.state.Session, stamp(s.now))
		s.run("after a restart", []step{{0, "UNDO", "no package open", "", "", "", "nothing to undo"}})
	})
	t.Run("undo is for what a person did", func(t *testing.T) {
		s := newScenario(t, nil, rowsHere())
		s.run("", []step{open, {0, a, okay, "added", "P-1:a", "a→P-1 for -", ""}, {0, "~" + hash("z"), "waiting", "", "P-1:a", "", ""}, {0, "UNDO", okay, "undone", "P-1", "a→- for - P-1", ""}})
		s = newScenario(t, nil, rowsHere())
		s.run("", []step{open, {0, hash("z"), "waiting", "", "P-1", "", ""}, {0, a, okay, "added", "P-1:a", "a→P-1 for -", ""}, {0, "UNDO", okay, "undone", "P-1", "a→- for - P-1", ""}})
	})
	t.Run("cancel ends the conflict, not the package", func(t *testing.T) {
		s := newScenario(t, nil, rowsHere())
		s.run("", []step{open, {0, a, okay, "added", "P-1:a", "a→P-1 for -", ""}, {0, d, "conflict", "", "P-1:a", "", ""}, {0, "CANCEL", okay, "cancelled", "P-1:a", "", ""}, {0, "OVERRIDE", "no package open", "", "P-1:a", "", ""}})
	})
	t.Run("gathered items that no label takes come out", func(t *testing.T) {
		s := newScenario(t, itemsFirst, rowsHere())
		s.state = Resume(session(":ac"), stamp(999))
		s.rows.Replace(here(2, rowOf(a, "", "F"), rowOf(c, "", "-")))
		s.run("", []step{{1000, "P-1", "conflict", "", ":ac", "", "remove it first"}, {0, "REMOVE", okay, "armed", ":ac", "", ""}, {0, a, okay, "removed", ":c", "", ""}, {0, "P-1", okay, "assigned", "", "c→P-1 for -", ""}})
	})
	t.Run("commit at close: what can't be written is not closed in green", func(t *testing.T) {
		s := newScenario(t, together, rowsHere())
		s.run("", []step{open, {0, a, okay, "added", "P-1:a", "", ""}})
		s.rows.Replace(here(2, rowOf(a, "", "F"), rowOf(c, "", "-")))
		s.run("", []step{{0, "CLOSE", "conflict", "", "P-1:a", "", `"F"`}, {0, "P-2", "conflict", "", "P-1:a", "", ""}, {0, "REMOVE", okay, "armed", "P-1:a", "", ""}, {0, a, okay, "removed", "P-1", "", ""}, {0, "CLOSE", okay, "closed", "", "", ""}})
	})
	t.Run("a scan of any kind shows that somebody is there", func(t *testing.T) {
		s := newScenario(t, func(r *Rules) { r.TimeOut = time.Minute }, rowsHere())
		s.run("", []step{open, {1050, "400", "ambiguous", "", "P-1", "", ""}, {1061, "", "", "", "P-1", "", ""}, {1109, "", "", "", "P-1", "", ""}, {1110, "", "timed out", "closed", "", "", ""}})
	})
	t.Run("who signs on while a package times out is signed on", func(t *testing.T) {
		s := newScenario(t, func(r *Rules) { r.TimeOut = time.Minute }, rowsHere())
		s.run("", []step{open, {1001, "B-1", question, "", "P-1", "", ""}, {1070, "", "timed out", "closed", "", "", ""}})
		if b := s.state.Badge; b == nil || b.Pseudonym != "who-B-1" {
			t.Error(b)
		}
	})
	t.Run("set aside names items", func(t *testing.T) {
		s := newScenario(t, nil, rowsHere())
		s.run("", []step{open, {0, "400", "ambiguous", "", "P-1", "", ""}, {0, "P-1", "duplicate", "", "P-1", "", ""}, {0, "ASIDE", okay, "set aside", "P-1", "", `"400"`}})
	})
	t.Run("remove by a serial number takes out that unit", func(t *testing.T) {
		s := newScenario(t, anyUnit, picture(mug("m"), mug("n")))
		s.run("", []step{open, {0, tagOne, okay, "added", "P-1:m", "m→P-1 for -", ""}, {0, tagTwo, okay, "added", "P-1:mn", "n→P-1 for -", ""},
			{0, "REMOVE", okay, "armed", "P-1:mn", "", ""}, {0, tagOne, okay, "removed", "P-1:n", "m→- for - P-1", ""}})
	})
	t.Run("status of a package that is written when it is closed", func(t *testing.T) {
		s := newScenario(t, together, rowsHere())
		s.run("", []step{open, {0, a, okay, "added", "P-1:a", "", ""}, {0, "STATUS", okay, "armed", "P-1:a", "", ""}, {0, "P-1", "waiting", "told", "P-1:a", "", "written when it is closed"}})
	})
	t.Run("an item elsewhere is looked up, however it was seen before", func(t *testing.T) {
		z := hash("z")
		s := newScenario(t, func(r *Rules) { r.AllowElsewhere = true }, rowsHere())
		s.rows.Replace(record.Reading{Away: []record.Row{{Hash: z, Away: true}}, Began: time.Now().Add(-time.Hour)})
		s.run("", []step{open, {0, z, "waiting", "", "P-1", "", ""}})
		s.rows.Replace(record.Reading{Away: []record.Row{{Hash: z, Away: true}}, Began: time.Now()})
		s.run("", []step{{1002, "", okay, "added", "P-1:z", "z→P-1 for -", ""}})
	})
}

// TestSerialNumbersOutliveARestart: what a tag named is known from the journal.
func TestSerialNumbersOutliveARestart(t *testing.T) {
	got := serials([]record.Named{{Code: tagOne, Hash: "l"}, {Code: tagOne, Hash: "m"}, {Code: "80614141123458", Hash: "x"}, {Code: hash("a"), Hash: hash("a")}, {Code: "T", Hash: "t"}})
	if len(got.byCode) != 1 || got.hash(tagOne) != "m" || got.claimed("l", "") || !got.claimed("m", tagTwo) || got.claimed("m", tagOne) {
		t.Error(got)
	}
}

// TestUnits are shared by states, bounded, and forget the oldest.
func TestUnits(t *testing.T) {
	var u units
	if u.hash("c") != "" || u.claimed("h", "c") || u.without("h").hash("c") != "" {
		t.Error("something in nothing")
	}
	one := u.with("c", "h")
	two := one.with("d", "h") // which takes its place
	if u.hash("c") != "" || one.hash("c") != "h" || two.hash("c") != "" || two.hash("d") != "h" || len(two.byHash) != 1 {
		t.Error(u, one, two)
	}
	for n := range 2 * maxUnits {
		u = u.with(fmt.Sprint("c", n), fmt.Sprint("h", n))
		if len(u.byCode) > maxUnits || len(u.byCode) != len(u.byHash) {
			t.Fatal(len(u.byCode), len(u.byHash))
		}
	}
	if last := 2*maxUnits - 1; u.hash(fmt.Sprint("c", last)) == "" || u.hash(fmt.Sprint("c", last-maxUnits/2+1)) == "" || u.hash("c0") != "" {
		t.Error("the oldest go, the newest stay")
	}
}

// TestNobodyLooksNothingLeaves: tags that lay on the antenna still lie there after the bench was held up, and after their
// reader was lost.
func TestNobodyLooksNothingLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, record.State{})
		r.field = presence.New(presence.Config{Began: -time.Hour})
		r.start(t)
		lie := func(n int) {
			for range n {
				r.Reads() <- Read{Tag: record.Tag{Reader: "antenna", Code: hash("a"), Radio: true}, At: time.Now()}
				time.Sleep(100 * time.Millisecond)
			}
			synctest.Wait()
		}
		lie(10)
		r.scan("P-1")
		r.before = func() error { time.Sleep(3 * time.Second); return nil } // the card stalls
		r.scan("P-1")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		r.before = nil
		r.sync()
		lie(3)
		r.Reads() <- Read{Tag: record.Tag{Reader: "antenna", Radio: true}, At: time.Now(), Lost: true}
		time.Sleep(time.Minute)
		lie(3)
		if got := r.verdicts(); got != "accepted, duplicate" {
			t.Error(got)
		}
		time.Sleep(3 * time.Second)
		lie(1)
		if show(r.Bench.state.Session) != "P-1:a" {
			t.Error("it left and came back:", r.verdicts())
		}
		r.stop()
	})
}

// TestWhatShowedWhenAPackageOpenedDoesNotJoinIt, be it seen once so far, and in every way that a package opens or goes on.
func TestWhatShowedWhenAPackageOpenedDoesNotJoinIt(t *testing.T) {
	for _, asked := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			start := record.State{}
			if asked { // the agent was restarted: the label is asked for
				start.Session = session("P-1")
			}
			r := newRig(t, start)
			r.field = presence.New(presence.Config{Began: -time.Hour, Readers: map[string]presence.Reader{"antenna": {Reads: 2}}})
			r.start(t)
			read := func() {
				r.Reads() <- Read{Tag: record.Tag{Reader: "antenna", Code: hash("a"), Radio: true}, At: time.Now()}
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
			}
			read()
			r.scan("P-1")
			read()
			read()
			if s := r.shown[0]; s.NotEmpty != 1 || len(r.shown) != 1 {
				t.Errorf("asked %v: %d tags said to lie there, %s", asked, s.NotEmpty, r.verdicts())
			}
			time.Sleep(3 * time.Second)
			read()
			read()
			if show(r.Bench.state.Session) != "P-1:a" {
				t.Errorf("asked %v: it left and came back: %s", asked, r.verdicts())
			}
			r.stop()
		})
	}
}

// TestATagTakenAwayWhileItsReaderWasGoneCountsWhenShownAgain, once the reader had time to see that it is away.
func TestATagTakenAwayWhileItsReaderWasGoneCountsWhenShownAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, record.State{})
		r.field = presence.New(presence.Config{Began: -time.Hour})
		r.start(t)
		tell := func(read Read) {
			read.Reader, read.Radio, read.At = "antenna", true, time.Now()
			r.Reads() <- read
			synctest.Wait()
		}
		tell(Read{Tag: record.Tag{Code: hash("a")}})
		r.scan("P-1")
		tell(Read{Lost: true})
		time.Sleep(time.Minute)
		tell(Read{Back: true})
		time.Sleep(time.Minute)
		tell(Read{Tag: record.Tag{Code: hash("a")}})
		if show(r.Bench.state.Session) != "P-1:a" {
			t.Error(r.verdicts())
		}
		r.stop()
	})
}

// TestWeakTagsDoNotCount: strength and antenna reach the filter.
func TestWeakTagsDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, record.State{})
		r.field = presence.New(presence.Config{Began: -time.Hour, Readers: map[string]presence.Reader{"antenna": {
			Limit: presence.Limit{Come: -55, Stay: -60}, Antennas: map[int]presence.Limit{2: {Come: -40, Stay: -45}}}}})
		r.start(t)
		r.scan("P-1")
		for _, read := range []Read{{RSSI: -56, Antenna: 1}, {RSSI: -41, Antenna: 2}, {RSSI: -55, Antenna: 1}} {
			if show(r.Bench.state.Session) != "P-1" {
				t.Error("it came before", read.RSSI)
			}
			read.Tag, read.At = record.Tag{Reader: "antenna", Code: hash("a"), Radio: true}, time.Now()
			r.Reads() <- read
			synctest.Wait()
		}
		if show(r.Bench.state.Session) != "P-1:a" {
			t.Error(r.verdicts())
		}
		r.stop()
	})
}
