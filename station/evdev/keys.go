package evdev

import (
	"fmt"
	"unicode"
)

// Event types and codes of linux/input-event-codes.h.
const (
	evSyn      = 0
	evKey      = 1
	synReport  = 0
	synDropped = 3

	keyEsc        = 1
	keyBackspace  = 14
	keyTab        = 15
	keyEnter      = 28
	keyLeftCtrl   = 29
	keyLeftShift  = 42
	keyRightShift = 54
	keyLeftAlt    = 56
	keySpace      = 57
	keyCapsLock   = 58
	keyNumLock    = 69
	keyScrollLock = 70
	keyKPDot      = 83
	keyKPEnter    = 96
	keyRightCtrl  = 97
	keyAltGr      = 100
	keyLeftMeta   = 125
	keyRightMeta  = 126
	firstButton   = 0x100 // of mice and the like
)

// The control characters that part the fields of a code.
const (
	eot = 0x04
	gs  = 0x1d
	rs  = 0x1e
)

// Code is what was typed up to Enter or Tab.
type Code struct {
	Text string
	Bad  string // why it is no code, "" if it is one
}

// mostTyped is how long a code may be, in characters.
const mostTyped = 128

// Keys turns key events into codes. It knows no time: the caller says when a gap was too long. The zero Keys has the layout us; it
// belongs to one goroutine.
//
// Besides plain keys it knows what scanners use: Ctrl for the GS1 separators (Ctrl+]), Alt with digits of the number pad for a
// character by its number (Alt+029), Caps Lock, and dead keys followed by a blank. Backspace takes the last character
// away and Esc all of them, for keypads.
type Keys struct {
	Layout string

	table map[uint16]key
	held  map[uint16]bool // modifiers
	caps  bool
	text  []rune
	bad   string
	lost  bool // events were dropped: nothing counts up to the end of the report
	dead  rune // an accent that waits for its letter
	alt   rune // the number typed with Alt
	alted bool
}

// Begun tells whether a code has begun and not ended.
func (k *Keys) Begun() bool { return len(k.text) > 0 || k.bad != "" || k.dead != 0 || k.alted }

// Cut ends a code that does not go on. It gives one, a bad one, if a code had begun.
func (k *Keys) Cut(why string) (Code, bool) {
	if !k.Begun() {
		return Code{}, false
	}
	k.spoil("cut off: " + why)
	return k.end()
}

// Feed takes in one event, and gives the code that it ends.
func (k *Keys) Feed(e Event) (Code, bool) {
	if k.table == nil {
		if k.table = table(k.Layout); k.table == nil {
			k.table = table("us")
		}
	}
	switch {
	case e.Type == evSyn && e.Code == synDropped:
		k.lost, k.held, k.alted, k.alt = true, nil, false, 0
		k.spoil("the kernel dropped keys, it was typed too fast")
	case e.Type == evSyn && e.Code == synReport:
		k.lost = false
	case e.Type != evKey || k.lost || e.Code >= firstButton:
	case modifier(e.Code):
		k.hold(e.Code, e.Value != 0)
	case e.Value == 1: // 2 repeats a key that is held down, which no code wants
		return k.press(e.Code)
	}
	return Code{}, false
}

func modifier(code uint16) bool {
	switch code {
	case keyLeftShift, keyRightShift, keyLeftCtrl, keyRightCtrl, keyLeftAlt, keyAltGr, keyLeftMeta, keyRightMeta:
		return true
	}
	return false
}

// hold notes a modifier. Alt that is let go ends a character typed by its number.
func (k *Keys) hold(code uint16, down bool) {
	if k.held == nil {
		k.held = map[uint16]bool{}
	}
	k.held[code] = down
	if code != keyLeftAlt || down || !k.alted {
		return
	}
	number := k.alt
	k.alted, k.alt = false, 0
	if number == 0 || number > unicode.MaxASCII {
		k.spoil(fmt.Sprintf("Alt+%d is no character of ASCII", number))
		return
	}
	k.add(number)
}

// press takes in a key that is no modifier.
func (k *Keys) press(code uint16) (Code, bool) {
	digit, pad := padDigit(code)
	switch {
	case code == keyEnter, code == keyKPEnter, code == keyTab:
		if k.dead != 0 {
			k.spoil("an accent without a letter")
		}
		return k.end()
	case code == keyEsc:
		k.clear()
	case code == keyBackspace:
		k.dead = 0
		k.text = k.text[:max(0, len(k.text)-1)]
	case code == keyCapsLock:
		k.caps = !k.caps
	case code == keyNumLock, code == keyScrollLock: // the number pad is digits in any case
	case k.held[keyLeftAlt] && pad:
		k.alted, k.alt = true, min(k.alt*10+digit, unicode.MaxRune)
	case k.held[keyLeftAlt] || k.held[keyLeftMeta] || k.held[keyRightMeta]:
		k.spoil(fmt.Sprintf("key %d with Alt or the logo key", code))
	default:
		k.add(k.meaning(code))
	}
	return Code{}, false
}

// padDigit is the digit of a key of the number pad.
func padDigit(code uint16) (digit rune, ok bool) {
	if i, found := map[uint16]rune{71: 7, 72: 8, 73: 9, 75: 4, 76: 5, 77: 6, 79: 1, 80: 2, 81: 3, 82: 0}[code]; found {
		return i, true
	}
	return 0, false
}

// meaning is the character of a key, with the modifiers that are held; 0 after spoiling the code if it has none.
func (k *Keys) meaning(code uint16) rune {
	r := k.table[code].at(k.held[keyLeftShift] || k.held[keyRightShift], k.held[keyAltGr], k.caps)
	if r == 0 {
		k.spoil(fmt.Sprintf("key %d has no meaning in this layout", code))
		return 0
	}
	if !k.held[keyLeftCtrl] && !k.held[keyRightCtrl] {
		return r
	}
	switch c := unicode.ToUpper(r) - '@'; c {
	case eot, gs, rs:
		return c
	default:
		k.spoil(fmt.Sprintf("Ctrl+%c", r))
		return 0
	}
}

// add adds a character, or what an accent and it make.
func (k *Keys) add(r rune) {
	switch {
	case r == 0:
	case k.dead != 0 && r == ' ':
		r, k.dead = accents()[k.dead], 0
		k.append(r)
	case k.dead != 0:
		k.spoil("an accent with a letter")
		k.dead = 0
	case accents()[r] != 0:
		k.dead = r
	case unicode.IsControl(r) && r != eot && r != gs && r != rs:
		k.spoil(fmt.Sprintf("control character %#02x", r))
	default:
		k.append(r)
	}
}

func (k *Keys) append(r rune) {
	if len(k.text) >= mostTyped {
		k.spoil(fmt.Sprintf("longer than %d characters", mostTyped))
		return
	}
	k.text = append(k.text, r)
}

// spoil makes the code bad; the first reason counts.
func (k *Keys) spoil(why string) {
	if k.bad == "" {
		k.bad = why
	}
}

// end gives what was typed, if anything was.
func (k *Keys) end() (Code, bool) {
	c := Code{string(k.text), k.bad}
	k.clear()
	return c, c != Code{}
}

func (k *Keys) clear() {
	k.text, k.bad, k.dead, k.alt, k.alted = k.text[:0], "", 0, 0, false
}
