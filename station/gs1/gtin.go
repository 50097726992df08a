package gs1

import "strings"

// GTIN is the trade item that a code names.
type GTIN struct {
	Digits string // 14, the last one the check digit; padded with zeros on the left
	Serial string // 1 to 20 characters of AI 21, without escapes; "" if the code names a kind of article only
	Form   Form   // how the code was written
}

// Form is a way to write a GTIN.
type Form string

// The forms that GTINOf reads.
const (
	EPCBinary     Form = "EPC binary"
	EPCURI        Form = "EPC URI"
	ElementString Form = "element string"
	DigitalLink   Form = "Digital Link"
	Plain         Form = "plain digits"
)

// GTINOf tells which trade item code names. It reads
//
//   - EPCs in hexadecimal digits of either case: SGTIN-96 (24 digits), SGTIN-198 (50 digits, or 52 as a tag's words are);
//   - EPC URIs: urn:epc:id:sgtin:PREFIX.ITEM.SERIAL, and urn:epc:tag:sgtin-96: or sgtin-198: with FILTER. before the prefix;
//   - GS1 element strings that begin with AI 01, as scanned or with the AIs in parentheses; before them may stand the AIM
//     identifier of a GS1 symbol (]C1 ]d2 ]Q3 ]e0 ]J1) and a separator (GS, 1Dh);
//   - GS1 Digital Link URIs, uncompressed, whose path ends in /01/GTIN and its qualifiers, 22, 10 and 21 or 235; query and
//     fragment are ignored;
//   - EAN-8, UPC-A, EAN-13 and GTIN-14 as GTIN14 does.
//
// It is false for everything else, 32 hexadecimal digits among it: an element string of just 32 digits is read only with
// its AIM identifier, separator or parentheses.
func GTINOf(code string) (GTIN, bool) {
	if isHash(code) {
		return GTIN{}, false
	}
	for _, read := range []func(string) (GTIN, bool){plainGTIN, binaryGTIN, uriGTIN, elementGTIN, linkGTIN} {
		if g, ok := read(code); ok {
			return g, true
		}
	}
	return GTIN{}, false
}

// GTIN14 pads an EAN-8, UPC-A (12 digits), EAN-13 or GTIN-14 to the 14 digits in which all of them compare. It is false
// for other lengths, for anything but digits and for a wrong check digit.
//
// A UPC-E has 8 digits too, and one in ten passes for an EAN-8: scanners must be set to send UPC-E expanded.
func GTIN14(code string) (string, bool) {
	switch len(code) {
	case 8, 12, 13, 14:
		if checked(code) {
			return strings.Repeat("0", 14-len(code)) + code, true
		}
	}
	return "", false
}

func plainGTIN(code string) (GTIN, bool) {
	digits, ok := GTIN14(code)
	return GTIN{Digits: digits, Form: Plain}, ok
}
