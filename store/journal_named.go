package store

import "station-agent/store/record"

// namedEntries is how far back Named looks: a long shift. It is read at each start, before the bench can work.
const namedEntries = 6_000

// Named tells which item a code added lately, by the newest scan of each code. What can't be read is left out.
func (j *Journal) Named() map[string]string {
	named := map[string]string{}
	after := j.Seq()
	after -= min(after, namedEntries)
	_ = eachSegmentFrom(j.dir, j.id, after, func(s, _ *segment, _ bool) error {
		return s.each(func(e record.Entry) error {
			if e.Scan != nil && e.Scan.Step == record.Added && e.Scan.Hash != "" {
				named[e.Scan.Code] = e.Scan.Hash
			}
			return nil
		})
	})
	return named
}
