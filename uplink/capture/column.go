package capture

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Kind is how a column's values become JSON.
type Kind uint8

// The kinds: the one type table of all ways of capture. NULL is null in every kind, and so is a zero date, which the field
// Zeros names.
const (
	Integer   Kind = iota + 1 // number; TINYINT to BIGINT, unsigned up to INT UNSIGNED
	Big                       // text, for it passes 2⁵³: BIGINT UNSIGNED and BIT, in decimal
	Decimal                   // text as the server prints it, without leading zeros: "12.30"
	Float                     // number, shortest that reads back as the same 32 bits
	Double                    // number, shortest that reads back as the same 64 bits
	Text                      // text; bytes that are no UTF-8: {"base64":"…"}
	Bytes                     // base64 as text: BINARY (padded to its length), VARBINARY, BLOB, GEOMETRY, VECTOR
	Timestamp                 // RFC 3339 in UTC with the column's fraction: "2026-05-19T11:41:01.250Z"
	Datetime                  // text without a zone: "2026-05-19 11:41:01.250"
	Date                      // "2026-05-19"
	Time                      // "-12:30:00.5" with the column's fraction
	Year                      // "2026"
	Enum                      // its label; "" for the error value
	Set                       // its labels in the table's order, joined by commas
	Document                  // MySQL's JSON: the document in canonical form, as text
)

// Column is one column of a Table.
//
// A value comes in as the source gives it: nil, any Go integer, float32, float64, string or []byte, or a pointer to an int64,
// float64 or []byte. Text of every kind may come as string or []byte, written as MySQL prints it; a Timestamp in UTC.
type Column struct {
	Name     string
	Kind     Kind
	Unsigned bool     // of an Integer
	Size     int      // Integer: its bytes; Bytes: the length of a BINARY, 0 if it varies
	Fraction int      // digits behind the second
	Labels   []string // of an Enum or Set
	Charset  string   // of Text, if known
}

var errValue = errors.New("the value doesn't fit the column")

// dates tells whether the column may hold a zero date.
func (c *Column) dates() bool { return c.Kind == Date || c.Kind == Datetime || c.Kind == Timestamp }

// zeroDate tells whether a value of such a column is one.
func zeroDate(v any) bool {
	const zero = "0000-00-00"
	switch v := v.(type) {
	case string:
		return strings.HasPrefix(v, zero)
	case []byte:
		return bytes.HasPrefix(v, []byte(zero))
	case *[]byte:
		return bytes.HasPrefix(*v, []byte(zero))
	}
	return false
}

// Append appends one value as canonical JSON.
func (c *Column) Append(dst []byte, v any) ([]byte, error) {
	if v == nil || c.dates() && zeroDate(v) {
		return append(dst, "null"...), nil
	}
	switch c.Kind {
	case Integer, Big:
		return c.appendInteger(dst, v)
	case Float:
		return appendReal(dst, v, 32)
	case Double:
		return appendReal(dst, v, 64)
	case Bytes:
		b, err := textOf(v)
		for len(b) < c.Size { // the log leaves the trailing zeros of a BINARY out
			b = append(b[:len(b):len(b)], 0)
		}
		return appendBase64(dst, b), err
	case Enum:
		return c.appendEnum(dst, v)
	case Set:
		return c.appendSet(dst, v)
	case Year:
		return appendYear(dst, v)
	}
	switch v := v.(type) {
	case string:
		return appendText(dst, c, v)
	case []byte:
		return appendText(dst, c, v)
	case *[]byte:
		return appendText(dst, c, *v)
	}
	return dst, badValue(v)
}

func badValue(v any) error { return fmt.Errorf("%w: %T", errValue, v) }

// identifies tells whether values of the column can name a row: their text must come out the same by all ways, and a
// question with that text must find the row.
func (c *Column) identifies() bool {
	switch c.Kind {
	case Float, Double, Document, Timestamp, Set, Enum:
		return false
	case Text:
		return c.unicode()
	case Big:
		return c.Size > 0 // BIT is not
	}
	return true
}

// unicode tells whether the column's text is UTF-8 as it stands.
func (c *Column) unicode() bool {
	return strings.HasPrefix(c.Charset, "utf8") || c.Charset == "ascii" || c.Charset == ""
}

// id is the text of a value in a row's ID; it may lie in the source's buffer.
func (c *Column) id(row []any, i int) string {
	if i >= len(row) || row[i] == nil {
		return ""
	}
	switch c.Kind {
	case Text:
		return plain(row, i)
	case Bytes:
		b, _ := textOf(row[i])
		for len(b) < c.Size {
			b = append(b[:len(b):len(b)], 0)
		}
		return hex.EncodeToString(b)
	}
	b, err := c.Append(nil, row[i])
	if err != nil {
		return plain(row, i)
	}
	var text string
	if json.Unmarshal(b, &text) == nil {
		return text
	}
	return string(b)
}

