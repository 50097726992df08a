package record

import "time"

// Value is a package or NULL. The empty string is a real, different value of Buylo's table and is never written.
type Value = *string

// Package makes a Value of a package name.
func Package(name string) Value { return &name }

// Same compares two Values byte by byte.
func Same(a, b Value) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// Intent is the durable wish that one item be in a package, or in none. It names every value it may replace, so that a
// value nobody here knew of is never overwritten.
type Intent struct {
	ID       uint64  `json:"id"`       // given by the journal, increasing
	Hash     string  `json:"hash"`     // the row
	Package  Value   `json:"package"`  // the wanted value, nil for NULL
	Replaces []Value `json:"replaces"` // the values that may be replaced, nil for NULL
	Scan     uint64  `json:"scan"`     // journal sequence of the scan that made it

	// Together: all intents of this scan are settled in one transaction, or none of them.
	Together bool `json:"together,omitempty"`
	// Unverified: made while offline for an item that this station never saw.
	Unverified bool `json:"unverified,omitempty"`
}

// May tells whether the intent may replace v.
func (i Intent) May(v Value) bool {
	for _, r := range i.Replaces {
		if Same(r, v) {
			return true
		}
	}
	return false
}

// Result is how an Intent ended.
type Result string

// The results. Settled, Same, Superseded and Dismissed end an intent; the others park it: it stays listed until a person
// or a newer intent ends it.
const (
	Settled    Result = "settled"     // the row was changed and shows the value
	SameValue  Result = "same"        // the row showed the value already
	Superseded Result = "superseded"  // a newer intent for the row replaced it
	Dismissed  Result = "dismissed"   // a person ended it
	OtherValue Result = "conflict"    // the row holds a value that must not be replaced
	NoSuchRow  Result = "no such row" // the row is gone
	Refused    Result = "refused"     // the database will never take it
)

// Parks tells whether an intent that ended with r needs a person.
func (r Result) Parks() bool { return r == OtherValue || r == NoSuchRow || r == Refused }

// Outcome is what became of one Intent.
type Outcome struct {
	Intent uint64 `json:"intent"`
	Result Result `json:"result"`
	Found  Value  `json:"found,omitempty"` // the value met in the row, for a conflict
	Text   string `json:"text,omitempty"`  // for a person, when parked
}

// Row is one item as the bench sees it.
type Row struct {
	Hash    string    `json:"hash"`
	Product string    `json:"product,omitempty"` // buylo_product_id: equal ones are units of one product
	EAN     string    `json:"ean"`
	Name    string    `json:"name"`
	Package Value     `json:"package"`
	Created time.Time `json:"created,omitzero"`  // by the server's clock
	EPCs    []string  `json:"epcs,omitempty"`    // the tags that a map names for it, in the map's spelling
	Station Value     `json:"station,omitempty"` // where it was last seen, for a row that isn't on this station
	Away    bool      `json:"away,omitempty"`    // it isn't on this station
}

// Reading is one read of the database for the bench.
type Reading struct {
	Here  []Row     // all rows on this station
	Away  []Row     // those of the hashes asked for that are in the table, but not on this station
	None  []string  // those that are not in the table
	Began time.Time // nothing of it was read before; with its monotonic part
}
