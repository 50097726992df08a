package capture

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestColumnValues(t *testing.T) {
	for _, c := range []struct {
		name   string
		column Column
		value  any
		want   string
	}{
		{"null", Column{Kind: Text}, nil, `null`},
		{"signed", Column{Kind: Integer, Size: 1}, int8(-1), `-1`},
		{"unsigned without signs in the log, 8 bits", Column{Kind: Integer, Size: 1, Unsigned: true}, int8(-1), `255`},
		{"16", Column{Kind: Integer, Size: 2, Unsigned: true}, int16(-1), `65535`},
		{"24", Column{Kind: Integer, Size: 3, Unsigned: true}, int32(-1), `16777215`},
		{"32", Column{Kind: Integer, Size: 4, Unsigned: true}, int32(-1), `4294967295`},
		{"64", Column{Kind: Big, Size: 8, Unsigned: true}, int64(-616), `"18446744073709551000"`},
		{"least", Column{Kind: Integer, Size: 8}, int64(math.MinInt64), `-9223372036854775808`},
		{"zerofill", Column{Kind: Integer, Size: 4, Unsigned: true}, []byte("0000000042"), `42`},
		{"bits", Column{Kind: Big}, int64(5), `"5"`},
		{"decimal", Column{Kind: Decimal}, "0012.30", `"12.30"`},
		{"decimal below one", Column{Kind: Decimal}, "0.30", `"0.30"`},
		{"negative decimal", Column{Kind: Decimal}, "-12.30", `"-12.30"`},
		{"float", Column{Kind: Float}, float32(0.1), `0.1`},
		{"float as text of a double", Column{Kind: Float}, []byte("0.10000000149011612"), `0.1`},
		{"double", Column{Kind: Double}, 0.1, `0.1`},
		{"large double", Column{Kind: Double}, 1e21, `1e+21`},
		{"small double", Column{Kind: Double}, 1e-7, `1e-7`},
		{"minus zero", Column{Kind: Double}, math.Copysign(0, -1), `0`},
		{"nan", Column{Kind: Double}, math.NaN(), `null`},
		{"text", Column{Kind: Text}, "a\"\\\x00\x1f\n<>&\u2028ž", `"a\"\\\u0000\u001f\n<>&` + "\u2028ž\""},
		{"no text", Column{Kind: Text}, "\xff", `{"base64":"/w=="}`},
		{"bytes", Column{Kind: Bytes}, []byte{0, 255}, `"AP8="`},
		{"padded bytes", Column{Kind: Bytes, Size: 4}, "\x01", `"AQAAAA=="`},
		{"timestamp", Column{Kind: Timestamp}, "2026-05-19 11:41:01", `"2026-05-19T11:41:01Z"`},
		{"timestamp with fraction", Column{Kind: Timestamp, Fraction: 2}, "2026-05-19 11:41:01.25", `"2026-05-19T11:41:01.25Z"`},
		{"datetime", Column{Kind: Datetime, Fraction: 1}, "2026-05-19 11:41:01", `"2026-05-19 11:41:01.0"`},
		{"time", Column{Kind: Time, Fraction: 3}, "-01:00:00", `"-01:00:00.000"`},
		{"year", Column{Kind: Year}, 0, `"0000"`},
		{"enum", Column{Kind: Enum, Labels: []string{"a", "b"}}, int64(2), `"b"`},
		{"enum as text", Column{Kind: Enum}, []byte("b"), `"b"`},
		{"enum error value", Column{Kind: Enum, Labels: []string{"a"}}, int64(0), `""`},
		{"set", Column{Kind: Set, Labels: []string{"a", "b", "c"}}, int64(5), `"a,c"`},
		{"document", Column{Kind: Document}, `{"b":1.0,"a":[1e2,"ž<"]}`, `"{\"a\":[100,\"ž<\"],\"b\":1}"`},
		{"empty document", Column{Kind: Document}, []byte{}, `""`},
	} {
		got, err := c.column.Append(nil, c.value)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, want %s: %v", c.name, got, c.want, err)
		}
	}
	for name, c := range map[string]struct {
		column Column
		value  any
	}{
		"enum label":    {Column{Kind: Enum, Labels: []string{"a"}}, int64(2)},
		"set label":     {Column{Kind: Set, Labels: []string{"a"}}, int64(2)},
		"text as int":   {Column{Kind: Integer}, "x"},
		"struct":        {Column{Kind: Text}, struct{}{}},
		"int as text":   {Column{Kind: Text}, 5},
		"no kind":       {Column{}, "x"},
		"text as float": {Column{Kind: Double}, "x"},
	} {
		if got, err := c.column.Append(nil, c.value); err == nil {
			t.Errorf("%s became %s", name, got)
		}
	}
}