// match is the condition that finds a row by the text of its ID in the column.
func (c *Column) match() string { return Quote(c.Name) + " = " + c.param() }

// param is the placeholder for the text of an ID.
func (c *Column) param() string {
	switch c.Kind {
	case Bytes:
		return "UNHEX(?)"
	case Decimal: // MariaDB would compare it with text as floating-point numbers
		return "CAST(? AS DECIMAL(65,30))"
	}
	return "?"
}

// appendText appends a value that is text already.
func appendText[S string | []byte](dst []byte, c *Column, s S) ([]byte, error) {
	switch c.Kind {
	case Text, Date:
		return appendString(dst, s), nil
	case Decimal:
		return appendString(dst, trimDecimal(string(s))), nil
	case Timestamp, Datetime, Time:
		return appendMoment(dst, s, c.Fraction, c.Kind == Timestamp), nil
	case Document:
		doc, err := appendDocument(nil, []byte(s))
		if err != nil {
			return appendString(dst, s), nil // an empty document of a careless session: as it is
		}
		return appendString(dst, doc), nil
	}
	return dst, fmt.Errorf("%w: kind %d", errValue, c.Kind)
}

func (c *Column) appendInteger(dst []byte, v any) ([]byte, error) {
	var n int64
	switch v := v.(type) {
	case int8:
		n = int64(v)
	case int16:
		n = int64(v)
	case int32:
		n = int64(v)
	case int64:
		n = v
	case *int64:
		n = *v
	case int:
		n = int64(v)
	case uint8:
		n = int64(v)
	case uint16:
		n = int64(v)
	case uint32:
		n = int64(v)
	case uint64:
		n = int64(v) // the same bits
	default:
		text, err := textOf(v)
		if err != nil {
			return dst, err
		}
		return c.appendDigits(dst, string(text))
	}
	if c.Kind == Big {
		return append(strconv.AppendUint(append(dst, '"'), uint64(n), 10), '"'), nil
	}
	if c.Unsigned && n < 0 && c.Size > 0 && c.Size < 8 {
		n &= 1<<(8*c.Size) - 1 // a log without the table's signs shows the same bits as signed
	}
	return strconv.AppendInt(dst, n, 10), nil
}

// appendDigits appends an integer that is text: ZEROFILL pads it with zeros.
func (c *Column) appendDigits(dst []byte, s string) ([]byte, error) {
	if c.Kind == Big {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return dst, badValue(s)
		}
		return append(strconv.AppendUint(append(dst, '"'), n, 10), '"'), nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return dst, badValue(s)
	}
	return strconv.AppendInt(dst, n, 10), nil
}

func appendReal(dst []byte, v any, bits int) ([]byte, error) {
	switch v := v.(type) {
	case float32:
		return appendFloat(dst, float64(v), bits), nil
	case float64:
		return appendFloat(dst, v, bits), nil
	case *float64:
		return appendFloat(dst, *v, bits), nil
	}
	text, err := textOf(v)
	if err != nil {
		return dst, err
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return dst, badValue(v)
	}
	return appendFloat(dst, f, bits), nil
}

func appendYear(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case int:
		return fmt.Appendf(dst, `"%04d"`, v), nil
	case *int64:
		return fmt.Appendf(dst, `"%04d"`, *v), nil
	}
	text, err := textOf(v)
	return appendString(dst, text), err
}

// index is the number of an ENUM's label, or the bits of a SET.
func index(v any) (n int64, ok bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case *int64:
		return *v, true
	}
	return 0, false
}

func (c *Column) appendEnum(dst []byte, v any) ([]byte, error) {
	n, ok := index(v)
	if !ok {
		text, err := textOf(v)
		return appendString(dst, text), err
	}
	if n == 0 {
		return append(dst, `""`...), nil
	}
	if n < 0 || n > int64(len(c.Labels)) {
		return dst, fmt.Errorf("%w: number %d of %d labels", errValue, n, len(c.Labels))
	}
	return appendString(dst, c.Labels[n-1]), nil
}

func (c *Column) appendSet(dst []byte, v any) ([]byte, error) {
	n, ok := index(v)
	if !ok {
		text, err := textOf(v)
		return appendString(dst, text), err
	}
	var in []string
	for i, label := range c.Labels {
		if uint64(n)>>i&1 == 1 {
			in = append(in, label)
		}
	}
	if len(c.Labels) < 64 && uint64(n)>>len(c.Labels) != 0 {
		return dst, fmt.Errorf("%w: bits %b of %d labels", errValue, n, len(c.Labels))
	}
	return appendString(dst, strings.Join(in, ",")), nil
}

func textOf(v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return []byte(v), nil
	case []byte:
		return v, nil
	case *[]byte:
		return *v, nil
	}
	return nil, badValue(v)
}

// trimDecimal takes the leading zeros off that ZEROFILL puts there.
func trimDecimal(s string) string {
	for len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9' {
		s = s[1:]
	}
	return s
}
