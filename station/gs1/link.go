package gs1

import (
	"net/url"
	"strings"
)

// linkPath gives the parts of the path of a web address, decoded one by one: a serial may hold a slash as %2F. One slash
// at the end is ignored. It is nil for anything that is no web address.
func linkPath(code string) []string {
	u, err := url.Parse(code)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil
	}
	path := u.EscapedPath()
	if u.RawPath != "" && u.RawPath != path { // a character that must be escaped: then path isn't what was scanned
		return nil
	}
	parts := strings.Split(strings.TrimSuffix(path, "/"), "/")
	for i, part := range parts {
		parts[i], _ = url.PathUnescape(part) // Parse found every escape sound
	}
	return parts
}

// linkGTIN reads GS1 Digital Link URIs with the key 01:
//
//	https://host/any/path/01/09521234543213/22/2A/10/ABC123/21/12345?17=261231     each qualifier or none, in this order
//	https://host/any/path/01/09521234543213/235/TPX                                or this one
//
// What stands before the key may hold anything, another /01/ as well: qualifiers are no GTINs, so at most one key is
// followed by nothing but its qualifiers.
func linkGTIN(code string) (GTIN, bool) {
	path := linkPath(code)
	for i := 0; i+1 < len(path); i++ {
		digits, ok := GTIN14(path[i+1])
		if path[i] != "01" || !ok {
			continue
		}
		serial, ok := qualifiers(path[i+2:], "22", "10", "21")
		if !ok {
			serial, ok = qualifiers(path[i+2:], "235")
		}
		if ok {
			return GTIN{Digits: digits, Serial: serial, Form: DigitalLink}, true
		}
	}
	return GTIN{}, false
}

// qualifiers tells whether path is these AIs with values, in this order though not all of them, and gives the serial.
func qualifiers(path []string, order ...string) (serial string, ok bool) {
	for _, ai := range order {
		if len(path) < 2 || path[0] != ai || !conforms(path[1], format(ai)) {
			continue
		}
		if ai == "21" {
			serial = path[1]
		}
		path = path[2:]
	}
	return serial, len(path) == 0
}
