package gs1

import "encoding/hex"

// How wide prefix and serial reference of an SSCC-96 are together, and how many digits they have.
const (
	ssccWidth  = 58
	ssccDigits = 17
)

// SSCCOf tells which logistic unit code names, in 18 digits with the check digit last. It reads the forms of GTINOf: SSCC-96
// in hexadecimal digits, urn:epc:id:sscc: and urn:epc:tag:sscc-96:, element strings that begin with AI 00, Digital Link URIs
// that end in /00/SSCC, and 18 plain digits. It is false for everything else, 32 hexadecimal digits among it.
func SSCCOf(code string) (string, bool) {
	if isHash(code) {
		return "", false
	}
	for _, read := range []func(string) (string, bool){plainSSCC, binarySSCC, uriSSCC, elementSSCC, linkSSCC} {
		if sscc, ok := read(code); ok {
			return sscc, true
		}
	}
	return "", false
}

func plainSSCC(code string) (string, bool) {
	return code, len(code) == ssccDigits+1 && checked(code)
}

// binarySSCC reads SSCC-96. Its last 24 bits are reserved and zero.
func binarySSCC(code string) (string, bool) {
	b, err := hex.DecodeString(code)
	if err != nil || len(code) != hex96 || b[0] != headerSSCC96 || bits(b, 72, 24) != 0 {
		return "", false
	}
	return binaryKey(b, ssccWidth, ssccDigits)
}

func uriSSCC(code string) (string, bool) {
	u, ok := parseURI(code)
	if !ok || u.scheme != "id:sscc" && u.scheme != "tag:sscc-96" {
		return "", false
	}
	return key(u.prefix, u.reference, ssccDigits)
}

func elementSSCC(code string) (string, bool) {
	return elementKey(elements(code), "00")
}

func linkSSCC(code string) (string, bool) {
	path := linkPath(code)
	n := len(path)
	if n < 2 || path[n-2] != "00" {
		return "", false
	}
	return plainSSCC(path[n-1])
}
