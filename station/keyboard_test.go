package station

import (
	"strings"
	"testing"

	"station-agent/station/evdev"
	"station-agent/store/record"
)

// typedAt gives the reads that one code becomes.
func typedAt(t *testing.T, k Keyboard, codes ...evdev.Code) (got []Read) {
	reads := make(chan Read, 8)
	sink := k.typed(t.Context(), reads)
	for _, c := range codes {
		sink.Typed(c)
	}
	sink.Gone()
	close(reads)
	for r := range reads {
		got = append(got, r)
	}
	return got
}

func TestWhatIsTypedIsReadAsALineWouldBe(t *testing.T) {
	k := Keyboard{Port: evdev.Config{Name: "wedge"}, Prefix: "~"}
	got := typedAt(t, k, evdev.Code{Text: "~]C10012\x1d3"}, evdev.Code{Text: "PKG-1"}, evdev.Code{Text: "~40", Bad: "cut off"}, evdev.Code{Text: "~" + strings.Repeat("ř", 120)})
	if len(got) != 4 {
		t.Fatalf("%+v", got)
	}
	if r := got[0]; r.Code != "0012\x1d3" || r.Symbology != "]C1" || r.Reader != "wedge" || r.Bad != "" || r.At.IsZero() {
		t.Errorf("%+v", r)
	}
	if r := got[1]; !strings.Contains(r.Bad, "prefix") {
		t.Errorf("without the prefix: %+v", r)
	}
	if r := got[2]; r.Bad != "cut off" || r.Code != "" || string(r.Raw) != "~40" {
		t.Errorf("a bad one: %+v", r)
	}
	if r := got[3]; r.Bad != "" || r.Code != strings.Repeat("ř", 120) {
		t.Errorf("a long one: %+v", r)
	}
}

func TestFromFingersOnlyACodeWithACheckDigitIsTaken(t *testing.T) {
	var seen []record.Tag
	k := Keyboard{Port: evdev.Config{Name: "pad"}, Kind: Keypad, Saw: func(t record.Tag) { seen = append(seen, t) }}
	got := typedAt(t, k, evdev.Code{Text: "4006381333931"}, evdev.Code{Text: "4006381333932"}, evdev.Code{Text: "close"})
	if len(got) != 3 || got[0].Code != "4006381333931" || got[0].Bad != "" {
		t.Fatalf("%+v", got)
	}
	for _, r := range got[1:] {
		if r.Code != "" || !strings.Contains(r.Bad, "check digit") {
			t.Errorf("%+v", r)
		}
	}
	if len(seen) != 3 {
		t.Errorf("seen: %+v", seen)
	}
}

func TestAnRFIDReaderThatTypesIsARadio(t *testing.T) {
	got := typedAt(t, Keyboard{Port: evdev.Config{Name: "desk"}, Kind: RFID}, evdev.Code{Text: "3074257BF7194E4000001A85"})
	if len(got) != 2 || !got[0].Radio || !got[1].Lost {
		t.Errorf("%+v", got)
	}
}
