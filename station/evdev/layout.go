package evdev

import (
	"maps"
	"slices"
	"unicode"
)

// key is what a key means: plain, with Shift, with AltGr.
type key [3]rune

// at chooses. Caps Lock is Shift for letters.
func (k key) at(shift, altgr, caps bool) rune {
	switch {
	case altgr && !shift:
		return k[2]
	case altgr:
		return 0
	}
	if caps && unicode.ToUpper(k[0]) == k[1] && k[0] != k[1] {
		shift = !shift
	}
	if shift {
		return k[1]
	}
	return k[0]
}

// accents are the dead keys, which stand in the tables as combining characters, and what they are with a blank.
func accents() map[rune]rune {
	return map[rune]rune{'\u0300': '`', '\u0301': '´', '\u0302': '^', '\u0303': '~', '\u0308': '¨', '\u030a': '°', '\u030c': 'ˇ'}
}

// rows are the key codes of the tables: the key left of 1, 1 to the key left of Backspace, the three rows of letters (with
// the key at their end, 43, and the one left of Z, 86, by themselves).
func rows() (codes []uint16) {
	span := func(first, last uint16) {
		for c := first; c <= last; c++ {
			codes = append(codes, c)
		}
	}
	span(41, 41)
	span(2, 13)
	span(16, 27)
	span(30, 40)
	span(43, 43)
	span(86, 86)
	span(44, 53)
	return codes
}

// sheet is a layout as it is written: a character for each of rows, blank for none, and the decimal key of the number pad.
type sheet struct {
	plain, shift, altgr string
	point               rune
}

// sheets are the layouts as Windows has them, which scanners play: us and gb as everywhere; de, fr and cz (QWERTZ) with dead accents.
func sheets() map[string]sheet {
	return map[string]sheet{
		"us": {
			"`1234567890-=" + "qwertyuiop[]" + "asdfghjkl;'" + `\` + "<" + "zxcvbnm,./",
			"~!@#$%^&*()_+" + "QWERTYUIOP{}" + `ASDFGHJKL:"` + "|" + ">" + "ZXCVBNM<>?",
			"", '.',
		},
		"gb": {
			"`1234567890-=" + "qwertyuiop[]" + "asdfghjkl;'" + "#" + `\` + "zxcvbnm,./",
			`¬!"£$%^&*()_+` + "QWERTYUIOP{}" + "ASDFGHJKL:@" + "~" + "|" + "ZXCVBNM<>?",
			"¦   €        ", '.',
		},
		"de": {
			"\u03021234567890ß\u0301" + "qwertzuiopü+" + "asdfghjklöä" + "#" + "<" + "yxcvbnm,.-",
			"°!\"§$%&/()=?\u0300" + "QWERTZUIOPÜ*" + "ASDFGHJKLÖÄ" + "'" + ">" + "YXCVBNM;:_",
			`  ²³   {[]}\ ` + "@ €        ~" + "           " + " " + "|" + "      µ   ", ',',
		},
		"fr": {
			`²&é"'(-è_çà)=` + "azertyuiop\u0302$" + "qsdfghjklmù" + "*" + "<" + "wxcvbn,;:!",
			" 1234567890°+" + "AZERTYUIOP\u0308£" + "QSDFGHJKLM%" + "µ" + ">" + "WXCVBN?./§",
			"  \u0303#{[|\u0300\\^@]}" + "  €        ¤", '.',
		},
		"cz": {
			";+ěščřžýáíé=\u0301" + "qwertzuiopú)" + "asdfghjklů§" + "\u0308" + `\` + "yxcvbnm,.-",
			"\u030a1234567890%\u030c" + "QWERTZUIOP/(" + `ASDFGHJKL"!` + "'" + "|" + "YXCVBNM?:_",
			" \u0303\u030c\u0302 \u030a \u0300     " + `\|€       ÷×` + " đĐ[]  łŁ$ß" + "¤" + " " + " #&@{} <>*", ',',
		},
	}
}

// Layouts lists the layouts there are.
func Layouts() []string { return slices.Sorted(maps.Keys(sheets())) }

// table gives a layout by key code; nil if there is none of that name.
func table(layout string) map[uint16]key {
	s, ok := sheets()[layout]
	if !ok {
		return nil
	}
	keys, codes := map[uint16]key{keySpace: {' ', ' ', ' '}, keyKPDot: {s.point, s.point}}, rows()
	for level, text := range []string{s.plain, s.shift, s.altgr} {
		for i, r := range []rune(text) {
			if r == ' ' {
				continue
			}
			k := keys[codes[i]]
			k[level] = r
			keys[codes[i]] = k
		}
	}
	for code, r := range map[uint16]rune{71: '7', 72: '8', 73: '9', 74: '-', 75: '4', 76: '5', 77: '6', 78: '+', 79: '1', 80: '2', 81: '3', 82: '0', 98: '/', 55: '*'} {
		keys[code] = key{r, r}
	}
	return keys
}
