package capture

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unsafe"
)

// Table is the layout of one captured table at one moment of the stream. It is never changed once made.
type Table struct {
	*Spec
	Columns []Column // in the table's order

	key     []int
	station int     // -1: none
	updated int     // -1: none
	order   []field // of the payload, in the order of their names
	dates   []int   // columns of the payload that may hold a zero date, in the order of their names
}

// Zeros is the field of a payload that lists the columns with a zero date (0000-00-00). It is there only if there are any.
const Zeros = Own + "zero_dates"

type field struct {
	column int    // -1: Zeros
	head   []byte // the name as JSON and a colon
	hashed bool
}

// NewTable makes the layout of the table that spec names.
func NewTable(spec *Spec, columns []Column) (*Table, error) {
	t := &Table{Spec: spec, Columns: columns, station: -1, updated: -1}
	at := make(map[string]int, len(columns))
	for i, c := range columns {
		at[c.Name] = i
		if spec.shows(c.Name) {
			t.order = append(t.order, field{i, append(appendString(nil, c.Name), ':'), slices.Contains(spec.Hashed, c.Name)})
		}
	}
	for _, name := range spec.columns() {
		if _, ok := at[name]; !ok {
			return nil, fmt.Errorf("read layout of %s: it has no column %s: %w", spec, name, errUnfit)
		}
	}
	for _, name := range spec.Key {
		if c := &columns[at[name]]; !c.identifies() {
			return nil, fmt.Errorf("read layout of %s: column %s has a type that can't be a key here: %w", spec, name, errUnfit)
		}
		t.key = append(t.key, at[name])
	}
	if spec.Station != "" {
		t.station = at[spec.Station]
	}
	if spec.Updated != "" {
		t.updated = at[spec.Updated]
		if k := columns[t.updated].Kind; k != Timestamp && k != Datetime {
			return nil, fmt.Errorf("read layout of %s: column %s is neither TIMESTAMP nor DATETIME: %w", spec, spec.Updated, errUnfit)
		}
	}
	sort.Slice(t.order, func(i, k int) bool { return columns[t.order[i].column].Name < columns[t.order[k].column].Name })
	for _, f := range t.order {
		if columns[f.column].dates() {
			t.dates = append(t.dates, f.column)
		}
	}
	if len(t.dates) > 0 {
		at, _ := slices.BinarySearchFunc(t.order, Zeros, func(f field, name string) int { return strings.Compare(columns[f.column].Name, name) })
		t.order = slices.Insert(t.order, at, field{column: -1, head: append(appendString(nil, Zeros), ':')})
	}
	return t, nil
}

var errShort = errors.New("the row has another number of columns than the table")

// AppendPayload appends the row as canonical JSON: one object, its names in byte order, values as Column says, nothing
// between the tokens. Of a hashed column it has {"sha256":"…"} over the value's JSON.
func (t *Table) AppendPayload(dst []byte, row []any) ([]byte, error) {
	if len(row) != len(t.Columns) {
		return dst, fmt.Errorf("map row of %s: %w", t.Spec, errShort)
	}
	dst = append(dst, '{')
	begun := len(dst)
	for _, f := range t.order {
		if f.column < 0 && !slices.ContainsFunc(t.dates, func(i int) bool { return zeroDate(row[i]) }) {
			continue
		}
		if len(dst) > begun {
			dst = append(dst, ',')
		}
		dst = append(dst, f.head...)
		if f.column < 0 {
			dst = t.appendZeros(dst, row)
			continue
		}
		from := len(dst)
		var err error
		if dst, err = t.Columns[f.column].Append(dst, row[f.column]); err != nil {
			return dst, fmt.Errorf("map column %s of %s: %w", t.Columns[f.column].Name, t.Spec, err)
		}
		if f.hashed && row[f.column] != nil { // a zero date counts as one that is there
			sum := sha256.Sum256(dst[from:])
			dst = append(dst[:from], `{"sha256":"`...)
			dst = append(hex.AppendEncode(dst, sum[:]), `"}`...)
		}
	}
	return append(dst, '}'), nil
}

// appendZeros appends the names of the columns with a zero date.
func (t *Table) appendZeros(dst []byte, row []any) []byte {
	dst = append(dst, '[')
	for _, i := range t.dates {
		if !zeroDate(row[i]) {
			continue
		}
		if dst[len(dst)-1] != '[' {
			dst = append(dst, ',')
		}
		dst = appendString(dst, t.Columns[i].Name)
	}
	return append(dst, ']')
}

