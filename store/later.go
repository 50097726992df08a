package store

import (
	"cmp"
	"errors"
	"strings"

	"station-agent/store/record"
)

// Later tells whether a later change of the row that u is about was sent or waits, or is another station's to send: an answer
// about the row may be about that one then. A later change that Certyo refused doesn't count. It asks the Shadow; for collections
// that have none, such as the agent's own, it looks through the log.
func (d *DB) Later(u record.Unproven) (bool, error) {
	r := &u.Record
	rows, err := d.Shadow(r.Collection, []string{r.ID})
	if err != nil {
		return false, err
	}
	row, known := rows[r.ID]
	followed := known
	if !known {
		some, err := d.ShadowIDs(r.Collection, "", 1)
		if err != nil {
			return false, err
		}
		followed = len(some) > 0
	}
	switch {
	case !followed:
		return d.laterInLog(u)
	case !known:
		return r.Op != record.Delete, nil // another station speaks for it
	case !laterThan(row.Version, r.Version):
		return false, nil
	case d.letters() == 0:
		return true, nil
	}
	return d.laterInLog(u)
}

func (d *DB) letters() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.state.Refused)
}

// laterInLog looks through all that came in behind u.
func (d *DB) laterInLog(u record.Unproven) (later bool, err error) {
	c, _, err := d.block(u.Seq)
	if err != nil {
		return false, err
	}
	err = d.log.each(c.number, true, func(c *commit) error {
		for i := range c.records {
			r := &c.records[i].Record
			if r.ID != u.Record.ID || r.Collection != u.Record.Collection || r.Database != u.Record.Database || !laterThan(r.Version, u.Record.Version) {
				continue
			}
			if is, ok := d.standing(c.seq(i)); !ok || is.As != declined {
				later = true
				return errEnough
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return later, d.suspect(err)
}

// laterThan compares two versions, which are decimal numbers.
func laterThan(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) > 0
}
