package gs1

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestEPCOfReadsTheStandardsExamples(t *testing.T) {
	for code, want := range map[string]EPC{
		"3074257BF7194E4000001A85":                           {"sgtin-96", 3, "urn:epc:id:sgtin:0614141.812345.6789", "urn:epc:tag:sgtin-96:3.0614141.812345.6789"},
		"3074257bf7194e4000001a85":                           {"sgtin-96", 3, "urn:epc:id:sgtin:0614141.812345.6789", "urn:epc:tag:sgtin-96:3.0614141.812345.6789"},
		"300833B2DDD9014000000001":                           {"sgtin-96", 0, "urn:epc:id:sgtin:0867360217.005.1", "urn:epc:tag:sgtin-96:0.0867360217.005.1"},
		"30751FEB705C5904E3D50D70":                           {"sgtin-96", 3, "urn:epc:id:sgtin:4717276.094564.21002259824", "urn:epc:tag:sgtin-96:3.4717276.094564.21002259824"},
		"3174257BF4499602D2000000":                           {"sscc-96", 3, "urn:epc:id:sscc:0614141.1234567890", "urn:epc:tag:sscc-96:3.0614141.1234567890"},
		"3674257BF6B7A659B2C2BF1000000000000000000000000000": {"sgtin-198", 3, "urn:epc:id:sgtin:0614141.712345.32a%2Fb", "urn:epc:tag:sgtin-198:3.0614141.712345.32a%2Fb"},
		"3374257BF40C0E400000162E":                           {"grai-96", 3, "urn:epc:id:grai:0614141.12345.5678", "urn:epc:tag:grai-96:3.0614141.12345.5678"},
		"3474257BF40000000000162E":                           {"giai-96", 3, "urn:epc:id:giai:0614141.5678", "urn:epc:tag:giai-96:3.0614141.5678"},
		"332000000000000000000000":                           {"grai-96", 1, "urn:epc:id:grai:000000000000..0", "urn:epc:tag:grai-96:1.000000000000..0"},
	} {
		if got, ok := EPCOf(code); !ok || got != want {
			t.Errorf("EPCOf(%q) = %+v, %v, want %+v", code, got, ok, want)
		}
	}
}

// TestOtherTagsAreOpaque: unknown headers, partition 7, reserved bits, numbers beyond their digits, wrong lengths.
func TestOtherTagsAreOpaque(t *testing.T) {
	for _, code := range []string{
		"", "30", "E20010710000529B0940B402", "3274257BF7194E4000001A85", "35000000000000000000000F", "F7000000000000000000000F",
		"307C257BF7194E4000001A85", "347C257BF40000000000162E", "337C257BF40C0E400000162E", "3174257BF4499602D2000001",
		"3074257BF7194E4000001A8", "3074257BF7194E4000001A8500", "3674257BF6B7A659B2C2BF10", "zz74257BF7194E4000001A85",
		"3674257BF6B7A659B2C2BF1000000000000000000000000001",
		"3323A352943FFC4000000000", // prefix of 12 digits and a type where none fits
		"34FFFFFFFFFFFFFFFFFFFFFF",
	} {
		if got, ok := EPCOf(code); ok {
			t.Errorf("EPCOf(%q) = %+v", code, got)
		}
	}
}

// TestEPCRoundTrip writes tags of every scheme and partition and reads them.
func TestEPCRoundTrip(t *testing.T) {
	for range 3000 {
		filter, serial, text := rand.Uint64N(8), rand.Uint64N(1<<38), drawnSerial()
		sgtin, sscc := drawn(13), drawn(17)
		begin := func(header uint64) epc { return epc("").field(8, header).field(3, filter) }
		p := rand.IntN(len(prefixes))
		n := prefixes[p].digits
		grai := parts{p, rand.Uint64N(ten(n)), rand.Uint64N(ten(12 - n))}
		giai := parts{p, rand.Uint64N(ten(n)), rand.Uint64N(1 << (82 - prefixes[p].bits))}
		item, _ := sgtin.uri(13)
		unit, _ := sscc.uri(17)
		kind := fmt.Sprintf("%0*d.", n, grai.prefix)
		if n < 12 {
			kind += fmt.Sprintf("%0*d", 12-n, grai.reference)
		}
		for _, v := range []struct{ scheme, code, parts string }{
			{"sgtin-96", sgtin.put(begin(0x30), 44).field(38, serial).hex(16), fmt.Sprintf("%s.%d", item, serial)},
			{"sgtin-198", sgtin.put(begin(0x36), 44).text(text).hex(16), item + "." + escaped(text)},
			{"sscc-96", sscc.put(begin(0x31), 58).field(24, 0).hex(16), unit},
			{"grai-96", grai.put(begin(0x33), 44).field(38, serial).hex(16), fmt.Sprintf("%s.%d", kind, serial)},
			{"giai-96", giai.put(begin(0x34), 82).hex(16), fmt.Sprintf("%0*d.%d", n, giai.prefix, giai.reference)},
		} {
			name, _, _ := strings.Cut(v.scheme, "-")
			want := EPC{v.scheme, int(filter), "urn:epc:id:" + name + ":" + v.parts, fmt.Sprintf("urn:epc:tag:%s:%d.%s", v.scheme, filter, v.parts)}
			if got, ok := EPCOf(v.code); !ok || got != want {
				t.Fatalf("EPCOf(%q) = %+v, %v, want %+v", v.code, got, ok, want)
			}
			g, isItem := GTINOf(v.code)
			again, back := GTINOf(want.ID)
			if isItem != (name == "sgtin") || back != isItem || again.Digits != g.Digits || again.Serial != g.Serial {
				t.Fatalf("%s is %+v, its URI %s is %+v", v.code, g, want.ID, again)
			}
		}
	}
}

