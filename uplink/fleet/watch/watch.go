// Package watch is what the fleet's side knows of all stations of one environment, and how it judges them. It takes what the
// broker hands over and a time, and gives rows: it knows no broker, no terminal and no clock, so that its tests need none.
//
//	message ──▶ Fleet.Hear ──▶ per station: state, health, alarms, newest events, gaps, instances
//	inventory ─────────────▶ Fleet.Expect
//	time ──▶ Fleet.View ──▶ rows, worst first, and causes that many stations share
//
// It promises that nothing in a message can hurt who watches: every text is one printable line of bounded length, every list
// is bounded, a message that makes no sense is counted and left out. An old will never buries a newer state. Ages go on
// between messages. What a person acknowledged or put under maintenance comes from a Book.
package watch

import (
	"time"

	"station-agent/uplink/fleet/message"
)

// Bounds of what is kept, whatever is sent.
const (
	mostStations = 20_000
	mostEvents   = 200 // of one station, for who asked for so many
	mostGaps     = 20
	mostProblems = 100
	mostParts    = 64 // readers, tables and lanes of one station
)

// Config says what is watched.
type Config struct {
	Environment string
	// Open tells whether the hall of a station is open; nil for always.
	Open func(message.State, time.Time) bool
	// Events is how many of each station are kept, 1 to 200; 0 for 1.
	Events int
	Book   *Book // nil: nothing is acknowledged and there is no maintenance
}

// Message is one message of the broker and the time when it came.
type Message struct {
	Topic    string
	Payload  []byte
	Retained bool
	At       time.Time
}

// Fleet is all stations of an environment. It is for one goroutine.
type Fleet struct {
	cfg      Config
	stations map[string]*station
	up       time.Time // since when the broker is there; zero while it isn't
	messages uint64
	refused  uint64
}

// New makes an empty Fleet.
func New(cfg Config) *Fleet {
	cfg.Events = min(max(cfg.Events, 1), mostEvents)
	if cfg.Open == nil {
		cfg.Open = func(message.State, time.Time) bool { return true }
	}
	if cfg.Book == nil {
		cfg.Book = &Book{}
	}
	return &Fleet{cfg: cfg, stations: map[string]*station{}}
}

// Filters are what to subscribe to: all but the commands. What the broker keeps comes last: no answer of it waits behind that then.
func Filters(environment string) (filters []string) {
	for _, leaf := range []string{message.ChallengeLeaf, message.EventsLeaf, message.HealthLeaf, message.AlarmsLeaf, message.StateLeaf} {
		filters = append(filters, message.Place{Environment: environment, Station: "+"}.Topic(leaf))
	}
	return filters
}

// Expect adds the stations of an inventory: those that never say a word are rows all the same.
func (f *Fleet) Expect(list []Listed) {
	for _, l := range list {
		if s := f.station(l.Station); s != nil {
			s.listed, s.given = true, l.Name
		}
	}
}

// Connected says that the broker is there, and that all was subscribed to anew.
func (f *Fleet) Connected(at time.Time) {
	f.up = at
	for _, s := range f.stations {
		s.fresh() // what passed meanwhile was not heard: no fault of the station
	}
}

// Away says that the broker is not there: who is silent now is not known.
func (f *Fleet) Away() { f.up = time.Time{} }

// Up tells whether the broker is there.
func (f *Fleet) Up() bool { return !f.up.IsZero() }

// Counts tells how many messages were taken and how many refused as none of ours, or as broken.
func (f *Fleet) Counts() (messages, refused uint64) { return f.messages, f.refused }

// station finds or makes one; nil if there are too many, or if id is none.
func (f *Fleet) station(id string) *station {
	s := f.stations[id]
	if s == nil && isUUID(id) && len(f.stations) < mostStations {
		s = &station{id: id}
		f.stations[id] = s
	}
	return s
}

// Hear takes one message. It tells whose it is, "" if it doesn't count.
func (f *Fleet) Hear(m Message) (station string) {
	p, leaf, ok := message.Read(m.Topic)
	if !ok || p.Environment != f.cfg.Environment || !isUUID(p.Station) {
		f.refused++
		return ""
	}
	if len(m.Payload) == 0 {
		return f.cleared(p.Station, leaf)
	}
	s := f.station(p.Station)
	if s == nil || !s.hear(leaf, m, f.cfg.Events) {
		f.refused++
		if s != nil && s.empty() {
			delete(f.stations, p.Station)
		}
		return ""
	}
	f.messages++
	return p.Station
}

// cleared takes an empty message: with that a station's retained topics are cleared when it leaves the fleet.
func (f *Fleet) cleared(id, leaf string) string {
	s := f.stations[id]
	if s == nil || leaf != message.StateLeaf && leaf != message.AlarmsLeaf {
		return ""
	}
	f.messages++
	if leaf == message.AlarmsLeaf {
		s.alarms, s.alarmsKnown = nil, false
		return id
	}
	delete(f.stations, id)
	if s.listed {
		f.stations[id] = &station{id: id, listed: true, given: s.given}
	}
	return id
}

// isUUID tells whether s is a UUID in small letters, as topics have it.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
