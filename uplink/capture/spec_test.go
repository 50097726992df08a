package capture

import (
	"slices"
	"strings"
	"testing"
)

func TestSpecIsChecked(t *testing.T) {
	good := Spec{Schema: "s", Name: "T", Key: []string{"k"}}
	for name, c := range map[string]struct {
		change func(*Spec)
		want   string
	}{
		"as it is":                    {func(*Spec) {}, ""},
		"no key":                      {func(s *Spec) { s.Key = nil }, "key must be given"},
		"an empty key":                {func(s *Spec) { s.Key = []string{""} }, "key must be given"},
		"ours":                        {func(s *Spec) { s.Name = "Station_Agent_x" }, "never captured"},
		"our collection":              {func(s *Spec) { s.As = Gaps }, "never captured"},
		"include and exclude":         {func(s *Spec) { s.Include, s.Exclude = []string{"a"}, []string{"b"} }, "not both"},
		"a watched column left out":   {func(s *Spec) { s.Exclude, s.Watch = []string{"a"}, []string{"a"} }, "not in the payload"},
		"a hashed column not taken":   {func(s *Spec) { s.Include, s.Hashed = []string{"a"}, []string{"b"} }, "not in the payload"},
		"a hashed key":                {func(s *Spec) { s.Hashed = []string{"k"} }, "can't be hashed"},
		"a hashed and watched column": {func(s *Spec) { s.Hashed, s.Watch = []string{"a"}, []string{"a"} }, ""},
	} {
		s := good
		c.change(&s)
		err := s.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if err := CheckAll([]*Spec{{Schema: "a", Name: "t", Key: []string{"k"}}, {Schema: "b", Name: "T", Key: []string{"k"}}}); err == nil {
		t.Error("two tables had one collection")
	}
}

func TestPayloadHasWhatTheSpecSays(t *testing.T) {
	columns := []Column{{Name: "k", Kind: Text}, {Name: "a", Kind: Text}, {Name: "b", Kind: Integer, Size: 4}}
	row := []any{"1", "x", int32(5)}
	for name, c := range map[string]struct {
		spec Spec
		want string
	}{
		"all":     {Spec{}, `{"a":"x","b":5,"k":"1"}`},
		"include": {Spec{Include: []string{"k", "b"}}, `{"b":5,"k":"1"}`},
		"exclude": {Spec{Exclude: []string{"b"}}, `{"a":"x","k":"1"}`},
		"hashed": { // of the value's JSON, so that "5" and 5 differ
			Spec{Hashed: []string{"a"}, Exclude: []string{"b"}},
			`{"a":{"sha256":"ba2df4903a2c14e86dc3bcca58911b44ac1d2514b7227bf6eb08cfb978f55a1b"},"k":"1"}`},
	} {
		c.spec.Schema, c.spec.Name, c.spec.Key = "s", "t", []string{"k"}
		table, err := NewTable(&c.spec, columns)
		if err != nil {
			t.Fatal(err)
		}
		got, err := table.AppendPayload(nil, row)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, want %s: %v", name, got, c.want, err)
		}
	}
}

func TestKeysOfSeveralColumns(t *testing.T) {
	spec := &Spec{Schema: "s", Name: "t", Key: []string{"b", "a"}}
	table, err := NewTable(spec, []Column{{Name: "a", Kind: Integer, Size: 4, Unsigned: true}, {Name: "b", Kind: Text}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		row   []any
		id    string
		parts []string
	}{
		{[]any{int32(-1), "x"}, "x/4294967295", []string{"x", "4294967295"}},
		{[]any{int32(1), "x/y"}, "x%2Fy/1", []string{"x/y", "1"}},
		{[]any{int32(1), "%2F"}, "%252F/1", []string{"%2F", "1"}},
		{[]any{int32(1), ""}, "/1", []string{"", "1"}},
	} {
		if id := table.ID(c.row); id != c.id || !slices.Equal(table.keys(id), c.parts) {
			t.Errorf("%v: %q, parts %q", c.row, id, table.keys(id))
		}
	}
	where, args := table.among([]string{"x/1", "y/2"})
	if want := "(`b` = ? AND `a` = ?) OR (`b` = ? AND `a` = ?)"; where != want || len(args) != 4 {
		t.Errorf("%s %v", where, args)
	}
	bytes, err := NewTable(&Spec{Schema: "s", Name: "t", Key: []string{"k"}}, []Column{{Name: "k", Kind: Bytes, Size: 2}})
	if err != nil {
		t.Fatal(err)
	}
	if id := bytes.ID([]any{"\xff"}); id != "ff00" {
		t.Errorf("%q", id)
	}
	if where, _ := bytes.among([]string{"ff00"}); where != "`k` IN (UNHEX(?))" {
		t.Error(where)
	}
	for _, k := range []Kind{Float, Double, Document, Timestamp, Set} {
		if _, err := NewTable(&Spec{Schema: "s", Name: "t", Key: []string{"k"}}, []Column{{Name: "k", Kind: k}}); err == nil {
			t.Errorf("kind %d was taken for a key", k)
		}
	}
}

func TestOnlyWatchedColumnsMakeARecord(t *testing.T) {
	s := &Spec{Watch: []string{"a"}}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{`{"a":1,"b":1}`, `{"a":1,"b":2}`, false},
		{`{"a":1,"b":1}`, `{"a":2,"b":1}`, true},
		{`{"a":1}`, `{"b":1}`, true},
		{`{`, `{"a":1}`, true},
	} {
		if s.differs([]byte(c.a), []byte(c.b)) != c.want {
			t.Errorf("%s and %s", c.a, c.b)
		}
	}
}
