package proof

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"station-agent/store/record"
)

// Story is a file of one package or item, to be told to a person.
type Story struct {
	header   Header
	scans    map[uint64]*Scan
	intents  []*Intent
	records  []*Record
	contents Contents
	row      Row
	places   *places
	last     map[uint64]*Record
}

// Gather reads a file of one package or item into a Story.
func Gather(in io.Reader, row Row) (*Story, error) {
	s := &Story{scans: map[uint64]*Scan{}, row: row, places: newPlaces(row), last: map[uint64]*Record{}}
	return s, Read(in, func(_ int, line any) error {
		switch l := line.(type) {
		case *Header:
			s.header, s.places.cut = *l, l.Subject.ends()
		case *Scan:
			s.scans[l.Seq] = l
		case *Intent:
			s.intents = append(s.intents, l)
		case *Record:
			s.records = append(s.records, l)
			s.last[l.Seq] = l
			s.places.add(l)
		case *Contents:
			s.contents = *l
		}
		return nil
	})
}

// Tell writes the story: first what is there and whether it is proven, then what happened. Times are in zone.
func (s *Story) Tell(out io.Writer, zone *time.Location) error {
	t := &teller{Story: s, zone: zone}
	t.head()
	t.held()
	t.happened()
	t.waiting()
	t.notSeen()
	t.foot()
	_, err := io.WriteString(out, t.b.String())
	return err
}

// teller writes one story.
type teller struct {
	*Story
	zone *time.Location
	b    strings.Builder
}

// line writes one line; what others wrote can't break it or reach the terminal.
func (t *teller) line(format string, args ...any) {
	t.b.WriteString(strings.TrimRight(printable(fmt.Sprintf(format, args...)), " ") + "\n")
}

func (t *teller) time(at time.Time) string { return at.In(t.zone).Format("2006-01-02 15:04:05 -07:00") }

// moment is a time by the station's clock.
func (t *teller) moment(m record.Moment) string {
	switch {
	case m.At.IsZero():
		return "at a time that isn't known"
	case m.Clock == "not trusted":
		return t.time(m.At) + " (clock NOT trusted)"
	case m.Clock == "worked out":
		return t.time(m.At) + " (worked out: the clock was set later)"
	}
	return t.time(m.At)
}

func (t *teller) head() {
	s := t.header.Subject
	what := fmt.Sprintf("Item %s", s.Item)
	if s.Package != "" {
		what = fmt.Sprintf("Package %s", s.Package)
	}
	asOf := ""
	if !s.At.IsZero() {
		asOf = " as of " + t.time(s.At)
	}
	t.line("%s%s", what, asOf)
	t.line("%s, environment %s; read %s", cmp.Or(t.header.Name, t.header.Station), t.header.Environment, t.time(t.header.Made))
	t.line("")
	t.line("%s", t.verdict())
	for _, s := range t.steps() {
		if s.manifest {
			t.line("%s, recorded %s, %s.", s.text, t.time(s.record.Changed), t.state(s.record))
		}
	}
	t.line("")
}

// verdict is the one glance: what is there, and whether it is proven, up to when this station knew.
func (t *teller) verdict() string {
	text := t.judgment()
	if len(t.header.Notes) > 0 {
		text += " Something is missing here, see the notes below."
	}
	n := len(t.header.Elsewhere)
	if n == 0 {
		return text
	}
	if rest, ok := strings.CutPrefix(text, "PROVEN:"); ok {
		text = "PROVEN, BUT NOT UP TO NOW:" + rest
	}
	return fmt.Sprintf("%s What became of %s since isn't known here: the row came to another station, or left this one long ago.", text, of(n, len(t.contents.Items)))
}

// contradicted counts the records that Certyo contradicts, and tells whether the last manifest differs from the rows.
func (t *teller) contradicted() (records int, manifest bool) {
	for _, r := range t.records {
		if r.State == record.Fate(record.Mismatch) || r.State == record.Fate(record.Missing) {
			records++
		}
	}
	return records, slices.ContainsFunc(t.steps(), func(s step) bool { return s.manifest && s.differs })
}

func (t *teller) judgment() string {
	items := t.contents.Items
	proven, earlier, bad := 0, 0, 0
	for _, h := range items {
		switch {
		case h.State == record.Fate(record.Anchored):
			proven++
		case h.State == record.Fate(record.Mismatch) || h.State == record.Fate(record.Missing):
			bad++
		case h.Proven > 0:
			earlier++
		}
	}
	what := t.what()
	records, differs := t.contradicted()
	switch {
	case bad > 0:
		return fmt.Sprintf("ALARM: %s Certyo contradicts %s.", what, of(bad, len(items)))
	case records > 0:
		return fmt.Sprintf("ALARM: %s Certyo contradicts %s of what happened, see below.", what, number(records, "record"))
	case differs:
		return fmt.Sprintf("ALARM: %s Its manifest differs from the rows.", what)
	case len(items) == 0:
		return t.emptiness(what)
	case proven == len(items):
		return fmt.Sprintf("PROVEN: %s Certyo anchored %s.", what, map[bool]string{true: "it", false: "each of them"}[len(items) == 1])
	case proven+earlier == 0:
		return fmt.Sprintf("NOT PROVEN: %s None of it is anchored, see why below.", what)
	case earlier > 0:
		return fmt.Sprintf("PARTLY PROVEN: %s Anchored as it is now: %s; of %s only an earlier change is.", what, of(proven, len(items)), of(earlier, len(items)))
	}
	return fmt.Sprintf("PARTLY PROVEN: %s Anchored: %s, see below why the others aren't.", what, of(proven, len(items)))
}

