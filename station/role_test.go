package station

import (
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

// TestACodeCountsOnlyWhereItMay: the code tells what it is, and the reader's role whether that counts there.
func TestACodeCountsOnlyWhereItMay(t *testing.T) {
	r := rules
	r.Roles = map[string]Role{"p": ForPackages, "i": ForItems, "c": ForCommands, "any": AnyRole}
	const other = record.WrongReader
	item := hash("a")
	view := world(picture(record.Row{Hash: item}))
	for _, c := range []struct {
		code            string
		p, i, c, always record.Verdict // at those readers, and where any code counts
	}{
		{"P-1", okay, other, other, okay},
		{item, other, "no package open", other, "no package open"},
		{"CLOSE", other, other, "no package open", "no package open"},
		{"nonsense", other, "no package open", other, "no package open"},
	} {
		for reader, want := range map[string]record.Verdict{"p": c.p, "i": c.i, "c": c.c, "any": c.always, "not named": c.always} {
			d := Decide(State{}, r, record.Tag{Reader: reader, Code: c.code}, view)
			if d.Scan.Verdict != want {
				t.Errorf("%s at %s: %s (%s), want %s", c.code, reader, d.Scan.Verdict, d.Scan.Text, want)
			}
			if d.Scan.Verdict == other && (d.Session != nil || len(d.Intents) > 0 || !strings.Contains(d.Scan.Text, "scan it at the other reader")) {
				t.Errorf("%s at %s: %+v", c.code, reader, d)
			}
		}
	}
	for reader, want := range map[string]record.Verdict{"p": okay, "i": "misread"} {
		tag := record.Tag{Reader: reader, Code: "P-1"}
		if reader == "i" {
			tag = record.Tag{Reader: reader, Bad: "cut off"}
		}
		if d := Decide(State{}, r, tag, view); d.Scan.Verdict != want {
			t.Errorf("%s: %s", reader, d.Scan.Verdict)
		}
	}
}

// TestABadgeAtTheWrongReaderIsNotKept either.
func TestABadgeAtTheWrongReaderIsNotKept(t *testing.T) {
	r := rules
	r.Roles = map[string]Role{"i": ForItems}
	d := Decide(State{}, r, record.Tag{Reader: "i", Code: "B-17", Raw: []byte("B-17")}, world(picture()))
	if said := strings.ReplaceAll(d.Scan.Code+d.Scan.Text+string(d.Scan.Raw), "who-B-17", ""); d.Scan.Verdict != record.WrongReader || strings.Contains(said, "B-17") {
		t.Errorf("%+v", d.Scan)
	}
}

// TestACodeThatMayBeABadgeIsNotKept either.
func TestACodeThatMayBeABadgeIsNotKept(t *testing.T) {
	r := rules
	r.Package = r.Badge
	d := Decide(State{}, r, record.Tag{Reader: "i", Code: "B-17", Raw: []byte("B-17")}, world(picture()))
	if said := strings.ReplaceAll(d.Scan.Code+d.Scan.Text+string(d.Scan.Raw), "who-B-17", ""); d.Scan.Verdict != record.Ambiguous || strings.Contains(said, "B-17") {
		t.Errorf("%+v", d.Scan)
	}
}

// TestAtTheWrongReaderWhatWasArmedStays: the packer holds the label before the other reader next.
func TestAtTheWrongReaderWhatWasArmedStays(t *testing.T) {
	r := rules
	r.Roles = map[string]Role{"i": ForItems, "p": ForPackages}
	view := world(picture())
	view.Now.Mono = time.Minute
	s := State{Armed: &Armed{By: Clear, Until: 2 * time.Minute}}
	d := Decide(s, r, record.Tag{Reader: "i", Code: "P-1"}, view)
	if d.Scan.Verdict != record.WrongReader || d.Next.Armed == nil {
		t.Errorf("%s, armed %v", d.Scan.Verdict, d.Next.Armed)
	}
}
