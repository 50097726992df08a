package station

import (
	"fmt"
	"testing"
	"time"

	"station-agent/store/record"
)

const (
	okay     = record.Accepted
	offline  = record.AcceptedOffline
	question = record.Question
)

func together(r *Rules)   { r.Together = true }
func itemsFirst(r *Rules) { r.Way = ItemsFirst }
func sweeping(r *Rules)   { r.Way = Sweep }
func anyUnit(r *Rules)    { r.AnyUnit = true }

// TestFlows goes through whole stories, each event with what must come of it.
func TestFlows(t *testing.T) {
	a, b, c, d, z := hash("a"), hash("b"), hash("c"), hash("d"), hash("z")
	for _, f := range []struct {
		name  string
		rules func(*Rules)
		steps []step
	}{
		{"a label opens again within the reopen time, and not later", nil, []step{
			{1000, "P-1", okay, "opened", "P-1", "", ""},
			{0, a, okay, "added", "P-1:a", "a→P-1 for -", ""},
			{0, "CLOSE", okay, "closed", "", "", ""},
			{1500, "P-1", okay, "reopened", "P-1:a", "", "open again with 1 item"},
			{0, c, okay, "added", "P-1:ac", "c→P-1 for -", ""},
			{0, "CLOSE", okay, "closed", "", "", ""},
			{2200, "P-1", "label used", "", "", "", "take a new label"},
		}},
		{"a label that was scanned by mistake can be used later", nil, []step{
			{1000, "P-1", okay, "opened", "P-1", "", ""},
			{0, "UNDO", okay, "undone", "", "", ""},
			{9000, "P-1", okay, "opened", "P-1", "", ""},
		}},
		{"used labels may be allowed", func(r *Rules) { r.ReuseLabels = true }, []step{
			{1000, "P-1", okay, "opened", "P-1", "", ""},
			{0, a, okay, "added", "P-1:a", "a→P-1 for -", ""},
			{0, "CLOSE", okay, "closed", "", "", ""},
			{9000, "P-1", okay, "opened", "P-1", "", ""},
		}},
		{"nobody scans: the package is closed by time, and that can be undone", func(r *Rules) { r.TimeOut = time.Minute }, []step{
			{1000, "P-1", okay, "opened", "P-1", "", ""},
			{1050, a, okay, "added", "P-1:a", "a→P-1 for -", ""},
			{1109, "", "", "", "P-1:a", "", ""},
			{1110, "", "timed out", "closed", "", "", "nobody scanned"},
			{0, b, "no package open", "", "", "", ""},
			{0, "UNDO", okay, "undone", "P-1:a", "", ""},
		}},
		{"one undo for a label that closed a package and opened one", nil, []step{
			{1000, "P-1", okay, "opened", "P-1", "", ""},
			{0, a, okay, "added", "P-1:a", "a→P-1 for -", ""},
			{0, "P-2", okay, "opened", "P-2", "", ""},
			{0, c, okay, "added", "P-2:c", "c→P-2 for -", ""},
			{0, "UNDO", okay, "undone", "P-2", "c→- for - P-2", ""},
			{0, "UNDO", okay, "undone", "P-1:a", "", ""},
			{0, "UNDO", okay, "undone", "P-1", "a→- for - P-1", ""},
			{0, "UNDO", okay, "undone", "", "", ""},
			{0, "UNDO", "no package open", "", "", "", ""},
		}},
		{"items first", itemsFirst, []step{
			{0, "P-1", "no package open", "", "", "", "scan the items first"},
			{0, a, okay, "added", ":a", "", "is gathered"},
			{0, a, "duplicate", "", ":a", "", "gathered already"},
			{0, d, "conflict", "", ":a", "", "stays there"},
			{0, "401", okay, "added", ":ac", "", ""},
			{0, "CLOSE", "no package open", "", ":ac", "", "scan the label"},
			{0, "P-1", okay, "assigned", "", "a→P-1 for -, c→P-1 for -", "closed with 2 items"},
			{0, "UNDO", okay, "undone", ":ac", "a→- for - P-1, c→- for - P-1", "gathered: 2 items"},
			{0, "UNDO", okay, "undone", ":a", "", ""},
			{0, b, okay, "added", ":ab", "", ""},
			{0, "P-2", okay, "assigned", "", "a→P-2 for - P-1, b→P-2 for -", ""},
		}},
		{"items first: cancel drops what was gathered, and can be undone", itemsFirst, []step{
			{0, a, okay, "added", ":a", "", ""},
			{0, "CANCEL", okay, "cancelled", "", "", ""},
			{0, "UNDO", okay, "undone", ":a", "", ""},
			{0, "REMOVE", okay, "armed", ":a", "", ""},
			{0, "401", "unknown", "", ":a", "", "is gathered"},
			{0, "REMOVE", okay, "armed", ":a", "", ""},
			{0, "400", okay, "removed", "", "", ""},
			{0, "UNDO", okay, "undone", ":a", "", ""},
		}},
		{"items first: after a long pause the label or cancel must come", func(r *Rules) { r.Way, r.TimeOut = ItemsFirst, time.Minute }, []step{
			{1000, a, okay, "added", ":a", "", ""},
			{1061, "", "timed out", "", ":a", "", ""},
			{1500, "", "", "", ":a", "", ""},
			{0, b, question, "", ":a", "", ""},
			{0, "P-1", okay, "assigned", "", "a→P-1 for -", ""},
		}},
		{"sweep", sweeping, []step{
			{1000, "P-1", okay, "listed", "", "", `into package "P-1", if its label is scanned again: 4 items: `},
			{1005, "P-1", okay, "assigned", "", "a→P-1 for -, b→P-1 for -, c→P-1 for -, h→P-1 for -", ""},
			{0, "UNDO", okay, "undone", "", "a→- for - P-1, b→- for - P-1, c→- for - P-1, h→- for - P-1", ""},
			{0, a, "no package open", "", "", "", "items aren't scanned here"},
			{1100, "P-2", okay, "listed", "", "", ""},
			{1111, "", "timed out", "", "", "", "the list was not followed"},
			{1112, "P-2", okay, "listed", "", "", ""},
			{0, "P-3", okay, "listed", "", "", ""},
			{0, "CANCEL", okay, "cancelled", "", "", ""},
			{0, "P-3", okay, "listed", "", "", ""},
		}},
		{"commit at close", together, []step{
			{0, "P-1", okay, "opened", "P-1", "", ""},
			{0, a, okay, "added", "P-1:a", "", ""},
			{0, a, "duplicate", "", "P-1:a", "", ""},
			{0, "400", okay, "added", "P-1:ab", "", ""}, // a is spoken for
			{0, c, okay, "added", "P-1:abc", "", ""},
			{0, "UNDO", okay, "undone", "P-1:ab", "", ""},
			{0, "CLOSE", okay, "closed", "", "a→P-1 for - together, b→P-1 for - together", ""},
			{0, "UNDO", okay, "undone", "P-1:ab", "a→- for - P-1 together, b→- for - P-1 together", ""},
			{0, "P-2", okay, "opened", "P-2", "a→P-1 for - P-1 together, b→P-1 for - P-1 together", ""},
			{0, "P-1", okay, "reopened", "P-1:ab", "", ""},
			{0, c, okay, "added", "P-1:abc", "", ""},
			{0, "REMOVE", okay, "armed", "P-1:abc", "", ""},
			{0, b, okay, "removed", "P-1:ac", "b→- for - P-1 together", ""},
			{0, "CLOSE", okay, "closed", "", "c→P-1 for - together", ""},
		}},
		{"an item in another package: only the override command moves it", nil, []step{
			{0, "P-1", okay, "opened", "P-1", "", ""},
			{1000, d, "conflict", "", "P-1", "", `in package "P-9"`},
			{1010, "OVERRIDE", okay, "added", "P-1:d", "d→P-1 for P-9", ""},
			{0, "UNDO", okay, "undone", "P-1", "d→P-9 for P-1 P-9", ""},
			{0, d, "conflict", "", "P-1", "", ""},
			{0, a, okay, "added", "P-1:a", "a→P-1 for -", ""},
			{0, "OVERRIDE", "no package open", "", "P-1:a", "", "no item was refused"},
			{1100, d, "conflict", "", "P-1:a", "", ""},
			{1111, "OVERRIDE", "no package open", "", "P-1:a", "", ""},
			{0, hash("e"), "conflict", "", "P-1:a", "", `package ""`},
			{0, "OVERRIDE", okay, "added", "P-1:ae", "e→P-1 for ", ""},
		}},
		{"remove takes one item out, wherever it stands", nil, []step{
			{0, "P-1", okay, "opened", "P-1", "", ""},
			{0, a, okay, "added", "P-1:a", "a→P-1 for -", ""},
			{0, c, okay, "added", "P-1:ac", "c→P-1 for -", ""},
			{0, "REMOVE", okay, "armed", "P-1:ac", "", ""},
			{0, "400", okay, "removed", "P-1:c", "a→- for - P-1", ""},
			{0, "UNDO", okay, "undone", "P-1:ac", "a→P-1 for - P-1", ""},
			{0, "REMOVE", okay, "armed", "P-1:ac", "", ""},
			{0, z, "unknown", "", "P-1:ac", "", ""},
			{1500, "REMOVE", okay, "armed", "P-1:ac", "", ""},
			{1511, "", "timed out", "", "P-1:ac", "", "remove was not followed"},
			{0, a, "duplicate", "", "P-1:ac", "", ""},
		}},
		{"clear takes out what this station put there, and names the others", nil, []step{
			{0, "P-1", okay, "opened", "P-1", "", ""}, // f and g were put into P-1 by somebody else
			{0, a, okay, "added", "P-1:a", "a→P-1 for -", ""},
			{0, "P-2", okay, "opened", "P-2", "", ""},
			{0, c, okay, "added", "P-2:c", "c→P-2 for -", ""},
			{0, "CLEAR", okay, "armed", "P-2:c", "", ""},
			{0, "P-1", okay, "cleared", "P-2:c", "a→- for - P-1", "not put there by this station, so left there"},
			{0, "UNDO", okay, "undone", "P-2:c", "a→P-1 for - P-1", ""},
			{0, "CLEAR", okay, "armed", "P-2:c", "", ""},
			{0, "P-2", okay, "cleared", "", "c→- for - P-2", ""},
			{0, "CLEAR", okay, "armed", "", "", ""},
			{0, "P-9", "unknown", "", "", "", "this station put nothing into"},
			{2000, "CLEAR", okay, "armed", "", "", ""},
			{2011, "P-3", okay, "opened", "P-3", "", ""}, // too late: an ordinary scan
		}},
		{"set aside names what was refused", nil, []step{
			{0, "P-1", okay, "opened", "P-1", "", ""},
			{0, "400", "ambiguous", "", "P-1", "", ""},
			{0, "ASIDE", okay, "set aside", "P-1", "", `code "400", which was refused (ambiguous)`},
			{0, "ASIDE", okay, "set aside", "P-1", "", "an item was set aside"},
		}},
		{"any unit of one product, the oldest first; the trigger bounces", anyUnit, []step{
			{1000, "P-1", okay, "opened", "P-1", "", ""},
			{1001, "500", okay, "added", "P-1:n", "n→P-1 for -", ""},
			{1001.3, "500", "", "", "P-1:n", "", ""},
			{1001.61, "500", okay, "added", "P-1:nm", "m→P-1 for -", ""},
			{1002, "500", okay, "added", "P-1:nmo", "o→P-1 for -", ""},
			{1003, "500", "waiting", "", "P-1:nmo", "", ""}, // another one may be on its way
			{1004, "500", "waiting", "", "P-1:nmo", "", ""},
			{1006, "", "duplicate", "", "P-1:nmo", "", ""},
			{1007, "", "duplicate", "", "P-1:nmo", "", ""},
			{1008, "400", "ambiguous", "", "P-1:nmo", "", "of different products"},
			{0, "REMOVE", okay, "armed", "P-1:nmo", "", ""},
			{0, "500", okay, "removed", "P-1:nm", "o→- for - P-1", ""},
		}},
		{"units of one product are refused unless the site says so", nil, []step{
			{0, "P-1", okay, "opened", "P-1", "", ""},
			{0, "500", "ambiguous", "", "P-1", "", "scan the item's own code"},
		}},
		{"tags on the antenna when a package opens don't count", nil, []step{
			{1000, "~" + a, "", "", "", "", ""}, // nothing is open
			{1001, "~T-c", "", "", "", "", ""},
			{1001.5, "P-1", okay, "opened", "P-1", "", "come back: 2"},
			{1002, "~" + a, "", "", "P-1", "", ""},
			{1003, "~T-c", "", "", "P-1", "", ""},
			{1003.5, "~" + b, okay, "added", "P-1:b", "b→P-1 for -", ""},
			{1004, "~" + b, "", "", "P-1:b", "", ""},
			{1005, "~T-c", "", "", "P-1:b", "", ""},
			{1008, "~T-c", okay, "added", "P-1:bc", "c→P-1 for -", ""}, // it left and came back
			{1012, "~T-c", "", "", "P-1:bc", "", ""},                   // again: it is in there, nobody asked
			{1013, "~" + d, "conflict", "", "P-1:bc", "", ""},
			{1014, "~" + hash("h"), okay, "added", "P-1:bch", "h→P-1 for -", ""},
			{1015, "OVERRIDE", okay, "added", "P-1:bchd", "d→P-1 for P-9", ""}, // it names the item: a tag in between changes nothing
			{1016, "CLOSE", okay, "closed", "", "", ""},
			{1020, "~" + a, "", "", "", "", ""}, // closed
			{1021, "~P-3", "", "", "", "", ""},  // a tag opens nothing
			{1022, "~CLOSE", "", "", "", "", ""},
			{1022.5, "P-1", okay, "reopened", "P-1:bchd", "", "come back: 2"},
		}},
		{"tags gather", itemsFirst, []step{
			{1000, "~" + a, okay, "added", ":a", "", ""},
			{0, "~" + a, "", "", ":a", "", ""},
			{0, "P-1", okay, "assigned", "", "a→P-1 for -", ""},
			{0, "~" + a, "", "", "", "", ""},
		}},
		{"badges", nil, []step{
			{0, "B-1", okay, "signed on", "", "", "shift 1"},
			{0, "B-2", okay, "signed on", "", "", "shift 2"},
			{0, "B-2", okay, "signed off", "", "", "shift 2 is over"},
			{0, "UNDO", okay, "undone", "", "", ""},
			{0, "P-1", okay, "opened", "P-1", "", ""},
			{0, "B-2", "duplicate", "", "P-1", "", "you are signed on"},
			{0, "B-3", question, "", "P-1", "", ""},
			{0, a, question, "", "P-1", "", "somebody else signs on"},
			{0, "UNDO", question, "", "P-1", "", ""},
			{0, "P-2", question, "", "P-1", "", ""},
			{0, "B-2", okay, "cancelled", "P-1", "", "was not changed"},
			{0, "B-3", question, "", "P-1", "", ""},
			{0, "CANCEL", okay, "cancelled", "P-1", "", ""},
			{0, a, okay, "added", "P-1:a", "a→P-1 for -", ""},
			{0, "B-3", question, "", "P-1:a", "", ""},
			{0, "P-1", okay, "signed on", "P-1:a", "", "shift 3 goes on"},
			{0, "B-4", question, "", "P-1:a", "", ""},
			{1500, "B-4", okay, "signed on", "P-1:a", "", "shift 4 goes on"},
			{0, "B-5", question, "", "P-1:a", "", ""},
			{0, "CLOSE", okay, "closed", "", "", ""},
			{0, "B-5", okay, "signed off", "", "", "shift 5"},
		}},
	} {
		rows := rowsHere()
		tagged := rowOf(c, "401", "-")
		tagged.EPCs = []string{"T-c"}
		unit := func(l string, day int) record.Row {
			return record.Row{Hash: hash(l), EAN: "500", Product: "mug", Created: at(day)}
		}
		list := []record.Row{tagged, unit("m", 2), unit("n", 1), unit("o", 2)}
		if f.name == "sweep" {
			list = list[:1]
		}
		for _, r := range rows.All() {
			if r.Hash != c {
				r.Row.Product = "of " + letter(r.Hash)
				list = append(list, r.Row)
			}
		}
		rows.Replace(here(2, list...))
		newScenario(t, f.rules, rows).run(f.name, f.steps)
	}
}

