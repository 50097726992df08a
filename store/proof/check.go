package proof

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"station-agent/store/record"
)

// Judge tells what a kept answer of Certyo says of a record, and the two hashes that it may name: the one that is stored there, and
// the one that was computed of the payload that was sent along, "" if it doesn't.
type Judge func(u record.Unproven, answer json.RawMessage) (says record.Anchoring, stored, computed string)

// Checker looks for what contradicts itself in a file. Its memory grows by some hundred bytes a record.
type Checker struct {
	row   Row
	judge Judge

	header    Header
	scans     map[uint64][]Wish
	places    *places
	versions  map[string][]versioned
	seqs      map[uint64]int
	keys      map[string]uint64
	linked    []link
	manifests []manifest
	contents  *Contents
	hashes    []*hashing
	counts    map[record.Fate]int
	records   int

	faults []string
	more   int // faults beyond those
	agreed map[string]int
	open   map[string]int // what could not be checked, and how often
}

// versioned is one version of a row.
type versioned struct {
	seq        uint64
	order, key string
}

// link is a record and the scan that it names.
type link struct {
	line int
	scan uint64
	item string
	pkg  record.Value
}

// mostFaults is how many are told one by one.
const mostFaults = 100

// NewChecker makes one for one file.
func NewChecker(row Row, judge Judge) *Checker {
	return &Checker{row: row, judge: judge, scans: map[uint64][]Wish{}, places: newPlaces(row),
		versions: map[string][]versioned{}, seqs: map[uint64]int{}, keys: map[string]uint64{}, counts: map[record.Fate]int{},
		agreed: map[string]int{}, open: map[string]int{}, hashes: []*hashing{
			{what: "Certyo's recordHash is the SHA-256 of the payload"},
			{what: "the hash that Certyo computed of the payload is its SHA-256"},
			{what: "the hash that Certyo names as stored is the recordHash of the receipt"},
		}}
}

// Line takes the lines as Read gives them.
func (c *Checker) Line(n int, line any) error {
	switch l := line.(type) {
	case *Header:
		c.header, c.places.cut = *l, l.Subject.ends()
	case *Scan:
		if _, twice := c.scans[l.Seq]; twice {
			c.fault(n, "scan %d is there twice", l.Seq)
		}
		c.scans[l.Seq] = l.Wishes
	case *Record:
		c.record(n, l)
	case *Contents:
		c.contents = l
	}
	return nil
}

func (c *Checker) fault(line int, text string, args ...any) {
	text = fmt.Sprintf(text, args...)
	if line > 0 {
		text = fmt.Sprintf("line %d: %s", line, text)
	}
	if len(c.faults) == mostFaults {
		c.more++
		return
	}
	c.faults = append(c.faults, text)
}

// record looks at one record by itself.
func (c *Checker) record(n int, r *Record) {
	c.records++
	c.counts[r.State]++
	switch {
	case !json.Valid(r.Payload):
		c.fault(n, "the payload of record %d is no JSON", r.Seq)
	case sum(r.Payload) != r.Sum:
		c.fault(n, "payload_sha256 of record %d isn't that of its payload", r.Seq)
	default:
		c.agreed["payloads that are the bytes that their SHA-256 names"]++
	}
	if !slices.Contains([]record.Op{record.Insert, record.Update, record.Delete, record.Upsert}, r.Op) {
		c.fault(n, "record %d has the operation %q, which there isn't", r.Seq, r.Op)
	}
	if !c.header.Subject.Covers(r.Changed) {
		c.fault(n, "record %d is of %s, which the file isn't about", r.Seq, r.Changed)
	}
	if was, twice := c.seqs[r.Seq]; twice {
		c.fault(n, "record %d stands in line %d, too", r.Seq, was)
	}
	c.seqs[r.Seq] = n
	row := rowName(r)
	c.versions[row] = append(c.versions[row], versioned{r.Seq, ordered(r.Version), r.Key})
	c.state(n, r)
	c.goods(n, r)
	if r.Collection == Manifests {
		m, err := readManifest(r)
		if err != nil {
			c.fault(n, "manifest %d: %v", r.Seq, err)
			return
		}
		c.manifests = append(c.manifests, m)
	}
}

