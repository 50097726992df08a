package fleetops

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"station-agent/uplink/fleet/message"
)

// jsonV2 is the part of Telegraf's configuration that the file uses, by the names of its manual (plugins mqtt_consumer and
// parser json_v2). Telegraf itself is in no Debian release, so that the paths are followed here by their own rule: names with
// dots between them.
type jsonV2 struct {
	Tag []struct {
		Path string `toml:"path"`
	} `toml:"tag"`
	Field []struct {
		Path     string `toml:"path"`
		Rename   string `toml:"rename"`
		Type     string `toml:"type"`
		Optional bool   `toml:"optional"`
	} `toml:"field"`
	Object []struct {
		Path         string   `toml:"path"`
		Optional     bool     `toml:"optional"`
		Tags         []string `toml:"tags"`
		IncludedKeys []string `toml:"included_keys"`
	} `toml:"object"`
}

type telegraf struct {
	Inputs struct {
		MQTT []struct {
			Servers      []string `toml:"servers"`
			Topics       []string `toml:"topics"`
			QoS          int      `toml:"qos"`
			Username     string   `toml:"username"`
			Password     string   `toml:"password"`
			TopicTag     *string  `toml:"topic_tag"`
			NameOverride string   `toml:"name_override"`
			DataFormat   string   `toml:"data_format"`
			TopicParsing []struct {
				Topic string `toml:"topic"`
				Tags  string `toml:"tags"`
			} `toml:"topic_parsing"`
			JSONV2 []jsonV2 `toml:"json_v2"`
		} `toml:"mqtt_consumer"`
	} `toml:"inputs"`
}

// follow gives the value at a path.
func follow(v any, path string) (any, bool) {
	for _, name := range strings.Split(path, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = object[name]; !ok {
			return nil, false
		}
	}
	return v, v != nil
}

// is tells whether a value of JSON is of a type of Telegraf's.
func is(v any, kind string) bool {
	number, isNumber := v.(float64)
	switch kind {
	case "float":
		return isNumber
	case "int":
		return isNumber && number == float64(int64(number))
	case "uint":
		return isNumber && number >= 0 && number == float64(uint64(number))
	case "bool":
		_, ok := v.(bool)
		return ok
	case "string":
		_, ok := v.(string)
		return ok
	}
	return false
}

func TestTelegrafFindsItsFieldsInMessages(t *testing.T) {
	var cfg telegraf
	dec := toml.NewDecoder(strings.NewReader(read(t, "telegraf.conf")))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&cfg); err != nil {
		t.Fatal(err)
	}
	known := sick()
	said := map[string][]any{
		message.StateLeaf:  {message.State{State: message.Ready, Session: 1, Name: "Line 1", Version: "1.2", At: time.Now()}},
		message.HealthLeaf: {*known.Health, message.Health{}},
		message.AlarmsLeaf: {message.Alarms{Alarms: []message.Problem{known.Alarms[0].Problem}}},
	}
	for _, in := range cfg.Inputs.MQTT {
		p, leaf, ok := message.Read(in.Topics[0])
		if !ok || p != (message.Place{Environment: "+", Station: "+"}) || len(said[leaf]) == 0 || in.DataFormat != "json_v2" || len(in.JSONV2) != 1 || in.TopicParsing[0].Tags != "_/environment/station/_" {
			t.Errorf("an input of %v as %s", in.Topics, in.DataFormat)
			continue
		}
		for i, v := range said[leaf] {
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			var m any
			if err := json.Unmarshal(text, &m); err != nil {
				t.Fatal(err)
			}
			for _, f := range in.JSONV2[0].Field {
				got, there := follow(m, f.Path)
				if there && !is(got, f.Type) || !there && (!f.Optional || i == 0) {
					t.Errorf("%s: %s is %v, and not of type %s", leaf, f.Path, got, f.Type)
				}
			}
			for _, f := range in.JSONV2[0].Tag {
				if _, there := follow(m, f.Path); !there {
					t.Errorf("%s: there is no %s", leaf, f.Path)
				}
			}
			for _, o := range in.JSONV2[0].Object {
				list, _ := follow(m, o.Path)
				entries, _ := list.([]any)
				if len(entries) == 0 {
					t.Fatalf("%s: %s is no list", leaf, o.Path)
				}
				for _, key := range slices.Concat(o.Tags, o.IncludedKeys) {
					if _, there := follow(entries[0], key); !there {
						t.Errorf("%s: there is no %s in %s", leaf, key, o.Path)
					}
				}
			}
		}
		delete(said, leaf)
	}
	for leaf := range said {
		t.Errorf("nothing takes %s", leaf)
	}
}
