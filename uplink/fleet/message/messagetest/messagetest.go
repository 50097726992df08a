// Package messagetest holds messages of station and fleet against their JSON Schemas: every test that hears one asks
// Validate.
//
// The schemas themselves let fields pass that they don't name, which are those of a newer agent. Here nothing is newer: such
// a field is a fault, so that none comes without its schema.
package messagetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"station-agent/uplink/fleet/message"
)

// orderSchema describes what stands in an envelope of the command topic.
const orderSchema = "order"

// Validate reports a message whose topic is none of ours or whose payload its schema refuses. An empty payload is good where
// a message is retained: that is how it is removed.
func Validate(t testing.TB, topic string, payload []byte) {
	t.Helper()
	if err := Check(topic, payload); err != nil {
		t.Errorf("%s: %v: %.2000s", topic, err, payload)
	}
}

// Check is Validate that gives the error.
func Check(topic string, payload []byte) error {
	_, leaf, ok := message.Read(topic)
	if !ok {
		return fmt.Errorf("the topic is none of a station")
	}
	if len(payload) == 0 && (leaf == message.StateLeaf || leaf == message.AlarmsLeaf) {
		return nil
	}
	return CheckAs(leaf, payload)
}

// ValidateOrder reports the body of an envelope that its schema refuses.
func ValidateOrder(t testing.TB, body []byte) {
	t.Helper()
	if err := CheckAs(orderSchema, body); err != nil {
		t.Errorf("order: %v: %.2000s", err, body)
	}
}

// CheckAs holds a payload against the schema of that name, that of a topic's leaf or "order".
func CheckAs(name string, payload []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		return err
	}
	s, err := compile(name)
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// compile reads a schema and closes all its objects.
func compile(name string) (*jsonschema.Schema, error) {
	doc, err := Schema(name)
	if err != nil {
		return nil, err
	}
	closed(doc)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.AssertContent()
	if err := c.AddResource(name, doc); err != nil {
		return nil, err
	}
	return c.Compile(name)
}

// Schema reads the schema of that name as it lies in the repository.
func Schema(name string) (map[string]any, error) {
	b, err := os.ReadFile(filepath.Join(folder(), name+".json"))
	if err != nil {
		return nil, err
	}
	var doc map[string]any
	err = json.Unmarshal(b, &doc)
	return doc, err
}

// Names are the names of all schemas.
func Names() (names []string) {
	files, _ := filepath.Glob(filepath.Join(folder(), "*.json")) // the pattern is sound
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".json"))
	}
	return names
}

// folder is where the schemas lie, whichever package is being tested.
func folder() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(filepath.Dir(here)), "schema")
}

// closed makes unknown fields of every object faults.
func closed(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["properties"]; ok {
			v["additionalProperties"] = false
		}
		for _, inner := range v {
			closed(inner)
		}
	case []any:
		for _, inner := range v {
			closed(inner)
		}
	}
}
