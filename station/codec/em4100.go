package codec

// The frames of RDM6300 and of ID-12LA, ID-20LA and their kin in ASCII mode, 9600 baud. They read tags of 125 kHz (EM4100)
// and speak without being asked:
//
//	+-----+-----------+----------+---------+-----+
//	| STX | 10 digits | checksum | (CR LF) | ETX |      digits: hexadecimal in ASCII, either case
//	+-----+-----------+----------+---------+-----+      checksum: 2 such digits, the exclusive or of the 5 bytes before
//	  02       10          2        0D 0A     03        CR LF: ID-12LA only
//
// Both forms are read under either name. RDM6300 repeats the frame as long as the tag lies there, ID-12LA sends it once. The number printed on a tag is the last four
// bytes in ten decimal digits.
const (
	em4100Digits = 12
	em4100Short  = 1 + em4100Digits + 1 // bytes of the frame without CR LF
	em4100Long   = em4100Short + 2
)

func em4100(name string) Protocol {
	return Protocol{Name: name, Radio: true, Baud: 9600, Reads: 1, New: func(c Config) Codec {
		s := newStream(c)
		s.cut = func(p []byte) int { return cutEM4100(s, p) }
		return s
	}}
}

func cutEM4100(s *stream, p []byte) int {
	if p[0] != stx {
		return noFrame
	}
	var id [em4100Digits / 2]byte
	for i, c := range p[1:min(len(p), 1+em4100Digits)] {
		v, ok := hexDigit(c)
		if !ok {
			return noFrame
		}
		id[i/2] = id[i/2]<<4 | v
	}
	if len(p) < em4100Short {
		return 0
	}
	n := em4100Short
	if p[n-1] == cr {
		n = em4100Long
		if len(p) >= n-1 && p[n-2] != lf {
			return -n
		}
		if len(p) < n {
			return 0
		}
	}
	if p[n-1] != etx || id[0]^id[1]^id[2]^id[3]^id[4] != id[5] {
		return -n
	}
	s.found(p[:n], id[:5], EM4100)
	return n
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case digit(c):
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10, true
	}
	return 0, false
}
