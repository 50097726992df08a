package proof

import (
	"cmp"
	"fmt"
	"time"

	"station-agent/store/record"
)

// Gaps is the collection of the records that say what was not seen.
const Gaps = "station_agent_gaps"

// step is one thing that happened to an item, or a manifest.
type step struct {
	record *Record
	text   string
	out    bool // of the package that the file is about

	manifest bool // the last one of the package that the file is about
	differs  bool // it contradicts the rows
}

// steps are in the order of time, by the database's clock.
func (t *teller) steps() (list []step) {
	for item := range t.places.of {
		list = append(list, t.itemSteps(item)...)
	}
	var manifests []manifest
	for _, r := range t.records {
		if r.Collection != Manifests {
			continue
		}
		if m, err := readManifest(r); err == nil {
			manifests = append(manifests, m)
		} else {
			list = append(list, step{record: r, text: "manifest that can't be used: " + err.Error()})
		}
	}
	eachManifest(manifests, func(m manifest, last bool) {
		text, c := fmt.Sprintf("manifest of package %s: %s", m.Package, number(len(m.Hashes), "item")), t.places.compare(m, last)
		list = append(list, step{record: m.record, text: text + "; it " + c.String(), manifest: last && m.Package == t.header.Subject.Package, differs: len(c.differ) > 0})
	})
	inOrder(list, func(a, b *step) int {
		return cmp.Or(a.record.Changed.Compare(b.record.Changed), cmp.Compare(a.record.Seq, b.record.Seq))
	})
	return list
}

// itemSteps are the steps of one item, as far as they concern the subject.
func (t *teller) itemSteps(item string) (list []step) {
	pkg := t.header.Subject.Package
	is := func(v record.Value) bool { return v != nil && *v == pkg }
	var was record.Value
	known := false
	for _, s := range t.places.history(item) {
		text := change(item, was, known, s)
		concerned := pkg == "" || is(was) && known || is(s.pkg)
		if concerned {
			list = append(list, step{record: t.last[s.seq], text: text, out: pkg != "" && known && is(was) && !is(s.pkg)})
		}
		was, known = s.pkg, true
	}
	return list
}

// change says what one sighting tells beside the one before.
func change(item string, was record.Value, known bool, s sighting) string {
	switch {
	case s.gone:
		return fmt.Sprintf("%s: its row was deleted%s", item, outOf(was))
	case !known && s.pkg == nil:
		return item + ": seen first, in no package"
	case !known && s.scan == 0:
		return fmt.Sprintf("%s: seen first, in package %s", item, *s.pkg)
	case !known:
		return fmt.Sprintf("%s: put into package %s", item, *s.pkg)
	case record.Same(was, s.pkg) && s.pkg == nil:
		return item + ": changed otherwise, in no package"
	case record.Same(was, s.pkg):
		return fmt.Sprintf("%s: changed otherwise, stays in package %s", item, *s.pkg)
	case was == nil:
		return fmt.Sprintf("%s: put into package %s", item, *s.pkg)
	case s.pkg == nil:
		return fmt.Sprintf("%s: cleared%s", item, outOf(was))
	}
	return fmt.Sprintf("%s: moved from package %s to package %s", item, *was, *s.pkg)
}

func outOf(was record.Value) string {
	if was == nil {
		return ""
	}
	return ", out of package " + *was
}

// happened lists all steps, each with what shows it.
func (t *teller) happened() {
	list := t.steps()
	if len(list) == 0 {
		return
	}
	t.line("What happened, by the database's clock:")
	for _, s := range list {
		r := s.record
		t.line("")
		t.line("%s  %s", t.time(r.Changed), s.text)
		t.line("    %s", t.scan(r.Scan))
		t.line("    record %d, version %s, %s: %s", r.Seq, r.Version, r.Op, t.state(r))
		t.line("    key %s", r.Key)
		if r.Receipt != nil {
			t.line("    record hash %s", cmp.Or(r.Receipt.Hash, "not named by Certyo"))
			t.line("    accepted %s%s", t.accepted(r), t.answered(r))
			if r.Receipt.Doubled {
				t.line("    perhaps there twice: it was sent again after more than a day, and nothing told whether it had arrived before")
			}
		}
	}
	t.line("")
}

// accepted is by Certyo's clock, if it said.
func (t *teller) accepted(r *Record) string {
	if at := r.Receipt.AcceptedAt; !at.IsZero() {
		return t.time(at) + " by Certyo's clock"
	}
	return t.moment(*r.Accepted)
}

func (t *teller) answered(r *Record) string {
	switch {
	case r.Answered == nil || r.Answered.At.IsZero():
		return ""
	case r.State == record.Fate(record.Anchored):
		return ", found anchored " + t.moment(*r.Answered)
	}
	return ", last answer that said something " + t.moment(*r.Answered)
}

// scan tells which scan led to something.
func (t *teller) scan(seq uint64) string {
	if seq == 0 {
		return "by no scan of this station"
	}
	s := t.scans[seq]
	if s == nil {
		return fmt.Sprintf("by scan %d, which isn't kept any more", seq)
	}
	text := fmt.Sprintf("by scan %d of %q at reader %s, %s", seq, s.Code, s.Reader, t.stamp(s.At))
	if s.Badge != nil {
		text += fmt.Sprintf(", badge %s, shift %d", s.Badge.Pseudonym, s.Badge.Shift)
	}
	return text
}

// stamp is when a scan was made.
func (t *teller) stamp(s record.Stamp) string {
	if s.Dated() {
		return t.moment(s.Moment())
	}
	return fmt.Sprintf("%s after the start %.8s of the machine; its clock was NOT trusted and stood at %s", s.Mono.Round(time.Second), s.Boot, t.time(s.Wall))
}

func number(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
