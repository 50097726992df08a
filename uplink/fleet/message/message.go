// Package message is what stations and their fleet say to each other: the one place where the messages have their shape. It
// knows no broker, no store and no clock; who produces the facts fills these structs, who tells or reads them (plain JSON
// today) finds topic and payload here. The JSON Schemas in schema/ say the same for other languages; a test holds the two
// together.
//
//	station-agent/<environment>/<station uuid>/state      retained, QoS 1  State      when it changes; last will
//	…/alarms     retained, QoS 1  Alarms     what stands, when that changes
//	…/events     QoS 1            Event      what was raised, cleared or happened: without a gap, in order
//	…/health     QoS 0            Health     at an interval and when a problem comes or goes
//	…/challenge  QoS 0            Challenge  between agents: is there another one of my name?
//	…/command    QoS 1            Envelope   from the fleet to the station, never retained
//	…/result     QoS 1            Result     what became of a command
//
// Names end in their unit: _s seconds, _bytes, _mb 1e6 bytes, _c degrees Celsius. Numbers are numbers; null is "never" or
// "not known", and times are RFC 3339 in UTC.
package message

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The leaves of the topics.
const (
	StateLeaf     = "state"
	AlarmsLeaf    = "alarms"
	EventsLeaf    = "events"
	HealthLeaf    = "health"
	ChallengeLeaf = "challenge"
	CommandLeaf   = "command"
	ResultLeaf    = "result"
)

// Retained are the leaves whose messages the broker keeps: what is cleared when a station leaves the fleet.
var Retained = []string{StateLeaf, AlarmsLeaf}

const root = "station-agent"

// Place is whose message it is. Both parts hold none of "/+#".
type Place struct{ Environment, Station string }

// Topic is the topic of one leaf, or with "+" a filter.
func (p Place) Topic(leaf string) string {
	return root + "/" + p.Environment + "/" + p.Station + "/" + leaf
}

// Read takes a topic apart; false for one that is none of ours.
func Read(topic string) (p Place, leaf string, ok bool) {
	parts := strings.Split(topic, "/")
	if len(parts) != 4 || parts[0] != root || parts[1] == "" || parts[2] == "" {
		return Place{}, "", false
	}
	return Place{parts[1], parts[2]}, parts[3], true
}

// Most is the longest payload that anybody has to take, in bytes.
const Most = 1 << 20

// Decode reads one payload. Unknown fields are those of a newer agent and no fault.
func Decode[T any](payload []byte) (v T, err error) {
	if len(payload) > Most {
		return v, fmt.Errorf("a message of %d bytes: at most %d are read", len(payload), Most)
	}
	if len(payload) == 0 {
		return v, errors.New("an empty message")
	}
	err = json.Unmarshal(payload, &v)
	return v, err
}

// Mode is the state of a station in one word.
type Mode string

// The modes.
//
//	init ──▶ ready ◀──▶ alert        alert: at least one problem stands
//	   any of them ──▶ updating      the agent stops for a new version
//	   any of them ──▶ disconnected  the agent was stopped
//	   any of them ──▶ lost          said by the broker: no word from the agent
//
// Closed is never sent: it is how one that watches reads "lost" or "disconnected" outside of the opening hours.
const (
	Init         Mode = "init"
	Ready        Mode = "ready"
	Alert        Mode = "alert"
	Updating     Mode = "updating"
	Disconnected Mode = "disconnected"
	Lost         Mode = "lost"
	Closed       Mode = "closed"
)

// State is the payload of the state topic, of the last will too. A "lost" whose session or connection is older than that of
// another state is about a connection that was replaced and says nothing.
type State struct {
	State       Mode      `json:"state"`
	Session     uint64    `json:"session"`    // number of the agent's start, increasing
	Connection  uint64    `json:"connection"` // of that start: its number, from 1
	Instance    string    `json:"instance"`   // of this start, random: two that live at a time are two agents
	At          time.Time `json:"at"`         // since when; for lost: when the connection that was lost began
	Version     string    `json:"version"`
	Station     string    `json:"station"` // uuid
	Environment string    `json:"environment"`
	Name        string    `json:"name"`       // for people
	Hours       []string  `json:"hours"`      // when the hall is open, such as "Mon-Fri 06:00-22:00"; empty: always
	TimeZone    string    `json:"time_zone"`  // of the hours, such as "Europe/Berlin"
	IntervalS   float64   `json:"interval_s"` // of health
}

