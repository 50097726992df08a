package capture

import (
	"time"

	"station-agent/store/record"
)

// recent is what the groups of this stream left in the Shadow, without the payloads: nobody else writes to it meanwhile, so
// that a row which changes again and again is read from the store but once.
type recent struct {
	rows  map[[2]string]standing                 // by collection and id
	group map[string]map[string]record.ShadowRow // given out last, by collection; used again for the next group
}

// standing is what decides of the next change of a row.
type standing struct {
	version string
	left    time.Time
}

func newRecent() recent {
	return recent{map[[2]string]standing{}, map[string]map[string]record.ShadowRow{}}
}

const mostRecent = 10_000 // rows; beyond that all are forgotten, and read again

// known gives the rows of ids that it has, until it is asked again, and the ids that the store must be asked for.
func (r recent) known(collection string, ids []string) (rows map[string]record.ShadowRow, ask []string) {
	rows = r.group[collection]
	if rows == nil {
		rows = make(map[string]record.ShadowRow)
		r.group[collection] = rows
	}
	clear(rows)
	for _, id := range ids {
		if row, ok := r.rows[[2]string{collection, id}]; ok {
			rows[id] = record.ShadowRow{Collection: collection, ID: id, Version: row.version, Left: row.left}
		} else {
			ask = append(ask, id)
		}
	}
	return rows, ask
}

// note takes in what was stored.
func (r recent) note(rows []record.ShadowRow) {
	if len(r.rows)+len(rows) > mostRecent {
		clear(r.rows)
	}
	for _, row := range rows {
		if row.Gone {
			delete(r.rows, [2]string{row.Collection, row.ID})
			continue
		}
		r.rows[[2]string{row.Collection, row.ID}] = standing{row.Version, row.Left}
	}
}
