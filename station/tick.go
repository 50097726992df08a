package station

import (
	"fmt"

	"station-agent/store/record"
)

// clockReader stands where a reader's name does, in what time did.
const clockReader = "clock"

// Tick tells what becomes of s because time went on or the rows changed; false if nothing does. It is asked again until
// then.
//
//	a scan that waits       is judged again; for good after Rules.Patience
//	a command that waits    ends after Rules.NextScan
//	a long pause            closes the open package; gathered items are asked for
func Tick(s State, rules Rules, w World) (Decision, bool) {
	for n := range s.Waiting {
		if decision, answered := newDecider(s, rules, w).judge(n); answered {
			return decision, true
		}
	}
	d := newDecider(s, rules, w)
	d.scan = record.Scan{Tag: record.Tag{Reader: clockReader}, Package: s.Package, Count: len(s.Items), Badge: s.Badge}
	switch now := w.Now.Mono; {
	case s.Armed != nil && now > s.Armed.Until:
		return d.expire(), true
	case d.rules.TimeOut > 0 && s.expires() && now >= s.Touched+d.rules.TimeOut:
		return d.timeOut(), true
	}
	return Decision{}, false
}

// expire ends what was armed. An override that nobody wanted is no news.
func (d *decider) expire() Decision {
	d.next.Armed = nil
	if d.was.Armed.By == Override {
		return Decision{Next: d.next}
	}
	what := string(d.was.Armed.By)
	if what == "" {
		what, d.scan.Package = "the list", d.was.Armed.Package
	}
	return d.refuse(record.TimedOut, "%s was not followed by a scan within %v", what, d.rules.NextScan)
}

func (d *decider) timeOut() Decision {
	n := len(d.was.Items)
	if d.was.Package == "" {
		d.next.Ask = AskLabel
		return d.refuse(record.TimedOut, "gathered for %v: %s: scan the label that they go to, or cancel", d.rules.TimeOut, items(n))
	}
	d.shut()
	if d.was.Ask == AskBadge {
		d.signOn(d.was.Newcomer)
	}
	decision := d.packed(record.Closed, d.was.Package, n, fmt.Sprintf(": nobody scanned for %v", d.rules.TimeOut))
	decision.Scan.Verdict = record.TimedOut
	return decision
}
