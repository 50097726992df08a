package station

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"station-agent/station/serial"
	"station-agent/store/record"
)

// Shown is a tag as it is shown to who only looks: a badge and a command code stand in it by what they are called.
func (r Rules) Shown(tag record.Tag) record.Tag { return hiddenTag(r, tag, TapedReader{}) }

// hiddenTag is a tag without what must not leave the bench.
func hiddenTag(rules Rules, tag record.Tag, r TapedReader) record.Tag {
	was := tag.Code
	switch {
	case tag.Radio || tag.Symbology == Button:
		return tag
	case tag.Bad != "":
		tag.Raw = shape(tag.Raw, r.Prefix)
		return tag
	case rules.Commands[was] != "":
		tag.Code = hiddenCommand + string(rules.Commands[was])
	case matches(rules.Badge, was):
		tag.Code = hiddenBadge + rules.Pseudonym(was)
	default:
		return tag
	}
	tag.Raw = bytes.ReplaceAll(tag.Raw, []byte(was), []byte(tag.Code))
	return tag
}

// What stands in place of a command code and a badge.
const (
	hiddenCommand = "command:"
	hiddenBadge   = "badge:"
)

// shape is what bytes look like: letters become a, digits 0. A codec says the same of them, unless it looks at letters.
func shape(p []byte, prefix string) []byte {
	p = bytes.Clone(p)
	begin := 0
	if bytes.HasPrefix(p, []byte(prefix)) {
		begin = len(prefix)
	}
	for i := begin; i < len(p); i++ {
		switch b := p[i]; {
		case '0' <= b && b <= '9':
			p[i] = '0'
		case b < utf8.RuneSelf && 'a' <= b|0x20 && b|0x20 <= 'z':
			p[i] = 'a'
		}
	}
	return p
}

// hide takes out of h what must not leave the bench. Bytes that belong to no tag are shown by their shape.
func (h *Heard) hide(rules Rules, r TapedReader) {
	var out []byte
	rest := h.Bytes
	for n, tag := range h.Read {
		clean := hiddenTag(rules, tag, r)
		if h.Read[n] = clean; len(h.Bytes) == 0 {
			continue
		}
		at, end := frame(rest, tag)
		out = append(out, shape(rest[:at], "")...)
		if more := at + len(tag.Raw); more <= end {
			out = append(append(out, clean.Raw...), shape(rest[more:end], "")...)
		}
		rest = rest[end:]
	}
	if r.Kind != RFID { // no badge is read by an antenna, and damage is told by what the bytes are
		h.Bytes = append(out, shape(rest, "")...) // no code, or a part of one
	}
}

// frame finds a tag in p. What follows its bytes up to the end of the line belongs to it too, if it was too long. A tag that
// can't be found has all of p before it.
func frame(p []byte, tag record.Tag) (at, end int) {
	at = bytes.Index(p, tag.Raw)
	if at < 0 || len(tag.Raw) == 0 {
		return len(p), len(p)
	}
	end = at + len(tag.Raw)
	if tag.Bad != "" {
		for end < len(p) && !endsLine(p[end]) {
			end++
		}
	}
	return at, end
}

func endsLine(b byte) bool { return strings.IndexByte("\r\n\x00\x03", b) >= 0 }

// tap is a serial.Sink between a port and an ear: it hears what comes and what the ear makes of it. It hands bytes to the tape
// only with the tags that they end in: until then nobody knows whether they are a badge.
type tap struct {
	to     serial.Sink
	tape   *Tape
	reader TapedReader
	held   []byte
	tags   []record.Tag
}

// mostHeld is how many bytes wait for the end of their frame; what is longer is no code.
const mostHeld = 4096

func (t *tap) saw(tag record.Tag) { t.tags = append(t.tags, tag) }

func (t *tap) Feed(p []byte) {
	if len(t.held) > mostHeld { // p completes what is shorter, and may be a burst as long
		t.held = nil
	}
	t.held = append(t.held, p...)
	t.to.Feed(p)
	if len(t.tags) > 0 {
		t.pass(Heard{Bytes: t.cut()})
	}
}

func (t *tap) Idle() {
	t.to.Idle()
	t.pass(Heard{Bytes: t.rest(), Idle: true})
}

func (t *tap) Gone() {
	t.to.Gone()
	t.pass(Heard{Bytes: t.rest(), Gone: true})
}

func (t *tap) pass(h Heard) {
	h.Read, t.tags = t.tags, nil
	t.tape.hear(h, t.reader)
}

func (t *tap) rest() []byte {
	p := t.held
	t.held = nil
	return p
}

// cut takes the bytes up to the end of the last tag, and the ends of line behind it. The rest may be half a code.
func (t *tap) cut() []byte {
	end := 0
	for _, tag := range t.tags {
		_, n := frame(t.held[end:], tag)
		end += n
	}
	for end < len(t.held) && endsLine(t.held[end]) {
		end++
	}
	p := t.held[:end:end]
	t.held = bytes.Clone(t.held[end:])
	return p
}