// goods looks at a record of the table of goods.
func (c *Checker) goods(n int, r *Record) {
	pkg, ok := c.places.add(r)
	if !ok {
		return
	}
	if g, _ := c.row(r.Record()); g.Item != "" && g.Item != r.ID {
		c.fault(n, "record %d is of %s, but its payload is a row of %s", r.Seq, r.ID, g.Item)
	}
	if r.Scan > 0 {
		c.linked = append(c.linked, link{n, r.Scan, r.ID, pkg})
	}
}

func fates() []record.Fate {
	list := []record.Fate{record.Waits, record.DeadLetter, record.Dropped, record.Passed, record.Lost}
	for _, a := range []record.Anchoring{record.Pending, record.Anchored, record.Mismatch, record.Overtaken, record.Missing, record.Unclear, record.Retired, record.GivenUp} {
		list = append(list, record.Fate(a))
	}
	return list
}

// state holds how a record stands against what Certyo said.
func (c *Checker) state(n int, r *Record) {
	unsent := r.State == record.Waits || r.State == record.DeadLetter || r.State == record.Dropped || r.State == record.Passed
	switch {
	case !slices.Contains(fates(), r.State):
		c.fault(n, "record %d stands as %q, which there isn't", r.Seq, r.State)
	case unsent && (r.Receipt != nil || r.Answer != nil):
		c.fault(n, "record %d is %q, but Certyo has answered for it", r.Seq, r.State)
	case !unsent && r.Receipt == nil && r.State != record.Lost:
		c.fault(n, "record %d is %q without a receipt", r.Seq, r.State)
	case (r.State == record.DeadLetter) != (r.Refusal != ""):
		c.fault(n, "record %d is %q, and its refusal is %q", r.Seq, r.State, r.Refusal)
	}
	if r.Receipt != nil {
		c.hashes[0].hold(n, r.Receipt.Hash, r.Sum)
	}
	if r.Answer == nil {
		if r.State == record.Fate(record.Anchored) {
			c.fault(n, "record %d is anchored without an answer of Certyo that says so", r.Seq)
		}
		return
	}
	says, stored, computed := c.judge(r.Unproven(), json.RawMessage(*r.Answer))
	c.hashes[1].hold(n, computed, r.Sum)
	if r.Receipt != nil {
		c.hashes[2].hold(n, stored, r.Receipt.Hash)
	}
	anchored := r.State == record.Fate(record.Anchored)
	switch {
	case anchored && says == record.Anchored:
		c.agreed["records that are anchored by the answer of Certyo that is kept with them"]++
	case anchored:
		c.fault(n, "record %d is said to be anchored, but the answer of Certyo that is kept with it says %q", r.Seq, says)
	case says == record.Anchored && r.State == record.Fate(record.Mismatch):
		c.fault(n, "record %d is said to be a mismatch, but the answer of Certyo that is kept with it says that it is anchored", r.Seq)
	}
}

// hashing is something that two hashes may have to do with each other. That isn't published: where it holds for one record it can't be
// chance, and then it must for all of them; where it holds for none, nothing follows.
type hashing struct {
	what   string
	holds  int
	differ []int // lines
}

func (h *hashing) hold(line int, is, should string) {
	switch {
	case is == "" || should == "":
	case SameHash(is, should):
		h.holds++
	default:
		h.differ = append(h.differ, line)
	}
}

// SameHash tells whether two hashes are the same one, each with or without "sha256:". No hash is the same as none.
func SameHash(a, b string) bool { return a != "" && plainHash(a) == plainHash(b) }

func plainHash(hash string) string {
	return strings.TrimPrefix(strings.ToLower(strings.TrimSpace(hash)), "sha256:")
}

// Report is what came out. Nothing contradicts itself if there are no Faults.
type Report struct {
	Agreed []string // what was checked and is right
	Open   []string // what the file can't tell
	Faults []string
}

// Report concludes, behind the last line.
func (c *Checker) Report() (r Report) {
	c.order()
	c.links()
	c.hashed()
	c.compareManifests()
	c.held()
	r.Agreed, r.Open = counted(c.agreed), counted(c.open)
	if r.Faults = c.faults; c.more > 0 {
		r.Faults = append(r.Faults, fmt.Sprintf("and %d more", c.more))
	}
	return r
}

