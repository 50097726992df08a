package capture

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// appendMoment appends a time as a JSON string with so many digits behind the second; one in UTC as RFC 3339 has it.
func appendMoment[S string | []byte](dst []byte, s S, digits int, utc bool) []byte {
	dot, from := len(s), len(dst)+1
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.' && dot == len(s):
			dot = i
		case c >= '0' && c <= '9' || c == '-' || c == ':' || c == ' ':
		default: // no server prints it
			text := fraction(string(s), digits)
			if utc {
				text = strings.Replace(text, " ", "T", 1) + "Z"
			}
			return appendString(dst, text)
		}
	}
	dst = append(append(dst, '"'), s[:dot]...)
	if utc {
		if i := bytes.IndexByte(dst[from:], ' '); i >= 0 {
			dst[from+i] = 'T'
		}
	}
	if digits > 0 {
		part := s[min(dot+1, len(s)):]
		part = part[:min(digits, len(part))]
		dst = append(append(dst, '.'), part...)
		for range digits - len(part) {
			dst = append(dst, '0')
		}
	}
	if utc {
		dst = append(dst, 'Z')
	}
	return append(dst, '"')
}

// fraction gives a time exactly n digits behind the second.
func fraction(s string, n int) string {
	dot := strings.IndexByte(s, '.')
	if n == 0 {
		if dot >= 0 {
			return s[:dot]
		}
		return s
	}
	if dot < 0 {
		s, dot = s+".", len(s)
	}
	if have := len(s) - dot - 1; have < n {
		return s + strings.Repeat("0", n-have)
	}
	return s[:dot+1+n]
}

// clock makes the text of a Timestamp of the seconds since 1970, which MySQL prints with the column's fraction. 0 is the
// zero date.
func clock(unix string, digits int) (string, error) {
	whole, part, _ := strings.Cut(unix, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return "", badValue(unix)
	}
	text := "0000-00-00 00:00:00"
	if seconds != 0 {
		text = time.Unix(seconds, 0).UTC().Format(time.DateTime)
	}
	return fraction(text+"."+part, digits), nil
}
