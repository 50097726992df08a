package gs1

import "fmt"

// Misread tells why a code can't be what stands on the label, "" if it may be: its check digit is wrong. symbology is the
// scanner's AIM identifier, which alone says that there is a check digit:
//
//	]E0 with 13 digits     EAN-13, UPC-A
//	]E4 with 8 digits      EAN-8
//	]C1 ]d2 ]Q3 ]e0 ]J1    GS1 element strings, in each AI that has one: 00, 01, 02, 03, 402, 410 to 417, 8017, 8018
//
// Any other code, an element string that is not sound and a scanner that sends no identifier included, may be anything.
func Misread(symbology, code string) string {
	switch {
	case symbology == "]E0" && len(code) == 13, symbology == "]E4" && len(code) == 8:
		if !checked(code) {
			return wrongDigit("EAN", code)
		}
	case symbology != "" && withoutAIM(symbology) == "":
		for _, e := range elements(code) {
			if hasCheckDigit(e.ai) && !checked(e.value) {
				return wrongDigit("AI "+e.ai, e.value)
			}
		}
	}
	return ""
}

func wrongDigit(what, number string) string {
	return fmt.Sprintf("%s %s: wrong check digit", what, number)
}

// hasCheckDigit tells whether the last digit of an AI's value is its check digit.
func hasCheckDigit(ai string) bool {
	return between(ai, "00", "03") || between(ai, "410", "417") || ai == "402" || between(ai, "8017", "8018")
}
