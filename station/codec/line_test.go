package codec

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"station-agent/store/record"
)

func good(raw, symbology, code string) record.Tag {
	return record.Tag{Reader: "r", Symbology: symbology, Code: code, Raw: []byte(raw)}
}

func bad(raw, why string) record.Tag { return record.Tag{Reader: "r", Raw: []byte(raw), Bad: why} }

// vectors: good, damaged and look-alike.
var vectors = []struct {
	name, in, prefix string
	idle             bool // say that a gap follows
	want             []record.Tag
}{
	{name: "cr", in: "4006381333931\r", want: []record.Tag{good("4006381333931", "", "4006381333931")}},
	{name: "lf", in: "A\n", want: []record.Tag{good("A", "", "A")}},
	{name: "crlf", in: "A\r\nB\r\n", want: []record.Tag{good("A", "", "A"), good("B", "", "B")}},
	{name: "nul", in: "A\x00B\x00", want: []record.Tag{good("A", "", "A"), good("B", "", "B")}},
	{name: "stx etx", in: "\x02A\x03\x02B\x03", want: []record.Tag{good("A", "", "A"), good("B", "", "B")}},
	{name: "no terminator", in: "A", idle: true, want: []record.Tag{good("A", "", "A")}},
	{name: "unfinished", in: "A"},
	{name: "empty lines", in: "\r\n\r\n\x00\x03\x02\x03\x02\r", idle: true},
	{name: "aim", in: "]C1011234\x1d10AB\r", want: []record.Tag{good("]C1011234\x1d10AB", "]C1", "011234\x1d10AB")}},
	{name: "aim of a small letter", in: "]d2x\r", want: []record.Tag{good("]d2x", "]d2", "x")}},
	{name: "separators are data", in: "a\x1db\x1ec\x04\r", want: []record.Tag{good("a\x1db\x1ec\x04", "", "a\x1db\x1ec\x04")}},
	{name: "blanks are data", in: " A  \r", want: []record.Tag{good(" A  ", "", " A  ")}},
	{name: "letters of the world", in: "Žižek-😀\r", want: []record.Tag{good("Žižek-😀", "", "Žižek-😀")}},
	{name: "prefix", in: "S1:]E0400\r", prefix: "S1:", want: []record.Tag{good("S1:]E0400", "]E0", "400")}},
	{name: "look-alike: bracket without modifier", in: "]C\r", want: []record.Tag{good("]C", "", "]C")}},
	{name: "look-alike: bracket and digit", in: "]1Cx\r", want: []record.Tag{good("]1Cx", "", "]1Cx")}},
	{name: "look-alike: identifier inside", in: "x]C1y\r", want: []record.Tag{good("x]C1y", "", "x]C1y")}},
	{name: "longest", in: strings.Repeat("x", 128) + "\r", want: []record.Tag{good(strings.Repeat("x", 128), "", strings.Repeat("x", 128))}},

	{name: "too long", in: strings.Repeat("x", 5000) + "\rA\r", want: []record.Tag{bad(strings.Repeat("x", 128), "longer than 128 bytes"), good("A", "", "A")}},
	{name: "too long without end", in: strings.Repeat("x", 5000), idle: true, want: []record.Tag{bad(strings.Repeat("x", 128), "longer than 128 bytes")}},
	{name: "cut off", in: "A\rPKG-2026-00", idle: true, want: []record.Tag{good("A", "", "A"), bad("PKG-2026-00", "cut off: the line end is missing")}},
	{name: "no prefix", in: "400\r", prefix: "S1:", want: []record.Tag{bad("400", `without the prefix "S1:"`)}},
	{name: "prefix only", in: "S1:\r", prefix: "S1:", want: []record.Tag{bad("S1:", "no code in it")}},
	{name: "identifier only", in: "]C1\r", want: []record.Tag{{Reader: "r", Symbology: "]C1", Raw: []byte("]C1"), Bad: "no code in it"}}},
	{name: "stx inside", in: "A\x02B\r", want: []record.Tag{bad("A\x02B", "control character 0x02")}},
	{name: "second stx", in: "\x02\x02B\x03", want: []record.Tag{bad("\x02B", "control character 0x02")}},
	{name: "tab", in: "A\tB\r", want: []record.Tag{bad("A\tB", "control character 0x09")}},
	{name: "del", in: "A\x7f\r", want: []record.Tag{bad("A\x7f", "control character 0x7f")}},
	{name: "c1 control", in: "A\u0085\r", want: []record.Tag{bad("A\u0085", "control character 0x85")}},
	{name: "latin-1", in: "K\xf6ln\r", want: []record.Tag{bad("K\xf6ln", "not UTF-8")}},
	{name: "half a character", in: "A\xc3\r\xb6\r", want: []record.Tag{bad("A\xc3", "not UTF-8"), bad("\xb6", "not UTF-8")}},
}

func TestLine(t *testing.T) {
	for _, v := range vectors {
		l := Line{Reader: "r", Prefix: v.prefix}
		got := l.Feed([]byte(v.in))
		if v.idle {
			got = append(got, l.Idle()...)
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
			l := Line{Reader: "r", Prefix: v.prefix}
			got := append(l.Feed([]byte(v.in[:at])), l.Feed([]byte(v.in[at:]))...)
			if v.idle {
				got = append(got, l.Idle()...)
			}
			check(t, v.name, got, v.want)
		}
		l := Line{Reader: "r", Prefix: v.prefix}
		var got []record.Tag
		for i := range len(v.in) {
			got = append(got, l.Feed([]byte(v.in[i:i+1]))...)
		}
		if v.idle {
			got = append(got, l.Idle()...)
		}
		check(t, v.name+", byte by byte", got, v.want)
	}
}

func TestLineOfAnUnpluggedReader(t *testing.T) {
	l := Line{Reader: "r"}
	l.Feed([]byte("PKG-2026-00"))
	check(t, "half a code", l.Gone(), []record.Tag{bad("PKG-2026-00", "cut off: the reader was unplugged")})
	l.Feed([]byte("A\r"))
	l.Gone()
	l.Feed([]byte("B"))
	check(t, "another scanner without terminator", l.Idle(), []record.Tag{good("B", "", "B")})
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

func check(t *testing.T, name string, got, want []record.Tag) {
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
		whole, parts := Line{Prefix: prefix, Max: 32}, Line{Prefix: prefix, Max: 32}
		want := append(whole.Feed(in), whole.Idle()...)
		cut := min(int(at), len(in))
		got := append(parts.Feed(in[:cut]), parts.Feed(in[cut:])...)
		got = append(got, parts.Idle()...)
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
	l := Line{Reader: "scanner1"}
	in := []byte("]E04006381333931\r\n")
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		l.Feed(in)
	}
}
