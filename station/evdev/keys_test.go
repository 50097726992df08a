package evdev

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// typist makes the events of a scanner that is set to a layout.
type typist struct {
	layout string
	events []Event
	table  map[uint16]key
}

func (t *typist) key(code uint16, values ...int32) {
	for _, v := range values {
		t.events = append(t.events, Event{4, 4, int32(code)}, Event{evKey, code, v}, Event{evSyn, synReport, 0}) // MSC_SCAN comes first
	}
}

// with presses a key while others are held.
func (t *typist) with(code uint16, held ...uint16) {
	for _, h := range held {
		t.key(h, 1)
	}
	t.key(code, 1, 0)
	for _, h := range held {
		t.key(h, 0)
	}
}

// text types what it finds in the layout; it tells whether that has all of it.
func (t *typist) text(s string) bool {
	for _, r := range s {
		if !t.char(r) {
			return false
		}
	}
	return true
}

func (t *typist) char(r rune) bool {
	if t.table == nil {
		t.table = table(t.layout)
	}
	codes := append(rows(), keySpace)
	for level, held := range [][]uint16{{}, {keyLeftShift}, {keyAltGr}} {
		for _, code := range codes {
			is := t.table[code][level]
			switch {
			case is == r:
				t.with(code, held...)
				return true
			case is != 0 && accents()[is] == r:
				t.with(code, held...)
				t.with(keySpace)
				return true
			}
		}
	}
	return false
}

// codes gives what is made of the events.
func (t *typist) codes() (list []Code) {
	k := Keys{Layout: t.layout}
	for _, e := range t.events {
		if c, ok := k.Feed(e); ok {
			list = append(list, c)
		}
	}
	return list
}

func TestEachLayoutTypesEveryCharacterOfACode(t *testing.T) {
	var ascii strings.Builder
	for r := ' '; r < 0x7f; r++ {
		ascii.WriteRune(r)
	}
	for _, layout := range Layouts() {
		ty := typist{layout: layout}
		for _, r := range ascii.String() {
			if !ty.char(r) {
				t.Errorf("%s has no %q", layout, r)
			}
		}
		ty.key(keyEnter, 1, 0)
		if got := ty.codes(); len(got) != 1 || got[0] != (Code{Text: ascii.String()}) {
			t.Errorf("%s: %+v", layout, got)
		}
	}
}

func TestLayoutsHaveACharacterForEachKey(t *testing.T) {
	for name, s := range sheets() {
		for level, text := range []string{s.plain, s.shift, s.altgr} {
			if n := utf8.RuneCountInString(text); level < 2 && n != len(rows()) || n > len(rows()) {
				t.Errorf("%s, level %d: %d characters for %d keys", name, level, n, len(rows()))
			}
		}
	}
}

// TestKeysOfALayout names keys by their codes, as seen on keyboards of the country.
func TestKeysOfALayout(t *testing.T) {
	for _, c := range []struct {
		layout string
		code   uint16
		level  int
		want   rune
	}{
		{"us", 16, 0, 'q'}, {"us", 44, 1, 'Z'}, {"us", 43, 0, '\\'}, {"us", 86, 0, '<'}, {"us", 12, 0, '-'}, {"us", 27, 0, ']'}, {"us", 39, 1, ':'}, {"us", 53, 0, '/'},
		{"gb", 3, 1, '"'}, {"gb", 40, 1, '@'}, {"gb", 43, 0, '#'}, {"gb", 86, 1, '|'},
		{"de", 21, 0, 'z'}, {"de", 44, 0, 'y'}, {"de", 53, 0, '-'}, {"de", 53, 1, '_'}, {"de", 16, 2, '@'}, {"de", 8, 1, '/'}, {"de", 11, 1, '='},
		{"de", 86, 2, '|'}, {"de", 9, 2, '['}, {"de", 12, 2, '\\'}, {"de", 52, 1, ':'},
		{"fr", 16, 0, 'a'}, {"fr", 30, 0, 'q'}, {"fr", 44, 0, 'w'}, {"fr", 39, 0, 'm'}, {"fr", 2, 0, '&'}, {"fr", 2, 1, '1'}, {"fr", 11, 1, '0'},
		{"fr", 7, 0, '-'}, {"fr", 9, 0, '_'}, {"fr", 51, 1, '.'}, {"fr", 52, 1, '/'}, {"fr", 11, 2, '@'}, {"fr", 6, 2, '['},
		{"cz", 21, 0, 'z'}, {"cz", 44, 0, 'y'}, {"cz", 3, 0, 'ě'}, {"cz", 3, 1, '2'}, {"cz", 11, 1, '0'}, {"cz", 53, 0, '-'}, {"cz", 45, 2, '#'},
		{"cz", 26, 1, '/'}, {"cz", 34, 2, ']'}, {"cz", 16, 2, '\\'}, {"cz", 51, 2, '<'},
	} {
		if got := table(c.layout)[c.code][c.level]; got != c.want {
			t.Errorf("%s, key %d, level %d: %q, not %q", c.layout, c.code, c.level, got, c.want)
		}
	}
}