// TestLookedFor: codes that nobody here knows yet.
func TestLookedFor(t *testing.T) {
	z := hash("z")
	start := []step{{1000, "P-1", okay, "opened", "P-1", "", ""}}
	t.Run("comes in time", func(t *testing.T) {
		s := newScenario(t, nil, rowsHere())
		s.run("", append(start, step{1001, z, "waiting", "", "P-1", "", ""}, step{1002, z, "waiting", "", "P-1", "", "already"}, step{1003, "", "", "", "P-1", "", ""}))
		first := s.state.Waiting[0].Seq
		s.rows.Replace(here(2, rowOf(z, "409", "-")))
		s.run("", []step{{1003.5, "", okay, "added", "P-1:z", "z→P-1 for -", ""}, {1004, "", "", "", "P-1:z", "", ""}, {1009, "", "", "", "P-1:z", "", ""}})
		if first != 2 {
			t.Error("the answer names scan", first)
		}
	})
	t.Run("never comes", func(t *testing.T) {
		s := newScenario(t, nil, rowsHere())
		s.run("", append(start, step{1001, z, "waiting", "", "P-1", "", ""}, step{1003.9, "", "", "", "P-1", "", ""}, step{1004, "", "unknown", "", "P-1", "", "no item"}))
	})
	t.Run("is elsewhere", func(t *testing.T) {
		away := record.Reading{Away: []record.Row{{Hash: z, Name: "mug", Station: val("bench 7"), Away: true}}, Began: time.Now()}
		s := newScenario(t, nil, rowsHere())
		s.run("", append(start, step{1001, z, "waiting", "", "P-1", "", ""}))
		s.rows.Replace(away)
		s.run("", []step{{1002, "", "", "", "P-1", "", ""}, {1004, "", "unknown", "", "P-1", "", `"mug" is not on this station (on station "bench 7", when last seen)`}})
		s.online = false
		s.run("", []step{{1005, z, "unknown", "", "P-1", "", "not on this station"}})

		s = newScenario(t, func(r *Rules) { r.AllowElsewhere = true }, rowsHere())
		s.run("", append(start, step{1001, z, "waiting", "", "P-1", "", ""}))
		s.rows.Replace(away)
		s.run("", []step{{1002, "", okay, "added", "P-1:z", "z→P-1 for -", ""}})
	})
	t.Run("its package is closed before", func(t *testing.T) {
		s := newScenario(t, nil, rowsHere())
		s.run("", append(start, step{1001, z, "waiting", "", "P-1", "", ""}, step{1001.5, "P-2", okay, "opened", "P-2", "", ""}))
		s.rows.Replace(here(2, rowOf(z, "", "-")))
		s.run("", []step{{1002, "", "unknown", "", "P-2", "", "before its package was closed"}})
	})
	t.Run("gathered for the next label", func(t *testing.T) {
		s := newScenario(t, itemsFirst, rowsHere())
		s.run("", []step{{1000, hash("a"), okay, "added", ":a", "", ""}, {1001, z, "waiting", "", ":a", "", ""}, {1002, "P-1", okay, "assigned", "", "a→P-1 for -", ""}})
		s.rows.Replace(here(2, rowOf(z, "", "-")))
		s.run("", []step{{1003, "", "unknown", "", "", "", "before its package was closed"}})
	})
	t.Run("undone while it is looked for", func(t *testing.T) {
		s := newScenario(t, nil, rowsHere())
		s.run("", append(start, step{1001, z, "waiting", "", "P-1", "", ""}, step{1001.5, "UNDO", okay, "undone", "P-1", "", "isn't looked for any more"}))
		s.rows.Replace(here(2, rowOf(z, "", "-")))
		s.run("", []step{{1002, "", "", "", "P-1", "", ""}})
	})
	t.Run("the database goes away meanwhile", func(t *testing.T) {
		s := newScenario(t, nil, rowsHere())
		s.run("", append(start, step{1001, z, "waiting", "", "P-1", "", ""}, step{1002, "406", "waiting", "", "P-1", "", ""}))
		s.online = false
		s.run("", []step{{1003, "", record.Unverified, "added", "P-1:z", "z→P-1 for - unverified", ""}, {1003, "", "unknown", "", "P-1:z", "", ""}})
	})
	t.Run("a tag leaves the antenna meanwhile", func(t *testing.T) {
		s := newScenario(t, nil, rowsHere())
		s.run("", append(start, step{1001, "~" + z, "waiting", "", "P-1", "", ""}))
		s.rows.Replace(here(2, rowOf(z, "", "-")))
		s.run("", []step{{1003.5, "", "unknown", "", "P-1", "", "left the antenna"}})
	})
	t.Run("and what is armed stays armed", func(t *testing.T) {
		s := newScenario(t, nil, rowsHere())
		s.run("", append(start, step{1001, z, "waiting", "", "P-1", "", ""}, step{1002, "CLEAR", okay, "armed", "P-1", "", ""}))
		s.rows.Replace(here(2, rowOf(z, "", "-")))
		s.run("", []step{{1003, "", okay, "added", "P-1:z", "z→P-1 for -", ""}, {1004, "P-1", okay, "cleared", "", "z→- for - P-1", ""}})
	})
	t.Run("and another badge comes", func(t *testing.T) {
		s := newScenario(t, nil, rowsHere())
		s.run("", append(start, step{1001, z, "waiting", "", "P-1", "", ""}, step{1001.5, "B-1", question, "", "P-1", "", ""}, step{1002, "", question, "", "P-1", "", ""}, step{1003, "", "", "", "P-1", "", ""}))
	})
	t.Run("the only one is in another package", func(t *testing.T) {
		s := newScenario(t, nil, rowsHere())
		s.run("", append(start, step{1001, "402", "waiting", "", "P-1", "", `every item with the code "402" is in another package already: it is looked for`}, step{1004, "", "conflict", "", "P-1", "", `"P-9"`}, step{1005, "OVERRIDE", okay, "added", "P-1:d", "d→P-1 for P-9", ""}))
		s.online = false
		s.run("", []step{{1006, "404", "duplicate", "", "P-1:d", "", ""}, {1007, "403", "conflict", "", "P-1:d", "", ""}})
	})
	t.Run("too many", func(t *testing.T) {
		s := newScenario(t, anyUnit, rowsHere())
		s.run("", start)
		for range maxWaiting {
			s.now++
			if d := s.event("777"); d.Scan.Verdict != record.Waiting {
				t.Fatal(d.Scan)
			}
			s.state.heard = heard{}
			for n := range s.state.Waiting {
				s.state.Waiting[n].Until = 1 << 62
			}
		}
		if d := s.event("778"); d.Scan.Verdict != record.Unknown || len(d.Next.Waiting) != maxWaiting {
			t.Fatal(d.Scan)
		}
	})
}

