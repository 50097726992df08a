package codec

import (
	"encoding/binary"
	"math/bits"
	"strconv"
)

// The frames of UHFReader18, UHFReader09, UHFReader288, UR and other Chafon readers ("UHFReader18 User's Manual V2.0", CRC init
// FFFF, and the UR-008's manual):
//
//	+--------+---------+---------+--------+------+-----+
//	| length | address | command | status | data | CRC |      length: all bytes behind it
//	+--------+---------+---------+--------+------+-----+      CRC: low byte first, over all before it
//	    1         1         1        1             2          a command has no status; address FF: any reader
//
//	data of 01, tags, uhfreader18:    count 1 | length 1, EPC | length 1, EPC | ...
//	data of 01, tags, uhfreader288:   antenna 1 | count 1 | length 1, EPC, RSSI 1 | ...
//	data of EE, a tag unasked for:    antenna 1 | length 1, EPC, RSSI 1     status 00
//	data of EE, a heartbeat:          any                                   status 28
//	data of 21, version:              major 1 | minor 1 | more
//
//	status of 01:   01 all told   02 time is over   03 more frames follow   04 memory full   FB no tag   F8 antenna
//
// The same bytes could be tags of either layout, so that the configuration names the layout and nothing is guessed; a sound
// frame of the other one is counted as bad. No byte marks the beginning: whatever stands there is taken for a length until the
// command, which must be one of ours, or the CRC says no. The RSSI has a scale of its own, the antenna is a mask with one bit set.
const (
	uhf18Least = 5 // shortest length of an answer

	uhf18Inventory  = 0x01
	uhf18GetVersion = 0x21
	uhf18SetRegion  = 0x22
	uhf18SetPower   = 0x2f
	uhf18SetMode    = 0x76 // uhfreader288: 00 answer, 01 tell unasked
	uhf18Unasked    = 0xee

	uhf18Heartbeat = 0x28
	uhf18NoTag     = 0xfb
)

func uhfReader18() Protocol {
	return uhf18("uhfreader18", 57600, cutUHF18, Commands{Poll: uhf18Command(uhf18Inventory)})
}

// uhfReader288 has the newer layout. The inventory's parameters are Q 4, any session, target A, first antenna, at most 1 s. It is
// asked and never told to speak unasked: then it can't be told from a dead one while nothing lies there, and it stays so without us.
func uhfReader288() Protocol {
	return uhf18("uhfreader288", 57600, cutUHF288, Commands{
		Stop: uhf18Command(uhf18SetMode, 0),
		Poll: uhf18Command(uhf18Inventory, 0x04, 0xfe, 0x00, 0x80, 10),
	})
}

func uhf18(name string, baud int, cut func(*stream, []byte) int, c Commands) Protocol {
	c.At, c.Version, c.Power, c.Region = 2, uhf18Command(uhf18GetVersion), uhf18Power, uhf18Region
	return Protocol{Name: name, Radio: true, Baud: baud, Reads: 2, Commands: &c, New: func(c Config) Codec {
		s := newStream(c)
		s.cut = func(p []byte) int { return cut(s, p) }
		return s
	}}
}

func uhf18Power(dBm float64) ([]byte, error) {
	n, err := power(dBm, 30, 1)
	if err != nil {
		return nil, err
	}
	return uhf18Command(uhf18SetPower, byte(n)), nil
}

// uhf18Region sets the highest channel and the lowest one, whose two high bits together name the law.
func uhf18Region(r Region) ([]byte, error) {
	switch r {
	case Europe: // 865.1 MHz + 0.2 MHz a channel
		return uhf18Command(uhf18SetRegion, 0x4e, 0x00), nil
	case USA: // 902.75 MHz + 0.5 MHz
		return uhf18Command(uhf18SetRegion, 0x31, 0x80), nil
	case China: // 920.125 MHz + 0.25 MHz
		return uhf18Command(uhf18SetRegion, 0x13, 0x40), nil
	case Korea: // 917.1 MHz + 0.2 MHz
		return uhf18Command(uhf18SetRegion, 0x1f, 0xc0), nil
	}
	return nil, unknownRegion(r, "eu", "us", "cn", "kr")
}

