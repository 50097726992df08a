package manifest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"station-agent/store/record"
)

const (
	forgetEach = 24 * time.Hour
	forgetSome = 500 // packages in one transaction
)

// make puts the manifests that a closing asks for into the outbox, in one transaction with the mark behind it. Of a package of
// which they would say nothing new there is none.
func (m *Maker) make(q *closing) error {
	var g record.Group
	at := q.at.Fill(m.state.Clock)
	was := m.top
	for _, c := range q.changes {
		last, row, err := m.last(c.pkg)
		if err != nil {
			return err
		}
		one := Manifest{Package: c.pkg, Station: m.cfg.Station, Store: m.cfg.Store, After: q.after, Seq: q.seq, Moment: momentOf(at)}
		if q.badge != nil {
			one.Badge, one.Shift = q.badge.Pseudonym, q.badge.Shift
		}
		c.say(&one, m.state.Clock)
		if last != nil && one.same(last) {
			continue
		}
		payload, err := one.payload()
		if err != nil {
			return record.Never(fmt.Errorf("encode manifest of package %q: %w", c.pkg, err))
		}
		v := version(row.Version, m.top, at)
		m.top = max(m.top, v)
		r := record.Record{Database: m.cfg.Database, Collection: Collection, ID: id(c.pkg, m.cfg.Station), Version: strconv.FormatInt(v, 10),
			Op: record.Insert, At: at.Wall.UTC(), Key: one.key(), Payload: payload} // how well the time is known stands in the payload
		if last != nil {
			r.Op = record.Update
		}
		g.Records = append(g.Records, r)
		g.Shadow = append(g.Shadow, record.ShadowRow{Collection: Collection, ID: r.ID, Version: r.Version, Payload: payload})
	}
	if len(g.Records) == 0 {
		return nil
	}
	g.Position = m.position(q.seq)
	if err := m.outbox.Put(g); err != nil {
		m.top = was // made again, it has the same version
		return fmt.Errorf("put manifest of package %q: %w", q.changes[0].pkg, err)
	}
	m.noted = q.seq
	return nil
}

// last gives the last manifest of a package and its row of the shadow; nil if there is none that reads.
func (m *Maker) last(pkg string) (*Manifest, record.ShadowRow, error) {
	name := id(pkg, m.cfg.Station)
	rows, err := m.outbox.Shadow(Collection, []string{name})
	if err != nil {
		return nil, record.ShadowRow{}, fmt.Errorf("read last manifest of package %q: %w", pkg, err)
	}
	row, ok := rows[name]
	var last Manifest
	if !ok || json.Unmarshal(row.Payload, &last) != nil {
		return nil, row, nil
	}
	return &last, row, nil
}

// forgetOld forgets the manifests of packages that nothing concerned for so long, now and then, while the clock is trusted.
func (m *Maker) forgetOld() error {
	now := m.cfg.Now()
	if !now.Trusted || now.Mono < m.sweep {
		return nil
	}
	for behind := ""; ; {
		ids, err := m.outbox.ShadowIDs(Collection, behind, forgetSome)
		if err != nil || len(ids) == 0 {
			m.sweep = now.Mono + forgetEach
			return err
		}
		behind = ids[len(ids)-1]
		rows, err := m.outbox.Shadow(Collection, ids)
		if err != nil {
			return err
		}
		var g record.Group
		for _, name := range ids {
			var last Manifest
			row := rows[name]
			if json.Unmarshal(row.Payload, &last) == nil && !m.old(&last, now) {
				continue
			}
			row.Gone = true
			g.Shadow = append(g.Shadow, row)
		}
		if len(g.Shadow) == 0 {
			continue
		}
		if err := m.outbox.Put(g); err != nil {
			return fmt.Errorf("forget old packages: %w", err)
		}
	}
}

// old tells whether a package's last manifest isn't needed any more.
func (m *Maker) old(last *Manifest, now record.Stamp) bool {
	age, known := now.Since(last.stamp())
	return known && age > m.cfg.Keep && m.book.of[last.Package] == nil
}
