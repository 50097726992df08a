package codec

import (
	"encoding/binary"
	"time"
)

// The frames of R200, YRM100 and M100 modules ("Protocol of the EL-UHF-RMT01", and the makers' manuals), 115200 baud:
//
//	+----+------+---------+----------+---------+-----+----+
//	| BB | type | command |  length  | payload | sum | 7E |      sum: the low byte of type to payload
//	+----+------+---------+----------+---------+-----+----+
//	  1     1        1     2, high first  length   1    1        type: 00 command, 01 answer, 02 notice
//
//	payload of notice 22, a tag:   RSSI 1, signed dBm | PC 2 | EPC | CRC 2
//	payload of answer FF, refused: status 1, 15: no tag
//	payload of answer 03, version: what 1 | text
//	payload of answer 07, B6, set: 00
//
// The CRC is the tag's own, over PC and EPC. It is verified too, as is the EPC's length against the PC: the sum of 8 bits lets
// one damaged frame of 256 pass. BB and 7E stand in payloads as well, so that only the length tells where a frame ends. A look-alike (the RCP of
// Phychips modules) has 7E right behind the payload and a CRC behind that: its frames have no right sum here.
const (
	r200Head   = 0xbb
	r200Tail   = 0x7e
	r200Around = 7   // bytes of a frame besides the payload
	r200Max    = 255 // longest payload: none that we ask for is longer

	r200Answer = 0x01
	r200Notice = 0x02

	r200GetVersion = 0x03
	r200SetRegion  = 0x07
	r200Poll       = 0x22
	r200Multi      = 0x27
	r200Stop       = 0x28
	r200SetPower   = 0xb6
	r200Error      = 0xff

	r200NoTag = 0x15
)

func r200() Protocol {
	return Protocol{
		Name: "r200", Radio: true, Baud: 115200, Reads: 2,
		New: func(c Config) Codec {
			s := newStream(c)
			s.cut = func(p []byte) int { return cutR200(s, p) }
			return s
		},
		Commands: &Commands{
			At: 2, Refusal: r200Error,
			Start: r200Command(r200Multi, 0x22, 0xff, 0xff), Lasts: 2 * time.Minute, // so many rounds, of 2 ms at least
			Poll:    r200Command(r200Poll),
			Stop:    r200Command(r200Stop),
			Version: r200Command(r200GetVersion, 0x01), // of the firmware
			Power: func(dBm float64) ([]byte, error) {
				n, err := power(dBm, 30, 100)
				if err != nil {
					return nil, err
				}
				return r200Command(r200SetPower, byte(n>>8), byte(n)), nil
			},
			Region: func(r Region) ([]byte, error) {
				switch r {
				case China:
					return r200Command(r200SetRegion, 1), nil
				case USA:
					return r200Command(r200SetRegion, 2), nil
				case Europe:
					return r200Command(r200SetRegion, 3), nil
				case Korea:
					return r200Command(r200SetRegion, 6), nil
				}
				return nil, unknownRegion(r, "eu", "us", "cn", "kr")
			},
		},
	}
}

func r200Command(command byte, payload ...byte) []byte {
	f := append([]byte{r200Head, 0x00, command, 0, byte(len(payload))}, payload...)
	return append(f, sum(f[1:]), r200Tail)
}

func cutR200(s *stream, p []byte) int {
	if p[0] != r200Head || len(p) > 1 && p[1] != r200Answer && p[1] != r200Notice {
		return noFrame
	}
	if len(p) < 5 {
		return 0
	}
	length := int(binary.BigEndian.Uint16(p[3:]))
	if length > r200Max {
		return noFrame
	}
	n := r200Around + length
	if len(p) < n {
		return 0
	}
	payload := p[5 : 5+length]
	if p[n-1] != r200Tail || p[n-2] != sum(p[1:n-2]) {
		return -n
	}
	if p[1] == r200Notice && p[2] == r200Poll {
		return r200Tag(s, p[:n], payload)
	}
	a := Answer{Command: p[2], Data: payload}
	switch {
	case p[2] == r200Error && length > 0:
		a.What, a.Status = Failed, payload[0]
		if a.Status == r200NoTag {
			a.What = Empty
		}
	case p[2] == r200GetVersion && length > 0:
		a.What, a.Version = Version, string(payload[1:])
	case (p[2] == r200SetRegion || p[2] == r200SetPower) && length == 1 && payload[0] != 0:
		a.What, a.Status = Failed, payload[0]
	}
	s.heard(a)
	return n
}

// r200Tag reads a notice of a tag.
func r200Tag(s *stream, frame, payload []byte) int {
	id := len(payload) - 5
	if id < 0 {
		return -len(frame)
	}
	pc := binary.BigEndian.Uint16(payload[1:])
	crc := binary.BigEndian.Uint16(payload[3+id:])
	if epcBytes(pc) != id || ^ccitt(0xffff, payload[1:3+id]) != crc {
		return -len(frame)
	}
	if id > 0 { // a tag that was never written has none
		t := s.found(frame, payload[3:3+id], Gen2)
		t.PC, t.RSSI = pc, int(int8(payload[0]))
	}
	return len(frame)
}