func TestWhatIsTyped(t *testing.T) {
	for name, c := range map[string]struct {
		layout string
		typed  func(ty *typist)
		want   []Code
	}{
		"two codes":                        {"us", func(ty *typist) { ty.text("PKG-1"); ty.key(keyEnter, 1, 0); ty.text("ab"); ty.key(keyTab, 1, 0) }, []Code{{Text: "PKG-1"}, {Text: "ab"}}},
		"Enter alone, and that of the pad": {"us", func(ty *typist) { ty.key(keyEnter, 1, 0); ty.text("a"); ty.key(keyKPEnter, 1, 0) }, []Code{{Text: "a"}}},
		"a key that repeats":               {"us", func(ty *typist) { ty.key(30, 1, 2, 2, 0); ty.key(keyEnter, 1, 2, 0) }, []Code{{Text: "a"}}},
		"Shift that is held": {"us", func(ty *typist) {
			ty.key(keyRightShift, 1)
			ty.key(30, 1, 0, 1, 0)
			ty.key(keyRightShift, 0)
			ty.key(30, 1, 0)
			ty.key(keyEnter, 1)
		}, []Code{{Text: "AAa"}}},
		"keys that overlap": {"us", func(ty *typist) { ty.key(30, 1); ty.key(48, 1); ty.key(30, 0); ty.key(48, 0); ty.key(keyEnter, 1) }, []Code{{Text: "ab"}}},
		"Caps Lock": {"us", func(ty *typist) {
			ty.key(keyCapsLock, 1, 0)
			ty.key(30, 1, 0)
			ty.key(2, 1, 0)
			ty.with(48, keyLeftShift)
			ty.key(keyCapsLock, 1, 0)
			ty.key(30, 1, 0)
			ty.key(keyEnter, 1)
		}, []Code{{Text: "A1ba"}}},
		"the separator of GS1": {"us", func(ty *typist) { ty.text("10A"); ty.with(27, keyLeftCtrl); ty.text("21B"); ty.key(keyEnter, 1) }, []Code{{Text: "10A\x1d21B"}}},
		"a character by number": {"us", func(ty *typist) {
			ty.key(keyLeftAlt, 1)
			ty.key(82, 1, 0)
			ty.key(80, 1, 0)
			ty.key(73, 1, 0)
			ty.key(keyLeftAlt, 0)
			ty.text("x")
			ty.key(keyEnter, 1)
		}, []Code{{Text: "\x1dx"}}},
		"a number above ASCII": {"us", func(ty *typist) {
			ty.key(keyLeftAlt, 1)
			ty.key(80, 1, 0)
			ty.key(80, 1, 0)
			ty.key(80, 1, 0)
			ty.key(keyLeftAlt, 0)
			ty.key(keyEnter, 1)
		}, []Code{{Bad: "Alt+222 is no character of ASCII"}}},
		"number 0":                {"us", func(ty *typist) { ty.text("a"); ty.with(82, keyLeftAlt); ty.text("b"); ty.key(keyEnter, 1) }, []Code{{Text: "ab", Bad: "Alt+0 is no character of ASCII"}}},
		"Alt alone":               {"us", func(ty *typist) { ty.key(keyLeftAlt, 1, 0); ty.text("a"); ty.key(keyEnter, 1) }, []Code{{Text: "a"}}},
		"the number pad":          {"de", func(ty *typist) { ty.key(79, 1, 0); ty.key(keyKPDot, 1, 0); ty.key(80, 1, 0); ty.key(keyEnter, 1) }, []Code{{Text: "1,2"}}},
		"an accent and a letter":  {"de", func(ty *typist) { ty.key(13, 1, 0); ty.text("e"); ty.key(keyEnter, 1) }, []Code{{Bad: "an accent with a letter"}}},
		"an accent alone":         {"de", func(ty *typist) { ty.text("e"); ty.key(13, 1, 0); ty.key(keyEnter, 1) }, []Code{{Text: "e", Bad: "an accent without a letter"}}},
		"another control":         {"us", func(ty *typist) { ty.text("a"); ty.with(46, keyLeftCtrl); ty.key(keyEnter, 1) }, []Code{{Text: "a", Bad: "Ctrl+c"}}},
		"the logo key":            {"us", func(ty *typist) { ty.with(19, keyLeftMeta); ty.key(keyEnter, 1) }, []Code{{Bad: "key 19 with Alt or the logo key"}}},
		"a key without a meaning": {"us", func(ty *typist) { ty.text("a"); ty.key(59, 1, 0); ty.text("b"); ty.key(keyEnter, 1) }, []Code{{Text: "ab", Bad: "key 59 has no meaning in this layout"}}},
		"mended on a keypad": {"us", func(ty *typist) {
			ty.text("x12")
			ty.key(keyEsc, 1, 0)
			ty.text("400")
			ty.key(keyBackspace, 1, 0)
			ty.text("1")
			ty.key(keyEnter, 1)
		}, []Code{{Text: "401"}}},
		"Backspace and no more": {"us", func(ty *typist) { ty.key(keyBackspace, 1, 0); ty.key(keyEnter, 1) }, nil},
		"a mouse": {"us", func(ty *typist) {
			ty.key(0x110, 1, 0)
			ty.events = append(ty.events, Event{2, 0, 5})
			ty.key(keyEnter, 1)
		}, nil},
		"more than fits": {"us", func(ty *typist) {
			ty.text(strings.Repeat("a", 129))
			ty.key(keyEnter, 1)
			ty.text("b")
			ty.key(keyEnter, 1)
		}, []Code{{Text: strings.Repeat("a", 128), Bad: "longer than 128 characters"}, {Text: "b"}}},
		"a layout that is not there": {"xx", func(ty *typist) { ty.key(30, 1, 0); ty.key(keyEnter, 1) }, []Code{{Text: "a"}}},
	} {
		ty := typist{layout: c.layout}
		c.typed(&ty)
		got := ty.codes()
		if len(got) != len(c.want) {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %+v, not %+v", name, got[i], c.want[i])
			}
		}
	}
}

