package evdev

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// raw is an event as the kernel writes it, on a machine whose times have so many bytes together.
func raw(e Event, times int) []byte {
	b := make([]byte, times, times+8)
	for i := range b {
		b[i] = 0xee
	}
	b = binary.NativeEndian.AppendUint16(b, e.Type)
	b = binary.NativeEndian.AppendUint16(b, e.Code)
	return binary.NativeEndian.AppendUint32(b, uint32(e.Value))
}

func TestEventsOfBothKindsOfMachineInAnyPieces(t *testing.T) {
	want := []Event{{evKey, 30, 1}, {evSyn, 0, 0}, {evKey, 30, -2}, {0xffff, 0xfffe, 0x7fffffff}}
	for _, times := range []int{8, 16} {
		var all []byte
		for _, e := range want {
			all = append(all, raw(e, times)...)
		}
		for cut := range all {
			p := parser{time: times}
			got := append(p.feed(all[:cut]), p.feed(all[cut:])...)
			if !slices.Equal(got, want) {
				t.Fatalf("times of %d bytes, cut at %d: %v", times, cut, got)
			}
		}
	}
}

func TestTheSizeIsThisMachines(t *testing.T) {
	if want := map[int]int{32: 16, 64: 24}[strconv.IntSize]; eventSize != want {
		t.Errorf("an event has %d bytes, not %d", eventSize, want)
	}
	var p parser
	if got := p.feed(raw(Event{evKey, 2, 1}, eventSize-8)); len(got) != 1 || got[0] != (Event{evKey, 2, 1}) {
		t.Errorf("%v", got)
	}
}

// FuzzKeys holds for any bytes: no panic, bounded memory, and nothing passes for a code that could not be one.
func FuzzKeys(f *testing.F) {
	for i, layout := range Layouts() {
		ty := typist{layout: layout}
		ty.text("PKG-0001 ]d2[Az09^~`")
		ty.with(27, keyLeftCtrl)
		ty.key(keyEnter, 1, 0)
		var b []byte
		for _, e := range ty.events {
			b = append(b, raw(e, 8)...)
		}
		f.Add(uint8(i), false, b)
		f.Add(uint8(i), true, b[3:])
	}
	f.Fuzz(func(t *testing.T, layout uint8, wide bool, b []byte) {
		p, k := parser{time: map[bool]int{false: 8, true: 16}[wide]}, Keys{Layout: Layouts()[int(layout)%len(Layouts())]}
		for _, e := range p.feed(b) {
			c, ok := k.Feed(e)
			if !ok {
				continue
			}
			valid := func(r rune) bool { return !unicode.IsControl(r) || r == gs || r == rs || r == eot }
			if n := utf8.RuneCountInString(c.Text); n > mostTyped || c == (Code{}) || c.Bad == "" && (n == 0 || strings.ContainsFunc(c.Text, func(r rune) bool { return !valid(r) })) {
				t.Fatalf("%+v", c)
			}
		}
		if len(k.text) > mostTyped || len(p.rest) >= p.time+8 {
			t.Fatalf("kept: %d characters, %d bytes", len(k.text), len(p.rest))
		}
		if _, ok := k.Cut("end"); ok && k.Begun() {
			t.Fatal("begun after it was cut off")
		}
	})
}
