package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"station-agent/store/record"
)

// The shadow is written twice, and neither way once per change. Each commit says what became of its rows, mostly by pointing
// at its own records. And the rows file has every row as of some earlier commit; it is brought up when many rows have changed,
// after some minutes, and before a file of the log goes. Opening folds the commits in between over it.

// dirty is a row that the rows file doesn't have yet.
type dirty struct{ record.ShadowRow }

// lag is how far the rows file is behind.
type lag struct {
	rows  int           // rows written to d.shadow since
	bytes int           // of their payloads
	casts int           // how often a row was written there: so much is folded when the store is opened
	since time.Duration // of the oldest, on the boot's clock

	turned bool // a file of the log was begun since: opening should not have to read the one before
}

// So far the rows file may lag behind. Rows that change again and again while a station catches up are written once for many
// changes: within lagLeast only what memory and a start can bear counts.
const (
	lagRows  = 2048
	lagBytes = 1 << 20
	lagTime  = 5 * time.Minute
	lagLeast = 5 * time.Second

	mostLagRows  = 4 * lagRows
	mostLagBytes = 4 * lagBytes
	mostLagCasts = 65_536
)

// far tells whether the rows file lags too far behind.
func (l *lag) far(now time.Duration) bool {
	age := now - l.since
	return l.rows > mostLagRows || l.bytes > mostLagBytes || l.casts > mostLagCasts ||
		age > lagLeast && (l.turned || l.rows > lagRows || l.bytes > lagBytes) || l.rows > 0 && age > lagTime
}

// shadowKey names a row. A name of MySQL holds no zero byte.
func shadowKey(collection, id string) string { return collection + "\x00" + id }

// rowName is the same without a string of its own.
type rowName struct{ collection, id string }

// compare orders as the keys are.
func (r rowName) compare(other rowName) int {
	return cmp.Or(strings.Compare(r.collection, other.collection), strings.Compare(r.id, other.id))
}

// shadowChanges says what a group does to the shadow: by its own records where they say the same. It is good until it is called
// again. Called with turns held.
func (d *DB) shadowChanges(g record.Group) []shadowChange {
	latest := d.latest // of a group of any size: what a great one took is given back
	if clear(latest); len(g.Records) > 2000 {
		latest = make(map[rowName]int)
	}
	for i := range g.Records {
		r := &g.Records[i]
		latest[rowName{r.Collection, r.ID}] = i
	}
	changes := d.changes[:0]
	if len(g.Shadow) > cap(changes) || cap(changes) > 2000 {
		changes = make([]shadowChange, 0, len(g.Shadow))
	}
	clear(changes[:cap(changes)])
	for _, row := range g.Shadow {
		at, ok := latest[rowName{row.Collection, row.ID}]
		s := shadowChange{of: -1, left: clockText(row.Left), row: row}
		if ok && g.Records[at].Version == row.Version && (row.Gone || string(g.Records[at].Payload) == string(row.Payload)) {
			s.of = at
		}
		if row.Gone {
			s.row.Payload = nil
		}
		changes = append(changes, s)
	}
	d.changes = changes
	return changes
}

// shadowRows gives the rows that a commit changed.
func (c *commit) shadowRows() ([]record.ShadowRow, error) {
	rows := make([]record.ShadowRow, len(c.shadow))
	for i, s := range c.shadow {
		row := s.row
		if s.of >= len(c.records) {
			return nil, fmt.Errorf("%w: commit %d points at a record that it doesn't have", ErrDamaged, c.number)
		}
		if s.of >= 0 {
			r := &c.records[s.of]
			row.Collection, row.ID, row.Version, row.Payload = r.Collection, r.ID, r.Version, r.Payload
		}
		row.Left = textClock(s.left)
		rows[i] = row
	}
	return rows, nil
}

// cast takes rows into the part of the shadow that is in memory. Called with mu held.
func (d *DB) cast(rows []record.ShadowRow, now time.Duration) {
	for _, r := range rows {
		key := rowName{r.Collection, r.ID}
		d.lag.bytes += len(r.Payload) - len(d.shadow[key].Payload)
		if len(d.shadow) == 0 {
			d.lag.since = now
		}
		if r.Gone {
			r.Payload = nil
		}
		d.shadow[key] = dirty{r}
	}
	d.lag.rows = len(d.shadow)
	d.lag.casts += len(rows)
}

// relieveRows brings the rows file up if it is far behind.
func (d *DB) relieveRows() error {
	now := d.cfg.now().Mono
	d.mu.Lock()
	far := d.lag.far(now)
	d.mu.Unlock()
	if !far {
		return nil
	}
	return d.flushRows()
}

