package station

import "station-agent/store/record"

// badge signs a person on, by pseudonym: the code itself is not kept. The same badge again signs off. While something is
// open or gathered a change must be answered, as nobody else knows whose it is.
func (d *decider) badge(pseudonym string) Decision {
	d.scan.Code, d.scan.Raw, d.scan.Package = "badge "+pseudonym, nil, d.was.Package
	same := d.was.Badge != nil && d.was.Badge.Pseudonym == pseudonym
	switch {
	case d.was.Ask == AskLabel:
		return d.question()
	case d.was.Ask == AskBadge && pseudonym == d.was.Newcomer:
		return d.takeOver()
	case d.was.Ask == AskBadge && same:
		d.next.Ask, d.next.Newcomer = Nothing, ""
		return d.tell(record.Cancelled, "the badge was not changed: %s", standing(d.was.Session))
	case d.was.Ask == AskBadge:
		return d.question()
	case same && d.was.busy():
		return d.refuse(record.Duplicate, "you are signed on: %s", standing(d.was.Session))
	case same:
		d.next.Badge = nil
		return d.accept(record.SignedOff, "signed off, shift %d is over", d.was.Badge.Shift)
	case d.was.busy():
		d.next.Ask, d.next.Newcomer = AskBadge, pseudonym
		return d.refuse(record.Question, "%s: scan its label or the badge again to take over, close it, or cancel", standing(d.was.Session))
	}
	d.signOn(pseudonym)
	return d.accept(record.SignedOn, "signed on, shift %d", d.next.Shifts)
}

// takeOver lets the new badge go on with what is open.
func (d *decider) takeOver() Decision {
	d.scan.Package = d.was.Package
	d.signOn(d.was.Newcomer)
	d.next.Ask, d.next.Newcomer = Nothing, ""
	return d.accept(record.SignedOn, "shift %d goes on: %s", d.next.Shifts, standing(d.was.Session))
}

func (d *decider) signOn(pseudonym string) {
	d.next.Shifts++
	d.next.Badge = &record.Badge{Pseudonym: pseudonym, Shift: d.next.Shifts}
	d.scan.Badge = d.next.Badge
}
