package capture

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Spec names a table that is captured, and the columns that capture itself must understand.
type Spec struct {
	Schema, Name string
	Key          string // the primary key, one column
	Station      string // the column that holds the UUID of the station where the row is now, or NULL
}

// Buylo is the preset for the table that Buylo's bridge shares, buylo_products (Buylo's bridge guide).
func Buylo(schema string) Spec {
	return Spec{Schema: schema, Name: "buylo_products", Key: "hash", Station: "buylo_active_packing_station_uuid"}
}

// Collection is the table's name in a record.
func (s Spec) Collection() string { return strings.ToLower(s.Name) }

// String is schema and table for a person.
func (s Spec) String() string { return s.Schema + "." + s.Name }

// Own is how the names of the agent's own tables begin. They are never captured.
const Own = "station_agent_"

func (s Spec) check() error {
	if s.Schema == "" || s.Name == "" || s.Key == "" || s.Station == "" {
		return fmt.Errorf("check table %s: schema, name, key and station column must be given", s)
	}
	if strings.HasPrefix(s.Collection(), Own) {
		return fmt.Errorf("check table %s: tables of the agent itself (%s…) are never captured", s, Own)
	}
	return nil
}

// Table is the layout of one captured table at one moment of the stream. It is never changed once made.
type Table struct {
	Spec
	Columns []Column // in the table's order

	key, station int
	order        []field // in the order of their names
}

type field struct {
	column int
	head   []byte // the name as JSON and a colon
}

// NewTable makes the layout of the table that spec names.
func NewTable(spec Spec, columns []Column) (*Table, error) {
	t := &Table{Spec: spec, Columns: columns, key: -1, station: -1}
	for i, c := range columns {
		switch c.Name {
		case spec.Key:
			t.key = i
		case spec.Station:
			t.station = i
		}
		t.order = append(t.order, field{i, append(appendString(nil, c.Name), ':')})
	}
	if t.key < 0 || t.station < 0 {
		return nil, fmt.Errorf("read layout of %s: it has no column %s or no column %s: check schema and table in the configuration", spec, spec.Key, spec.Station)
	}
	slices.SortFunc(t.order, func(a, b field) int { return strings.Compare(columns[a.column].Name, columns[b.column].Name) })
	return t, nil
}

var errShort = errors.New("the row has another number of columns than the table")

// AppendPayload appends the row as canonical JSON: one object, its names in byte order, values as Column says, nothing
// between the tokens.
func (t *Table) AppendPayload(dst []byte, row []any) ([]byte, error) {
	if len(row) != len(t.Columns) {
		return dst, fmt.Errorf("map row of %s: %w", t.Spec, errShort)
	}
	dst = append(dst, '{')
	for i, f := range t.order {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, f.head...)
		var err error
		if dst, err = t.Columns[f.column].Append(dst, row[f.column]); err != nil {
			return dst, fmt.Errorf("map column %s of %s: %w", t.Columns[f.column].Name, t.Spec, err)
		}
	}
	return append(dst, '}'), nil
}

// ID is the row's primary key as text.
func (t *Table) ID(row []any) string { return strings.Clone(plain(row, t.key)) }

// Place is the UUID of the station where the row is, in small letters; "" if it is on none.
func (t *Table) Place(row []any) string { return strings.ToLower(strings.Clone(plain(row, t.station))) }

// standsAt tells whether the row is at the station, without allocating.
func (t *Table) standsAt(row []any, uuid string) bool {
	return strings.EqualFold(plain(row, t.station), uuid)
}

// plain is the text of one value; it may lie in the source's buffer.
func plain(row []any, i int) string {
	if i >= len(row) {
		return ""
	}
	switch v := row[i].(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	default:
		return fmt.Sprint(v)
	}
}
