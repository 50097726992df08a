// Package codec turns the bytes of a reader into tags, and says what a reader must be told. Each protocol is one file with
// its frame drawn at the top, one line in Protocols and one file of vectors in testdata.
//
//	bytes in any chunking ──▶ Codec ──▶ Tag      what stands on the label or lies on the antenna
//	                            └─────▶ Answer   what else a sound frame says: version, nothing there, refused
//	bytes to send         ◀── Commands           start, poll, stop, power, region, version
//	when to send them     ◀── Driver             from the answers and the time
//
// It promises that the same bytes give the same tags however they are cut into chunks, that memory is bounded whatever
// comes in, that every checksum a frame carries is verified, and that damage is counted. Barcodes are read when a person
// asks for it: bytes that are no code come out as a Bad tag instead of vanishing or passing for one. Tags on an antenna are
// read again and again: a damaged frame is counted and the next one waited for.
//
// It never does I/O, knows no clock (the caller says when a gap was long enough) and never mends a code.
package codec

import (
	"fmt"
	"math"
	"strings"
	"time"

	"station-agent/store/record"
)

// Codec reads what one reader sends. It belongs to one goroutine. The tags that it gives are valid until its next call; what
// they point to is theirs for good.
type Codec interface {
	// Feed takes in bytes and gives the tags that they complete. It keeps no reference to p.
	Feed(p []byte) []Tag
	// Idle says that no byte came for the idle gap: what is unfinished won't be finished.
	Idle() []Tag
	// Gone says that the reader was unplugged: the next bytes may come from another one.
	Gone() []Tag
	// Bad counts the frames that were damaged, and stretches of bytes that were no frames.
	Bad() uint64
}

// Config is what a Codec must know.
type Config struct {
	Reader string       // its name, for the tags
	Prefix string       // what a scanner puts before every code; "" if nothing. Of lines only
	Max    int          // longest line in bytes, 0 means DefaultMax. Of lines only
	Heard  func(Answer) // told of each sound frame that isn't only tags; nil for nobody
}

// Tag is what a reader saw, and what only a reader with an antenna tells.
type Tag struct {
	record.Tag
	PC      uint16 // the protocol control word of a Gen2 tag, see gs1.PC; 0 if the reader doesn't tell
	Antenna int    // from 1; 0 if the reader doesn't tell
	RSSI    int    // how strong, a larger number is stronger; 0 if the reader doesn't tell. In dBm if below zero, else in its own scale
}

// The Symbology of tags without a scanner's AIM identifier.
const (
	Gen2   = "gen2"   // ISO/IEC 18000-63: an EPC or something else in upper case hexadecimal digits, see Tag.PC
	EM4100 = "em4100" // 125 kHz: 10 upper case hexadecimal digits
)

// Answer is what a reader says besides tags.
type Answer struct {
	What    What
	Command byte   // the command answered, in the reader's numbers
	Status  byte   // in the reader's numbers, for messages
	Version string // of a Version
	Data    []byte // what the frame carried, valid during the call
}

// What is the kind of an Answer.
type What int

// The kinds of answers.
const (
	Done    What = iota // the command was carried out, an inventory is over
	Empty               // nothing lies on the antenna: no failure
	Failed              // the command was refused or failed
	Version             // the version asked for: the reader lives
	Alive               // a heartbeat
)

// Commands is what a reader can be told, ready to be sent. What it doesn't know is nil.
type Commands struct {
	Start   []byte        // read until Stop; nil: send Poll again and again, after the answer Done, Empty or Failed
	Lasts   time.Duration // Start ends by itself, but not before this; 0: never
	Poll    []byte        // read once
	Stop    []byte
	Version []byte
	Power   func(dBm float64) ([]byte, error) // transmit power
	Region  func(Region) ([]byte, error)      // the law on frequencies
	At      int                               // where in a frame the command stands, for Answer.Command
	Refusal byte                              // the Answer.Command of a failure whatever failed; 0: none
}

// Region is whose law on frequencies holds.
type Region string

// The regions.
const (
	Europe Region = "eu" // 865 to 868 MHz
	USA    Region = "us" // 902 to 928 MHz
	China  Region = "cn" // 920 to 925 MHz
	Korea  Region = "kr" // 917 to 923 MHz
)

// Protocol is one way to speak to readers.
type Protocol struct {
	Name     string    // as the configuration names it
	Radio    bool      // it reads tags on an antenna, again and again
	Baud     int       // the line speed that the makers set
	Reads    int       // how many sights of a tag within 300 ms prove that it is there: stray ones come alone
	Commands *Commands // nil: the reader speaks without being asked
	New      func(Config) Codec
}

// Protocols lists all of them. A new one is a file like the others, a line here and testdata/NAME.txt.
func Protocols() []Protocol {
	return []Protocol{
		line(),
		r200(),
		uhfReader18(),
		uhfReader288(),
		r2000(),
		em4100("rdm6300"),
		em4100("id12la"),
	}
}

// Find gives the protocol of that name. The error lists those that there are.
func Find(name string) (Protocol, error) {
	var names []string
	for _, p := range Protocols() {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Protocol{}, fmt.Errorf("%q is none of %s", name, strings.Join(names, ", "))
}

// unknownRegion tells which regions a reader knows.
func unknownRegion(r Region, known ...string) error {
	return fmt.Errorf("region %q is unknown to this reader: use %s", r, strings.Join(known, ", "))
}

// power checks a transmit power and gives it in units of which a dBm has so many.
func power(dBm float64, most, units float64) (int, error) {
	if !(dBm >= 0 && dBm <= most) { // NaN is neither
		return 0, fmt.Errorf("power %g dBm: this reader can be set from 0 to %g dBm", dBm, most)
	}
	n := math.Round(dBm * units)
	if math.Abs(n-dBm*units) > 1e-6 {
		return 0, fmt.Errorf("power %g dBm: this reader can be set in steps of %g dBm, use a multiple of it", dBm, 1/units)
	}
	return int(n), nil
}
