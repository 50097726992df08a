package gs1

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// epc is an EPC as the test writes it: fields of so many bits, put behind one another as text, so that nothing is shared
// with what reads them.
type epc string

func (e epc) field(width int, v uint64) epc { return e + epc(fmt.Sprintf("%0*b", width, v)) }

// text appends characters of 7 bits and zeros up to 140 bits.
func (e epc) text(s string) epc {
	for _, c := range []byte(s) {
		e = e.field(7, uint64(c))
	}
	return e + epc(strings.Repeat("0", 140-7*len(s)))
}

// hex gives the digits, with zeros up to a multiple of so many bits.
func (e epc) hex(multiple int) string {
	for len(e)%multiple != 0 {
		e += "0"
	}
	b := make([]byte, len(e)/8)
	for i := range b {
		_, _ = fmt.Sscanf(string(e[8*i:8*i+8]), "%b", &b[i])
	}
	return strings.ToUpper(hex.EncodeToString(b))
}

// parts are what an EPC is made of. Digits and widths stand here once more, from the tables of the Tag Data Standard.
type parts struct {
	partition         int
	prefix, reference uint64
}

var prefixes = []struct{ digits, bits int }{{12, 40}, {11, 37}, {10, 34}, {9, 30}, {8, 27}, {7, 24}, {6, 20}}

// drawn gives parts with as many digits in the reference as the scheme has together.
func drawn(digits int) parts {
	p := rand.IntN(len(prefixes))
	return parts{p, rand.Uint64N(ten(prefixes[p].digits)), rand.Uint64N(ten(digits - prefixes[p].digits))}
}

func ten(n int) uint64 {
	v := uint64(1)
	for range n {
		v *= 10
	}
	return v
}

// put appends partition, prefix and reference.
func (p parts) put(e epc, width int) epc {
	bits := prefixes[p.partition].bits
	return e.field(3, uint64(p.partition)).field(bits, p.prefix).field(width-bits, p.reference)
}

// uri gives PREFIX.REFERENCE, and number the number of a barcode.
func (p parts) uri(digits int) (uri, number string) {
	n := prefixes[p.partition].digits
	prefix, reference := fmt.Sprintf("%0*d", n, p.prefix), fmt.Sprintf("%0*d", digits-n, p.reference)
	return prefix + "." + reference, withCheck(reference[:1] + prefix + reference[1:])
}

// escaped gives a serial as it stands in a URI.
func escaped(serial string) string {
	return strings.NewReplacer(`"`, "%22", "%", "%25", "&", "%26", "/", "%2F", "<", "%3C", ">", "%3E", "?", "%3F").Replace(serial)
}

const set82 = `!"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz`

func drawnSerial() string {
	b := make([]byte, 1+rand.IntN(20))
	for i := range b {
		b[i] = set82[rand.IntN(len(set82))]
	}
	return string(b)
}

// TestSGTIN96RoundTrip writes tags of every partition and reads them.
func TestSGTIN96RoundTrip(t *testing.T) {
	for range 5000 {
		p, filter, serial := drawn(13), rand.Uint64N(8), rand.Uint64N(1<<38)
		code := p.put(epc("").field(8, 0x30).field(3, filter), 44).field(38, serial).hex(16)
		uri, number := p.uri(13)
		uri = fmt.Sprintf("%s.%d", uri, serial)
		expect(t, code, GTIN{number, fmt.Sprint(serial), EPCBinary})
		expect(t, strings.ToLower(code), GTIN{number, fmt.Sprint(serial), EPCBinary})
		expect(t, "urn:epc:id:sgtin:"+uri, GTIN{number, fmt.Sprint(serial), EPCURI})
		tag := fmt.Sprintf("urn:epc:tag:sgtin-96:%d.%s", filter, uri)
		expect(t, tag, GTIN{number, fmt.Sprint(serial), EPCURI})
		if got := CanonicalEPC(tag); got != code {
			t.Fatalf("CanonicalEPC(%q) = %s, want %s", tag, got, code)
		}
	}
}

// TestSGTIN198RoundTrip writes tags of every partition and reads them, filled up to bytes and to words.
func TestSGTIN198RoundTrip(t *testing.T) {
	for range 5000 {
		p, filter, serial := drawn(13), rand.Uint64N(8), drawnSerial()
		e := p.put(epc("").field(8, 0x36).field(3, filter), 44).text(serial)
		uri, number := p.uri(13)
		uri += "." + escaped(serial)
		expect(t, e.hex(8), GTIN{number, serial, EPCBinary})
		expect(t, e.hex(16), GTIN{number, serial, EPCBinary})
		expect(t, "urn:epc:id:sgtin:"+uri, GTIN{number, serial, EPCURI})
		expect(t, fmt.Sprintf("urn:epc:tag:sgtin-198:%d.%s", filter, uri), GTIN{number, serial, EPCURI})
		if got := CanonicalEPC(e.hex(8)); got != e.hex(16) {
			t.Fatalf("CanonicalEPC(%q) = %s, want %s", e.hex(8), got, e.hex(16))
		}
	}
}

// TestBarcodeRoundTrip writes the same number as element string and as Digital Link.
func TestBarcodeRoundTrip(t *testing.T) {
	for range 2000 {
		_, number := drawn(13).uri(13)
		serial := "x" + drawnSerial()[1:] // no 32 hexadecimal digits
		expect(t, "01"+number+"21"+serial, GTIN{number, serial, ElementString})
		expect(t, "01"+number+"10L\x1d21"+serial+"\x1d11260131", GTIN{number, serial, ElementString})
		link := "https://example.com/a/01/" + number + "/10/L/21/"
		expect(t, link+escaped(serial), GTIN{number, serial, DigitalLink})
	}
}