// SameBut tells whether two payloads of the table say the same but for the time of the last change.
func (s *Spec) SameBut(a, b []byte) bool {
	one := Spec{Updated: s.Updated, Tracked: true}
	return !one.differs(a, b)
}

// Where is the condition that finds the row with an ID, and its parameters.
func (t *Table) Where(id string) (condition string, args []any) { return t.among([]string{id}) }

// differs tells whether two payloads of the table differ in a column that makes a record. One that can't be read differs.
func (s *Spec) differs(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return false
	}
	if len(s.Watch) == 0 && !s.Tracked {
		return true
	}
	var x, y map[string]json.RawMessage
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return true
	}
	if len(s.Watch) == 0 {
		delete(x, s.Updated)
		delete(y, s.Updated)
		return !maps.EqualFunc(x, y, func(v, w json.RawMessage) bool { return bytes.Equal(v, w) })
	}
	return slices.ContainsFunc(s.Watch, func(c string) bool { return !bytes.Equal(x[c], y[c]) })
}

// moved tells whether a row that was found differs from the one that is known, in what makes a record. A column that only one
// of them has is none: the table was altered between the two.
func (s *Spec) moved(known, found []byte) bool {
	if !s.differs(known, found) || len(s.Watch) > 0 {
		return s.differs(known, found)
	}
	var x, y map[string]json.RawMessage
	if json.Unmarshal(known, &x) != nil || json.Unmarshal(found, &y) != nil {
		return true
	}
	for name, v := range x {
		if w, both := y[name]; both && !bytes.Equal(v, w) && !(s.Tracked && name == s.Updated) {
			return true
		}
	}
	return false
}

// Zoneless tells whether the time of the last change is a DATETIME.
func (t *Table) Zoneless() bool { return t.updated >= 0 && t.Columns[t.updated].Kind == Datetime }

// partial tells whether a row can change without a record.
func (t *Table) partial() bool {
	return t.Tracked || len(t.Watch) > 0 || len(t.Include)+len(t.Exclude) > 0
}

// Needs tells whether anything is made of the column: of another one nothing has to be read.
func (t *Table) Needs(i int) bool {
	return t.names(i) || i == t.station || i == t.updated || t.shows(t.Columns[i].Name)
}

// names tells whether the column is in the key.
func (t *Table) names(i int) bool { return slices.Contains(t.key, i) }

// ID is the row's primary key as text. The parts of a longer key are joined by "/"; in them "/" is written %2F, and "%" is
// %25. Bytes are hexadecimal.
func (t *Table) ID(row []any) string {
	if len(t.key) == 1 {
		return strings.Clone(t.Columns[t.key[0]].id(row, t.key[0]))
	}
	var b strings.Builder
	for i, k := range t.key {
		if i > 0 {
			b.WriteByte('/')
		}
		b.WriteString(escape(t.Columns[k].id(row, k)))
	}
	return b.String()
}

func escape(part string) string {
	return strings.ReplaceAll(strings.ReplaceAll(part, "%", "%25"), "/", "%2F")
}

// keys gives the parts of an ID.
func (t *Table) keys(id string) []string {
	if len(t.key) == 1 {
		return []string{id}
	}
	parts := strings.Split(id, "/")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(p, "%2F", "/"), "%25", "%")
	}
	return parts
}

// shortID is ID in the source's buffer, if the key is one column of text.
func (t *Table) shortID(row []any) string {
	if len(t.key) == 1 && t.Columns[t.key[0]].Kind == Text {
		return plain(row, t.key[0])
	}
	return t.ID(row)
}

// Place is the UUID of the station where the row is, in small letters; "" if it is on none.
func (t *Table) Place(row []any) string { return strings.ToLower(strings.Clone(plain(row, t.station))) }

// standsAt tells whether the row is at the station, without allocating.
func (t *Table) standsAt(row []any, uuid string) bool {
	return strings.EqualFold(plain(row, t.station), uuid)
}

// plain is the text of one value; it may lie in the source's buffer.
func plain(row []any, i int) string {
	if i < 0 || i >= len(row) {
		return ""
	}
	switch v := row[i].(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	case *[]byte:
		return unsafe.String(unsafe.SliceData(*v), len(*v))
	case *int64:
		return strconv.FormatInt(*v, 10)
	case *float64:
		return strconv.FormatFloat(*v, 'g', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}
