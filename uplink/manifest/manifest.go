package manifest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"time"

	"station-agent/store/record"
)

// Collection is where manifests are kept. No table can be captured under this name.
const Collection = "station_agent_manifests"

// Manifest is the payload of a record.
type Manifest struct {
	Package  string   `json:"package"`
	Station  string   `json:"station"`            // UUID
	Count    int      `json:"count"`              // of Hashes
	Hashes   []string `json:"hashes"`             // the items whose rows show the package, sorted
	Open     []Item   `json:"open,omitempty"`     // items whose rows were not known to show what was wanted, by hash
	Conflict []Item   `json:"conflict,omitempty"` // items whose rows will not show it, by hash
	Scans    []Scan   `json:"scans"`              // that put the items there, in their order
	After    string   `json:"after"`              // the step, or what became of an assignment, that it follows from
	Seq      uint64   `json:"seq"`                // of that, in the journal
	Store    string   `json:"store"`              // whose journal it is
	Badge    string   `json:"badge,omitempty"`    // pseudonym of who was signed on
	Shift    uint64   `json:"shift,omitempty"`
	Moment
}

// Item is one whose row doesn't show the package, or doesn't yet.
type Item struct {
	Hash   string `json:"hash"`
	Intent uint64 `json:"intent"`          // id of the assignment
	Out    bool   `json:"out,omitempty"`   // it was to be taken out; else to be put in
	Ended  string `json:"ended,omitempty"` // how the assignment ended: a record.Result; "unknown" if it is from before manifests were made
}

// Scan is one that put an item into the package.
type Scan struct {
	Seq  uint64 `json:"seq"` // in the journal; 0: not known any more
	Hash string `json:"hash"`
	Moment
}

// Moment is a time and how well it is known.
type Moment struct {
	At      string `json:"at,omitempty"` // RFC 3339 with milliseconds, UTC, as the clock stood; none if nobody knows
	Clock   string `json:"clock"`        // "trusted"; "filled": worked out when the clock was set in the same boot; "untrusted"
	Boot    string `json:"boot,omitempty"`
	SinceMS int64  `json:"since_boot_ms,omitempty"`
}

const timeForm = "2006-01-02T15:04:05.000Z"

func momentOf(s record.Stamp) Moment {
	m := Moment{Clock: "untrusted", Boot: s.Boot, SinceMS: s.Mono.Milliseconds()}
	if !s.Wall.IsZero() {
		m.At = s.Wall.UTC().Format(timeForm)
	}
	switch {
	case s.Trusted:
		m.Clock = "trusted"
	case s.Filled:
		m.Clock = "filled"
	}
	return m
}

// stamp is the moment as far as it says.
func (m Moment) stamp() record.Stamp {
	at, _ := time.Parse(timeForm, m.At) // zero if nobody knows
	return record.Stamp{Boot: m.Boot, Mono: time.Duration(m.SinceMS) * time.Millisecond, Wall: at, Trusted: m.Clock == "trusted", Filled: m.Clock == "filled"}
}

// same tells whether m and before say the same of the package, however that came.
func (m *Manifest) same(before *Manifest) bool {
	return slices.Equal(m.Hashes, before.Hashes) && slices.Equal(m.Open, before.Open) && slices.Equal(m.Conflict, before.Conflict)
}

// payload is the canonical JSON: the fields in the order above, no white space, HTML's characters as they are.
func (m *Manifest) payload() (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// id is the recordId of a package's manifests.
func id(pkg, station string) string { return pkg + "@" + station }

// key is the same whenever the manifest is made again. The entry's moment is in it, as a card that was put back to an older state, from an
// image say, gives the same sequences again.
func (m *Manifest) key() string {
	digest := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", m.Package, m.Boot, m.SinceMS))
	return fmt.Sprintf("m:%s/%d/%s", m.Store, m.Seq, hex.EncodeToString(digest[:8]))
}

// version rises: before is that of the manifest before, "" if there is none, top the highest of all packages. Without a time it is above
// that, as what the package had before may be forgotten.
func version(before string, top int64, at record.Stamp) int64 {
	last, _ := strconv.ParseInt(before, 10, 64) // 0 if there is none
	if at.Dated() {
		return max(last+1, at.Wall.UnixMicro())
	}
	return max(last, top) + 1
}

// unsure sorts what isn't settled.
func unsure(list []Item) []Item {
	sort.Slice(list, func(i, k int) bool {
		return cmp.Or(cmp.Compare(list[i].Hash, list[k].Hash), cmp.Compare(list[i].Intent, list[k].Intent)) < 0
	})
	return list
}
