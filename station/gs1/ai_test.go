package gs1

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

// everyAI gives all assigned AIs.
func everyAI() []string {
	var ais []string
	for n := range 11100 {
		ai := fmt.Sprintf("%04d", n) // 0000 to 9999, then 000 to 999 and 00 to 99
		switch {
		case n >= 11000:
			ai = fmt.Sprintf("%02d", n-11000)
		case n >= 10000:
			ai = fmt.Sprintf("%03d", n-10000)
		}
		if format(ai) != "" {
			ais = append(ais, ai)
		}
	}
	return ais
}

// TestFormats holds the table as it was compared, AI by AI, with the GS1 Barcode Syntax Dictionary. Who changes it compares
// it once more.
func TestFormats(t *testing.T) {
	ais, sum := everyAI(), sha256.New()
	for _, ai := range ais {
		fmt.Fprintln(sum, ai, format(ai))
	}
	if got := fmt.Sprintf("%d %.4x", len(ais), sum.Sum(nil)); got != "536 7b91e598" {
		t.Errorf("the table is %s", got)
	}
}

// TestAIs holds what the reading of element strings rests on: no AI is the beginning of another one, and a predefined
// length is the length of the format.
func TestAIs(t *testing.T) {
	ais := everyAI()
	for _, ai := range ais {
		for _, other := range ais {
			if ai != other && strings.HasPrefix(other, ai) {
				t.Errorf("AI %s begins like AI %s", other, ai)
			}
		}
		if n := predefined(ai); n != 0 && format(ai) != fmt.Sprintf("N%d", n) {
			t.Errorf("AI %s has the format %s and %d characters", ai, format(ai), n)
		}
		if got := leadingAI(ai + "0"); got != ai {
			t.Errorf("behind AI %s begins with %q", ai, got)
		}
	}
}

// TestPredefined: exactly the AIs of the table in the General Specifications need no separator.
func TestPredefined(t *testing.T) {
	const beginnings = "00 01 02 03 11 12 13 14 15 16 17 18 19 20 31 32 33 34 35 36 41 "
	for _, ai := range everyAI() {
		if want := strings.Contains(beginnings, ai[:2]+" "); (predefined(ai) > 0) != want {
			t.Errorf("AI %s: predefined is %d", ai, predefined(ai))
		}
	}
}

func TestConforms(t *testing.T) {
	for _, v := range []struct {
		format    string
		good, bad []string
	}{
		{"", nil, []string{"", "1"}},
		{"N2", []string{"00", "42"}, []string{"", "1", "123", "1a", "٤٢"}},
		{"N..3", []string{"1", "123"}, []string{"", "1234", "1.5"}},
		{"X..3", []string{"a", "A_%"}, []string{"", "a b", "abcd", "a#", "ä", "\xff", "\x00"}},
		{"N1 X3", []string{"1abc"}, []string{"1ab", "1abcd", "aabc"}},
		{"N2 [X..3]", []string{"12", "12a", "12abc"}, []string{"1", "12abcd", "ab"}},
		{"N3 [N3] [N3]", []string{"123", "123456", "123456789"}, []string{"", "1234", "12345", "1234567890"}},
		{"X2 X..3", []string{"abc", "abcde"}, []string{"ab", "abcdef"}},
		{"Y..3", []string{"A#-", "/1"}, []string{"a", "_"}},
		{"Z..4", []string{"aB-_", "a="}, []string{"+", "/", "."}},
	} {
		for _, value := range v.good {
			if !conforms(value, v.format) {
				t.Errorf("%q hasn't the format %q", value, v.format)
			}
		}
		for _, value := range v.bad {
			if conforms(value, v.format) {
				t.Errorf("%q has the format %q", value, v.format)
			}
		}
	}
}