// TestOffline: what is taken and what is not while the database is away.
func TestOffline(t *testing.T) {
	z := hash("z")
	s := newScenario(t, nil, rowsHere())
	s.online, s.age = false, time.Hour
	s.run("", []step{
		{1000, "P-1", offline, "opened", "P-1", "", ""},
		{0, hash("a"), offline, "added", "P-1:a", "a→P-1 for -", ""},
		{0, "401", offline, "added", "P-1:ac", "c→P-1 for -", ""},
		{0, z, record.Unverified, "added", "P-1:acz", "z→P-1 for - unverified", ""},
		{0, z, "duplicate", "", "P-1:acz", "", ""},
		{0, hash("9"), "unknown", "", "P-1:acz", "", ""}, // doesn't look like a hash here
		{0, "406", "unknown", "", "P-1:acz", "", ""},
		{0, hash("d"), "conflict", "", "P-1:acz", "", ""},
		{0, "OVERRIDE", offline, "added", "P-1:aczd", "d→P-1 for P-9", ""},
		{0, "LAST", record.Stale, "", "P-1:aczd", "", "can't be read now"},
	})
	s.rows.Replace(here(5, rowOf(hash("b"), "", "-"))) // a left since it was seen last
	s.run("", []step{{0, "CLOSE", offline, "closed", "", "", ""}, {0, "P-2", offline, "opened", "P-2", "", ""}, {0, hash("h"), "unknown", "", "P-2", "", "not on this station"}})

	s = newScenario(t, func(r *Rules) { r.Naming = []Naming{ByEAN} }, rowsHere())
	s.online = false
	s.run("without hashes", []step{{1000, "P-1", offline, "opened", "P-1", "", ""}, {0, z, "unknown", "", "P-1", "", ""}})

	s = newScenario(t, sweeping, rowsHere())
	s.age = time.Minute
	s.run("", []step{{0, "P-1", record.Stale, "", "", "", "last read 1m0s ago"}})
}

