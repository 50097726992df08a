package store

import "station-agent/store/record"

// namedEntries is how far back Named looks: a long shift. It is read at each start, before the bench can work.
const namedEntries = 6_000

// Named tells which item each code added lately, oldest first. What can't be read is left out.
func (j *Journal) Named() (named []record.Named) {
	after := j.Seq()
	after -= min(after, namedEntries)
	_ = eachSegmentFrom(j.dir, j.id, after, func(s, _ *segment, _ bool) error {
		return s.each(func(e record.Entry) error {
			if e.Scan != nil && e.Scan.Step == record.Added && e.Scan.Hash != "" {
				named = append(named, record.Named{Code: e.Scan.Code, Hash: e.Scan.Hash})
			}
			return nil
		})
	})
	return named
}
