package gs1

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestSSCCOf(t *testing.T) {
	for code, want := range map[string]string{
		"3174257BF4499602D2000000":                       "106141412345678908", // Tag Data Standard, hardware.md 9
		"3174257bf4499602d2000000":                       "106141412345678908",
		"311BA1B300CE0A6A83000000":                       "095201234567891235", // sscc-96:0.952012.03456789123, a public library
		"31AC16465751CCD0C2000000":                       "302335678902000022", // sscc-96:5.023356789.30200002, likewise
		"urn:epc:id:sscc:0614141.1234567890":             "106141412345678908",
		"urn:epc:tag:sscc-96:3.0614141.1234567890":       "106141412345678908",
		"106141412345678908":                             "106141412345678908",
		"00106141412345678908":                           "106141412345678908",
		"]C100106141412345678908":                        "106141412345678908", // hardware.md 9
		"]C100340123451234567895\x1d40012\x1d4031":       "340123451234567895",
		"]C1003401234512345678953300001234":              "340123451234567895",
		"(00)340123451234567895":                         "340123451234567895",
		"(00)340123451234567895(403)R1":                  "340123451234567895",
		"https://id.gs1.org/00/106141411234567897":       "106141411234567897", // hardware.md 9
		"https://example.com/p/00/106141411234567897?a=": "106141411234567897",

		"":                                              "",
		"106141412345678909":                            "",
		"10614141234567890":                             "",
		"0106141412345678908":                           "",
		"00106141412345678909":                          "",
		"0010614141234567890":                           "",
		"00106141412345678908x":                         "",
		"00106141412345678908" + "10ABCDEF":             "106141412345678908",
		"00106141412345678908" + "10ABCDEF0123":         "", // 32 hexadecimal digits
		"0010614141234567890800340123451234567895":      "",
		"]C10180614141123458":                           "",
		"40012\x1d00106141412345678908":                 "",
		"(00)1061414123456789080":                       "",
		"https://id.gs1.org/00/106141411234567898":      "",
		"https://id.gs1.org/00/106141411234567897/10/A": "",
		"https://id.gs1.org/106141411234567897":         "",
		"https://id.gs1.org/01/09521234543213":          "",
		"3174257BF4499602D2000001":                      "", // reserved bits
		"317C257BF4499602D2000000":                      "", // partition 7
		"3074257BF7194E4000001A85":                      "",
		"3174257BF4499602D200000000":                    "",
		"urn:epc:id:sscc:0614141.123456789":             "",
		"urn:epc:id:sscc:0614141.1234567890.1":          "",
		"urn:epc:id:sscc:0614141":                       "",
		"urn:epc:tag:sscc-96:9.0614141.1234567890":      "",
		"urn:epc:id:sgtin:0614141.812345.6789":          "",
		"urn:epc:id:sgtin:061414112345.12345.6789":      "",
	} {
		if got, ok := SSCCOf(code); ok != (want != "") || ok && got != want {
			t.Errorf("SSCCOf(%q) = %q, %v, want %q", code, got, ok, want)
		}
	}
}

// TestSSCC96RoundTrip writes tags of every partition and reads them.
func TestSSCC96RoundTrip(t *testing.T) {
	for range 5000 {
		p, filter := drawn(17), rand.Uint64N(8)
		uri, number := p.uri(17)
		for _, code := range []string{
			p.put(epc("").field(8, 0x31).field(3, filter), 58).field(24, 0).hex(16),
			"urn:epc:id:sscc:" + uri,
			fmt.Sprintf("urn:epc:tag:sscc-96:%d.%s", filter, uri),
			number, "00" + number, "]C1(00)" + number,
		} {
			if got, ok := SSCCOf(code); !ok || got != number {
				t.Fatalf("SSCCOf(%q) = %s, %v, want %s", code, got, ok, number)
			}
			if g, ok := GTINOf(code); ok {
				t.Fatalf("GTINOf(%q) = %+v", code, g)
			}
		}
	}
}