// TestTheListIsExact: what changed since a sweep was listed is never assigned.
func TestTheListIsExact(t *testing.T) {
	for what, rows := range map[string][]record.Row{
		"left":          {rowOf(hash("a"), "", "-")},
		"got a package": {rowOf(hash("a"), "", "-"), rowOf(hash("b"), "", "P-9")},
	} {
		s := newScenario(t, sweeping, picture(rowOf(hash("a"), "", "-"), rowOf(hash("b"), "", "-")))
		s.run(what, []step{{1000, "P-1", okay, "listed", "", "", "2 items"}})
		s.rows.Replace(here(2, rows...))
		s.run(what, []step{{1003, "P-1", "conflict", "", "", "", "since it was listed"}})
	}
	s := newScenario(t, sweeping, picture(rowOf(hash("a"), "", "-")))
	s.run("came", []step{{1000, "P-1", okay, "listed", "", "", "1 item"}})
	s.rows.Replace(here(2, rowOf(hash("a"), "", "-"), rowOf(hash("b"), "", "-")))
	s.run("came", []step{{1003, "P-1", okay, "assigned", "", "a→P-1 for -", ""}, {0, "P-1", okay, "listed", "", "", "1 item"}})
}

// TestAnOverrideIsForWhatWasTold: if the item is somewhere else meanwhile, the operator is asked again.
func TestAnOverrideIsForWhatWasTold(t *testing.T) {
	start := []step{{1000, "P-1", okay, "opened", "P-1", "", ""}, {1001, hash("d"), "conflict", "", "P-1", "", `"P-9"`}}
	s := newScenario(t, nil, rowsHere())
	s.run("", start)
	s.rows.Replace(here(2, rowOf(hash("d"), "", "P-8")))
	s.run("elsewhere", []step{{1002, "OVERRIDE", "conflict", "", "P-1", "", `"P-8"`}, {1003, "OVERRIDE", okay, "added", "P-1:d", "d→P-1 for P-8", ""}})
	s = newScenario(t, nil, rowsHere())
	s.run("", start)
	s.rows.Replace(here(2, rowOf(hash("d"), "", "-")))
	s.run("free", []step{{1002, "OVERRIDE", okay, "added", "P-1:d", "d→P-1 for -", ""}})
	s = newScenario(t, nil, rowsHere())
	s.run("", start)
	s.rows.Replace(here(2, rowOf(hash("d"), "", "P-1")))
	s.run("here", []step{{1002, "OVERRIDE", "duplicate", "", "P-1", "", ""}})
}

