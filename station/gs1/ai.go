package gs1

import (
	"strconv"
	"strings"
)

// predefined is how many characters stand behind an AI whose value ends without a separator, 0 for all others. The first
// two digits decide (General Specifications, "Element strings with predefined length using GS1 Application Identifiers").
func predefined(ai string) int {
	switch {
	case ai == "00":
		return 18
	case between(ai, "01", "03"):
		return 14
	case between(ai, "410", "419"):
		return 13
	case between(ai, "11", "19"), between(ai, "3100", "3699"):
		return 6
	case ai == "20":
		return 2
	}
	return 0
}

// leadingAI gives the assigned AI that s begins with, "" if there is none. No AI is the beginning of another one.
func leadingAI(s string) string {
	for n := 2; n <= min(4, len(s)); n++ {
		if format(s[:n]) != "" {
			return s[:n]
		}
	}
	return ""
}

// format is what stands behind an AI, for conforms; "" for an AI that isn't assigned. Source: GS1 Barcode Syntax Dictionary
// of 2025 (ref.gs1.org), whose parts of fixed length are joined here.
func format(ai string) string {
	switch ai {
	case "00", "8006", "8017", "8018", "8026":
		return "N18"
	case "01", "02", "03", "8001":
		return "N14"
	case "11", "12", "13", "15", "16", "17", "4326", "7006", "8005":
		return "N6"
	case "10", "21", "22", "243", "254", "420", "4318", "7020", "7021", "7022", "7240", "8002", "8012":
		return "X..20"
	case "240", "241", "250", "251", "400", "401", "403", "4308", "4319", "7002", "7023", "8004", "90":
		return "X..30"
	case "4300", "4301", "4310", "4311", "4320":
		return "X..35"
	case "7257", "8110", "8112", "8200":
		return "X..70"
	case "7242", "8013", "8014", "8020":
		return "X..25"
	case "7253", "7254", "7259":
		return "X..40"
	case "422", "424", "426":
		return "N3"
	case "423", "425":
		return "N3 [N3] [N3] [N3] [N3]"
	case "4324", "4325", "7003":
		return "N10"
	case "20", "7241":
		return "N2"
	case "30", "37":
		return "N..8"
	case "427", "7008":
		return "X..3"
	case "4307", "4317":
		return "X2"
	case "7009", "7255":
		return "X..10"
	}
	return rangeFormat(ai)
}

// rangeFormat is the part of format with AIs that follow one another.
func rangeFormat(ai string) string {
	switch {
	case isMeasure(ai), between(ai, "3950", "3955"):
		return "N6"
	case between(ai, "3900", "3909"), between(ai, "3920", "3929"):
		return "N..15"
	case between(ai, "3910", "3919"), between(ai, "3930", "3939"):
		return "N3 N..15"
	case between(ai, "3940", "3943"), ai == "8111":
		return "N4"
	case between(ai, "410", "417"), ai == "7001":
		return "N13"
	case between(ai, "4302", "4306"), between(ai, "4312", "4316"):
		return "X..70"
	case between(ai, "4321", "4323"), ai == "7252":
		return "N1"
	case between(ai, "4330", "4333"):
		return "N6 [X1]"
	case between(ai, "7030", "7039"):
		return "N3 X..27"
	case between(ai, "710", "716"):
		return "X..20"
	case between(ai, "7230", "7239"):
		return "X2 X..28"
	case between(ai, "91", "99"), ai == "7256":
		return "X..90"
	}
	return loneFormat(ai)
}

// loneFormat is the part of format with formats that one AI has.
func loneFormat(ai string) string {
	switch ai {
	case "235":
		return "X..28"
	case "242":
		return "N..6"
	case "253":
		return "N13 [X..17]"
	case "255":
		return "N13 [N..12]"
	case "402":
		return "N17"
	case "421":
		return "N3 X..9"
	case "4309":
		return "N20"
	case "7004":
		return "N..4"
	case "7005":
		return "X..12"
	case "7007":
		return "N6 [N6]"
	case "7010":
		return "X..2"
	case "7011":
		return "N6 [N4]"
	case "7040":
		return "N1 X3"
	case "7041":
		return "X..4"
	case "7250":
		return "N8"
	case "7251":
		return "N12"
	case "7258":
		return "X3"
	case "8003":
		return "N14 [X..16]"
	case "8007":
		return "X..34"
	case "8008":
		return "N8 [N2] [N2]"
	case "8009":
		return "X..50"
	case "8010":
		return "Y..30"
	case "8011":
		return "N..12"
	case "8019":
		return "N..10"
	case "8030":
		return "Z..90"
	}
	return ""
}

// isMeasure tells whether ai is a weight, length, area or volume: two digits or three say which, the last one where the
// decimal point is.
func isMeasure(ai string) bool {
	if len(ai) != 4 || ai[3] < '0' || ai[3] > '5' {
		return false
	}
	which := ai[:3]
	return between(which, "310", "316") || between(which, "320", "337") || between(which, "340", "357") ||
		between(which, "360", "369")
}

// between tells whether ai is as long as first and last and lies between them. Between digits there are digits only.
func between(ai, first, last string) bool {
	return len(ai) == len(first) && first <= ai && ai <= last && isDigits(ai)
}

// conforms tells whether value has a format: parts behind one another, those in brackets if there still is something.
//
//	N6       6 digits                       N, digits; X, the 82 characters of AIs; Y, the 39 of part numbers;
//	X..20    1 to 20 characters             Z, the 64 of file-safe base64 and its padding
func conforms(value, format string) bool {
	for part := range strings.FieldsSeq(format) {
		bare := strings.Trim(part, "[]")
		if value == "" && bare != part {
			continue
		}
		least, most := bounds(bare[1:])
		n := min(len(value), most)
		if n < least || strings.ContainsFunc(value[:n], func(c rune) bool { return !belongs(c, bare[0]) }) {
			return false
		}
		value = value[n:]
	}
	return format != "" && value == ""
}

// bounds reads the length in a format, "6" or "..20".
func bounds(length string) (least, most int) {
	digits, ranges := strings.CutPrefix(length, "..")
	most, _ = strconv.Atoi(digits)
	if ranges {
		return 1, most
	}
	return most, most
}

// belongs tells whether c is in the character set (General Specifications 7.11; RFC 4648 section 5).
func belongs(c rune, set byte) bool {
	digit := '0' <= c && c <= '9'
	upper := 'A' <= c && c <= 'Z'
	lower := 'a' <= c && c <= 'z'
	switch set {
	case 'N':
		return digit
	case 'X':
		return digit || upper || lower || c == '!' || c == '"' || c == '_' || '%' <= c && c <= '?'
	case 'Y':
		return digit || upper || c == '#' || c == '-' || c == '/'
	default:
		return digit || upper || lower || c == '-' || c == '_' || c == '='
	}
}
