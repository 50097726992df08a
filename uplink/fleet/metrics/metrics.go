// Package metrics makes Prometheus' text format 0.0.4 of what stations say: for a single agent and for all stations at a
// broker the same names. It is a function of its input and keeps nothing, so that a station that vanished vanishes here.
//
// Names begin with station_agent_ and end in their unit (seconds, bytes, celsius); counters end in _total. Every sample has
// the labels environment and station (the uuid); the name for people is a label of station_agent_info only, as it may change:
//
//	station_agent_oldest_unsent_age_seconds * on (environment, station) group_left (name) station_agent_info
//
// What a station doesn't know is no sample, never a zero.
package metrics

import (
	"io"
	"math"
	"strconv"
	"strings"

	"station-agent/uplink/fleet/message"
)

// ContentType is the type of what Write makes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Standings are the values of the label standing, of which one is 1.
var Standings = []string{"twin", string(message.Lost), "silent", string(message.Alert), "never", string(message.Disconnected),
	string(message.Updating), string(message.Init), string(message.Ready), string(message.Closed)}

// Station is what is told of one.
type Station struct {
	Environment string
	Station     string
	Name        string
	Version     string
	Standing    string
	Open        bool // opening hours
	Maintenance bool // told to be at rest by a person
	Session     uint64
	Health      *message.Health // nil: none was heard
	HealthAgeS  float64
	Alarms      []Alarm
	Gaps        int // in the sequence of events, as it came
}

// Alarm is one that stands.
type Alarm struct {
	message.Problem
	ForS         float64
	Acknowledged bool
}

// Own is what an exporter tells of itself; nil for a single agent.
type Own struct {
	BrokerUp bool
	Stations int
	Messages uint64
	Refused  uint64
}

const prefix = "station_agent_"

// Write writes everything, in the order of stations.
func Write(out io.Writer, stations []Station, own *Own) error {
	w := &writer{}
	if own != nil {
		own.write(w)
	}
	for _, f := range families {
		w.begin(f.name, f.kind, f.help)
		for i := range stations {
			s := &stations[i]
			w.labels = w.labels[:0]
			w.label("environment", s.Environment)
			w.label("station", s.Station)
			if f.health != nil && s.Health != nil {
				f.health(w, s.Health)
			}
			if f.station != nil {
				f.station(w, s)
			}
		}
	}
	_, err := io.WriteString(out, w.b.String())
	return err
}

func (o *Own) write(w *writer) {
	w.begin("exporter_broker_up", gauge, "Whether the exporter is connected to the broker.")
	w.yes(o.BrokerUp)
	w.begin("exporter_stations", gauge, "Stations that the exporter knows, those of the inventory too.")
	w.value(float64(o.Stations))
	w.begin("exporter_messages_total", counter, "Messages of stations that were taken.")
	w.value(float64(o.Messages))
	w.begin("exporter_refused_messages_total", counter, "Messages that make no sense or are of nobody.")
	w.value(float64(o.Refused))
}

// writer makes samples of one family after another. A family without a sample leaves no trace.
type writer struct {
	b      strings.Builder
	head   string // not written yet
	name   string
	labels []byte
}

func (w *writer) begin(name, kind, help string) {
	w.name, w.labels = prefix+name, w.labels[:0]
	w.head = "# HELP " + w.name + " " + help + "\n# TYPE " + w.name + " " + kind + "\n"
}

// label adds one to all samples that follow, until the next station.
func (w *writer) label(name, value string) {
	if len(w.labels) > 0 {
		w.labels = append(w.labels, ',')
	}
	w.labels = append(append(w.labels, name...), `="`...)
	w.labels = append(append(w.labels, escape.Replace(strings.ToValidUTF8(value, " "))...), '"')
}

// escape is the format's own, not Go's.
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// value writes a sample; with pairs of further labels, if there are any.
func (w *writer) value(v float64, pairs ...string) {
	w.b.WriteString(w.head)
	w.head = ""
	before := len(w.labels)
	for i := 0; i+1 < len(pairs); i += 2 {
		w.label(pairs[i], pairs[i+1])
	}
	w.b.WriteString(w.name)
	if len(w.labels) > 0 {
		w.b.WriteByte('{')
		w.b.Write(w.labels)
		w.b.WriteByte('}')
	}
	w.b.WriteByte(' ')
	w.b.WriteString(number(v))
	w.b.WriteByte('\n')
	w.labels = w.labels[:before]
}

func number(v float64) string {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return "NaN"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// yes writes 1 or 0.
func (w *writer) yes(b bool, pairs ...string) {
	if b {
		w.value(1, pairs...)
	} else {
		w.value(0, pairs...)
	}
}

// maybe writes what is known.
func (w *writer) maybe(v *float64, pairs ...string) {
	if v != nil {
		w.value(*v, pairs...)
	}
}