func TestKeysThatTheKernelDroppedSpoilTheCode(t *testing.T) {
	ty := typist{layout: "us"}
	ty.text("12")
	ty.key(keyLeftShift, 1)
	ty.events = append(ty.events, Event{evSyn, synDropped, 0}, Event{evKey, 30, 1}, Event{evSyn, synReport, 0})
	ty.text("34")
	ty.key(keyEnter, 1)
	ty.text("ok")
	ty.key(keyEnter, 1)
	got := ty.codes()
	if len(got) != 2 || got[0].Bad == "" || got[0].Text != "1234" || got[1] != (Code{Text: "ok"}) {
		t.Errorf("%+v", got)
	}
}

func TestACodeThatIsCutOffIsBad(t *testing.T) {
	for name, do := range map[string]func(ty *typist){
		"characters": func(ty *typist) { ty.text("40012") }, "an accent": func(ty *typist) { ty.key(13, 1, 0) },
		"half a number": func(ty *typist) { ty.key(keyLeftAlt, 1); ty.key(82, 1, 0) },
	} {
		ty, k := typist{layout: "de"}, Keys{Layout: "de"}
		do(&ty)
		for _, e := range ty.events {
			k.Feed(e)
		}
		c, ok := k.Cut("no Enter")
		if !ok || !strings.Contains(c.Bad, "no Enter") {
			t.Errorf("%s: %+v, %v", name, c, ok)
		}
		if c, ok := k.Cut("no Enter"); ok || k.Begun() {
			t.Errorf("%s: and once more: %+v", name, c)
		}
	}
}

func TestShiftThatIsHeldOutlivesAGap(t *testing.T) {
	k := Keys{}
	k.Feed(Event{evKey, keyLeftShift, 1})
	k.Feed(Event{evKey, 30, 1})
	k.Cut("too slow")
	k.Feed(Event{evKey, 30, 1})
	if c, _ := k.Feed(Event{evKey, keyEnter, 1}); c != (Code{Text: "A"}) {
		t.Errorf("%+v", c)
	}
}
