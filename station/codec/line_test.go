package codec

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"station-agent/store/record"
)

func good(raw, symbology, code string) Tag {
	return Tag{Tag: record.Tag{Reader: "r", Symbology: symbology, Code: code, Raw: []byte(raw)}}
}

func bad(raw, why string) Tag {
	return Tag{Tag: record.Tag{Reader: "r", Raw: []byte(raw), Bad: why}}
}

// lineOf is a Line whose tags are taken at once.
func lineOf(prefix string) *Line { return &Line{Config: Config{Reader: "r", Prefix: prefix}} }

// all joins what several calls gave.
type all []Tag

func (a *all) add(tags []Tag) { *a = append(*a, tags...) }

// vectors: good, damaged and look-alike.
var vectors = []struct {
	name, in, prefix string
	idle             bool // say that a gap follows
	want             []Tag
}{
	{name: "cr", in: "4006381333931\r", want: []Tag{good("4006381333931", "", "4006381333931")}},
	{name: "lf", in: "A\n", want: []Tag{good("A", "", "A")}},
	{name: "crlf", in: "A\r\nB\r\n", want: []Tag{good("A", "", "A"), good("B", "", "B")}},
	{name: "nul", in: "A\x00B\x00", want: []Tag{good("A", "", "A"), good("B", "", "B")}},
	{name: "stx etx", in: "\x02A\x03\x02B\x03", want: []Tag{good("A", "", "A"), good("B", "", "B")}},
	{name: "no terminator", in: "A", idle: true, want: []Tag{good("A", "", "A")}},
	{name: "unfinished", in: "A"},
	{name: "empty lines", in: "\r\n\r\n\x00\x03\x02\x03\x02\r", idle: true},
	{name: "aim", in: "]C1011234\x1d10AB\r", want: []Tag{good("]C1011234\x1d10AB", "]C1", "011234\x1d10AB")}},
	{name: "aim of a small letter", in: "]d2x\r", want: []Tag{good("]d2x", "]d2", "x")}},
	{name: "separators are data", in: "a\x1db\x1ec\x04\r", want: []Tag{good("a\x1db\x1ec\x04", "", "a\x1db\x1ec\x04")}},
	{name: "blanks are data", in: " A  \r", want: []Tag{good(" A  ", "", " A  ")}},
	{name: "letters of the world", in: "Žižek-😀\r", want: []Tag{good("Žižek-😀", "", "Žižek-😀")}},
	{name: "prefix", in: "S1:]E0400\r", prefix: "S1:", want: []Tag{good("S1:]E0400", "]E0", "400")}},
	{name: "look-alike: bracket without modifier", in: "]C\r", want: []Tag{good("]C", "", "]C")}},
	{name: "look-alike: bracket and digit", in: "]1Cx\r", want: []Tag{good("]1Cx", "", "]1Cx")}},
	{name: "look-alike: identifier inside", in: "x]C1y\r", want: []Tag{good("x]C1y", "", "x]C1y")}},
	{name: "longest", in: strings.Repeat("x", 128) + "\r", want: []Tag{good(strings.Repeat("x", 128), "", strings.Repeat("x", 128))}},

	{name: "too long", in: strings.Repeat("x", 5000) + "\rA\r", want: []Tag{bad(strings.Repeat("x", 128), "longer than 128 bytes"), good("A", "", "A")}},
	{name: "too long without end", in: strings.Repeat("x", 5000), idle: true, want: []Tag{bad(strings.Repeat("x", 128), "longer than 128 bytes")}},
	{name: "cut off", in: "A\rPKG-2026-00", idle: true, want: []Tag{good("A", "", "A"), bad("PKG-2026-00", "cut off: the line end is missing")}},
	{name: "no prefix", in: "400\r", prefix: "S1:", want: []Tag{bad("400", `without the prefix "S1:"`)}},
	{name: "prefix only", in: "S1:\r", prefix: "S1:", want: []Tag{bad("S1:", "no code in it")}},
	{name: "identifier only", in: "]C1\r", want: []Tag{{Tag: record.Tag{Reader: "r", Symbology: "]C1", Raw: []byte("]C1"), Bad: "no code in it"}}}},
	{name: "stx inside", in: "A\x02B\r", want: []Tag{bad("A\x02B", "control character 0x02")}},
	{name: "second stx", in: "\x02\x02B\x03", want: []Tag{bad("\x02B", "control character 0x02")}},
	{name: "tab", in: "A\tB\r", want: []Tag{bad("A\tB", "control character 0x09")}},
	{name: "del", in: "A\x7f\r", want: []Tag{bad("A\x7f", "control character 0x7f")}},
	{name: "c1 control", in: "A\u0085\r", want: []Tag{bad("A\u0085", "control character 0x85")}},
	{name: "latin-1", in: "K\xf6ln\r", want: []Tag{bad("K\xf6ln", "not UTF-8")}},
	{name: "answer of a GM65 before a code", in: "\x02\x00\x00\x01\x0031400\r", want: []Tag{good("400", "", "400")}},
	{name: "answers of a GM65 behind and between", in: "A\r\x02\x00\x00\x01\x0031\x02\x00\x00\x01\x0031B\r", want: []Tag{good("A", "", "A"), good("B", "", "B")}},
	{name: "answer of a GM65 behind a code without terminator", in: "A\x02\x00\x00\x01\x0031", idle: true, want: []Tag{good("A", "", "A")}},
	{name: "answer of a GM65 behind a lone STX", in: "\x02\x02\x00\x00\x01\x0031A\r", want: []Tag{good("A", "", "A")}},
	{name: "damaged answer of a GM65", in: "\x02\x00\x00\x01\x0032A\r", want: []Tag{bad("\x02\x00\x00\x01\x0032A", "control character 0x02")}},
	{name: "answer of a GM65 cut off", in: "\x02\x00\x00\x01\x003", idle: true, want: []Tag{bad("\x02\x00\x00\x01\x003", "control character 0x02")}},
	{name: "answer of a GM65 with a damaged length", in: "\x02\x00\x00!\x0031400\rA\r", idle: true, want: []Tag{bad("\x02\x00\x00!\x0031400", "control character 0x02"), good("A", "", "A")}},
	{name: "answer of a GM65 with an impossible length", in: "\x02\x00\x00A\x0031400\rB\r", want: []Tag{bad("\x02\x00\x00A\x0031400", "control character 0x02"), good("B", "", "B")}},
	{name: "look-alike: an empty line between STX and NUL", in: "\x02\x00\x02A\x00", want: []Tag{good("A", "", "A")}},
	{name: "half a character", in: "A\xc3\r\xb6\r", want: []Tag{bad("A\xc3", "not UTF-8"), bad("\xb6", "not UTF-8")}},
}

