package gs1

import (
	"strings"
	"testing"
)

func TestGTIN14(t *testing.T) {
	for code, want := range map[string]string{
		"96385074":       "00000096385074",
		"036000291452":   "00036000291452",
		"4006381333931":  "04006381333931",
		"80614141123458": "80614141123458",
		"04006381333931": "04006381333931",

		"":                "",
		"4006381333932":   "", // wrong check digit
		"6385074":         "", // 7 digits
		"000096385074000": "", // 15
		"0096385074":      "", // 10, with a right check digit
		"400638133393 ":   "",
		" 4006381333931":  "",
		"40063813a3931":   "",
		"４００６381333931":   "",
	} {
		if got, ok := GTIN14(code); got != want || ok != (want != "") {
			t.Errorf("GTIN14(%q) = %q, %v, want %q", code, got, ok, want)
		}
	}
}

// named are codes and what they name. Where no source is said, the code is made here.
var named = []struct {
	code string
	want GTIN
}{
	// EPC in hexadecimal digits: hardware.md 9, the longer ones from tests of public libraries
	{"3074257BF7194E4000001A85", GTIN{"80614141123458", "6789", EPCBinary}}, // Tag Data Standard
	{"3074257bf7194e4000001a85", GTIN{"80614141123458", "6789", EPCBinary}},
	{"3034257BF7194E4000003039", GTIN{"80614141123458", "12345", EPCBinary}},
	{"300833B2DDD9014000000001", GTIN{"00867360217055", "1", EPCBinary}},
	{"30751FEB705C5904E3D50D70", GTIN{"04717276945640", "21002259824", EPCBinary}},
	{"3674257BF6B7A659B2C2BF1000000000000000000000000000", GTIN{"70614141123451", "32a/b", EPCBinary}}, // Tag Data Standard
	{"3674257bf6b7a659b2c2bf100000000000000000000000000000", GTIN{"70614141123451", "32a/b", EPCBinary}},
	{"3639542C82FB0258B266D1AB66EE1CB062C99B46AD9BB872C000", GTIN{"03483387813215", "12345678901234567890", EPCBinary}},
	{"3666C4409047E159B2C2BF100000000000000000000000000000", GTIN{"09506000134352", "32a/b", EPCBinary}},

	// EPC URIs
	{"urn:epc:id:sgtin:0614141.812345.6789", GTIN{"80614141123458", "6789", EPCURI}},
	{"urn:epc:id:sgtin:0614141.712345.32a%2Fb", GTIN{"70614141123451", "32a/b", EPCURI}},
	{"urn:epc:id:sgtin:0614141.712345.32a%2fb", GTIN{"70614141123451", "32a/b", EPCURI}},
	{"urn:epc:id:sgtin:0614141.812345.00.6:789", GTIN{"80614141123458", "00.6:789", EPCURI}},
	{"urn:epc:id:sgtin:0614141.812345.%22%25%26%2F%3C%3E%3F!'()*+,-.:;=_", GTIN{"80614141123458", `"%&/<>?!'()*+,-.:;=_`, EPCURI}},
	{"urn:epc:tag:sgtin-96:3.0614141.812345.6789", GTIN{"80614141123458", "6789", EPCURI}},
	{"urn:epc:tag:sgtin-96:0.0867360217.005.0", GTIN{"00867360217055", "0", EPCURI}},
	{"urn:epc:tag:sgtin-96:3.0614141.812345.274877906943", GTIN{"80614141123458", "274877906943", EPCURI}}, // 2^38-1
	{"urn:epc:tag:sgtin-198:3.0614141.712345.32a%2Fb", GTIN{"70614141123451", "32a/b", EPCURI}},
	{"urn:epc:tag:sgtin-198:3.0614141.712345.007", GTIN{"70614141123451", "007", EPCURI}},
	{"urn:epc:id:sgtin:061414112345.8.6789", GTIN{"80614141123458", "6789", EPCURI}},
	{"urn:epc:id:sgtin:061414.8112345.6789", GTIN{"80614141123458", "6789", EPCURI}},

	// Element strings
	{"0180614141123458", GTIN{"80614141123458", "", ElementString}},
	{"0180614141123458216789", GTIN{"80614141123458", "6789", ElementString}},
	{"]d20104150000021126172506302112345ABC\x1d10LOT42X", GTIN{"04150000021126", "12345ABC", ElementString}}, // hardware.md 9
	{"]C1\x1d0104150000021126", GTIN{"04150000021126", "", ElementString}},
	{"]Q3010415000002112621A", GTIN{"04150000021126", "A", ElementString}},
	{"]e0010415000002112621A", GTIN{"04150000021126", "A", ElementString}},
	{"]J1010415000002112621A", GTIN{"04150000021126", "A", ElementString}},
	{"\x1d010415000002112621A\x1d", GTIN{"04150000021126", "A", ElementString}},
	{"0104150000021126\x1d21A\x1d310300125020993925978129", GTIN{"04150000021126", "A", ElementString}},
	{"0104150000021126010415000002112621A\x1d21A", GTIN{"04150000021126", "A", ElementString}}, // the same twice
	{"010415000002112610ABC\x1d80082506301221\x1d21(A)", GTIN{"04150000021126", "(A)", ElementString}},
	{"(01)70614141123451(21)32a/b", GTIN{"70614141123451", "32a/b", ElementString}}, // Tag Data Standard
	{"]C1(01)70614141123451(10)X)Y(21)A\"_%", GTIN{"70614141123451", "A\"_%", ElementString}},
	{"(01)70614141123451", GTIN{"70614141123451", "", ElementString}},
	{"]C101095212345432132112345678901234", GTIN{"09521234543213", "12345678901234", ElementString}}, // no hash

	// Digital Links
	{"https://id.gs1.org/01/09521234543213/10/ABC123/21/12345?17=261231", GTIN{"09521234543213", "12345", DigitalLink}}, // hardware.md 9
	{"https://id.gs1.org/01/09521234543213", GTIN{"09521234543213", "", DigitalLink}},
	{"HTTPS://ID.GS1.ORG/01/09521234543213/", GTIN{"09521234543213", "", DigitalLink}},
	{"http://user@example.com:8080/some/path/01/9521234543213/22/2A/21/32a%2Fb?21=no#/21/no", GTIN{"09521234543213", "32a/b", DigitalLink}},
	{"https://example.com/01/96385074/21/%30%31", GTIN{"00000096385074", "01", DigitalLink}},
	{"https://example.com/01/09521234543213/235/T%2FX", GTIN{"09521234543213", "", DigitalLink}},
	{"https://example.com/01/4006381333931/shop/01/09521234543213/21/01", GTIN{"09521234543213", "01", DigitalLink}},
	{"https://example.com/01/09521234543213/10/01/21/21", GTIN{"09521234543213", "21", DigitalLink}},

	// Plain digits
	{"96385074", GTIN{"00000096385074", "", Plain}},
	{"036000291452", GTIN{"00036000291452", "", Plain}},
	{"4006381333931", GTIN{"04006381333931", "", Plain}},
	{"80614141123458", GTIN{"80614141123458", "", Plain}},
}