// TestUndoNamesItsLabel: by it the label is known to be unused again, or used.
func TestUndoNamesItsLabel(t *testing.T) {
	for _, c := range []struct {
		rules func(*Rules)
		codes []string
		want  string
	}{
		{nil, []string{"P-2"}, "P-2"},
		{nil, []string{"P-2", "P-3"}, "P-3"},
		{nil, []string{"P-2", "CLOSE"}, "P-2"},
		{nil, []string{"P-2", hash("a")}, "P-2"},
		{nil, []string{"P-2", hash("a"), "P-3", "CLEAR", "P-2"}, "P-2"},
		{nil, []string{"P-2", hash("a"), "REMOVE", hash("a")}, "P-2"},
		{itemsFirst, []string{hash("a"), "P-2"}, "P-2"},
		{sweeping, []string{"P-2", "P-2"}, "P-2"},
	} {
		s := newScenario(t, c.rules, rowsHere())
		for _, code := range append(c.codes, "UNDO") {
			s.now++
			s.event(code)
		}
		if d := s.last.Scan; d.Step != record.Undone || d.Package != c.want {
			t.Errorf("%v: %q, %q: %s", c.codes, d.Step, d.Package, d.Text)
		}
	}
	for text, s := range map[string]record.Session{"no package is open": {}, "gathered: 1 item": session(":a"), `package "P" is open with 0 items`: session("P")} {
		if got := standing(s); got != text {
			t.Error(got)
		}
	}
}

