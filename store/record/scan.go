package record

import "time"

// Tag is what one reader saw, decoded. Code is text as a person would read it; Raw keeps the bytes it came from, so that
// decoding can never lose a read.
type Tag struct {
	Reader    string `json:"reader"`              // the reader's name in the configuration
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

// Dated tells whether Wall may be believed, one way or the other.
func (s Stamp) Dated() bool { return s.Trusted || s.Filled }

// Verdict is what the operator is told about one scan.
type Verdict string

// The verdicts. Every one has a lamp and buzzer pattern of its own.
const (
	Accepted        Verdict = "accepted"
	AcceptedOffline Verdict = "accepted offline" // durable here, the database can't be reached now
	Waiting         Verdict = "waiting"          // not on the station yet; judged again
	Duplicate       Verdict = "duplicate"        // already in this package: nothing to do
	Misread         Verdict = "misread"          // the bytes are no code
	Unknown         Verdict = "unknown"          // no such item on this station
	Ambiguous       Verdict = "ambiguous"        // two candidates or more: refused, never guessed
	Conflict        Verdict = "conflict"         // the item is in another package
	NoPackage       Verdict = "no package open"  // an item or command without an open package
	Fault           Verdict = "fault"            // could not be made durable: scan again after service
)

// Green tells whether v promises that the scan is durable and will be settled.
func (v Verdict) Green() bool { return v == Accepted || v == AcceptedOffline }

// Step is what a scan did to the packing session.
type Step string

// The steps. None is for a scan that changed nothing.
const (
	None   Step = ""
	Opened Step = "opened"
	Added  Step = "added"
	Closed Step = "closed"
	Undone Step = "undone"
)

// Scan is one Tag and what was made of it.
type Scan struct {
	Tag
	Verdict Verdict `json:"verdict"`
	Step    Step    `json:"step,omitempty"`
	Package string  `json:"package,omitempty"` // the package it concerned
	Hash    string  `json:"hash,omitempty"`    // the item it was resolved to
	Count   int     `json:"count"`             // items in the open package afterwards
	Text    string  `json:"text"`              // the sentence for a person
}