// counted tells each thing with how often it was so.
func counted(of map[string]int) (list []string) {
	for what, n := range of {
		list = append(list, fmt.Sprintf("%s: %d", what, n))
	}
	slices.Sort(list)
	return list
}

// order holds the versions of each row, and the keys: one change, one key.
func (c *Checker) order() {
	for row, list := range c.versions {
		inOrder(list, func(a, b *versioned) int { return cmp.Compare(a.seq, b.seq) })
		good := true
		for i, v := range list {
			if was, twice := c.keys[v.key]; twice {
				c.open[fmt.Sprintf("records with the key of another one (%d with that of %d), the same change found twice after a damage of the card", v.seq, was)]++
				continue
			}
			c.keys[v.key] = v.seq
			if i > 0 && v.order <= list[i-1].order {
				good = false
				c.fault(c.seqs[v.seq], "record %d is of a version that isn't higher than that of record %d before it (%s)", v.seq, list[i-1].seq,
					strings.ReplaceAll(row, "\x00", "/"))
			}
		}
		if good {
			c.agreed["rows whose versions are in the order of their records"]++
		}
	}
}

// Later tells whether the file has a later version of r's row.
func (c *Checker) Later(r *Record) bool {
	return slices.ContainsFunc(c.versions[rowName(r)], func(v versioned) bool { return v.order > ordered(r.Version) })
}

func rowName(r *Record) string { return strings.Join([]string{r.Database, r.Collection, r.ID}, "\x00") }

// links holds records against the scans that led to them.
func (c *Checker) links() {
	for _, l := range c.linked {
		wishes, known := c.scans[l.scan]
		switch {
		case !known:
			c.open["records that name a scan which isn't in the file, as scans are kept for some days"]++
		case !slices.ContainsFunc(wishes, func(w Wish) bool { return w.Hash == l.item && record.Same(w.Package, l.pkg) }):
			c.fault(l.line, "scan %d, which is said to have led to it, wanted no such thing of %s", l.scan, l.item)
		default:
			c.agreed["records that show what the scan wanted that led to them"]++
		}
	}
}

// hashed tells what can be told of hashes.
func (c *Checker) hashed() {
	for _, h := range c.hashes {
		if h.holds > 0 {
			c.agreed["records where "+h.what] = h.holds
			for _, n := range h.differ {
				c.fault(n, "%s in %d others, but not here: payload or hash was changed, or Certyo hashes in more than one way", h.what, h.holds)
			}
		} else if len(h.differ) > 0 {
			c.open[fmt.Sprintf("records where it can't be told whether %s, as Certyo's form isn't published", h.what)] = len(h.differ)
		}
	}
}

func (c *Checker) compareManifests() {
	eachManifest(c.manifests, func(m manifest, last bool) {
		d := c.places.compare(m, last)
		for _, text := range d.differ {
			c.fault(c.seqs[m.record.Seq], "manifest %d of package %q and the rows differ: %s", m.record.Seq, m.Package, text)
		}
		if len(d.unknown) > 0 {
			c.open["items that a manifest names and of which the file has no row that could tell"] += len(d.unknown)
		}
		if len(d.differ)+len(d.unknown) == 0 {
			c.agreed["manifests that agree with the rows"]++
		}
	})
}

// held holds what the file says of the contents against its records.
func (c *Checker) held() {
	switch s := c.header.Subject; {
	case s.All() && c.contents != nil:
		c.fault(0, "the file is of everything, but names contents")
	case s.All():
	case c.contents == nil:
		c.fault(0, "the contents are missing")
	default:
		want := c.places.contents(s)
		if !slices.EqualFunc(want, c.contents.Items, sameHeld) {
			c.fault(0, "the contents don't follow from the records: they are %d items, and the records say %d: %s", len(c.contents.Items), len(want), names(want))
			return
		}
		c.agreed["items of the contents, which follow from the records"] = len(want)
	}
	if c.records == 0 {
		c.open["records, so there is nothing to prove"] = 0
	}
}

func sameHeld(a, b Held) bool {
	same := record.Same(a.Package, b.Package)
	a.Package, b.Package = nil, nil
	return same && a == b
}

func names(items []Held) string {
	list := make([]string, len(items))
	for i := range items {
		list[i] = items[i].Item
	}
	return strings.Join(list, ", ")
}
