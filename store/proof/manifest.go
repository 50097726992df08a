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

// manifest is what counts of such a record; there may be more in it.
type manifest struct {
	Package string   `json:"package"`
	Hashes  []string `json:"hashes"`
	Count   *int     `json:"count"`

	record *Record
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
	agree   int      // items that the rows show in the package, from the manifest's time until the next one's
	unknown []string // items of which the file has no row, or whose assignment waits
	differ  []string // what contradicts the manifest, for a person
}

// String is it for a person.
func (c comparison) String() string {
	switch {
	case len(c.differ) > 0:
		return "differs from the rows: " + strings.Join(c.differ, "; ")
	case len(c.unknown) > 0:
		return fmt.Sprintf("agrees with the rows as far as they are known: of %d items they aren't", len(c.unknown))
	}
	return "agrees with the rows"
}

// compare holds a manifest against the rows. next is the time of the package's next one, zero if there is none; waits are the items
// whose assignment waits. "No other" can be told only where the file has the rows of the whole package.
func (p *places) compare(m manifest, next time.Time, waits map[string]bool, whole bool) (c comparison) {
	at, listed := m.record.Changed, map[string]bool{}
	for _, item := range m.Hashes {
		listed[item] = true
		_, known := p.held(item, at)
		switch {
		case p.wasIn(item, m.Package, at, next):
			c.agree++
		case !known || waits[item]:
			c.unknown = append(c.unknown, item)
		default:
			c.differ = append(c.differ, fmt.Sprintf("no row shows %s in it then", item))
		}
	}
	if !whole {
		return c
	}
	in := func(item string, at time.Time) bool {
		h, ok := p.held(item, at)
		return ok && h.Package != nil && *h.Package == m.Package
	}
	end := next
	if !end.IsZero() {
		end = end.Add(-1)
	}
	for item := range p.of {
		if !listed[item] && !waits[item] && in(item, at) && in(item, end) {
			c.differ = append(c.differ, fmt.Sprintf("the rows show %s in it, too", item))
		}
	}
	slices.Sort(c.differ)
	return c
}

// wasIn tells whether an item was in a package at a time or came into it before next.
func (p *places) wasIn(item, pkg string, at, next time.Time) bool {
	if h, ok := p.held(item, at); ok && h.Package != nil && *h.Package == pkg {
		return true
	}
	return slices.ContainsFunc(p.of[item], func(s sighting) bool {
		return s.pkg != nil && *s.pkg == pkg && s.at.After(at) && (next.IsZero() || s.at.Before(next))
	})
}

// successions sorts manifests and gives each with the time of the next one of its package.
func successions(list []manifest, f func(m manifest, next time.Time)) {
	slices.SortStableFunc(list, func(a, b manifest) int {
		return cmp.Or(strings.Compare(a.Package, b.Package), a.record.Changed.Compare(b.record.Changed), cmp.Compare(a.record.Seq, b.record.Seq))
	})
	for i, m := range list {
		next := time.Time{}
		if i+1 < len(list) && list[i+1].Package == m.Package {
			next = list[i+1].record.Changed
		}
		f(m, next)
	}
}