// expect asks what code names.
func expect(t *testing.T, code string, want GTIN) {
	t.Helper()
	if got, ok := GTINOf(code); !ok || got != want {
		t.Fatalf("GTINOf(%q) = %+v, %v, want %+v", code, got, ok, want)
	}
}

// TestEveryCharacterOfASerial holds the set of AI 21 against all bytes, in the middle of a serial: a zero must not end it.
func TestEveryCharacterOfASerial(t *testing.T) {
	for c := range 256 {
		serial := string([]byte{'A', byte(c), 'B'})
		codes := []string{"018061414112345821" + serial, "urn:epc:id:sgtin:0614141.812345." + escaped(serial)}
		if c < 128 {
			codes = append(codes, drawn(13).put(epc("").field(11, 0x36<<3), 44).text(serial).hex(8))
		}
		for _, code := range codes {
			_, ok := GTINOf(code)
			if want := strings.IndexByte(set82, byte(c)) >= 0; ok != want {
				t.Errorf("GTINOf(%q) = %v, want %v", code, ok, want)
			}
		}
	}
}

// TestNumbersBeyondTheirDigits: in every partition the largest number is read, and the next one is nothing.
func TestNumbersBeyondTheirDigits(t *testing.T) {
	for p, prefix := range prefixes {
		for _, scheme := range []struct {
			header       uint64
			width, total int
			rest         int
			reads        func(string) bool
		}{
			{0x30, 44, 13, 38, func(s string) bool { _, ok := GTINOf(s); return ok }},
			{0x31, 58, 17, 24, func(s string) bool { _, ok := SSCCOf(s); return ok }},
		} {
			code := func(prefix, reference uint64) string {
				return parts{p, prefix, reference}.put(epc("").field(8, scheme.header).field(3, 1), scheme.width).field(scheme.rest, 0).hex(16)
			}
			most, reference := ten(prefix.digits)-1, ten(scheme.total-prefix.digits)-1
			for _, v := range []struct {
				code string
				want bool
			}{
				{code(most, reference), true},
				{code(most+1, reference), false},
				{code(most, reference+1), false},
				{code(1<<prefix.bits-1, 0), false},
				{code(0, 1<<(scheme.width-prefix.bits)-1), false},
				{code(0, 0), true},
			} {
				if got := scheme.reads(v.code); got != v.want {
					t.Errorf("partition %d: %s is read: %v, want %v", p, v.code, got, v.want)
				}
			}
		}
	}
}

func TestCanonicalEPC(t *testing.T) {
	for code, want := range map[string]string{
		"3074257bf7194e4000001a85":                             "3074257BF7194E4000001A85",
		"e200107100005290940b4020":                             "E200107100005290940B4020",
		"e2004001020304":                                       "E2004001020304",
		"0abcdef0":                                             "0ABCDEF0",
		strings.Repeat("ab", 64):                               strings.Repeat("AB", 64),
		"0bd4a7f2b5c94d7c9a3f1e2d3c4b5a69":                     "0BD4A7F2B5C94D7C9A3F1E2D3C4B5A69", // 128 bits
		"3674257bf6b7a659b2c2bf1000000000000000000000000000":   "3674257BF6B7A659B2C2BF100000000000000000000000000000",
		"3674257bf6b7a659b2c2bf100000000000000000000000000000": "3674257BF6B7A659B2C2BF100000000000000000000000000000",
		"3674257bf6b7a659b2c2bf1000000000000000000000000001":   "3674257BF6B7A659B2C2BF1000000000000000000000000001", // no SGTIN-198
		"urn:epc:tag:sgtin-96:3.0614141.812345.6789":           "3074257BF7194E4000001A85",
		"urn:epc:tag:sgtin-96:0.0867360217.005.1":              "300833B2DDD9014000000001",
		"urn:epc:tag:sgtin-96:7.999999999999.9.274877906943":   "30E3A352943FFE7FFFFFFFFF",
		"urn:epc:tag:sgtin-96:0.000000.0000000.0":              "301800000000000000000000",
	} {
		if got := CanonicalEPC(code); got != want {
			t.Errorf("CanonicalEPC(%q) = %q, want %q", code, got, want)
		}
	}
	for _, same := range []string{
		"", "aaa1234", "abcdef", "abcdef012", "abcdefgh", " e2004001020304", "0xe20040010203", "PKG-2026-0001", "ěščřžýáí",
		strings.Repeat("ab", 65),
		"urn:epc:tag:sgtin-96:8.0614141.812345.6789",
		"urn:epc:tag:sgtin-96:3.0614141.8123450.6789",
		"urn:epc:tag:sgtin-96:3.0614141.812345.06789",
		"urn:epc:tag:sgtin-96:3.0614141.812345.274877906944",
		"urn:epc:tag:sgtin-96:3.0614141.812345.67a",
		"urn:epc:tag:sgtin-198:3.0614141.812345.6789",
		"urn:epc:tag:sscc-96:3.0614141.1234567890",
		"urn:epc:id:sgtin:0614141.812345.6789",
		"URN:EPC:TAG:SGTIN-96:3.0614141.812345.6789",
	} {
		if got := CanonicalEPC(same); got != same {
			t.Errorf("CanonicalEPC(%q) = %q, want it as it is", same, got)
		}
	}
}
