package gs1

import (
	"net/url"
	"strconv"
	"strings"
)

// uri is an EPC URI in parts (Tag Data Standard, "EPC URI" and "EPC Tag URI"):
//
//	urn:epc:id:sgtin:         PREFIX.REFERENCE.SERIAL
//	urn:epc:tag:sgtin-96: FILTER.PREFIX.REFERENCE.SERIAL      sgtin-198 likewise
//	urn:epc:id:sscc:          PREFIX.REFERENCE
//	urn:epc:tag:sscc-96:  FILTER.PREFIX.REFERENCE
type uri struct {
	scheme            string // "id:sgtin" and so on
	filter            uint64 // 0 to 7; 0 for an id
	prefix, reference string // as they stand there
	serial            string // without escapes; "" for an SSCC
}

// parseURI takes a URI apart and looks at everything but prefix and reference. Its letters must have the case of the
// standard, which says of no other that it means the same.
func parseURI(code string) (uri, bool) {
	rest, ok := strings.CutPrefix(code, "urn:epc:")
	kind, rest, _ := strings.Cut(rest, ":")
	name, rest, _ := strings.Cut(rest, ":")
	u := uri{scheme: kind + ":" + name}
	parts := strings.SplitN(rest, ".", u.parts()) // a serial may hold full stops
	if !ok || len(parts) < 2 || len(parts) != u.parts() {
		return uri{}, false
	}
	if kind == "tag" {
		u.filter, ok = decimal(parts[0], 3)
		parts = parts[1:]
	}
	u.prefix, u.reference = parts[0], parts[1]
	if len(parts) == 2 {
		return u, ok
	}
	serial, sound := unescape(parts[2])
	u.serial = serial
	return u, ok && sound
}

// parts is how many parts are behind the scheme, 0 if it is none of ours.
func (u uri) parts() int {
	switch u.scheme {
	case "tag:sgtin-96", "tag:sgtin-198":
		return 4
	case "id:sgtin", "tag:sscc-96":
		return 3
	case "id:sscc":
		return 2
	}
	return 0
}

// unescape gives a serial without its escapes. Seven of its characters must be escaped, and no other may be.
func unescape(s string) (string, bool) {
	const special = `"%&/<>?`
	serial, err := url.PathUnescape(s)
	escaped := 0
	for _, c := range special {
		escaped += strings.Count(serial, string(c))
	}
	bare := strings.ContainsAny(strings.ReplaceAll(s, "%", ""), special)
	return serial, err == nil && !bare && strings.Count(s, "%") == escaped && conforms(serial, format("21"))
}

// decimal reads a number of at most width bits as a URI writes it: without leading zeros.
func decimal(s string, width int) (uint64, bool) {
	v, err := strconv.ParseUint(s, 10, width)
	return v, err == nil && strconv.FormatUint(v, 10) == s
}
