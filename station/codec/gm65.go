package codec

import "encoding/binary"

// The frames of GM65, GM861 and kin, which otherwise send lines (line.go). Commands set zones, bytes of the scanner's memory:
//
//	command  +----+----+------+--------+---------+------+-----+      CRC: from type to data, high byte first;
//	         | 7E | 00 | type | length | address | data | CRC |           AB CD instead: not looked at
//	         +----+----+------+--------+---------+------+-----+      type: 07 read, 08 write, 09 save
//	            1    1     1       1    2, high first      2
//
//	answer   +----+----+------+--------+------+-----+                type: 00 done
//	         | 02 | 00 | type | length | data | CRC |
//	         +----+----+------+--------+------+-----+
//	            1    1     1       1             2
//
// An answer comes in the middle of what is scanned. Its CRC may be "31" in ASCII (33 31 to "done") and would stand before the next code as if
// it belonged to it. It begins with STX NUL NUL, which no line does.
const (
	gm65Around = 6
	gm65Max    = 64 // longest data of an answer: none that we ask for is longer
)

// gm65Answer tells how long the answer is that begins p: 0 if more bytes are needed to say so, negative if none begins
// there.
func gm65Answer(p []byte) int {
	for i, b := range p[:min(len(p), 4)] {
		if i == 0 && b != stx || (i == 1 || i == 2) && b != nul || i == 3 && b > gm65Max {
			return -1
		}
	}
	if len(p) < 4 || len(p) < gm65Around+int(p[3]) {
		return 0
	}
	n := gm65Around + int(p[3])
	if binary.BigEndian.Uint16(p[n-2:]) != ccitt(0, p[2:n-2]) {
		return -1
	}
	return n
}

// GM65Zone is the address of bytes in the memory of a GM65.
type GM65Zone uint16

// The zones that a station has to do with.
const (
	GM65Trigger GM65Zone = 0x0002 // bit 0: scan now
	GM65Baud    GM65Zone = 0x002a // 2 bytes, low first: 3,000,000 / baud; 39 01 is 9600
	GM65AIM     GM65Zone = 0x00d0 // bit 7: send the AIM identifier before each code
)

// GM65Write gives the command that writes values from a zone on, until the scanner loses power.
func GM65Write(zone GM65Zone, values ...byte) []byte {
	return gm65Command(0x08, byte(len(values)), uint16(zone), values...)
}

// GM65Read gives the command that asks for n bytes from a zone on.
func GM65Read(zone GM65Zone, n byte) []byte { return gm65Command(0x07, 1, uint16(zone), n) }

// GM65Save gives the command that makes the scanner keep its zones. Its memory wears out: save only what changed.
func GM65Save() []byte { return gm65Command(0x09, 1, 0, 0) }

func gm65Command(kind, length byte, address uint16, data ...byte) []byte {
	f := append([]byte{0x7e, 0x00, kind, length, byte(address >> 8), byte(address)}, data...)
	return binary.BigEndian.AppendUint16(f, ccitt(0, f[2:]))
}