// TestAPackageIsNoWarehouse: a step with all items must fit into one entry of the journal.
func TestAPackageIsNoWarehouse(t *testing.T) {
	var rows []record.Row
	for n := range maxItems + 1 {
		rows = append(rows, rowOf(fmt.Sprintf("%032x", n), "", "-"))
	}
	s := newScenario(t, sweeping, picture(rows...))
	s.run("", []step{{1000, "P-1", "ambiguous", "", "", "", "that is no package"}})
	s = newScenario(t, nil, picture(rows...))
	s.state.Package = "P-1"
	for _, r := range rows[:maxItems] {
		s.event(r.Hash)
	}
	if d := s.event(rows[maxItems].Hash); d.Scan.Verdict != question || len(s.state.Items) != maxItems {
		t.Error(d.Scan)
	}
}

// TestTheRemainingOne is taken only if it is the only one.
func TestTheRemainingOne(t *testing.T) {
	s := newScenario(t, nil, picture(rowOf(hash("a"), "", "-"), rowOf(hash("b"), "", "P-9"), rowOf(hash("c"), "", "-")))
	s.run("", []step{
		{0, "P-1", okay, "opened", "P-1", "", ""},
		{0, "LAST", "ambiguous", "", "P-1", "", "2 items"},
		{0, hash("a"), okay, "added", "P-1:a", "a→P-1 for -", ""},
		{0, "LAST", okay, "added", "P-1:ac", "c→P-1 for -", ""},
		{1500, "LAST", "unknown", "", "P-1:ac", "", ""},
	})
}

// TestAfterARestart: what was open is asked for before anything joins it.
func TestAfterARestart(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules func(*Rules)
		start string
		steps []step
	}{
		{"its label", nil, "P-1:a", []step{
			{1000, hash("c"), question, "", "P-1:a", "", "scan its label to go on"},
			{0, "UNDO", question, "", "P-1:a", "", ""},
			{0, "~" + hash("b"), "", "", "P-1:a", "", ""},
			{0, "B-1", question, "", "P-1:a", "", ""},
			{0, "P-1", okay, "resumed", "P-1:a", "", "goes on with 1 item; the table is not empty: tags on the antenna that don't count until they leave and come back: 1"},
			{0, hash("c"), okay, "added", "P-1:ac", "c→P-1 for -", ""},
		}},
		{"another label", nil, "P-1:a", []step{{0, "P-2", okay, "opened", "P-2", "", ""}, {0, hash("c"), okay, "added", "P-2:c", "c→P-2 for -", ""}}},
		{"close", nil, "P-1:a", []step{{0, "CLOSE", okay, "closed", "", "", ""}, {0, "P-2", okay, "opened", "P-2", "", ""}}},
		{"status", nil, "P-1:a", []step{{0, "STATUS", okay, "armed", "P-1:a", "", ""}, {0, "P-2", "unknown", "told", "P-1:a", "", ""}, {0, hash("c"), question, "", "P-1:a", "", ""}}},
		{"gathered", itemsFirst, ":a", []step{{0, hash("c"), question, "", ":a", "", ""}, {0, "P-2", okay, "assigned", "", "a→P-2 for -", ""}}},
		{"the way was changed", sweeping, "P-1:a", []step{
			{0, "P-1", okay, "resumed", "P-1:a", "", ""},
			{0, "P-2", question, "", "P-1:a", "", "close it first"},
			{0, "CLOSE", okay, "closed", "", "", ""},
			{0, "P-2", okay, "listed", "", "", ""},
		}},
		{"gathered, and the way was changed", nil, ":a", []step{{0, "P-2", okay, "assigned", "", "a→P-2 for -", ""}}},
		{"nothing", nil, "", []step{{0, "P-2", okay, "opened", "P-2", "", ""}}},
	} {
		s := newScenario(t, c.rules, rowsHere())
		s.state = Resume(session(c.start), stamp(999))
		s.run(c.name, c.steps)
	}
}