func TestLine(t *testing.T) {
	for _, v := range vectors {
		l := lineOf(v.prefix)
		var got all
		got.add(l.Feed([]byte(v.in)))
		if v.idle {
			got.add(l.Idle())
		}
		check(t, v.name, got, v.want)
		var n uint64
		for _, tag := range v.want {
			if tag.Bad != "" {
				n++
			}
		}
		if l.Bad() != n {
			t.Errorf("%s: %d bad frames counted, want %d", v.name, l.Bad(), n)
		}
	}
}

// TestLineInAnyChunking cuts every vector in two at every place and into single bytes.
func TestLineInAnyChunking(t *testing.T) {
	for _, v := range vectors {
		for at := range len(v.in) + 1 {
			l := lineOf(v.prefix)
			var got all
			got.add(l.Feed([]byte(v.in[:at])))
			got.add(l.Feed([]byte(v.in[at:])))
			if v.idle {
				got.add(l.Idle())
			}
			check(t, v.name, got, v.want)
		}
		l := lineOf(v.prefix)
		var got all
		for i := range len(v.in) {
			got.add(l.Feed([]byte(v.in[i : i+1])))
		}
		if v.idle {
			got.add(l.Idle())
		}
		check(t, v.name+", byte by byte", got, v.want)
	}
}

func TestLineOfAnUnpluggedReader(t *testing.T) {
	l := lineOf("")
	l.Feed([]byte("PKG-2026-00"))
	check(t, "half a code", l.Gone(), []Tag{bad("PKG-2026-00", "cut off: the reader was unplugged")})
	l.Feed([]byte("A\r"))
	l.Gone()
	l.Feed([]byte("B"))
	check(t, "another scanner without terminator", l.Idle(), []Tag{good("B", "", "B")})
	check(t, "nothing left", l.Gone(), nil)
}

func TestLineMemoryIsBounded(t *testing.T) {
	var l Line
	noise := bytes.Repeat([]byte{'x'}, 4096)
	for range 1000 {
		l.Feed(noise)
	}
	if cap(l.frame) > 2*DefaultMax {
		t.Fatalf("the frame grew to %d bytes", cap(l.frame))
	}
}

func check(t *testing.T, name string, got, want []Tag) {
	t.Helper()
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
	}
}

func FuzzLine(f *testing.F) {
	for _, v := range vectors {
		f.Add([]byte(v.in), v.prefix, uint16(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, prefix string, at uint16) {
		whole, parts := Line{Config: Config{Prefix: prefix, Max: 32}}, Line{Config: Config{Prefix: prefix, Max: 32}}
		var want, got all
		want.add(whole.Feed(in))
		want.add(whole.Idle())
		cut := min(int(at), len(in))
		got.add(parts.Feed(in[:cut]))
		got.add(parts.Feed(in[cut:]))
		got.add(parts.Idle())
		check(t, "in two chunks", got, want)
		for _, tag := range want {
			if (tag.Code == "") != (tag.Bad != "") || len(tag.Raw) == 0 || len(tag.Raw) > 32 {
				t.Fatalf("%+v", tag)
			}
			if !utf8.ValidString(tag.Code) || strings.ContainsAny(tag.Code, "\x00\x02\x03\n\r\x1b\x7f") {
				t.Fatalf("code %q", tag.Code)
			}
		}
	})
}

func BenchmarkLine(b *testing.B) {
	l := Line{Config: Config{Reader: "scanner1"}}
	in := []byte("]E04006381333931\r\n")
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		l.Feed(in)
	}
}
