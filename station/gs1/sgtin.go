package gs1

import (
	"encoding/hex"
	"fmt"
	"strconv"
)

// Where the serial of an SGTIN begins, how wide it is as a number and where it ends as a text, in bits; how wide prefix and
// item reference are together, and how many digits they have.
const (
	serialAt    = 58
	serialWidth = 38
	serialEnd   = 198
	sgtinWidth  = 44
	sgtinDigits = 13
)

// binaryGTIN reads SGTIN-96 and SGTIN-198 in hexadecimal digits.
func binaryGTIN(code string) (GTIN, bool) {
	switch len(code) {
	case hex96, hex198, hex198Words:
	default:
		return GTIN{}, false
	}
	b, err := hex.DecodeString(code)
	if err != nil {
		return GTIN{}, false
	}
	digits, sound := binaryKey(b, sgtinWidth, sgtinDigits)
	serial, ok := binarySerial(b)
	return GTIN{Digits: digits, Serial: serial, Form: EPCBinary}, ok && sound
}

// binarySerial reads the serial as the header says.
func binarySerial(b []byte) (string, bool) {
	long := len(b) > 96/8
	switch {
	case b[0] == headerSGTIN96 && !long:
		return strconv.FormatUint(bits(b, serialAt, serialWidth), 10), true
	case b[0] == headerSGTIN198 && long:
		return textSerial(b)
	}
	return "", false
}

// textSerial reads characters of 7 bits. The first zero ends them, and nothing but zeros may follow, through the bits that
// fill up the last byte or word (Tag Data Standard, decoding method "String").
func textSerial(b []byte) (string, bool) {
	var serial []byte
	at := serialAt
	for ; at < serialEnd; at += 7 {
		c := byte(bits(b, at, 7))
		if c == 0 {
			break
		}
		serial = append(serial, c)
	}
	for ; at < 8*len(b); at++ {
		if bits(b, at, 1) != 0 {
			return "", false
		}
	}
	return string(serial), conforms(string(serial), format("21"))
}

// uriGTIN reads the EPC URIs of SGTINs.
func uriGTIN(code string) (GTIN, bool) {
	u, ok := parseURI(code)
	switch u.scheme {
	case "id:sgtin", "tag:sgtin-198":
	case "tag:sgtin-96":
		_, number := decimal(u.serial, serialWidth)
		ok = ok && number
	default:
		return GTIN{}, false
	}
	digits, sound := key(u.prefix, u.reference, sgtinDigits)
	return GTIN{Digits: digits, Serial: u.serial, Form: EPCURI}, ok && sound
}

// tagHex gives the binary EPC of a sound SGTIN-96 tag URI.
func tagHex(code string) (string, bool) {
	u, _ := parseURI(code)
	if _, ok := uriGTIN(code); !ok || u.scheme != "tag:sgtin-96" {
		return "", false
	}
	p := 12 - len(u.prefix)
	prefix, _ := strconv.ParseUint(u.prefix, 10, 64)
	item, _ := strconv.ParseUint(u.reference, 10, 64)
	serial, _ := decimal(u.serial, serialWidth)
	// 58 bits and the first 6 of the serial make the first 8 bytes.
	top := uint64(headerSGTIN96)<<6 | u.filter<<3 | uint64(p)
	top = top<<sgtinWidth | prefix<<(sgtinWidth-partitionWidths()[p]) | item
	return fmt.Sprintf("%016X%08X", top<<6|serial>>32, uint32(serial)), true
}