// Severity tells how soon somebody has to look.
type Severity string

// The severities.
const (
	Critical Severity = "critical" // work stands still or something may be lost
	Warning  Severity = "warning"  // it goes on, and will not for ever
	Info     Severity = "info"     // to know
)

// Problem is one thing that is away or wrong now.
type Problem struct {
	Name     string    `json:"name"`     // the thing, such as "mysql" or "reader scanner"
	Code     string    `json:"code"`     // stable, for machines: "mysql_away"
	Severity Severity  `json:"severity"` //
	Since    time.Time `json:"since"`
	Text     string    `json:"text"`   // the thing, the reason and what to do
	Hint     string    `json:"hint"`   // what to do, whatever the reason
	LeftS    *float64  `json:"left_s"` // time left until something is lost; null: nothing will be, or nobody knows when
	Count    uint64    `json:"count"`  // failures since then
}

// Alarms is the payload of the alarms topic: what stands now.
type Alarms struct {
	Session uint64    `json:"session"`
	At      time.Time `json:"at"`
	Seq     uint64    `json:"seq"` // the newest event that is in it
	Alarms  []Problem `json:"alarms"`
}

// Kind is what an event tells.
type Kind string

// The kinds.
const (
	Raised  Kind = "raised"
	Cleared Kind = "cleared"
	Once    Kind = "once" // something happened that doesn't last: a start, a command
)

// Event is the payload of the events topic. Sequences of a store have no gap; one that came twice has the same number.
type Event struct {
	Seq          uint64    `json:"seq"`
	Store        string    `json:"store"` // id of the store that counts: another one begins anew
	Session      uint64    `json:"session"`
	Kind         Kind      `json:"kind"`
	At           time.Time `json:"at"`
	ClockTrusted bool      `json:"clock_trusted"`
	Historical   bool      `json:"historical"` // it is told late: it was not published when it happened
	Name         string    `json:"name"`
	Code         string    `json:"code"`
	Severity     Severity  `json:"severity"`
	Text         string    `json:"text"`
	Hint         string    `json:"hint"`
	LeftS        *float64  `json:"left_s"`
}

// Challenge is the payload of the challenge topic. An agent says Nonce now and then; another one with this name answers with
// its own instance and the nonce as Answers. Only live messages count, never retained ones.
type Challenge struct {
	Instance string `json:"instance"`
	Nonce    string `json:"nonce"`
	Answers  string `json:"answers"`
}

// Envelope is the payload of the command topic: a Command as JSON, byte by byte as it was signed.
type Envelope struct {
	Key       string `json:"key"` // id of the key; "" for an unsigned one
	Body      []byte `json:"body"`
	Signature []byte `json:"signature"` // Ed25519, see package command
}

// Command is what the fleet wants of one station.
type Command struct {
	Environment string          `json:"environment"`
	Station     string          `json:"station"`
	Command     string          `json:"command"`
	Args        json.RawMessage `json:"args"`
	Nonce       string          `json:"nonce"`     // of the sender, 16 to 64 characters: what makes it one command, and names its result
	Expires     time.Time       `json:"expires"`   // ten minutes ahead at most
	Challenge   string          `json:"challenge"` // that the station gave, in place of a time; "" for none
}

// Status is what became of a command.
type Status string

// The statuses.
const (
	Started    Status = "started"    // another result follows
	Done       Status = "done"       //
	Refused    Status = "refused"    // not tried: not signed, too late, no such command, wrong arguments
	Failed     Status = "failed"     // tried
	Challenged Status = "challenged" // the station trusts no clock: sign again with its challenge
)

// Result is the payload of the result topic.
type Result struct {
	Nonce     string          `json:"nonce"` // of the command
	Command   string          `json:"command"`
	Status    Status          `json:"status"`
	Text      string          `json:"text"` // for people
	Challenge string          `json:"challenge"`
	Session   uint64          `json:"session"`
	At        time.Time       `json:"at"`
	Part      int             `json:"part"`  // from 1, of data that doesn't fit into one message
	Parts     int             `json:"parts"` //
	Data      json.RawMessage `json:"data"`  // null, or what the command gives
}
