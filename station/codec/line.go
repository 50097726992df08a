// Package codec turns the bytes of a reader into tags. Each protocol is one file with its frame drawn at the top.
//
// It promises that the same bytes give the same tags however they are cut into chunks, that memory is bounded whatever
// comes in, and that bytes which are no code come out as a Bad tag instead of vanishing or passing for one.
//
// It never does I/O, knows no clock (the caller says when a gap was long enough) and never mends a code.
package codec

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"

	"station-agent/store/record"
)

// The control characters that mean something to Line. GS, RS and EOT are GS1 separators and stay in the code.
const (
	nul = 0x00
	stx = 0x02
	etx = 0x03
	eot = 0x04
	lf  = 0x0a
	cr  = 0x0d
	gs  = 0x1d
	rs  = 0x1e
)

// DefaultMax is how long a frame of a Line may be if Max is 0.
const DefaultMax = 128

// Line reads a barcode scanner that sends lines:
//
//	+-----+--------+-----------------+--------------+-----------------------------------+
//	| STX | prefix | ] letter digit  |     code     | CR, LF, CR LF, NUL, ETX or a gap  |
//	+-----+--------+-----------------+--------------+-----------------------------------+
//	 opt.  if set   opt. AIM id                       terminator
//
// The AIM identifier (ISO/IEC 15424, "]C1") becomes the Symbology. A scanner that sends none but reads a label which
// begins like one can't be told apart: the three characters are then taken off. The code is kept to the byte: blanks are
// data, and so are the GS1 separators GS, RS and EOT. A tag is Bad if the frame
//
//   - is longer than Max; the first Max bytes are kept, the rest is dropped up to the terminator,
//   - lacks the prefix, or holds nothing behind prefix and identifier,
//   - is not UTF-8 or holds another control character,
//   - was cut off: a gap ends a code only for a scanner that has not sent a terminator so far, because from any other
//     scanner half a code is a misread and must not pass for a shorter one.
//
// Empty lines are nothing. The zero Line is ready; a Line belongs to one goroutine.
type Line struct {
	Reader string // for the tags
	Prefix string // what the scanner puts before every code; "" if nothing
	Max    int    // longest frame in bytes, without STX and terminator; 0 means DefaultMax

	frame      []byte // since the last terminator, never more than Max
	begun      bool   // something stands in the frame, an STX at least
	over       bool   // more came than fits
	terminates bool   // this scanner has ended a code by a terminator
	bad        uint64
}

// Feed takes in bytes and gives the tags that they complete. It keeps no reference to p.
func (l *Line) Feed(p []byte) []record.Tag {
	var tags []record.Tag
	for _, b := range p {
		switch b {
		case cr, lf, nul, etx:
			before := len(tags)
			tags = l.end(tags, "")
			l.terminates = l.terminates || len(tags) > before
		default:
			l.take(b)
		}
	}
	return tags
}

// Idle says that no byte came for the idle gap. It ends the code of a scanner without terminator.
func (l *Line) Idle() []record.Tag {
	if l.terminates {
		return l.end(nil, "cut off: the line end is missing")
	}
	return l.end(nil, "")
}

// Gone says that the reader was unplugged: half a code is a misread, and the next reader may be another one.
func (l *Line) Gone() []record.Tag {
	l.terminates = false
	return l.end(nil, "cut off: the reader was unplugged")
}

// Bad counts the frames that were no code.
func (l *Line) Bad() uint64 { return l.bad }

func (l *Line) take(b byte) {
	switch {
	case b == stx && !l.begun:
	case len(l.frame) < l.max():
		l.frame = append(l.frame, b)
	default:
		l.over = true
	}
	l.begun = true
}

func (l *Line) max() int {
	if l.Max <= 0 {
		return DefaultMax
	}
	return l.Max
}

// end closes the frame and appends its tag to tags, if there is one. why says that it can't be a code.
func (l *Line) end(tags []record.Tag, why string) []record.Tag {
	if len(l.frame) > 0 {
		tag := record.Tag{Reader: l.Reader, Raw: bytes.Clone(l.frame)}
		if l.over {
			why = fmt.Sprintf("longer than %d bytes", l.max())
		}
		if tag.Bad = why; why == "" {
			tag.Symbology, tag.Code, tag.Bad = l.decode(l.frame)
		}
		if tag.Bad != "" {
			l.bad++
		}
		tags = append(tags, tag)
	}
	l.frame, l.begun, l.over = l.frame[:0], false, false
	return tags
}

func (l *Line) decode(frame []byte) (symbology, code, bad string) {
	rest, ok := bytes.CutPrefix(frame, []byte(l.Prefix))
	if !ok {
		return "", "", fmt.Sprintf("without the prefix %q", l.Prefix)
	}
	symbology, rest = cutAIM(rest)
	if bad = fault(rest); bad != "" {
		return symbology, "", bad
	}
	return symbology, string(rest), ""
}

// cutAIM takes an AIM identifier off the front.
func cutAIM(p []byte) (symbology string, rest []byte) {
	if len(p) < 3 || p[0] != ']' || !letter(p[1]) || !letter(p[2]) && !digit(p[2]) {
		return "", p
	}
	return string(p[:3]), p[3:]
}

func letter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }

func digit(b byte) bool { return '0' <= b && b <= '9' }

// fault tells why p is no code, "" if it is one.
func fault(p []byte) string {
	if len(p) == 0 {
		return "no code in it"
	}
	if !utf8.Valid(p) {
		return "not UTF-8"
	}
	for _, r := range string(p) {
		if unicode.IsControl(r) && r != gs && r != rs && r != eot {
			return fmt.Sprintf("control character %#02x", r)
		}
	}
	return ""
}
