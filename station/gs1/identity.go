package gs1

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// The first bytes of EPCs that are neither GTIN nor SSCC: returnable assets and individual ones.
const (
	headerGRAI96 = 0x33
	headerGIAI96 = 0x34
)

// EPC is a binary EPC in words.
type EPC struct {
	Scheme string // "sgtin-96", "sgtin-198", "sscc-96", "grai-96" or "giai-96"
	Filter int    // 0 to 7: what kind of thing it is on
	ID     string // urn:epc:id:..., which names the thing
	Tag    string // urn:epc:tag:..., which is the tag bit by bit
}

// EPCOf reads an EPC in hexadecimal digits of either case. It is false for every other scheme and for what breaks the rules
// of its own: such a tag is opaque, and no error. GTINOf and SSCCOf tell the number as a barcode has it.
//
//	scheme     header   prefix and reference, bits and digits      then
//	sgtin-96   30h      44           13                            serial of 38 bits
//	sgtin-198  36h      44           13                            serial of 20 characters of 7 bits
//	sscc-96    31h      58           17                            24 zeros
//	grai-96    33h      44           12                            serial of 38 bits
//	giai-96    34h      82           as many as the number has     nothing
//
// Filter and partition stand before the prefix as the package comment has it (Tag Data Standard, coding tables).
func EPCOf(code string) (EPC, bool) {
	b, err := hex.DecodeString(code)
	if err != nil || len(code) != hex96 && len(code) != hex198 && len(code) != hex198Words {
		return EPC{}, false
	}
	scheme, rest, ok := "", "", false
	long := len(code) != hex96
	switch {
	case b[0] == headerSGTIN198 && long:
		scheme, rest, ok = identity(b, "sgtin-198", 13)
		serial, sound := textSerial(b)
		rest, ok = rest+"."+escape(serial), ok && sound
	case long:
	case b[0] == headerSGTIN96:
		scheme, rest, ok = identity(b, "sgtin-96", 13)
		rest += "." + strconv.FormatUint(bits(b, serialAt, serialWidth), 10)
	case b[0] == headerSSCC96:
		scheme, rest, ok = identity(b, "sscc-96", 17)
		ok = ok && bits(b, 72, 24) == 0
	case b[0] == headerGRAI96:
		scheme, rest, ok = identity(b, "grai-96", 12)
		rest += "." + strconv.FormatUint(bits(b, serialAt, serialWidth), 10)
	case b[0] == headerGIAI96:
		scheme, rest, ok = identity(b, "giai-96", 0)
	}
	if !ok {
		return EPC{}, false
	}
	filter := int(bits(b, 8, 3))
	kind, _, _ := strings.Cut(scheme, "-")
	return EPC{Scheme: scheme, Filter: filter, ID: "urn:epc:id:" + kind + ":" + rest, Tag: fmt.Sprintf("urn:epc:tag:%s:%d.%s", scheme, filter, rest)}, true
}

// identity reads prefix and reference, PREFIX.REFERENCE. They have so many digits together; 0: the reference is a number
// without leading zeros. It is false for numbers beyond their digits.
func identity(b []byte, scheme string, digits int) (same, parts string, ok bool) {
	widths, p := partitionWidths(), int(bits(b, 11, 3))
	if p >= len(widths) {
		return scheme, "", false
	}
	width := map[int]int{13: sgtinWidth, 12: sgtinWidth, 17: ssccWidth, 0: 96 - 14}[digits]
	prefix := fmt.Sprintf("%0*d", 12-p, bits(b, 14, widths[p]))
	number := bits(b, 14+widths[p], width-widths[p])
	var reference string
	switch n := digits - (12 - p); {
	case digits == 0:
		reference = strconv.FormatUint(number, 10)
	case n > 0:
		reference = fmt.Sprintf("%0*d", n, number)
		ok = len(reference) == n
	default: // a returnable asset of a company that has no digits left for types
		ok = number == 0
	}
	return scheme, prefix + "." + reference, len(prefix) == 12-p && (ok || digits == 0)
}

// escape writes a serial as it stands in a URI.
func escape(serial string) string {
	return strings.NewReplacer(`"`, "%22", "%", "%25", "&", "%26", "/", "%2F", "<", "%3C", ">", "%3E", "?", "%3F").Replace(serial)
}