// TestRemovingOneOfSeveral: which one is never guessed.
func TestRemovingOneOfSeveral(t *testing.T) {
	rows := picture(record.Row{Hash: hash("m"), EAN: "500", Product: "mug"}, record.Row{Hash: hash("n"), EAN: "500", Product: "mug"},
		record.Row{Hash: hash("j"), EAN: "600", Product: "jug"}, record.Row{Hash: hash("k"), EAN: "600", Product: "keg"})
	for _, c := range []struct {
		rules   func(*Rules)
		code    string
		verdict record.Verdict
	}{{nil, "500", "ambiguous"}, {anyUnit, "500", okay}, {nil, "600", "ambiguous"}, {anyUnit, "600", "ambiguous"}} {
		s := newScenario(t, c.rules, rows)
		s.state.Session = session("P-1:mnjk")
		s.event("REMOVE")
		s.now++
		if d := s.event(c.code); d.Scan.Verdict != c.verdict {
			t.Errorf("%q: %s: %s", c.code, d.Scan.Verdict, d.Scan.Text)
		}
	}
}

// TestASerialNumberNamesOneUnit: the tag of another unit is never taken for the one that is in there already.
func TestASerialNumberNamesOneUnit(t *testing.T) {
	const one, two = "3074257BF7194E4000001A85", "3074257BF7194E4000001A86" // two serials of GTIN 80614141123458
	mug := func(l string) record.Row { return record.Row{Hash: hash(l), EAN: "80614141123458", Product: "mug"} }
	for _, r := range []string{"", "~"} {
		s := newScenario(t, nil, picture(mug("m")))
		again := step{1003, r + one, "duplicate", "", "P-1:m", "", ""}
		if r != "" {
			again = step{1008, r + one, "", "", "P-1:m", "", ""} // it left and came back: nobody asked
		}
		s.run(r, []step{
			{1000, "P-1", okay, "opened", "P-1", "", ""},
			{1001, r + one, okay, "added", "P-1:m", "m→P-1 for -", ""},
			again,
			{1010, r + two, "waiting", "", "P-1:m", "", ""},
			{1011, r + two, map[string]record.Verdict{"": "waiting"}[r], "", "P-1:m", "", ""},
		})
		s.rows.Replace(here(2, mug("m"), mug("n")))
		s.run(r, []step{{1012, "", okay, "added", "P-1:mn", "n→P-1 for -", ""}})
	}
	s := newScenario(t, nil, picture(mug("m")))
	s.run("", []step{
		{1000, "P-1", okay, "opened", "P-1", "", ""},
		{1001, one, okay, "added", "P-1:m", "m→P-1 for -", ""},
		{1002, two, "waiting", "", "P-1:m", "", ""},
		{1006, "", "unknown", "", "P-1:m", "", "this is another one"},
	})
}

// TestATagWhoseAssignmentFailed is added again when it is brought again, like any item.
func TestATagWhoseAssignmentFailed(t *testing.T) {
	s := newScenario(t, nil, rowsHere())
	s.run("", []step{
		{1000, "P-1", okay, "opened", "P-1", "", ""},
		{1001, "~" + hash("a"), okay, "added", "P-1:a", "a→P-1 for -", ""},
	})
	s.rows.Ended(hash("a"), record.Outcome{Intent: 1, Result: record.Refused}, at(9))
	s.run("", []step{
		{1010, "~" + hash("a"), okay, "added", "P-1:a", "a→P-1 for -", ""},
		{1011, "~" + hash("f"), "", "", "P-1:a", "", ""}, // in there, by somebody else
	})
}

// TestResumeAsksOnlyIfSomethingIsOpen: an empty package is, too.
func TestResumeAsksOnlyIfSomethingIsOpen(t *testing.T) {
	for open, want := range map[string]Ask{"": Nothing, "P-1": AskLabel, "P-1:a": AskLabel, ":a": AskLabel} {
		if got := Resume(session(open), stamp(1)).Ask; got != want {
			t.Errorf("%q: %q", open, got)
		}
	}
}

// TestAMisreadIsNoScan: a command goes on waiting.
func TestAMisreadIsNoScan(t *testing.T) {
	s := newScenario(t, nil, rowsHere())
	s.state.Session = session("P-1:a")
	s.event("REMOVE")
	s.now++
	s.adopt(Decide(s.state, s.rules, record.Tag{Bad: "cut off"}, s.world()))
	s.run("", []step{{0, hash("a"), okay, "removed", "P-1", "", ""}})
}

// TestStatus tells how a package stands.
func TestStatus(t *testing.T) {
	s := newScenario(t, nil, rowsHere())
	s.labels.used["P-1"] = record.Use{At: stamp(1), Items: packed("ab")}
	ask := step{0, "STATUS", okay, "armed", "", "", ""}
	s.run("settled", []step{ask, {0, "P-1", okay, "told", "", "", "is in the database: 2 items of this station"}})
	s.labels.waiting = map[string]int{"P-1": 1}
	s.run("waits", []step{ask, {0, "P-1", "waiting", "told", "", "", "waiting for the database: 1 item"}})
	s.labels.parked = map[string]int{"P-1": 1}
	s.run("conflict", []step{ask, {0, "P-1", "conflict", "told", "", "", "for a person: 1 item"}})
	s.run("unknown", []step{ask, {0, "P-2", "unknown", "told", "", "", "never used"}})
}

