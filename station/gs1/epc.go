package gs1

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// The lengths of EPCs in hexadecimal digits. Files count 198 bits in bytes, tags in words of 16 bits.
const (
	hex96       = 96 / 4
	hex198      = 200 / 4
	hex198Words = 208 / 4
)

// The first byte of an EPC.
const (
	headerSGTIN96  = 0x30
	headerSSCC96   = 0x31
	headerSGTIN198 = 0x36
)

// CanonicalEPC gives the one spelling under which an EPC is looked up, however a reader or a list writes it:
//
//	hexadecimal digits, an even number of 8 to 128    in upper case; an SGTIN-198 of 50 digits with 00 behind it, as a tag's
//	                                                  words are
//	urn:epc:tag:sgtin-96:FILTER.PREFIX.ITEM.SERIAL    the 24 hexadecimal digits of that tag, if it is sound
//	everything else                                   as it is, byte for byte
//
// A pure identity URI stays as it is: it leaves the filter out and so is no tag. Canonical spellings stay as they are, too.
// It is for EPCs only: it doesn't ask what the digits are, and would spell the serial of an element string anew.
func CanonicalEPC(code string) string {
	if digits, ok := tagHex(code); ok {
		return digits
	}
	if len(code) < 8 || len(code) > 128 || !isHex(code) {
		return code
	}
	code = strings.ToUpper(code)
	if _, ok := binaryGTIN(code); ok && len(code) == hex198 {
		return code + "00"
	}
	return code
}

// isHash tells whether code looks like the hash of a row.
func isHash(code string) bool {
	return len(code) == 32 && isHex(code)
}

// isHex tells whether code is whole bytes in hexadecimal digits.
func isHex(code string) bool {
	_, err := hex.DecodeString(code)
	return err == nil
}

// bits reads n bits of b, at most 64, from bit from on; bit 0 is the highest of the first byte.
func bits(b []byte, from, n int) uint64 {
	var v uint64
	for i := from; i < from+n; i++ {
		v = v<<1 | uint64(b[i/8]>>(7-i%8)&1)
	}
	return v
}

// partitionWidths is how many bits the company prefix has in each partition (SGTIN and SSCC partition tables). The eighth
// value that 3 bits can have is no partition.
func partitionWidths() [7]int { return [...]int{40, 37, 34, 30, 27, 24, 20} }

// binaryKey reads a number from the partition on. Prefix and reference share width bits and have that many digits together.
func binaryKey(b []byte, width, digits int) (string, bool) {
	widths, p := partitionWidths(), int(bits(b, 11, 3))
	if p >= len(widths) {
		return "", false
	}
	prefix := fmt.Sprintf("%0*d", 12-p, bits(b, 14, widths[p]))
	reference := fmt.Sprintf("%0*d", digits-(12-p), bits(b, 14+widths[p], width-widths[p]))
	return key(prefix, reference, digits) // which finds a number beyond its digits too long
}

// key joins the parts of an EPC into the number as a barcode has it: the first digit of the reference, the prefix, the rest
// of the reference, the check digit. It is false if they aren't digits, 6 to 12 in the prefix and so many together.
func key(prefix, reference string, digits int) (string, bool) {
	if len(prefix) < 6 || len(prefix) > 12 || len(prefix)+len(reference) != digits || !isDigits(prefix+reference) {
		return "", false
	}
	number := reference[:1] + prefix + reference[1:]
	check, _ := CheckDigit(number)
	return number + string(check), true
}