func TestGTINOf(t *testing.T) {
	for _, v := range named {
		if got, ok := GTINOf(v.code); !ok || got != v.want {
			t.Errorf("GTINOf(%q) = %+v, %v, want %+v", v.code, got, ok, v.want)
		}
	}
}

// nameless are codes that name no trade item, each for one reason.
var nameless = map[string]string{
	"nothing":                  "",
	"a word":                   "PKG-2026-0001",
	"a hash":                   "0bd4a7f2b5c94d7c9a3f1e2d3c4b5a69",
	"a hash like an EPC":       "3074257BF7194E4000001A8500000000",
	"a hash like an element":   "0109521234543213211a2b3c4d5e6f7a",
	"a hash of digits":         "01095212345432132112345678901234",
	"an EAN and a line end":    "4006381333931\r",
	"an EAN with its AIM sign": "]E04006381333931", // the codec takes it off
	"an SSCC":                  "106141412345678908",

	"an SSCC-96":                          "3174257BF4499602D2000000",
	"an EPC of another maker":             "E200107100005290940B4020",
	"header 0":                            "000000000000000000000000",
	"SGTIN-96, partition 7":               "307C257BF7194E4000001A85",
	"SGTIN-96 with half a byte more":      "3074257BF7194E4000001A850",
	"SGTIN-96 with a word more":           "3074257BF7194E4000001A850000",
	"SGTIN-96 with a blank":               "3074257BF7194E4000001A8 ",
	"SGTIN-96 with letters":               "3074257BF7194E4000001A8G",
	"SGTIN-96 in 50 digits":               "3074257BF7194E4000001A8500000000000000000000000000",
	"SGTIN-198 in 24 digits":              "3674257BF6B7A659B2C2BF10",
	"SGTIN-198 in 48 digits":              "3674257BF6B7A659B2C2BF10000000000000000000000000",
	"SGTIN-198, partition 7":              "367C257BF6B7A659B2C2BF1000000000000000000000000000",
	"SGTIN-198 without serial":            "3674257BF6B7A6400000000000000000000000000000000000",
	"SGTIN-198, bit in the byte":          "3674257BF6B7A659B2C2BF1000000000000000000000000001",
	"SGTIN-198, bit in the word":          "3674257BF6B7A659B2C2BF100000000000000000000000000001",
	"SGTIN-198, character after the NUL":  "3674257BF6B7A659B2C2BF1000000000000000000000000100",
	"URI of a tag with filter 8":          "urn:epc:tag:sgtin-96:8.0614141.812345.6789",
	"URI of a tag, filter with zeros":     "urn:epc:tag:sgtin-96:03.0614141.812345.6789",
	"URI of a tag without filter":         "urn:epc:tag:sgtin-96:0614141.812345.6789",
	"URI of a tag, serial of 39 bits":     "urn:epc:tag:sgtin-96:3.0614141.812345.274877906944",
	"URI of a tag, serial with zero":      "urn:epc:tag:sgtin-96:3.0614141.812345.06789",
	"URI of a tag, serial with letters":   "urn:epc:tag:sgtin-96:3.0614141.812345.6789a",
	"URI of an SGTIN-96 with signs":       "urn:epc:tag:sgtin-96:3.0614141.812345.+6789",
	"URI with a filter in an identity":    "urn:epc:id:sgtin:3.0614141.812345.6789",
	"URI without serial":                  "urn:epc:id:sgtin:0614141.812345",
	"URI with empty serial":               "urn:epc:id:sgtin:0614141.812345.",
	"URI with 21 characters":              "urn:epc:id:sgtin:0614141.812345.123456789012345678901",
	"URI with an item digit too much":     "urn:epc:id:sgtin:0614141.8123450.6789",
	"URI with a prefix of 5":              "urn:epc:id:sgtin:06141.41812345.6789",
	"URI with a prefix of 13":             "urn:epc:id:sgtin:0614141123450..6789",
	"URI with letters in the prefix":      "urn:epc:id:sgtin:06l4141.812345.6789",
	"URI with a sign in the item":         "urn:epc:id:sgtin:0614141.+12345.6789",
	"URI with a bare slash":               "urn:epc:id:sgtin:0614141.712345.32a/b",
	"URI with a broken escape":            "urn:epc:id:sgtin:0614141.712345.32a%2",
	"URI with a needless escape":          "urn:epc:id:sgtin:0614141.812345.%36789",
	"URI with an escape out of the set":   "urn:epc:id:sgtin:0614141.812345.%20",
	"URI with a character out of the set": "urn:epc:id:sgtin:0614141.812345.6#9",
	"URI in capitals":                     "URN:EPC:ID:SGTIN:0614141.812345.6789",
	"URI of a pattern":                    "urn:epc:idpat:sgtin:0614141.812345.*",
	"URI of a class":                      "urn:epc:class:lgtin:0614141.812345.6789",
	"URI of a logistic unit":              "urn:epc:id:sscc:0614141.1234567890",
	"URI of another name":                 "urn:isbn:0451450523",
	"URI that is cut off":                 "urn:epc:id:sgtin",

	"element, wrong check digit":         "0180614141123459",
	"element, GTIN cut off":              "018061414112345",
	"element, GTIN with letters":         "01806141411234S8",
	"element, another AI first":          "17250630010415000002112621A",
	"element, content":                   "02041500000211263712",
	"element, unassigned AI":             "0104150000021126" + "05123",
	"element, half an AI":                "0104150000021126" + "2",
	"element, text behind the GTIN":      "0104150000021126" + "ABC",
	"element, empty serial":              "0104150000021126" + "21",
	"element, empty serial before GS":    "0104150000021126" + "21\x1d10A",
	"element, long serial":               "0104150000021126" + "21123456789012345678901",
	"element, blank in the serial":       "0104150000021126" + "21A B",
	"element, umlaut in the serial":      "0104150000021126" + "21Ä",
	"element, date of 5":                 "0104150000021126" + "1725063",
	"element, separator that is missing": "0104150000021126" + "8008250630122121A", // 8008 takes 8, 10 or 12 digits
	"element, date with letters":         "0104150000021126" + "17250b30",
	"element, date before a separator":   "0104150000021126" + "1725063\x1d",
	"element, measure of a kind unknown": "0104150000021126" + "3170000001",
	"element, measure with 6 decimals":   "0104150000021126" + "3106000001",
	"element, two separators":            "0104150000021126\x1d\x1d21A",
	"element, two separators in front":   "\x1d\x1d0104150000021126",
	"element, two GTINs":                 "0104150000021126" + "0180614141123458",
	"element, two serials":               "0104150000021126" + "21A\x1d21B",
	"element, plain barcode's AIM sign":  "]C00104150000021126",
	"element, a sign alone":              "]C1",
	"element, a separator alone":         "\x1d",
	"element, an EAN behind the sign":    "]C14006381333931",
	"element, text behind":               "0104150000021126\n",
	"bracketed, blank":                   "(01) 70614141123451",
	"bracketed, not closed":              "(01",
	"bracketed, empty":                   "()",
	"bracketed, bracket of a value":      "(01)70614141123451(21)A(B)",
	"bracketed, GTIN too long":           "(01)706141411234510",
	"bracketed, EAN":                     "(01)4006381333931",
	"bracketed, separator":               "(01)70614141123451\x1d(21)A",
	"bracketed, only the first":          "(01)7061414112345121A",
	"bracketed, sign in the AI":          "(+1)70614141123451",

	"link, wrong check digit":        "https://id.gs1.org/01/09521234543214",
	"link, GTIN of 10 digits":        "https://id.gs1.org/01/0096385074",
	"link, no GTIN":                  "https://id.gs1.org/01/",
	"link, no path":                  "https://id.gs1.org",
	"link, qualifiers out of order":  "https://id.gs1.org/01/09521234543213/21/12345/10/ABC123",
	"link, both kinds of qualifiers": "https://id.gs1.org/01/09521234543213/21/12345/235/A",
	"link, qualifier twice":          "https://id.gs1.org/01/09521234543213/21/A/21/A",
	"link, serial empty":             "https://id.gs1.org/01/09521234543213/21/",
	"link, serial in two":            "https://id.gs1.org/01/09521234543213/21/32a/b",
	"link, serial of 21 characters":  "https://id.gs1.org/01/09521234543213/21/123456789012345678901",
	"link, blank in the serial":      "https://id.gs1.org/01/09521234543213/21/A%20B",
	"link, bare bracket":             "https://id.gs1.org/01/09521234543213/21/A<B",
	"link, slash behind a bracket":   "https://id.gs1.org/01/09521234543213/10/A<%2F21%2FB",
	"link, broken escape":            "https://id.gs1.org/01/09521234543213/21/A%2",
	"link, something behind":         "https://id.gs1.org/01/09521234543213/reviews",
	"link, attribute in the path":    "https://id.gs1.org/01/09521234543213/17/261231",
	"link, in the query":             "https://id.gs1.org/?01=09521234543213",
	"link, in the fragment":          "https://id.gs1.org/#/01/09521234543213",
	"link, by name":                  "https://id.gs1.org/gtin/09521234543213",
	"link, compressed":               "https://id.gs1.org/AQnYUc1gmiERBhT3rw",
	"link, no host":                  "https:///01/09521234543213",
	"link, no slashes":               "https:01/09521234543213",
	"link, another scheme":           "ftp://id.gs1.org/01/09521234543213",
	"link, no scheme":                "id.gs1.org/01/09521234543213",
	"link, two slashes at the end":   "https://id.gs1.org/01/09521234543213//",
	"link, a parcel":                 "https://id.gs1.org/00/106141411234567897",
}

func TestGTINOfNamesNothing(t *testing.T) {
	for why, code := range nameless {
		if got, ok := GTINOf(code); ok {
			t.Errorf("%s: GTINOf(%q) = %+v", why, code, got)
		}
	}
}

// TestAHashNamesNothing: whatever 32 hexadecimal digits look like, in either case.
func TestAHashNamesNothing(t *testing.T) {
	for _, v := range named {
		hash := (v.code + strings.Repeat("0", 32))[:32]
		for _, code := range []string{strings.ToLower(hash), strings.ToUpper(hash)} {
			if g, ok := GTINOf(code); ok && isHex(code) {
				t.Errorf("GTINOf(%q) = %+v", code, g)
			}
			if s, ok := SSCCOf(code); ok && isHex(code) {
				t.Errorf("SSCCOf(%q) = %s", code, s)
			}
		}
	}
}
