package codec

import "encoding/binary"

// The frames of modules with an Impinj Indy R2000 or E710 ("UHF RFID Reader Serial Interface Protocol V3.7"), 115200 baud:
//
//	+----+--------+---------+---------+------+-----+
//	| A0 | length | address | command | data | sum |      length: from address to sum
//	+----+--------+---------+---------+------+-----+      sum: makes all bytes together 0 modulo 256
//	  1      1         1         1             1          address FF: any reader
//
//	data of 89, 8A, 8B, a tag:  channel and antenna 1 | PC 2 | EPC | RSSI 1
//	                            antenna in the two low bits; RSSI 129 above dBm, its high bit: antennas 5 to 8
//	data of 89, 8B, the end:    antenna 1 | reads a second 2 | reads 4
//	data of 8A, the end:        reads 3 | milliseconds 4
//	data of 8A, a failure:      antenna 1 | status 1
//	data of one byte:           status, 10: done
//	data of 72, version:        major 1 | minor 1
//
// A sum of 8 bits is all that guards a tag, so that everything else is held too: the command, and the EPC's length by the PC.
const (
	r2000Head   = 0xa0
	r2000Around = 2 // bytes of a frame that the length doesn't count
	r2000Least  = 4 // shortest length: address, command, one byte, sum

	r2000GetVersion = 0x72
	r2000SetPower   = 0x76
	r2000SetRegion  = 0x78
	r2000RealTime   = 0x89
	r2000FastSwitch = 0x8a
	r2000Session    = 0x8b

	r2000First, r2000Last = 0x60, 0xb3 // the commands that there are
	r2000Done             = 0x10
	r2000End              = 7 // bytes of data at the end of an inventory; a tag has an even EPC and so never 7
)

func r2000() Protocol {
	return Protocol{
		Name: "r2000", Radio: true, Baud: 115200, Reads: 2,
		New: func(c Config) Codec {
			s := newStream(c)
			s.cut = func(p []byte) int { return cutR2000(s, p) }
			return s
		},
		Commands: &Commands{
			At:      3,
			Poll:    r2000Command(r2000RealTime, 0x01), // one round; it ends by itself
			Version: r2000Command(r2000GetVersion),
			Power: func(dBm float64) ([]byte, error) {
				n, err := power(dBm, 33, 1)
				if err != nil {
					return nil, err
				}
				return r2000Command(r2000SetPower, byte(n)), nil
			},
			Region: func(r Region) ([]byte, error) {
				switch r { // the law, first and last channel: 0 is 865.0 MHz, 6 868.0, 7 902.0, each half a megahertz
				case Europe:
					return r2000Command(r2000SetRegion, 2, 0, 6), nil
				case USA:
					return r2000Command(r2000SetRegion, 1, 7, 59), nil
				case China:
					return r2000Command(r2000SetRegion, 3, 43, 53), nil
				}
				return nil, unknownRegion(r, "eu", "us", "cn")
			},
		},
	}
}

func r2000Command(command byte, data ...byte) []byte {
	f := append([]byte{r2000Head, byte(3 + len(data)), 0xff, command}, data...)
	return append(f, -sum(f))
}

func cutR2000(s *stream, p []byte) int {
	if p[0] != r2000Head || len(p) > 1 && p[1] < r2000Least || len(p) > 3 && (p[3] < r2000First || p[3] > r2000Last) {
		return noFrame
	}
	if len(p) < 2 || len(p) < r2000Around+int(p[1]) {
		return 0
	}
	n := r2000Around + int(p[1])
	if sum(p[:n]) != 0 {
		return -n
	}
	command, data := p[3], p[4:n-1]
	a := Answer{Command: command, Data: data}
	inventory := command == r2000RealTime || command == r2000FastSwitch || command == r2000Session
	switch {
	case len(data) == 1:
		a.What, a.Status = Done, data[0]
		if data[0] != r2000Done {
			a.What = Failed
		}
	case inventory && len(data) == r2000End:
	case command == r2000FastSwitch && len(data) == 2:
		a.What, a.Status = Failed, data[1]
	case inventory:
		return r2000Tag(s, p[:n], data)
	case command == r2000GetVersion && len(data) == 2:
		a.What, a.Version = Version, dotted(data[0], data[1])
	}
	s.heard(a)
	return n
}

// r2000Tag reads what an inventory found.
func r2000Tag(s *stream, frame, data []byte) int {
	id := len(data) - 4
	if id < 0 || epcBytes(binary.BigEndian.Uint16(data[1:])) != id {
		return -len(frame)
	}
	if id == 0 { // a tag that was never written has none
		return len(frame)
	}
	rssi := data[3+id]
	t := s.found(frame, data[3:3+id], Gen2)
	t.PC = binary.BigEndian.Uint16(data[1:])
	t.Antenna = 1 + int(data[0]&3) + int(rssi>>7)*4
	t.RSSI = int(rssi&0x7f) - 129
	return len(frame)
}
