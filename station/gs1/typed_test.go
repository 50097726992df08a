package gs1

import "testing"

func TestOnlyCodesWithACheckDigitMayBeTyped(t *testing.T) {
	for code, want := range map[string]bool{
		"96385074": true, "036000291452": true, "4006381333931": true, "14006381333938": true, "340123451234567895": true,
		"4006381333932": false, "4060381333931": false, "": false, "0": false, "17": false, "PKG-1": false, "400638133393": false, "00340123451234567895": false,
	} {
		if Typed(code) != want {
			t.Errorf("%q: %v", code, !want)
		}
	}
}