func uhf18Command(command byte, data ...byte) []byte {
	f := append([]byte{byte(4 + len(data)), 0xff, command}, data...)
	return binary.LittleEndian.AppendUint16(f, mcrf4xx(f))
}

func cutUHF18(s *stream, p []byte) int  { return cutChafon(s, p, false) }
func cutUHF288(s *stream, p []byte) int { return cutChafon(s, p, true) }

func cutChafon(s *stream, p []byte, newer bool) int {
	n := int(p[0]) + 1
	if p[0] < uhf18Least || len(p) > 2 && !uhf18Answers(p[2]) {
		return noFrame
	}
	if len(p) < n {
		return 0
	}
	if binary.LittleEndian.Uint16(p[n-2:]) != mcrf4xx(p[:n-2]) {
		return noFrame // there may have been no frame at all
	}
	frame, command, status, data := p[:n], p[2], p[3], p[4:n-2]
	told := true // whether data is what it should be
	a := Answer{Command: command, Status: status, Data: data}
	switch {
	case command == uhf18Unasked && status == uhf18Heartbeat:
		a.What = Alive
	case command == uhf18Unasked && status == 0:
		if told = len(data) > 0 && chafonTags(s, frame, data[1:], 1, true, antennaOf(data[0])); told {
			return n
		}
	case command == uhf18Inventory && status >= 1 && status <= 4:
		if told = chafonList(s, frame, data, newer); status == 3 && told {
			return n
		}
	case status == uhf18NoTag:
		a.What = Empty
	case status != 0:
		a.What = Failed
	case command == uhf18GetVersion && len(data) >= 2:
		a.What, a.Version = Version, dotted(data[0], data[1])
	}
	if !told { // the CRC is right: another layout, and no reason to look for frames inside
		s.bad++
		return n
	}
	s.heard(a)
	return n
}

// uhf18Answers tells whether a command has answers: without a mark at the beginning of frames, noise is to be told apart by
// something before its CRC is reckoned at every byte.
func uhf18Answers(command byte) bool {
	switch command {
	case uhf18Inventory, uhf18GetVersion, uhf18SetRegion, uhf18SetPower, uhf18SetMode, uhf18Unasked:
		return true
	}
	return false
}

// chafonList reads the tags of an inventory; it is false, and none is told, if they are not just what the frame holds.
func chafonList(s *stream, frame, data []byte, newer bool) bool {
	switch {
	case len(data) == 0: // nothing more to tell
		return true
	case newer:
		return len(data) >= 2 && chafonTags(s, frame, data[2:], int(data[1]), true, antennaOf(data[0]))
	}
	return chafonTags(s, frame, data[1:], int(data[0]), false, 0)
}

// chafonTags reads so many tags, which must fill list.
func chafonTags(s *stream, frame, list []byte, count int, strong bool, antenna int) bool {
	before := len(s.tags)
	for range count {
		if len(list) == 0 || list[0]&0xc1 != 0 || len(list) < 1+int(list[0]) { // whole words; the two high bits: no EPC
			return chafonDrop(s, before)
		}
		id := list[1 : 1+int(list[0])]
		list = list[1+len(id):]
		rssi := 0
		if strong {
			if len(list) == 0 {
				return chafonDrop(s, before)
			}
			rssi, list = int(list[0]), list[1:]
		}
		if len(id) > 0 {
			t := s.found(frame, id, Gen2)
			t.Antenna, t.RSSI = antenna, rssi
		}
	}
	return len(list) == 0 || chafonDrop(s, before)
}

// chafonDrop takes back the tags of a frame that turned out to be none.
func chafonDrop(s *stream, before int) bool {
	clear(s.tags[before:])
	s.tags = s.tags[:before]
	return false
}

// antennaOf gives the number of the antenna whose bit is set; more bits are a number already.
func antennaOf(mask byte) int {
	if bits.OnesCount8(mask) == 1 {
		return bits.TrailingZeros8(mask) + 1
	}
	return int(mask)
}

func dotted(major, minor byte) string {
	return strconv.Itoa(int(major)) + "." + strconv.Itoa(int(minor))
}
