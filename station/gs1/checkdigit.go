package gs1

import "strings"

// CheckDigit gives the digit, '0' to '9', that belongs behind digits, which are all digits of a GTIN or SSCC but the last.
// The digits weigh 3, 1, 3, ... from the right, and the check digit fills their sum up to a multiple of ten (GS1 General
// Specifications 7.9.1). It is false if digits is empty or holds anything else than ASCII digits.
func CheckDigit(digits string) (byte, bool) {
	if !isDigits(digits) {
		return 0, false
	}
	sum, weight := 0, 3
	for i := len(digits) - 1; i >= 0; i-- {
		sum = (sum + weight*int(digits[i]-'0')) % 10
		weight = 4 - weight
	}
	return byte('0' + (10-sum)%10), true
}

// isDigits tells whether s is one ASCII digit or more, and nothing else.
func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// checked tells whether s is digits and the last one is the check digit of the others.
func checked(s string) bool {
	if s == "" {
		return false
	}
	last := len(s) - 1
	d, ok := CheckDigit(s[:last])
	return ok && d == s[last]
}
