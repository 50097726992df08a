package gs1

import "slices"

// Typed tells whether code is safe to be typed by a person: digits of an EAN-8, UPC-A, EAN-13, GTIN-14 or SSCC whose last one
// is their check digit. One wrong digit makes it false, and so do two neighbours that changed places unless they differ by 5.
func Typed(code string) bool {
	return slices.Contains([]int{8, 12, 13, 14, 18}, len(code)) && checked(code)
}
