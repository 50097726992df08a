package proof

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

func tell(t *testing.T, text string) string {
	t.Helper()
	s, err := Gather(strings.NewReader(text), testRow)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.Tell(&b, time.FixedZone("", 2*3600)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func wants(t *testing.T, text string, list ...string) {
	t.Helper()
	at := 0
	for _, want := range list {
		n := strings.Index(text[at:], want)
		if n < 0 {
			t.Errorf("%q is missing, or not behind what comes before it, in\n%s", want, text)
			return
		}
		at += n + len(want)
	}
}

// The whole story of a package: what is in it, whether that is proven, each move with its scan, in order.
func TestTheStoryOfAPackage(t *testing.T) {
	wants(t, tell(t, parcel(t)),
		"Package P\n", "bench 1, environment test; read 2026-05-19 14:59:00 +02:00\n",
		"NOT PROVEN: it holds 1 item. None of it is anchored", "manifest of package P: 1 item; it agrees with the rows, recorded 2026-05-19 14:07:00 +02:00, anchored in snapshot snap-1.\n",
		"  b  mug <b>\n      since 2026-05-19 14:05:00 +02:00; pending: accepted by Certyo in snapshot snap-1, not anchored yet\n",
		"2026-05-19 14:01:00 +02:00  a: put into package P\n    by scan 1 of \"a\" at reader scanner, 2026-05-19 14:01:00 +02:00, badge 8f2c, shift 3\n    record 1, version 1001, update: anchored in snapshot snap-1\n    key key1\n    record hash sha256:",
		"accepted 2026-05-19 14:01:00 +02:00 by Certyo's clock, found anchored 2026-05-19 14:59:00 +02:00\n",
		"14:02:00 +02:00  b: put into package P\n    by scan 2 of \"b\" at reader scanner, 1m30s after the start b00tb00t of the machine; its clock was NOT trusted",
		"14:03:00 +02:00  manifest of package P: 2 items; it agrees with the rows\n",
		"14:04:00 +02:00  b: cleared, out of package P\n    by scan 3 of",
		"14:05:00 +02:00  b: put into package P\n    by scan 5, which isn't kept any more",
		"14:06:00 +02:00  a: moved from package P to package Q\n    by scan 4 of ",
		"14:07:00 +02:00  manifest of package P: 1 item; it agrees",
		"Scanned, but the table doesn't show it", "  c into package P, by scan 77, which isn't kept any more: it waits for the database",
		"The proof is Certyo's word")
}

// The one glance says whether what is there is proven, and if not how far.
func TestTheVerdictIsTheFirstThingToRead(t *testing.T) {
	a, b := moved(1, "a", "P", 1, 0), moved(2, "b", "P", 2, 0)
	later := moved(3, "a", "P", 3, 0)
	for want, list := range map[string][]*record.Account{
		"PROVEN: it holds 2 items. Certyo anchored each of them.":                                             {a, b},
		"PROVEN: it holds 1 item. Certyo anchored it.":                                                        {a},
		"PARTLY PROVEN: it holds 2 items. Anchored: 1 of 2":                                                   {a, stands(moved(2, "b", "P", 2, 0), record.Waits)},
		"NOT PROVEN: it holds 1 item. None of it is anchored":                                                 {stands(moved(1, "a", "P", 1, 0), record.DeadLetter)},
		"ALARM: it holds 2 items. Certyo contradicts 1 of 2.":                                                 {a, stands(moved(2, "b", "P", 2, 0), "mismatch")},
		"ALARM: it holds 1 item. Certyo contradicts 1 of 1.":                                                  {stands(moved(1, "a", "P", 1, 0), "missing")},
		"PARTLY PROVEN: it holds 1 item. Anchored as it is now: 0 of 1; of 1 of 1 only an earlier change is.": {a, stands(later, "pending")},
		"PROVEN: it is empty. Certyo anchored each of the 1 changes that took items out.":                     {a, moved(4, "a", "", 4, 0)},
		"NOT PROVEN: it is empty. Of the changes that took items out, anchored: 0 of 1.":                      {a, stands(moved(4, "a", "Q", 4, 0), record.Waits)},
		"NOT PROVEN: it is empty. No record shows that anything ever was in it.":                              {},
	} {
		wants(t, tell(t, file(t, Subject{Package: "P"}, nil, nil, list...)), want)
	}
}

// What contradicts isn't behind a glance that says PROVEN: an earlier change of an item, a manifest, or one that the rows differ from.
func TestNoContradictionHidesBehindTheVerdict(t *testing.T) {
	a, b, early := moved(1, "a", "P", 1, 0), moved(2, "b", "P", 2, 0), stands(moved(1, "a", "P", 1, 0), "mismatch")
	bad := manifestOf(3, 3, 2, "P", "a", "b")
	bad.Fate = "mismatch"
	for want, list := range map[string][]*record.Account{
		"ALARM: it holds 2 items. Certyo contradicts 1 record of what happened": {a, b, bad},
		"ALARM: it holds 1 item. Certyo contradicts 1 record of what happened":  {early, moved(3, "a", "P", 3, 0)},
		"ALARM: it is empty. Certyo contradicts 1 record of what happened":      {early, moved(3, "a", "", 3, 0)},
		"ALARM: it holds 1 item. Its manifest differs from the rows.":           {moved(1, "a", "P", 1, 1), manifestOf(3, 3, 2, "P")},
		"PROVEN: it holds 1 item.": {moved(1, "a", "P", 1, 1), manifestOf(3, 3, 2, "P", "a")},
	} {
		wants(t, tell(t, file(t, Subject{Package: "P"}, nil, nil, list...)), want)
	}
}

// An item that another station took over is not said to be there now.
func TestItemsThatOthersTookOver(t *testing.T) {
	text := file(t, Subject{Package: "P"}, nil, nil, moved(1, "a", "P", 1, 0), moved(2, "b", "P", 2, 0))
	text = reseal(t, text, func(line any) {
		if h, ok := line.(*Header); ok {
			h.Elsewhere = []string{"b"}
		}
	})
	wants(t, tell(t, text), "PROVEN, BUT NOT UP TO NOW: it holds 2 items. Certyo anchored each of them. What became of 1 of 2 since isn't known here", "  b  mug", "what became of it since then isn't known here")
	if r, err := check(text); err != nil || len(r.Faults) > 0 {
		t.Error(err, r.Faults)
	}
}

// What the store has lost may have told otherwise: the verdict says so.
func TestWhatIsMissingIsSaidBesideTheVerdict(t *testing.T) {
	text := reseal(t, file(t, Subject{Package: "P"}, nil, nil, moved(1, "a", "P", 1, 0)), func(line any) {
		if h, ok := line.(*Header); ok {
			h.Notes = []string{"records are missing here"}
		}
	})
	wants(t, tell(t, text), "PROVEN: it holds 1 item. Certyo anchored it. Something is missing here, see the notes below.", "Note: records are missing here")
}

// A record that may be at Certyo twice says so.
func TestPossiblyDoubledIsTold(t *testing.T) {
	a := moved(1, "a", "P", 1, 0)
	a.Receipt.Doubled = true
	wants(t, tell(t, file(t, Subject{Package: "P"}, nil, nil, a)), "accepted ", "perhaps there twice")
}

// A package as of a time is what it was then, however late it is asked for.
func TestAPackageAsOfATime(t *testing.T) {
	all := []*record.Account{moved(1, "a", "P", 1, 0), moved(2, "b", "P", 2, 0), moved(3, "a", "", 3, 0), moved(4, "b", "Q", 4, 0), moved(5, "a", "P", 5, 0)}
	for minutes, want := range map[int]string{0: "", 1: "a", 2: "a, b", 3: "b", 4: "", 5: "a"} {
		c := NewCount(Subject{Package: "P", At: noon(minutes)}, testRow)
		for _, a := range all {
			c.Add(a)
		}
		if got := c.Contents(noon(59)); names(got.Items) != want || !got.At.Equal(noon(minutes)) {
			t.Errorf("after %d minutes: %q, want %q", minutes, names(got.Items), want)
		}
	}
}

// An item's story names each package that it was in, and its end.
func TestTheStoryOfAnItem(t *testing.T) {
	gone := moved(5, "a", "Q", 5, 0)
	gone.Record.Op = record.Delete
	list := []*record.Account{moved(1, "a", "", 1, 0), moved(2, "a", "P", 2, 0), moved(3, "a", "Q", 3, 0), moved(4, "a", "Q", 4, 0)}
	wants(t, tell(t, file(t, Subject{Item: "a"}, nil, nil, list...)), "Item a\n", "PROVEN: it is in package Q.",
		"a: seen first, in no package", "a: put into package P", "a: moved from package P to package Q", "a: changed otherwise, stays in package Q")
	wants(t, tell(t, file(t, Subject{Item: "a"}, nil, nil, append(list, gone)...)), "PROVEN: its row was deleted.", "a: its row was deleted, out of package Q")
	wants(t, tell(t, file(t, Subject{Item: "a", At: noon(1)}, nil, nil, list[0])), "Item a as of 2026-05-19 14:01:00 +02:00", "PROVEN: it is in no package.")
}

// Versions are numbers, and what is told is told in their order.
func TestVersionsAreNumbers(t *testing.T) {
	a, b := moved(1, "a", "P", 1, 0), moved(2, "a", "", 2, 0)
	a.Record.Version, b.Record.Version = "999", "1000"
	r, err := check(file(t, Subject{Package: "P"}, nil, nil, b, a)) // a record that was carried on comes first
	if err != nil || len(r.Faults) > 0 {
		t.Error(err, r.Faults)
	}
	wants(t, tell(t, file(t, Subject{Package: "P"}, nil, nil, a, b)), "it is empty")
}

// What others wrote can't break a line or reach the terminal.
func TestForeignTextStaysInItsLine(t *testing.T) {
	a := stands(moved(1, "a", "P", 1, 0), record.DeadLetter)
	a.Refusal = "no\x1b[31m\nPROVEN"
	if text := tell(t, file(t, Subject{Package: "P"}, nil, nil, a)); strings.Contains(text, "\x1b") || strings.Contains(text, "\nPROVEN") {
		t.Errorf("%q", text)
	}
}
