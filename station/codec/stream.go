package codec

import (
	"unsafe"

	"station-agent/store/record"
)

// window is how many bytes a stream keeps: more than the longest frame of any protocol, so that after each look there is
// room for more.
const window = 1024

// noFrame says that no frame begins here. It is also how long a stretch of such bytes counts as one bad frame.
const noFrame = -window

// stream is what all protocols with a length in their frames share.
type stream struct {
	Config
	// cut looks at p, which isn't empty:
	//
	//	 n > 0    a sound frame of n bytes begins here; its tags and answer were told
	//	 0        more bytes are needed to say so
	//	-n        a frame of n bytes begins here, and is damaged
	//	noFrame   none begins here
	cut func(p []byte) int

	buf   []byte // what isn't decided yet
	tags  []Tag  // of this call
	spoil int    // how many bytes still belong to what was counted as bad
	tail  bool   // it was a frame, whose length may have been what was damaged
	bad   uint64
}

func newStream(c Config) *stream { return &stream{Config: c, buf: make([]byte, 0, window)} }

// Feed is Codec's.
func (s *stream) Feed(p []byte) []Tag {
	s.begin()
	for len(p) > 0 {
		n := copy(s.buf[len(s.buf):window], p)
		s.buf, p = s.buf[:len(s.buf)+n], p[n:]
		s.scan(false)
	}
	return s.tags
}

// Idle is Codec's. What began as a frame and isn't whole by now is none, but a sound one may stand behind its beginning.
func (s *stream) Idle() []Tag {
	s.begin()
	s.scan(true)
	return s.tags
}

// Gone is Codec's.
func (s *stream) Gone() []Tag { return s.Idle() }

// Bad is Codec's.
func (s *stream) Bad() uint64 { return s.bad }

// begin lets go of the tags that were given, for the garbage collector too.
func (s *stream) begin() {
	clear(s.tags)
	s.tags = s.tags[:0]
}

// scan takes all frames out of the buffer. What is no frame loses one byte and is looked at again: a length that was
// damaged must not take the next frames with it.
func (s *stream) scan(ended bool) {
	at := 0
	for at < len(s.buf) {
		n := s.cut(s.buf[at:])
		if n > 0 {
			at += n
			s.spoil, s.tail = 0, false
			continue
		}
		if n == 0 && !ended {
			break
		}
		if n == 0 { // nobody will ever know how long it was
			n = noFrame
		}
		s.damaged(-n)
		at++
	}
	if ended {
		s.spoil, s.tail = 0, false
	}
	s.buf = s.buf[:copy(s.buf, s.buf[at:])]
}

// damaged drops a byte and counts it unless it belongs to n bytes, or to what is left of them, that were counted already.
func (s *stream) damaged(n int) {
	if s.spoil == 0 {
		if !s.tail || n != -noFrame {
			s.bad++
		}
		s.spoil, s.tail = n, n != -noFrame
	}
	s.spoil--
}

// found adds a tag whose code is id in hexadecimal digits.
func (s *stream) found(frame, id []byte, symbology string) *Tag {
	raw, code := keep(frame, 2*len(id))
	for i, b := range id {
		code[2*i], code[2*i+1] = upperHex[b>>4], upperHex[b&15]
	}
	s.tags = append(s.tags, Tag{Tag: record.Tag{Reader: s.Reader, Symbology: symbology, Code: text(code), Raw: raw}})
	return &s.tags[len(s.tags)-1]
}

const upperHex = "0123456789ABCDEF"

// keep gives a copy of frame and room for n bytes of text in one piece of memory: a reader sends a thousand tags a second.
func keep(frame []byte, n int) (raw, room []byte) {
	b := make([]byte, len(frame)+n)
	copy(b, frame)
	return b[:len(frame):len(frame)], b[len(frame):]
}

// text makes a string of bytes that nobody writes to any more. The capacity of raw ends before them.
func text(room []byte) string { return unsafe.String(unsafe.SliceData(room), len(room)) }

// heard tells of an answer.
func (s *stream) heard(a Answer) {
	if s.Heard != nil {
		s.Heard(a)
	}
}

// ccitt is CRC-16 with the polynomial 1021h, most significant bit first, going on from crc. Gen2 tags have it from FFFFh on,
// inverted (ISO/IEC 18000-63); GM65 scanners from 0 on.
func ccitt(crc uint16, p []byte) uint16 {
	for _, b := range p {
		x := crc>>8 ^ uint16(b)
		x ^= x >> 4
		crc = crc<<8 ^ x<<12 ^ x<<5 ^ x
	}
	return crc
}

// mcrf4xx is CRC-16 with the polynomial 8408h, least significant bit first, from FFFFh on.
func mcrf4xx(p []byte) uint16 {
	crc := uint16(0xffff)
	for _, b := range p {
		x := b ^ byte(crc)
		x ^= x << 4
		crc = crc>>8 ^ uint16(x)<<8 ^ uint16(x)<<3 ^ uint16(x)>>4
	}
	return crc
}

// sum adds bytes up.
func sum(p []byte) (n byte) {
	for _, b := range p {
		n += b
	}
	return n
}

// epcBytes is how long an EPC is by its protocol control word: the upper 5 bits count words.
func epcBytes(pc uint16) int { return int(pc>>11) * 2 }
