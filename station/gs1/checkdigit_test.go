package gs1

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestCheckDigit(t *testing.T) {
	for _, v := range []struct {
		digits string
		want   byte // 0 means none
	}{
		{"400638133393", '1'},      // EAN-13
		{"03600029145", '2'},       // UPC-A
		{"9638507", '4'},           // EAN-8
		{"629104150021", '3'},      // General Specifications 7.9.1
		{"8061414112345", '8'},     // hardware.md 9: SGTIN-96
		{"10614141234567890", '8'}, // hardware.md 9: SSCC-96
		{"34012345123456789", '5'}, // hardware.md 9
		{"0", '0'},
		{"5", '5'},
		{strings.Repeat("9", 100_001), '3'}, // 50,001 × 27 + 50,000 × 9 = 1,800,027
		{"", 0},
		{"40063813339x", 0},
		{"-1", 0},
		{"٤٢", 0}, // digits of another script
	} {
		got, ok := CheckDigit(v.digits)
		if got != v.want || ok != (v.want != 0) {
			t.Errorf("CheckDigit(%.20q) = %q, %v, want %q", v.digits, got, ok, v.want)
		}
	}
	if checked("") {
		t.Error("nothing has a check digit")
	}
}

// TestCheckDigitFindsMistakes: one wrong digit is always found. So is a swap of neighbours that don't differ by five.
func TestCheckDigitFindsMistakes(t *testing.T) {
	for range 200 {
		number := withCheck(fmt.Sprintf("%013d", rand.Uint64N(1e13)))
		for i := range number {
			wrong := []byte(number)
			wrong[i] = '0' + (wrong[i]-'0'+byte(1+rand.IntN(9)))%10
			if checked(string(wrong)) {
				t.Fatalf("%s passes for %s", wrong, number)
			}
			if i == 0 || (number[i]+10-number[i-1])%5 == 0 {
				continue
			}
			wrong = []byte(number)
			wrong[i], wrong[i-1] = wrong[i-1], wrong[i]
			if checked(string(wrong)) {
				t.Fatalf("%s passes for %s", wrong, number)
			}
		}
	}
}

// withCheck appends the check digit, reckoned the way people do it: from the left, number by number.
func withCheck(digits string) string {
	sum := 0
	for i, c := range digits {
		n := int(c - '0')
		if (len(digits)-i)%2 == 1 {
			n *= 3
		}
		sum += n
	}
	for check := 0; ; check++ {
		if (sum+check)%10 == 0 {
			return fmt.Sprintf("%s%d", digits, check)
		}
	}
}