func TestPayloadIsInTheOrderOfNames(t *testing.T) {
	table, err := NewTable(&Spec{Schema: "s", Name: "T", Key: []string{"k"}, Station: "a b"}, []Column{
		{Name: "k", Kind: Text}, {Name: "a b", Kind: Text}, {Name: "a", Kind: Integer}, {Name: "ž\"", Kind: Text}})
	if err != nil {
		t.Fatal(err)
	}
	row := []any{"1", "ABC", int64(7), nil}
	got, err := table.AppendPayload(nil, row)
	if want := `{"a":7,"a b":"ABC","k":"1","ž\"":null}`; err != nil || string(got) != want {
		t.Errorf("%s, want %s: %v", got, want, err)
	}
	if table.ID(row) != "1" || table.Place(row) != "abc" || !table.standsAt(row, "Abc") || table.Collection() != "t" {
		t.Errorf("id %q, place %q", table.ID(row), table.Place(row))
	}
	if _, err := table.AppendPayload(nil, row[1:]); err == nil {
		t.Error("a short row was mapped")
	}
	if _, err := NewTable(&Spec{Key: []string{"x"}, Station: "a"}, table.Columns); err == nil {
		t.Error("a table without its key")
	}
}

func TestLabels(t *testing.T) {
	for full, want := range map[string]string{
		"enum('a','b')": "a|b", "set('x''y','')": "x'y|", "enum('a,b','(')": "a,b|(", "enum(": "", "int": "", "enum('a": "a",
	} {
		if got := strings.Join(labels(full), "|"); got != want {
			t.Errorf("%s: %q, want %q", full, got, want)
		}
	}
}

// Whatever bytes a row holds, its payload is valid JSON that says the same.
func FuzzPayload(f *testing.F) {
	f.Add([]byte("text"), int64(1), 1.5, uint8(Text))
	f.Add([]byte("{\"a\":1e400}\xff\x00\"\\"), int64(-1), math.Inf(1), uint8(Document))
	f.Add([]byte("12:00:00.1234567890"), int64(1<<62), math.Copysign(0, -1), uint8(Time))
	f.Fuzz(func(t *testing.T, b []byte, n int64, x float64, kind uint8) {
		c := Column{Name: string(b), Kind: Kind(kind % 16), Size: int(n & 7), Fraction: int(n & 3), Unsigned: n&1 == 1, Labels: []string{string(b)}}
		for _, v := range []any{b, string(b), n, int8(n), uint64(n), x, float32(x), int(n), nil} {
			got, err := c.Append(nil, v)
			if err != nil {
				continue
			}
			if !json.Valid(got) {
				t.Fatalf("%#v of kind %d became %s", v, c.Kind, got)
			}
			if s, ok := v.(string); ok && c.Kind == Text && utf8.ValidString(s) {
				var back string
				if err := json.Unmarshal(got, &back); err != nil || back != s {
					t.Fatalf("%q became %q: %v", s, back, err)
				}
			}
		}
	})
}

func FuzzLabels(f *testing.F) {
	f.Add("enum('a','b''c')")
	f.Fuzz(func(t *testing.T, full string) { labels(full) })
}
