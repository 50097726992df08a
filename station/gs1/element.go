package gs1

import "strings"

// gs separates elements of variable length: FNC1 as a scanner sends it.
const gs = "\x1d"

// element is one value with its application identifier.
type element struct{ ai, value string }

// elements takes an element string apart:
//
//	]C1  GS  01 80614141123458 21 6789 GS 10 LOT42          or      (01)80614141123458(21)6789(10)LOT42
//	opt. opt.                          needed behind a value of variable length, allowed behind any
//
// It is nil unless all of it is assigned AIs, each with a value of its format. Beyond the format values aren't looked at: a
// wrong date of another AI makes no other item. Where AIs stand in parentheses, a value can't hold an opening one.
func elements(code string) []element {
	code = strings.TrimPrefix(withoutAIM(code), gs)
	cut := cutElement
	if strings.HasPrefix(code, "(") {
		cut = cutBracketed
	}
	var es []element
	for code != "" {
		e, rest := cut(code)
		if !conforms(e.value, format(e.ai)) {
			return nil
		}
		es, code = append(es, e), rest
	}
	return es
}

// withoutAIM takes off the identifier of a symbol that holds element strings (General Specifications 5.1.3): GS1-128, GS1
// DataMatrix, GS1 QR Code, GS1 DataBar, GS1 DotCode.
func withoutAIM(code string) string {
	for _, id := range []string{"]C1", "]d2", "]Q3", "]e0", "]J1"} {
		if rest, ok := strings.CutPrefix(code, id); ok {
			return rest
		}
	}
	return code
}

// cutElement cuts off the first element of s. It gives the zero element if it finds no AI or not all of the value.
func cutElement(s string) (element, string) {
	ai := leadingAI(s)
	value := s[len(ai):]
	n := predefined(ai)
	if n == 0 {
		value, rest, _ := strings.Cut(value, gs)
		return element{ai, value}, rest
	}
	if len(value) < n {
		return element{}, ""
	}
	return element{ai, value[:n]}, strings.TrimPrefix(value[n:], gs)
}

// cutBracketed cuts off the first element of s, which begins with a parenthesis.
func cutBracketed(s string) (element, string) {
	ai, rest, _ := strings.Cut(s[1:], ")") // without the second one nothing is left for a value
	n := strings.IndexByte(rest, '(')
	if n < 0 {
		n = len(rest)
	}
	return element{ai, rest[:n]}, rest[n:]
}

// only gives what stands behind an AI, "" if the AI isn't there. It is false if the AI is there with two values.
func only(es []element, ai string) (string, bool) {
	found := ""
	for _, e := range es {
		if e.ai == ai && found != "" && e.value != found {
			return "", false
		}
		if e.ai == ai {
			found = e.value
		}
	}
	return found, true
}

// elementKey gives the number in an element string that begins with the AI.
func elementKey(es []element, ai string) (string, bool) {
	number, ok := only(es, ai)
	return number, ok && len(es) > 0 && es[0].ai == ai && checked(number)
}

// elementGTIN reads element strings that begin with AI 01.
func elementGTIN(code string) (GTIN, bool) {
	es := elements(code)
	digits, ok := elementKey(es, "01")
	serial, one := only(es, "21")
	return GTIN{Digits: digits, Serial: serial, Form: ElementString}, ok && one
}
