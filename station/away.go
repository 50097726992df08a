package station

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"station-agent/store/record"
)

// absence is a row that was not here when it was last seen.
type absence struct {
	row  record.Row
	seen time.Time // zero: kept on disk
}

// maxAway is how many rows that are not here are remembered: those of some shifts.
const maxAway = 2048

// leaves remembers a row that was here and isn't any more. It may have been deleted.
func (p *Picture) leaves(r record.Row, at time.Time) {
	r.Away, r.Station, r.EPCs = true, nil, nil
	p.away[r.Hash] = absence{r, at}
}

// forgetAway drops what came back, and the oldest of too many.
func (p *Picture) forgetAway() {
	maps.DeleteFunc(p.away, func(hash string, _ absence) bool { return p.rows[hash] != nil })
	if len(p.away) <= maxAway {
		return
	}
	list := slices.Collect(maps.Values(p.away))
	sort.Slice(list, func(i, k int) bool {
		return cmp.Or(list[i].seen.Compare(list[k].seen), strings.Compare(list[i].row.Hash, list[k].row.Hash)) < 0
	})
	for _, a := range list[:len(list)-maxAway*3/4] {
		delete(p.away, a.row.Hash)
	}
}

// Away gives a row that was not here when it was last seen.
func (p *Picture) Away(hash string) (PictureRow, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, known := p.away[hash]
	a.row.Hash = hash
	row := p.elsewhere(a.row)
	row.Ago = p.since(a.seen)
	return row, known
}

// elsewhere lays own intents over a row that isn't here.
func (p *Picture) elsewhere(row record.Row) PictureRow {
	if w := p.own[row.Hash]; w != nil {
		return w.over(row)
	}
	if s, ok := p.settled[row.Hash]; ok {
		row.Package = s.value
	}
	return PictureRow{Row: row, May: []record.Value{row.Package}}
}
