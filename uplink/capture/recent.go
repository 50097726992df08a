package capture

import "station-agent/store/record"

// recent is what the groups of this stream left in the Shadow, without the payloads: nobody else writes to it meanwhile, so
// that a row which changes again and again is read from the store but once.
type recent map[string]record.ShadowRow

const mostRecent = 10_000 // rows; beyond that all are forgotten, and read again

// known gives the rows of ids that it has, and the ids that the store must be asked for.
func (r recent) known(ids []string) (rows map[string]record.ShadowRow, ask []string) {
	rows = make(map[string]record.ShadowRow, len(ids))
	for _, id := range ids {
		if row, ok := r[id]; ok {
			rows[id] = row
		} else {
			ask = append(ask, id)
		}
	}
	return rows, ask
}

// note takes in what was stored.
func (r recent) note(rows []record.ShadowRow) {
	if len(r)+len(rows) > mostRecent {
		clear(r)
	}
	for _, row := range rows {
		if row.Gone {
			delete(r, row.ID)
			continue
		}
		row.Payload = nil
		r[row.ID] = row
	}
}
