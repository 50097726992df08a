package codec

import (
	"slices"
	"strings"
	"testing"
)

// fuzz holds what a protocol promises of any bytes: two chunks give what one gives, memory is bounded, and a tag is whole.
// The corpus is the vectors.
func fuzz(f *testing.F, name string) {
	p, err := Find(name)
	if err != nil {
		f.Fatal(err)
	}
	for _, v := range recorded(f, name) {
		f.Add(v.in, uint16(len(v.in)/2))
	}
	f.Fuzz(func(t *testing.T, in []byte, at uint16) {
		whole, parts := watch(p), watch(p)
		cut := min(int(at), len(in))
		parts.feed(in[:cut])
		parts.feed(in[cut:])
		parts.idle()
		for _, tags := range [][]Tag{slices.Clone(whole.Feed(in)), whole.Idle()} {
			whole.note(tags)
			for _, tag := range tags {
				if tag.Code == "" || strings.Trim(tag.Code, upperHex) != "" || len(tag.Code)%2 != 0 || tag.Bad != "" {
					t.Fatalf("%+v", tag)
				}
				if len(tag.Raw) == 0 || len(tag.Raw) > 300 || tag.Reader != "r" {
					t.Fatalf("%+v", tag)
				}
			}
		}
		if parts.String() != whole.String() {
			t.Fatalf("% X\nin one  %s\nin two  %s", in, whole, parts)
		}
		s := whole.Codec.(*stream)
		if len(s.buf) != 0 || cap(s.buf) != window || s.bad > uint64(len(in)) {
			t.Fatalf("%d bytes left, %d bad", len(s.buf), s.bad)
		}
	})
}

func FuzzR200(f *testing.F)         { fuzz(f, "r200") }
func FuzzUHFReader18(f *testing.F)  { fuzz(f, "uhfreader18") }
func FuzzUHFReader288(f *testing.F) { fuzz(f, "uhfreader288") }
func FuzzR2000(f *testing.F)        { fuzz(f, "r2000") }
func FuzzEM4100(f *testing.F)       { fuzz(f, "rdm6300") }
