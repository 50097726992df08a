package certyo

import (
	"encoding/json"
	"testing"
)

// TestFieldsAreAsEncodingJSONWritesThem: the body is put together by hand, so that any text must come out as it went in.
func TestFieldsAreAsEncodingJSONWritesThem(t *testing.T) {
	for _, text := range []string{
		"", "b:0-1-7/1779170400000000/0", `a"b`, `a"b\\c`, "tab\tand\nline", "čokoláda", "\u2028<&>", "\x00\x1f\x7f", "no \xff UTF-8", "/~ !",
	} {
		got := string(appendField([]byte("{"), "x", text)[2:])
		var field map[string]string
		if err := json.Unmarshal([]byte("{"+got+"}"), &field); err != nil {
			t.Errorf("%q became %s: %v", text, got, err)
		}
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var want string
		if err := json.Unmarshal(quoted, &want); err != nil {
			t.Fatal(err)
		}
		if field["x"] != want {
			t.Errorf("%q became %s", text, got)
		}
	}
}

// TestLooseTakesTextAsItIs: a text that stands for itself takes a shorter way to the same end.
func TestLooseTakesTextAsItIs(t *testing.T) {
	for raw, want := range map[string]string{
		`"abc"`: "abc", `""`: "", `"a\"b"`: `a"b`, `"\u00e9"`: "é", `"é"`: "é", `12`: "12", `null`: "", `true`: "true", `{"a":"b"}`: `{"a":"b"}`, `"a\\"`: `a\`,
	} {
		var l loose
		if err := json.Unmarshal([]byte(raw), &l); err != nil || string(l) != want {
			t.Errorf("%s became %q, want %q: %v", raw, l, want, err)
		}
	}
}