// TestNaming: what a code names, by the chain.
func TestNaming(t *testing.T) {
	const epc = "3074257BF7194E4000001A85" // SGTIN-96 of GTIN 80614141123458
	row := func(l, ean string, epcs ...string) record.Row {
		return record.Row{Hash: hash(l), EAN: ean, EPCs: epcs, Product: l}
	}
	for _, c := range []struct {
		name    string
		chain   []Naming
		rows    []record.Row
		code    string
		verdict record.Verdict
		hash    string
	}{
		{"SGTIN to EAN", nil, []record.Row{row("a", "80614141123458")}, epc, okay, "a"},
		{"SGTIN in small letters", nil, []record.Row{row("a", "80614141123458")}, "3074257bf7194e4000001a85", okay, "a"},
		{"SGTIN, nothing fits", nil, []record.Row{row("a", "4006381333931")}, epc, "waiting", ""},
		{"SGTIN, two fit", nil, []record.Row{row("a", "80614141123458"), row("b", "80614141123458")}, epc, "ambiguous", ""},
		{"the map goes before the GTIN", nil, []record.Row{row("a", "80614141123458", epc), row("b", "80614141123458")}, epc, okay, "a"},
		{"the map contradicts the GTIN", nil, []record.Row{row("a", "4006381333931", epc)}, epc, "contradiction", ""},
		{"the map, and an EAN that is none", nil, []record.Row{row("a", "mug 7", epc)}, epc, okay, "a"},
		{"one tag for two items", nil, []record.Row{row("a", "", "T"), row("b", "", "T")}, "T", "ambiguous", ""},
		{"element string", nil, []record.Row{row("a", "4006381333931")}, "]d20104006381333931211234", okay, "a"},
		{"element string with a wrong check digit", nil, []record.Row{row("a", "4006381333931")}, "]d20104006381333932211234", "waiting", ""},
		{"GTIN-14 for an EAN-13", nil, []record.Row{row("a", "4006381333931")}, "04006381333931", okay, "a"},
		{"without hashes", []Naming{ByEAN}, []record.Row{row("a", "1")}, hash("a"), "waiting", ""},
		{"without GTIN", []Naming{ByHash, ByEAN}, []record.Row{row("a", "80614141123458")}, epc, "waiting", ""},
		{"a hash that is some EAN", []Naming{ByHash, ByEAN}, []record.Row{row("a", "1"), row("b", hash("a"))}, hash("a"), okay, "a"},
	} {
		r := rules
		r.Naming = c.chain
		d := Decide(State{Session: session("P-1")}, r, record.Tag{Code: c.code}, world(picture(c.rows...)))
		if d.Scan.Verdict != c.verdict || letter(d.Scan.Hash) != c.hash {
			t.Errorf("%s: %s, item %q: %s", c.name, d.Scan.Verdict, d.Scan.Hash, d.Scan.Text)
		}
	}
}

// TestTheCarrierTellsWhatACodeIs: 32 digits are a hash, unless the scanner says that they are a GS1 element string.
func TestTheCarrierTellsWhatACodeIs(t *testing.T) {
	for symbology, want := range map[string]record.Verdict{"]C1": okay, "]d2": okay, "]C0": "waiting", "": "waiting"} {
		tag := record.Tag{Symbology: symbology, Code: "01040063813339312112345678901234"}
		d := Decide(State{Session: session("P-1")}, rules, tag, world(picture(record.Row{Hash: hash("a"), EAN: "4006381333931"})))
		if d.Scan.Verdict != want {
			t.Errorf("%q: %s", symbology, d.Scan.Verdict)
		}
	}
}

// TestABadgeIsNotKept: neither in the scan nor in the session.
func TestABadgeIsNotKept(t *testing.T) {
	d := Decide(State{}, rules, record.Tag{Code: "B-secret", Raw: []byte("B-secret")}, world(picture()))
	if d.Scan.Code != "badge who-B-secret" || d.Scan.Raw != nil || d.Scan.Badge.Pseudonym != "who-B-secret" || d.Scan.Badge.Shift != 1 {
		t.Errorf("%+v", d.Scan)
	}
	both := rules
	both.Badge = rules.Package
	if d := Decide(State{}, both, record.Tag{Code: "P-1"}, world(picture())); d.Scan.Verdict != record.Ambiguous {
		t.Error(d.Scan)
	}
}

func TestDeadline(t *testing.T) {
	r := Rules{TimeOut: time.Minute}
	for _, c := range []struct {
		s    State
		want float64 // 0: none
	}{
		{State{}, 0},
		{State{Touched: stamp(5).Mono}, 0},
		{State{Session: session("P-1"), Touched: stamp(5).Mono}, 65},
		{State{Session: session(":a"), Touched: stamp(5).Mono}, 65},
		{State{Session: session(":a"), Touched: stamp(5).Mono, Ask: AskLabel}, 0},
		{State{Armed: &Armed{Until: stamp(7).Mono}, Waiting: []Wait{{Until: stamp(9).Mono}}}, 7},
		{State{Armed: &Armed{Until: stamp(7).Mono}, Waiting: []Wait{{Until: stamp(9).Mono}, {Until: stamp(6).Mono}}}, 6},
	} {
		if at, ok := c.s.Deadline(r); ok != (c.want > 0) || at != stamp(c.want).Mono && ok {
			t.Errorf("%+v: %v %v", c.s, at, ok)
		}
	}
}
