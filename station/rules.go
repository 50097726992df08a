package station

import (
	"regexp"
	"time"
)

// MaxPackage is how long a package label may be, in characters: what external_package_id takes.
const MaxPackage = 64

// hashLen is how long a row's hash is, in characters.
const hashLen = 32

// Way is how packages are packed at this station.
type Way string

// The ways of packing.
const (
	LabelFirst Way = "label first" // a label opens, items are added until close, time-out or the next label
	ItemsFirst Way = "items first" // items gather, the label assigns and closes
	Sweep      Way = "sweep"       // a label lists what is here without a package, the same label assigns that list
)

// Command is what a command code or a button asks for.
type Command string

// The commands.
const (
	Close        Command = "close"         // the open package
	Undo         Command = "undo"          // the last step
	Remove       Command = "remove"        // the item scanned next, out of the open package
	Clear        Command = "clear"         // all that this station put into the package whose label is scanned next
	Cancel       Command = "cancel"        // what was begun
	Override     Command = "override"      // take the item that was just refused out of its package into this one
	RemainingOne Command = "remaining-one" // add the only item here without a package: its own label is damaged
	SetAside     Command = "set-aside"     // note that the item at hand was put aside
	Status       Command = "status"        // of the package whose label is scanned next
	Acknowledge  Command = "acknowledge"   // the call-back
)

// Commands lists all of them, in the order of a printed page.
func Commands() []Command {
	return []Command{Close, Undo, Remove, Clear, Cancel, Override, RemainingOne, SetAside, Status, Acknowledge}
}

// Naming is one way from a code to a row.
type Naming string

// The ways to name an item.
const (
	ByHash Naming = "hash" // the code is the row's hash
	ByMap  Naming = "map"  // the code is a tag that a map names for the row
	ByGTIN Naming = "gtin" // the code carries a GTIN (SGTIN, GS1 element string, Digital Link), which is the row's EAN
	ByEAN  Naming = "ean"  // the code is the row's EAN
)

// Rules say what a code means. A code is compared byte by byte.
type Rules struct {
	Way      Way
	Together bool // commit at close: an item's row is written when its package is closed, all of them or none

	Package  *regexp.Regexp     // must match the whole code of a package label, and nothing else
	Item     *regexp.Regexp     // must match a hash that is taken offline without ever having been seen; nil: none is
	Badge    *regexp.Regexp     // must match the whole code of a badge; nil: there are none
	Commands map[string]Command // by code

	Roles map[string]Role // of the readers by name; AnyRole for others

	Pseudonym func(badge string) string `json:"-"` // what is kept in place of a badge's code

	Naming         []Naming // in this order: the first that knows the code decides
	AllowElsewhere bool     // an item named by its hash need not be on this station
	AnyUnit        bool     // of several equal units the oldest is taken; else they are refused
	ReuseLabels    bool     // a label that was used before opens anew

	TimeOut    time.Duration // without a scan, then the open package is closed; 0: never
	ReopenTime time.Duration // in which a label opens again what it closed; 0: never
	NextScan   time.Duration // for the scan that a command waits for
	Patience   time.Duration // for an item that isn't known yet
	Bounce     time.Duration // the same code at the same reader again within this is one scan
	RowsAge    time.Duration // beyond it a sweep is refused
}

const (
	defaultNextScan = 10 * time.Second
	defaultPatience = 3 * time.Second
	defaultBounce   = 300 * time.Millisecond
	defaultRowsAge  = 10 * time.Second
)

// filled has a value for all that is needed.
func (r Rules) filled() Rules {
	fill := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	fill(&r.NextScan, defaultNextScan)
	fill(&r.Patience, defaultPatience)
	fill(&r.Bounce, defaultBounce)
	fill(&r.RowsAge, defaultRowsAge)
	if r.Way == "" {
		r.Way = LabelFirst
	}
	if len(r.Naming) == 0 {
		r.Naming = []Naming{ByHash, ByMap, ByGTIN, ByEAN}
	}
	return r
}

// matches tells whether p takes code, all of it.
func matches(p *regexp.Regexp, code string) bool {
	if p == nil {
		return false
	}
	at := p.FindStringIndex(code)
	return at != nil && at[0] == 0 && at[1] == len(code)
}
