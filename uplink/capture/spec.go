package capture

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"station-agent/store/record"
)

// Spec names a table that is captured, and what of it. Every part of a station's capture uses the same *Spec for a table.
type Spec struct {
	Schema, Name string
	Key          []string // the columns of the primary key, in its order
	Station      string   // the column with the UUID of the station where the row is now, or NULL; "": all rows are ours
	Updated      string   // the column that the server sets at each change (TIMESTAMP or DATETIME); polling needs it
	Database     string   // the database's name in records; "": the schema
	As           string   // the collection's name in records; "": the table's in small letters

	Quiet   bool // what stands there when capture begins is noted and not reported
	Restate bool // after a gap each row is reported once more, also one that is as the Shadow has it

	Include []string // the columns that make the payload; none: all
	Exclude []string // but not these
	Hashed  []string // of these the payload has the SHA-256 only
	Watch   []string // a change of these makes a record, of others none; none named: all of the payload
	Tracked bool     // it has the columns of Tracking, into which the agent writes: they are in no payload, and a change of them alone makes no record, even if Updated moves with them
}

// Tracking are the columns of Certyo's MySQL guide in which a customer's own row shows how its record stands.
func Tracking() []string {
	return []string{"certyo_record_hash", "certyo_anchor_status", "certyo_verified_at"}
}

func (s *Spec) tracks(column string) bool {
	return s.Tracked && slices.ContainsFunc(Tracking(), func(c string) bool { return strings.EqualFold(c, column) })
}

// Buylo is the preset for the table that Buylo's bridge shares, buylo_products (Buylo's bridge guide).
func Buylo(schema string) *Spec {
	return &Spec{
		Schema: schema, Name: "buylo_products", Key: []string{"hash"}, Station: "buylo_active_packing_station_uuid", Updated: "updated_at",
	}
}

// Collection is the table's name in a record.
func (s *Spec) Collection() string {
	if s.As != "" {
		return s.As
	}
	return strings.ToLower(s.Name)
}

func (s *Spec) database() string {
	if s.Database != "" {
		return s.Database
	}
	return s.Schema
}

// Reports tells whether r is about a row of the table.
func (s *Spec) Reports(r *record.Record) bool {
	return r.Collection == s.Collection() && r.Database == s.database()
}

// String is schema and table for a person.
func (s *Spec) String() string { return s.Schema + "." + s.Name }

// Own is how the names of the agent's own tables begin. They are never captured.
const Own = "station_agent_"

// Check tells what can't be right, without a look at the table.
func (s *Spec) Check() error {
	switch {
	case s.Schema == "" || s.Name == "" || len(s.Key) == 0 || slices.Contains(s.Key, ""):
		return fmt.Errorf("check table %s: schema, name and key must be given", s)
	case strings.HasPrefix(strings.ToLower(s.Name), Own) || strings.HasPrefix(s.Collection(), Own):
		return fmt.Errorf("check table %s: tables and collections of the agent itself (%s…) are never captured", s, Own)
	case len(s.Include) > 0 && len(s.Exclude) > 0:
		return fmt.Errorf("check table %s: name the columns to include or those to exclude, not both", s)
	}
	if i := slices.IndexFunc(slices.Concat(s.Key, s.Include, []string{s.Station, s.Updated}), s.tracks); i >= 0 {
		return fmt.Errorf("check table %s: the columns %s are the agent's to write: they can't be key, included, station or updated", s, strings.Join(Tracking(), ", "))
	}
	for _, c := range slices.Concat(s.Hashed, s.Watch) {
		if !s.shows(c) {
			return fmt.Errorf("check table %s: column %s is to be hashed or watched, but it is not in the payload", s, c)
		}
	}
	for _, c := range s.Key {
		if slices.Contains(s.Hashed, c) {
			return fmt.Errorf("check table %s: column %s names the row and can't be hashed", s, c)
		}
	}
	return nil
}

// CheckAll checks every table, and that their collections differ.
func CheckAll(tables []*Spec) error {
	seen := make(map[string]*Spec)
	for _, s := range tables {
		if err := s.Check(); err != nil {
			return err
		}
		if other := seen[s.Collection()]; other != nil {
			return fmt.Errorf("check tables %s and %s: both have the collection %s: name another one", other, s, s.Collection())
		}
		if strings.Contains(s.Collection(), ",") {
			return fmt.Errorf("check table %s: the collection %s has a comma in its name", s, s.Collection())
		}
		seen[s.Collection()] = s
	}
	return nil
}

// shows tells whether the column is in the payload.
func (s *Spec) shows(column string) bool {
	return (len(s.Include) == 0 || slices.Contains(s.Include, column)) && !slices.Contains(s.Exclude, column) && !s.tracks(column)
}

// columns are the names that the table must have.
func (s *Spec) columns() []string {
	list := slices.Concat(s.Key, s.Include, s.Exclude, s.Hashed, s.Watch)
	for _, c := range []string{s.Station, s.Updated} {
		if c != "" {
			list = append(list, c)
		}
	}
	return list
}

var errUnfit = errors.New("check schema, table and columns in the configuration")
