package proof

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"station-agent/store/record"
)

// Manifests is the collection of the records that say which items a package held, and no other.
const Manifests = "station_agent_manifests"

// manifest is what counts of such a record; there is more in it. It names what its station put into the package and says of which
// items it didn't know yet, or that they will not be there.
type manifest struct {
	Package  string   `json:"package"`
	Hashes   []string `json:"hashes"`
	Count    *int     `json:"count"`
	Open     []unsure `json:"open"`
	Conflict []unsure `json:"conflict"`
	Entry    uint64   `json:"seq"` // the journal's sequence up to which it speaks; 0 if it doesn't say

	record *Record
}

type unsure struct {
	Hash string `json:"hash"`
}

// readManifest reads a record of that collection.
func readManifest(r *Record) (m manifest, err error) {
	m.record = r
	if err := json.Unmarshal(r.Payload, &m); err != nil {
		return m, fmt.Errorf("its payload can't be read: %w", err)
	}
	switch {
	case m.Package == "":
		return m, errors.New("it names no package")
	case m.Count == nil || *m.Count != len(m.Hashes):
		return m, fmt.Errorf("its count doesn't fit to its %d items", len(m.Hashes))
	case !slices.IsSorted(m.Hashes) || len(slices.Compact(slices.Clone(m.Hashes))) != len(m.Hashes):
		return m, errors.New("its items are not in order, or one is named twice")
	}
	return m, nil
}

// Concerns tells whether r is a manifest of a package, or one that names an item.
func Concerns(r *record.Record, s Subject) bool {
	if r.Collection != Manifests {
		return false
	}
	var m manifest
	return json.Unmarshal(r.Payload, &m) == nil && (s.All() || m.Package != "" && m.Package == s.Package || s.Item != "" && slices.Contains(m.Hashes, s.Item))
}

// comparison is a manifest held against the rows.
type comparison struct {
	unknown []string // items of which the file has no row that could tell
	differ  []string // what contradicts the manifest, for a person
}

// String is it for a person.
func (c comparison) String() string {
	switch {
	case len(c.differ) > 0:
		return "DIFFERS from the rows: " + strings.Join(c.differ, "; ")
	case len(c.unknown) > 0:
		return fmt.Sprintf("agrees with the rows as far as they are known (not known: %d)", len(c.unknown))
	}
	return "agrees with the rows"
}

// compare holds a manifest against the rows, without a look at clocks, as there are two: what a manifest says is true once the scans
// up to its journal entry are in the rows. Each item that it names must have been in the package by some row. The last manifest of a
// package must name each item that the last scan up to it put there, if it still is there, and none that such a scan took out.
// Others than this station may have changed rows since, which contradicts nothing. What rows showed before the first record of an item,
// or behind the end of a file that ends at a time, isn't known.
func (p *places) compare(m manifest, last bool) (c comparison) {
	named := map[string]bool{}
	for _, item := range m.Hashes {
		named[item] = true
		h, known := p.held(item, time.Time{})
		switch since := p.scanOf(item, h.Since); {
		case !known, !p.wasIn(item, m.Package) && (p.cut || !p.before(item, m.record.Seq)):
			c.unknown = append(c.unknown, item)
		case !p.wasIn(item, m.Package):
			c.differ = append(c.differ, fmt.Sprintf("no row ever shows %s in it", item))
		case last && !isIn(h, m.Package) && since > 0 && since <= m.Entry && p.cut: // a later scan may have put it in again
			c.unknown = append(c.unknown, item)
		case last && !isIn(h, m.Package) && since > 0 && since <= m.Entry:
			c.differ = append(c.differ, fmt.Sprintf("%s was taken out by scan %d before", item, since))
		}
	}
	for _, u := range slices.Concat(m.Open, m.Conflict) {
		named[u.Hash] = true
	}
	if !last || p.cut {
		return c
	}
	for _, item := range p.nowIn(m.Package) {
		h, _ := p.held(item, time.Time{})
		if since := p.scanOf(item, h.Since); !named[item] && since > 0 && since <= m.Entry {
			c.differ = append(c.differ, fmt.Sprintf("scan %d put %s into it, too", since, item))
		}
	}
	slices.Sort(c.differ)
	return c
}

func isIn(h Held, pkg string) bool { return h.Package != nil && *h.Package == pkg }

// wasIn tells whether any row shows an item in a package.
func (p *places) wasIn(item, pkg string) bool {
	return slices.ContainsFunc(p.of[item], func(s sighting) bool { return s.pkg != nil && *s.pkg == pkg })
}

// before tells whether there is a record of an item from before one.
func (p *places) before(item string, seq uint64) bool {
	return slices.ContainsFunc(p.of[item], func(s sighting) bool { return s.seq < seq })
}

// scanOf is the scan that led to one record of an item.
func (p *places) scanOf(item string, seq uint64) uint64 {
	for _, s := range p.of[item] {
		if s.seq == seq {
			return s.scan
		}
	}
	return 0
}

// eachManifest gives f manifests in the order of their records, and tells which are the last of their package and station.
func eachManifest(list []manifest, f func(m manifest, last bool)) {
	inOrder(list, func(a, b *manifest) int {
		return cmp.Or(strings.Compare(a.record.ID, b.record.ID), cmp.Compare(a.record.Seq, b.record.Seq))
	})
	for i, m := range list {
		f(m, i+1 == len(list) || list[i+1].record.ID != m.record.ID)
	}
}
