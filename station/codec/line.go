package codec

import (
	"bytes"
	"fmt"
	"strings"
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
// Empty lines are nothing. Between and within the lines a GM65 or GM861 puts the answers to its commands (gm65.go), which are
// heard and taken out; a damaged one spoils the line that it stands in. The zero Line is ready.
type Line struct {
	Config // its Max is without STX and terminator

	ahead      []byte // what may be an answer; never more than one
	tags       []Tag  // of this call
	frame      []byte // since the last terminator, never more than Max
	begun      bool   // something stands in the frame, an STX at least
	over       bool   // more came than fits
	spoilt     bool   // a damaged answer stands in the frame: its NULs are no terminators, and no code begins behind them
	terminates bool   // this scanner has ended a code by a terminator
	bad        uint64
}

func line() Protocol {
	return Protocol{Name: "line", Baud: 9600, Reads: 1, New: func(c Config) Codec { return &Line{Config: c} }}
}

// Feed is Codec's.
func (l *Line) Feed(p []byte) []Tag {
	l.begin()
	for _, b := range p {
		if len(l.ahead) == 0 && b != stx {
			l.byte(b)
			continue
		}
		l.ahead = append(l.ahead, b)
		l.look(false)
	}
	return l.tags
}

// Idle is Codec's. It ends the code of a scanner without terminator.
func (l *Line) Idle() []Tag {
	l.begin()
	l.look(true)
	if l.terminates {
		l.end("cut off: the line end is missing")
	} else {
		l.end("")
	}
	return l.tags
}

// Gone is Codec's. Half a code is a misread, and the next reader may be another one.
func (l *Line) Gone() []Tag {
	l.begin()
	l.look(true)
	l.terminates = false
	l.end("cut off: the reader was unplugged")
	return l.tags
}

// Bad is Codec's.
func (l *Line) Bad() uint64 { return l.bad }

func (l *Line) begin() {
	clear(l.tags)
	l.tags = l.tags[:0]
}

// look takes answers out of what may be one, and hands on what is none.
func (l *Line) look(ended bool) {
	for len(l.ahead) > 0 {
		n := gm65Answer(l.ahead)
		if n == 0 && !ended {
			return
		}
		switch {
		case n > 0:
			l.heard(l.ahead[:n])
		case bytes.HasPrefix(l.ahead, []byte{stx, nul, nul}): // no line begins so: it was an answer
			l.spoilt, l.begun = true, true
			fallthrough
		default:
			n = 1
			l.byte(l.ahead[0])
		}
		l.ahead = l.ahead[:copy(l.ahead, l.ahead[n:])]
	}
}

func (l *Line) heard(frame []byte) {
	if l.Heard != nil {
		l.Heard(Answer{Status: frame[2], Data: frame[4 : len(frame)-2]})
	}
}

func (l *Line) byte(b byte) {
	if b == nul && l.spoilt {
		l.take(b)
		return
	}
	switch b {
	case cr, lf, nul, etx:
		before := len(l.tags)
		l.end("")
		l.terminates = l.terminates || len(l.tags) > before
	default:
		l.take(b)
	}
}

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

// end closes the frame and adds its tag, if there is one. why says that it can't be a code.
func (l *Line) end(why string) {
	if len(l.frame) > 0 {
		if l.over {
			why = fmt.Sprintf("longer than %d bytes", l.max())
		}
		t := Tag{Tag: record.Tag{Reader: l.Reader, Bad: why}}
		if why == "" {
			l.decode(&t)
		} else {
			t.Raw = bytes.Clone(l.frame)
		}
		if t.Bad != "" {
			l.bad++
		}
		l.tags = append(l.tags, t)
	}
	l.frame, l.begun, l.over, l.spoilt = l.frame[:0], false, false, false
}

// decode fills in a tag from the frame.
func (l *Line) decode(t *Tag) {
	raw, room := keep(l.frame, len(l.frame))
	copy(room, l.frame)
	t.Raw = raw
	rest, ok := strings.CutPrefix(text(room), l.Prefix)
	if !ok {
		t.Bad = fmt.Sprintf("without the prefix %q", l.Prefix)
		return
	}
	t.Symbology, rest = cutAIM(rest)
	if t.Bad = fault(rest); t.Bad == "" {
		t.Code = rest
	}
}

// cutAIM takes an AIM identifier off the front.
func cutAIM(p string) (symbology, rest string) {
	if len(p) < 3 || p[0] != ']' || !letter(p[1]) || !letter(p[2]) && !digit(p[2]) {
		return "", p
	}
	return p[:3], p[3:]
}

func letter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }

func digit(b byte) bool { return '0' <= b && b <= '9' }

// fault tells why p is no code, "" if it is one.
func fault(p string) string {
	if len(p) == 0 {
		return "no code in it"
	}
	if !utf8.ValidString(p) {
		return "not UTF-8"
	}
	for _, r := range p {
		if unicode.IsControl(r) && r != gs && r != rs && r != eot {
			return fmt.Sprintf("control character %#02x", r)
		}
	}
	return ""
}
