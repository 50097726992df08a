package messagetest

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/uplink/fleet/message"
)

// shapes are the Go values of the schemas.
var shapes = map[string]any{
	message.StateLeaf: message.State{}, message.AlarmsLeaf: message.Alarms{}, message.EventsLeaf: message.Event{}, message.HealthLeaf: message.Health{},
	message.ChallengeLeaf: message.Challenge{}, message.CommandLeaf: message.Envelope{}, message.ResultLeaf: message.Result{}, orderSchema: message.Command{},
}

// words are the values that a type of words may have in a message.
var words = map[reflect.Type][]string{
	reflect.TypeFor[message.Mode]():     {"alert", "disconnected", "init", "lost", "ready", "updating"},
	reflect.TypeFor[message.Severity](): {"critical", "info", "warning"},
	reflect.TypeFor[message.Kind]():     {"cleared", "once", "raised"},
	reflect.TypeFor[message.Status]():   {"challenged", "done", "failed", "refused", "started"},
}

func TestSchemasAndStructsSayTheSame(t *testing.T) {
	names := Names()
	for name := range shapes {
		if !slices.Contains(names, name) {
			t.Errorf("%s has no schema", name)
		}
	}
	for _, name := range names {
		v, ok := shapes[name]
		if !ok {
			t.Errorf("schema %s is of no message", name)
			continue
		}
		doc, err := Schema(name)
		if err != nil {
			t.Fatal(err)
		}
		if doc["$schema"] != "https://json-schema.org/draft/2020-12/schema" || doc["$comment"] == nil {
			t.Errorf("schema %s doesn't say its draft or how to take newer fields", name)
		}
		for _, fault := range differs(reflect.TypeOf(v), doc, name) {
			t.Error(fault)
		}
	}
}

// differs tells what a type and a schema say differently.
func differs(typ reflect.Type, s map[string]any, at string) (faults []string) {
	add := func(text string) { faults = append(faults, at+": "+text) }
	nullable := typ.Kind() == reflect.Pointer
	if nullable {
		typ = typ.Elem()
	}
	if typ == reflect.TypeFor[json.RawMessage]() { // whatever it is
		if s["type"] != nil {
			add("the struct takes anything")
		}
		return faults
	}
	kind, null := kinds(s["type"])
	want := map[reflect.Kind]string{
		reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer", reflect.Int64: "integer", reflect.Uint64: "integer",
		reflect.Float64: "number", reflect.Slice: "array", reflect.Struct: "object",
	}[typ.Kind()]
	switch typ {
	case reflect.TypeFor[time.Time]():
		if want = "string"; s["format"] != "date-time" {
			add("no date-time")
		}
	case reflect.TypeFor[[]byte]():
		if want = "string"; s["contentEncoding"] != "base64" {
			add("no base64")
		}
	}
	if kind != want || null != nullable {
		add("the schema has " + kind + ", the struct " + want + ", or null in one only")
		return faults
	}
	if list := strings.Join(wordsOf(s["enum"]), " "); list != strings.Join(words[typ], " ") {
		add("the schema has the words " + list)
	}
	if kind == "integer" && s["minimum"] == nil {
		add("has no minimum")
	}
	if kind == "array" {
		items, _ := s["items"].(map[string]any)
		return append(faults, differs(typ.Elem(), items, at+"[]")...)
	}
	if kind == "object" {
		return append(faults, fieldsDiffer(typ, s, at)...)
	}
	return faults
}

func fieldsDiffer(typ reflect.Type, s map[string]any, at string) (faults []string) {
	properties, _ := s["properties"].(map[string]any)
	required := wordsOf(s["required"])
	seen := map[string]bool{}
	for f := range typ.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		p, ok := properties[name].(map[string]any)
		if seen[name] = true; !ok {
			faults = append(faults, at+": the schema lacks "+name)
			continue
		}
		if slices.Contains(required, name) == strings.Contains(options, "omit") {
			faults = append(faults, at+"."+name+": required in one and not in the other")
		}
		faults = append(faults, differs(f.Type, p, at+"."+name)...)
	}
	for name := range properties {
		if !seen[name] {
			faults = append(faults, at+": the struct lacks "+name)
		}
	}
	for _, name := range required {
		if !seen[name] {
			faults = append(faults, at+": the schema requires "+name+", which nobody writes")
		}
	}
	return faults
}

// kinds reads the type of a schema: a word, or a word and "null".
func kinds(v any) (kind string, null bool) {
	switch v := v.(type) {
	case string:
		return v, false
	case []any:
		for _, k := range v {
			if k == "null" {
				null = true
			} else {
				kind, _ = k.(string)
			}
		}
	}
	return kind, null
}

// wordsOf gives a list of strings in order.
func wordsOf(v any) (list []string) {
	items, _ := v.([]any)
	for _, i := range items {
		s, _ := i.(string)
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}

// Who looks must find what differs: each of these is one fault.
func TestWhatDiffersIsFound(t *testing.T) {
	for what, spoil := range map[string]func(s map[string]any){
		"a field that the struct lacks": func(s map[string]any) {
			s["properties"].(map[string]any)["more"] = map[string]any{"type": "string"}
		},
		"a field that the schema lacks": func(s map[string]any) { delete(s["properties"].(map[string]any), "nonce") },
		"a field of another type": func(s map[string]any) {
			s["properties"].(map[string]any)["nonce"].(map[string]any)["type"] = "number"
		},
		"a field that isn't required": func(s map[string]any) { s["required"] = []any{"instance", "nonce"} },
	} {
		doc, err := Schema(message.ChallengeLeaf)
		if err != nil {
			t.Fatal(err)
		}
		spoil(doc)
		if faults := differs(reflect.TypeFor[message.Challenge](), doc, "challenge"); len(faults) != 1 {
			t.Errorf("%s: %q", what, faults)
		}
	}
}

func TestMessagesAreHeldAgainstTheirSchema(t *testing.T) {
	place := message.Place{Environment: "test", Station: "s"}
	good := message.Alarms{At: time.Now().UTC(), Alarms: []message.Problem{{Name: "mysql", Severity: message.Critical, Since: time.Now().UTC()}}}
	payload, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(place.Topic(message.AlarmsLeaf), payload); err != nil {
		t.Error(err)
	}
	text := string(payload)
	for what, bad := range map[string]string{
		"an unknown field":        strings.Replace(text, `"seq"`, `"more":1,"seq"`, 1),
		"an unknown field within": strings.Replace(text, `"count"`, `"more":1,"count"`, 1),
		"a missing field":         strings.Replace(text, `"seq":0,`, ``, 1),
		"a text for a number":     strings.Replace(text, `"seq":0`, `"seq":"0"`, 1),
		"a word of none":          strings.Replace(text, `critical`, `bad`, 1),
		"a time that is none":     strings.Replace(text, `"at":"2`, `"at":"yesterday 2`, 1),
		"null for a list":         `{"session":1,"at":"2026-01-01T00:00:00Z","seq":1,"alarms":null}`,
		"no JSON":                 text + "}",
	} {
		if bad == text {
			t.Fatal(what, "is not spoiled")
		}
		if Check(place.Topic(message.AlarmsLeaf), []byte(bad)) == nil {
			t.Error(what, "passes")
		}
	}
	if Check("elsewhere/alarms", payload) == nil || Check(place.Topic("weather"), payload) == nil || Check(place.Topic(message.EventsLeaf), nil) == nil {
		t.Error("a topic of none, or no payload, passes")
	}
	if err := Check(place.Topic(message.StateLeaf), nil); err != nil {
		t.Error("what clears a retained message:", err)
	}
}