// TestNumbersBeyondTheirDigitsAreOpaque, the largest ones are not.
func TestNumbersBeyondTheirDigitsAreOpaque(t *testing.T) {
	for p, prefix := range prefixes {
		for _, s := range []struct {
			header              uint64
			width, digits, rest int
		}{{0x30, 44, 13, 38}, {0x31, 58, 17, 24}, {0x33, 44, 12, 38}, {0x34, 82, 0, 0}} {
			code := func(first, second uint64) string {
				return parts{p, first, second}.put(epc("").field(8, s.header).field(3, 1), s.width).field(s.rest, 0)[:96].hex(16)
			}
			most := ten(prefix.digits) - 1
			reference := uint64(1)<<(s.width-prefix.bits) - 1
			if s.digits > 0 {
				reference = ten(s.digits-prefix.digits) - 1
			}
			if _, ok := EPCOf(code(most, reference)); !ok {
				t.Errorf("header %x, partition %d: the largest numbers are opaque", s.header, p)
			}
			if e, ok := EPCOf(code(most+1, 0)); ok {
				t.Errorf("header %x, partition %d: %s", s.header, p, e.ID)
			}
			if e, ok := EPCOf(code(0, reference+1)); ok && s.digits > 0 {
				t.Errorf("header %x, partition %d: %s", s.header, p, e.ID)
			}
		}
	}
}

func TestPC(t *testing.T) {
	for pc, want := range map[PC]string{
		0x3000: "12 false false false 00 false",
		0x3400: "12 true false false 00 false",
		0x4201: "16 false true false 00 true",
		0x31A2: "12 false false true A2 false",
		0x3101: "12 false false true 01 false",
		0xF800: "62 false false false 00 false",
		0:      "0 false false false 00 false",
	} {
		if got := fmt.Sprintf("%d %v %v %v %02X %v", pc.Bytes(), pc.UserMemory(), pc.Extended(), pc.ISO(), pc.AFI(), pc.Hazardous()); got != want {
			t.Errorf("%04X: %s, want %s", uint16(pc), got, want)
		}
	}
}

func TestMisread(t *testing.T) {
	for _, v := range []struct{ symbology, code, want string }{
		{"]E0", "4006381333931", ""},
		{"]E0", "4006381333932", "EAN 4006381333932: wrong check digit"},
		{"]E0", "400638133393x", "EAN 400638133393x: wrong check digit"},
		{"]E0", "400638133393", ""}, // set up to leave the check digit out
		{"]E4", "96385074", ""},
		{"]E4", "96385075", "EAN 96385075: wrong check digit"},
		{"]C1", "00106141412345678908", ""},
		{"]C1", "00106141412345678909", "AI 00 106141412345678909: wrong check digit"},
		{"]d2", "0180614141123458216789", ""},
		{"]d2", "0180614141123459216789", "AI 01 80614141123459: wrong check digit"},
		{"]Q3", "10LOT\x1d02806141411234593712", "AI 02 80614141123459: wrong check digit"},
		{"]e0", "4104006381333932", "AI 410 4006381333932: wrong check digit"},
		{"]J1", "8018106141412345678909", "AI 8018 106141412345678909: wrong check digit"},
		{"]C1", "40210614141234567894", ""},
		{"]C1", "40210614141234567895", "AI 402 10614141234567895: wrong check digit"},
		{"]C1", "0180614141123459??", ""},
		{"", "00106141412345678909", ""},
		{"]C1", "4006381333932", ""}, // no sound element string
		{"]C0", "00106141412345678909", ""},
		{"", "4006381333932", ""},
		{"]C0", "4006381333932", ""},
		{"button", "close", ""},
	} {
		if got := Misread(v.symbology, v.code); got != v.want {
			t.Errorf("%s%q: %q, want %q", v.symbology, v.code, got, v.want)
		}
	}
}
