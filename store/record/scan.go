package record

import "time"

// Tag is what one reader saw, decoded. Code is text as a person would read it; Raw keeps the bytes it came from, so that
// decoding can never lose a read.
type Tag struct {
	Reader    string `json:"reader"`              // the reader's name in the configuration
	Radio     bool   `json:"radio,omitempty"`     // seen by an antenna and not held before a scanner by a person
	Symbology string `json:"symbology,omitempty"` // what the reader said of the carrier; "" if it didn't
	Code      string `json:"code"`                // valid UTF-8, no control characters but GS, RS and EOT; "" if Bad
	Raw       []byte `json:"raw,omitempty"`       // bounded by the codec
	Bad       string `json:"bad,omitempty"`       // why the bytes are no code ("longer than 128 bytes"); "" if they are one
}

// Stamp orders events on a machine without a clock: by boot and by the time since that boot. Wall is filled in for people
// and for Certyo, and Trusted says whether it may be believed.
type Stamp struct {
	Boot    string        `json:"boot"`             // boot_id of the kernel
	Mono    time.Duration `json:"mono"`             // since that boot
	Wall    time.Time     `json:"wall"`             // as the clock stood, UTC
	Trusted bool          `json:"trusted"`          // the kernel says that the clock is synchronised
	Filled  bool          `json:"filled,omitempty"` // Wall was worked out from a trusted stamp of the same boot
}

// Fill works out the wall time of an untrusted stamp from a trusted one of the same boot. Any other stamp stays as it is.
func (s Stamp) Fill(trusted Stamp) Stamp {
	if !s.Dated() && trusted.Trusted && s.Boot == trusted.Boot {
		s.Wall, s.Filled = trusted.Wall.Add(s.Mono-trusted.Mono), true
	}
	return s
}

// Since tells how long after then s is: by the boot's own clock within one boot, else by the wall clocks if both may be
// believed; not known otherwise.
func (s Stamp) Since(then Stamp) (d time.Duration, known bool) {
	if s.Boot == then.Boot {
		return s.Mono - then.Mono, true
	}
	return s.Wall.Sub(then.Wall), s.Dated() && then.Dated()
}

// Dated tells whether Wall may be believed, one way or the other.
func (s Stamp) Dated() bool { return s.Trusted || s.Filled }

// Verdict is what the operator is told about one scan.
type Verdict string

// The verdicts. Every one has a lamp and buzzer pattern of its own.
const (
	Accepted        Verdict = "accepted"
	AcceptedOffline Verdict = "accepted offline"             // durable here, the database can't be reached now
	Unverified      Verdict = "accepted offline, unverified" // the same for an item that this station never saw
	Waiting         Verdict = "waiting"                      // not on the station yet; judged again
	Duplicate       Verdict = "duplicate"                    // already in this package: nothing to do
	Misread         Verdict = "misread"                      // the bytes are no code
	Unknown         Verdict = "unknown"                      // no such item on this station
	Ambiguous       Verdict = "ambiguous"                    // two candidates or more: refused, never guessed
	Contradiction   Verdict = "contradiction"                // the code names a product and its row another one
	Conflict        Verdict = "conflict"                     // the item is in another package
	LabelUsed       Verdict = "label used"                   // the package label was used before
	NoPackage       Verdict = "no package open"              // an item or command without an open package
	WrongReader     Verdict = "wrong reader"                 // the reader is there for other codes
	Question        Verdict = "question"                     // something must be answered first, see Text
	Stale           Verdict = "rows too old"                 // what is on the station isn't known well enough
	TimedOut        Verdict = "timed out"                    // nobody scanned: the package was closed by time
	Fault           Verdict = "fault"                        // could not be made durable: scan again after service
)

// Green tells whether v promises that the scan is durable and will be settled.
func (v Verdict) Green() bool { return v == Accepted || v == AcceptedOffline || v == Unverified }

// Step is what a scan did to the packing session.
type Step string

// The steps. None is for a scan that changed nothing.
const (
	None         Step = ""
	Opened       Step = "opened"
	Reopened     Step = "reopened" // closed a short while ago at this station
	Resumed      Step = "resumed"  // the label was scanned again after a restart or a change of badge
	Added        Step = "added"
	Removed      Step = "removed" // one item, out of the open package
	Closed       Step = "closed"
	Assigned     Step = "assigned"  // the gathered items or the listed rows, to the label: it is closed with that
	Listed       Step = "listed"    // what the same label will take with its second scan
	Cleared      Step = "cleared"   // everything this station put into that package, out of it
	Cancelled    Step = "cancelled" // what was begun
	Undone       Step = "undone"
	Armed        Step = "armed"     // a command waits for the scan that it is about
	SetAside     Step = "set aside" // an exception, noted and nothing else
	Told         Step = "told"      // how a package stands
	Acknowledged Step = "acknowledged"
	SignedOn     Step = "signed on"  // a badge
	SignedOff    Step = "signed off" // the same badge again
)

// Scan is one Tag and what was made of it.
type Scan struct {
	Tag
	Verdict  Verdict `json:"verdict"`
	Step     Step    `json:"step,omitempty"`
	Package  string  `json:"package,omitempty"`   // the package it concerned
	Hash     string  `json:"hash,omitempty"`      // the item it was resolved to
	Count    int     `json:"count"`               // items in the open package afterwards, or in the one that was closed, or gathered
	NotEmpty int     `json:"not_empty,omitempty"` // tags that lay on the antenna when the package was opened and don't count
	Left     int     `json:"left,omitempty"`      // items that a command could not take in, named in Text
	Judges   uint64  `json:"judges,omitempty"`    // the sequence of the scan that was told Waiting and is answered now
	Badge    *Badge  `json:"badge,omitempty"`     // who was signed on
	Text     string  `json:"text"`                // the sentence for a person
}

// Named is a code and the item that it added.
type Named struct{ Code, Hash string }

// Badge is who packs: a pseudonym and the number of the shift at this station. Neither is ever told to the fleet.
type Badge struct {
	Pseudonym string `json:"pseudonym"`
	Shift     uint64 `json:"shift"` // increasing
}