func of(n, all int) string { return fmt.Sprintf("%d of %d", n, all) }

// what says what there is.
func (t *teller) what() string {
	items := t.contents.Items
	switch pkg := t.header.Subject.Package != ""; {
	case pkg && len(items) == 0:
		return "it is empty."
	case pkg:
		return fmt.Sprintf("it holds %s.", number(len(items), "item"))
	case len(items) == 0:
		return "no row shows it."
	case items[0].Gone:
		return "its row was deleted."
	case items[0].Package == nil:
		return "it is in no package."
	}
	return fmt.Sprintf("it is in package %s.", *items[0].Package)
}

// emptiness judges a package that holds nothing: by the records that took its items out.
func (t *teller) emptiness(what string) string {
	out, proven := 0, 0
	for _, s := range t.steps() {
		if s.out {
			if out++; s.record.State == record.Fate(record.Anchored) {
				proven++
			}
		}
	}
	switch {
	case out == 0:
		return fmt.Sprintf("NOT PROVEN: %s No record shows that anything ever was in it.", what)
	case out == proven:
		return fmt.Sprintf("PROVEN: %s Certyo anchored each of the %d changes that took items out.", what, out)
	}
	return fmt.Sprintf("NOT PROVEN: %s Of the changes that took items out, anchored: %s.", what, of(proven, out))
}

// held lists the items.
func (t *teller) held() {
	for _, h := range t.contents.Items {
		r := t.last[h.Record]
		if r == nil {
			continue
		}
		g, _ := t.row(r.Record())
		t.line("  %s  %s%s", h.Item, cmp.Or(g.Name, "(no name)"), prefixed(", EAN ", g.EAN))
		if since := t.last[h.Since]; since != nil {
			t.line("      since %s; %s", t.time(since.Changed), t.state(r))
		}
		if slices.Contains(t.header.Elsewhere, h.Item) {
			t.line("      what became of it since then isn't known here")
		}
		if p := t.last[h.Proven]; p != nil && p != r {
			t.line("      anchored for its change of %s, but not yet for its last one of %s", t.time(p.Changed), t.time(r.Changed))
		}
	}
	if len(t.contents.Items) > 0 {
		t.line("")
	}
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// state says how a record stands.
func (t *teller) state(r *Record) string {
	snapshot := ""
	if r.Receipt != nil {
		snapshot = prefixed(" in snapshot ", r.Receipt.Snapshot)
	}
	switch r.State {
	case record.Fate(record.Anchored):
		return "anchored" + snapshot
	case record.Waits:
		return "waiting: not sent to Certyo yet"
	case record.DeadLetter:
		return "DEAD LETTER, Certyo refused it: " + r.Refusal
	case record.Dropped:
		return "dropped without having been accepted: it will never be anchored"
	case record.Passed:
		return "not sent, as a newer change of its row was"
	case record.Lost:
		return "given up, as it could not be read"
	case record.Fate(record.Pending):
		return "pending: accepted by Certyo" + snapshot + ", not anchored yet"
	case record.Fate(record.Overtaken):
		return "superseded: Certyo answers for a later change of the row"
	case record.Fate(record.Retired):
		return "superseded: Certyo answered for a later change of the row, and isn't asked any more"
	case record.Fate(record.Mismatch):
		return "MISMATCH: what Certyo has differs from what was sent"
	case record.Fate(record.Missing):
		return "MISSING: Certyo accepted it and doesn't know it any more"
	case record.Fate(record.Unclear):
		return "unclear: Certyo's answer is none that is known"
	case record.Fate(record.GivenUp):
		return "given up unverified: too many waited for a proof"
	}
	return string(r.State)
}

// waiting lists what was scanned and isn't in the table.
func (t *teller) waiting() {
	if len(t.intents) == 0 {
		return
	}
	t.line("Scanned, but the table doesn't show it (yet), so it counts for nothing above:")
	for _, i := range t.intents {
		where := "into no package"
		if i.Package != nil {
			where = "into package " + *i.Package
		}
		state := "it waits for the database"
		if i.Result != "" {
			state = "a person is needed: " + string(i.Result) + prefixed(", ", i.Text)
		}
		t.line("  %s %s, %s: %s", i.Hash, where, t.scan(i.Scan), state)
	}
	t.line("")
}

// notSeen tells of gaps.
func (t *teller) notSeen() {
	for _, r := range t.records {
		if r.Collection == Gaps {
			t.line("Not seen: %s  %s", t.time(r.Changed), r.Payload)
		}
	}
	for _, n := range t.header.Notes {
		t.line("Note: %s", n)
	}
}

func (t *teller) foot() {
	t.line("This is what this station recorded; what other stations did to these rows is in their stores. The proof is Certyo's word: keep the")
	t.line("file that --json gives, and let station-agent proof verify FILE --certyo URL ask Certyo for each record anew.")
}
