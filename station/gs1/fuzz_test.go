package gs1

import (
	"strings"
	"testing"
)

// seed gives the fuzzer every code of the tables.
func seed(f *testing.F) {
	for _, v := range named {
		f.Add(v.code)
	}
	for _, code := range nameless {
		f.Add(code)
	}
	f.Add("3174257BF4499602D2000000")
	f.Add("]C100340123451234567895\x1d40012\x1d4031")
}

// FuzzGTINOf: nothing panics, what is named is a sound number, a hash names nothing, and the canonical spelling of an EPC
// is stable and names the same item.
func FuzzGTINOf(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, code string) {
		canonical := CanonicalEPC(code)
		if again := CanonicalEPC(canonical); again != canonical {
			t.Errorf("CanonicalEPC(%q) = %q, then %q", code, canonical, again)
		}
		g, ok := GTINOf(code)
		if !ok {
			return
		}
		if len(g.Digits) != 14 || withCheck(g.Digits[:13]) != g.Digits {
			t.Errorf("GTINOf(%q) has the digits %q", code, g.Digits)
		}
		if len(g.Serial) > 20 || strings.Trim(g.Serial, set82) != "" {
			t.Errorf("GTINOf(%q) has the serial %q", code, g.Serial)
		}
		if len(code) == 32 && strings.Trim(code, "0123456789abcdefABCDEF") == "" {
			t.Errorf("GTINOf(%q) takes a hash for %+v", code, g)
		}
		if c, ok := GTINOf(canonical); strings.HasPrefix(string(g.Form), "EPC") && (!ok || c.Digits != g.Digits || c.Serial != g.Serial) {
			t.Errorf("%q is %+v, but %q is %+v", code, g, canonical, c)
		}
		if s, ok := SSCCOf(code); ok {
			t.Errorf("%q is GTIN %+v and SSCC %s", code, g, s)
		}
	})
}

// FuzzSSCCOf: nothing panics, and what is named is a sound number.
func FuzzSSCCOf(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, code string) {
		if s, ok := SSCCOf(code); ok && (len(s) != 18 || withCheck(s[:17]) != s) {
			t.Errorf("SSCCOf(%q) = %q", code, s)
		}
	})
}

// FuzzEPCOf: nothing panics, and what is read names the same item as the bits do, which it can be written back to.
func FuzzEPCOf(f *testing.F) {
	seed(f)
	for _, code := range []string{"3374257BF40C0E400000162E", "3474257BF40000000000162E", "332000000000000000000000"} {
		f.Add(code)
	}
	f.Fuzz(func(t *testing.T, code string) {
		e, ok := EPCOf(code)
		if !ok {
			return
		}
		g, item := GTINOf(code)
		if again, ok := GTINOf(e.ID); ok != item || again.Digits != g.Digits || again.Serial != g.Serial {
			t.Errorf("%q is %+v, %s is %+v", code, g, e.ID, again)
		}
		if s, unit := SSCCOf(code); unit {
			if again, ok := SSCCOf(e.Tag); !ok || again != s {
				t.Errorf("%q is %s, %s is %s", code, s, e.Tag, again)
			}
		}
		if back := CanonicalEPC(e.Tag); e.Scheme == "sgtin-96" && back != strings.ToUpper(code) {
			t.Errorf("%q is %s is %s", code, e.Tag, back)
		}
	})
}

// FuzzMisread: nothing panics, and what is called a misread names nothing.
func FuzzMisread(f *testing.F) {
	for _, v := range named {
		f.Add("]C1", v.code)
		f.Add("]E0", v.code)
	}
	f.Fuzz(func(t *testing.T, symbology, code string) {
		why := Misread(symbology, code)
		if g, ok := GTINOf(symbology + code); ok && g.Form == ElementString && strings.HasPrefix(why, "AI 01") {
			t.Errorf("%q is %+v, but %s", code, g, why)
		}
		if _, plain := GTIN14(code); plain && why != "" && strings.HasPrefix(why, "EAN") {
			t.Errorf("%q is sound, but %s", code, why)
		}
	})
}