// flushRows writes the rows that changed, and up to which commit that is.
func (d *DB) flushRows() error {
	d.turns.Lock()
	defer d.turns.Unlock()
	return d.writeRows()
}

// writeRows is flushRows for one that holds turns.
func (d *DB) writeRows() error {
	d.mu.Lock()
	number, turned := d.state.Number, d.lag.turned
	keys := slices.SortedFunc(maps.Keys(d.shadow), rowName.compare) // bbolt likes its keys in order
	rows := make([]record.ShadowRow, len(keys))
	for i, key := range keys {
		rows[i] = d.shadow[key].ShadowRow
	}
	d.mu.Unlock()
	if len(rows) == 0 && !turned {
		return nil
	}
	if err := d.judge(d.rows.putShadow(rows, number)); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.applied = number
	clear(d.shadow)
	d.lag = lag{}
	return nil
}

// Shadow reads the rows of these ids; those that it doesn't know are not in the map.
func (d *DB) Shadow(collection string, ids []string) (map[string]record.ShadowRow, error) {
	rows := make(map[string]record.ShadowRow, len(ids))
	var ask []string
	d.mu.Lock()
	for _, id := range ids {
		if r, ok := d.shadow[rowName{collection, id}]; !ok {
			ask = append(ask, id)
		} else if !r.Gone {
			rows[id] = r.ShadowRow
		}
	}
	d.mu.Unlock()
	err := d.suspect(d.rows.shadow(collection, ask, func(r record.ShadowRow) error {
		rows[r.ID] = r
		return nil
	}))
	return rows, err
}

// ShadowAll gives f every row of a collection, by id. F must not write to the DB.
func (d *DB) ShadowAll(collection string, f func(record.ShadowRow) error) error {
	d.mu.Lock()
	var fresh []record.ShadowRow
	over := make(map[string]bool, len(d.shadow))
	for _, r := range d.shadow {
		if r.Collection == collection {
			over[r.ID] = true
			if !r.Gone {
				fresh = append(fresh, r.ShadowRow)
			}
		}
	}
	d.mu.Unlock()
	slices.SortFunc(fresh, func(a, b record.ShadowRow) int { return strings.Compare(a.ID, b.ID) })
	give := func(before string) error {
		for len(fresh) > 0 && (before == "" || fresh[0].ID < before) {
			if err := f(fresh[0]); err != nil {
				return err
			}
			fresh = fresh[1:]
		}
		return nil
	}
	err := d.rows.shadowAll(collection, func(r record.ShadowRow) error {
		if err := give(r.ID); err != nil || over[r.ID] {
			return err
		}
		return f(r)
	})
	if err != nil {
		return d.suspect(err)
	}
	return give("")
}

// ShadowIDs gives up to n ids of a collection that come behind one, in order; fewer only at the end.
func (d *DB) ShadowIDs(collection, after string, n int) ([]string, error) {
	var fresh []string
	gone := make(map[string]bool)
	d.mu.Lock()
	for key, r := range d.shadow {
		switch {
		case key.collection != collection || key.id <= after:
		case r.Gone:
			gone[key.id] = true
		default:
			fresh = append(fresh, key.id)
		}
	}
	d.mu.Unlock()
	ids, err := d.rows.shadowIDs(collection, after, n+len(gone))
	if err != nil {
		return nil, d.suspect(err)
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return gone[id] })
	ids = append(ids, fresh...)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return ids[:min(n, len(ids))], nil
}

// Picture is the rows of the bench, as they are kept for a start without a network.
type Picture struct {
	At   time.Time    `json:"at"` // when they were read
	Rows []record.Row `json:"rows"`
	Seq  uint64       `json:"seq,omitempty"` // of the last entry of the journal when that read began
}

// SavePicture keeps the rows for a start without a network. It costs a transaction: call it when rows changed.
func (d *DB) SavePicture(p Picture) error {
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("save picture: %w", err)
	}
	d.turns.Lock()
	defer d.turns.Unlock()
	if err := d.failed(); err != nil {
		return err
	}
	return d.judge(d.rows.putPicture(b))
}

// LoadPicture gives what was saved last, zero if nothing was. A damaged value
// is ErrDamaged of class record.Again: the bench goes on without and the next SavePicture replaces it. Only a page that
// can't be read is of class record.Stop.
func (d *DB) LoadPicture() (p Picture, err error) {
	b, err := d.rows.picture()
	if err == nil && b != nil {
		if err = json.Unmarshal(b, &p); err != nil {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	if err != nil {
		return Picture{}, d.suspect(fmt.Errorf("load picture: %w", err))
	}
	return p, nil
}
