package capture

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

var errNoTable = errors.New("there is no such table, or the account may not see it: check the name and GRANT SELECT on it")

// ReadTable asks the server for the layout of a table as it is now.
func ReadTable(ctx context.Context, db Querier, spec *Spec) (*Table, error) {
	rows, err := db.QueryContext(ctx, `SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, COALESCE(CHARACTER_SET_NAME, ''),
		COALESCE(CHARACTER_OCTET_LENGTH, 0), COALESCE(DATETIME_PRECISION, 0)
		FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION`, spec.Schema, spec.Name)
	if err != nil {
		return nil, fmt.Errorf("read layout of %s: %w", spec, err)
	}
	defer rows.Close()
	var columns []Column
	for rows.Next() {
		var name, data, full, charset string
		var octets uint64
		var digits int
		if err := rows.Scan(&name, &data, &full, &charset, &octets, &digits); err != nil {
			return nil, fmt.Errorf("read layout of %s: %w", spec, err)
		}
		c, err := column(name, data, full, charset, octets, digits)
		if err != nil {
			return nil, fmt.Errorf("read layout of %s: %w", spec, err)
		}
		columns = append(columns, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read layout of %s: %w", spec, err)
	}
	if columns == nil {
		return nil, fmt.Errorf("read layout of %s: %w", spec, errNoTable)
	}
	return NewTable(spec, columns)
}

// kindOf is the Kind of a type of information_schema (DATA_TYPE), 0 if capture can't map it.
func kindOf(data string) Kind {
	switch data {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		return Integer
	case "bit":
		return Big
	case "decimal":
		return Decimal
	case "float":
		return Float
	case "double":
		return Double
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext":
		return Text
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector", "geometry", "point", "linestring",
		"polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection":
		return Bytes
	case "timestamp":
		return Timestamp
	case "datetime":
		return Datetime
	case "time":
		return Time
	case "date":
		return Date
	case "year":
		return Year
	case "enum":
		return Enum
	case "set":
		return Set
	case "json":
		return Document
	}
	return 0
}

// column makes a Column of what information_schema says: data is the bare type, full the type with length, sign and
// labels.
func column(name, data, full, charset string, octets uint64, digits int) (Column, error) {
	data = strings.ToLower(data)
	c := Column{Name: name, Kind: kindOf(data), Charset: charset, Unsigned: strings.Contains(strings.ToLower(full), " unsigned")}
	switch c.Kind {
	case 0:
		return c, fmt.Errorf("column %s has the type %s, which capture can't map", name, full)
	case Integer:
		c.Size = map[string]int{"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8}[data]
		if c.Size == 8 && c.Unsigned {
			c.Kind = Big
		}
	case Bytes:
		if data == "binary" {
			c.Size = int(octets)
		}
	case Timestamp, Datetime, Time:
		c.Fraction = digits
	case Enum, Set:
		c.Labels = labels(full)
	}
	return c, nil
}

// labels reads the labels of enum('a','b”c').
func labels(full string) []string {
	_, rest, _ := strings.Cut(full, "(")
	var out []string
	for {
		_, after, found := strings.Cut(rest, "'")
		if !found {
			return out
		}
		var label strings.Builder
		for {
			part, tail, closed := strings.Cut(after, "'")
			label.WriteString(part)
			after = tail
			if !closed || !strings.HasPrefix(tail, "'") {
				break
			}
			label.WriteByte('\'') // a doubled quote is one in the label
			after = tail[1:]
		}
		out = append(out, label.String())
		rest = after
	}
}

// expression is how a snapshot asks for the column, so that the answer depends neither on the session's time zone and
// character set nor on the driver's options. Of is what stands before the name, such as "p.", or "".
func (c *Column) expression(of string) string {
	name := of + Quote(c.Name)
	switch c.Kind {
	case Timestamp:
		return "UNIX_TIMESTAMP(" + name + ")" // no way through local time, which repeats an hour a year
	case Float, Double:
		return "(" + name + "+0e0)" // a FLOAT is printed with six digits otherwise
	case Datetime, Date, Time, Year, Enum, Set, Decimal, Document, Integer:
		return "CAST(" + name + " AS CHAR)"
	case Big:
		return "CAST(" + name + "+0 AS CHAR)" // BIT would come as bytes
	case Text:
		if c.unicode() {
			return name
		}
		return "CAST(" + name + " AS BINARY)" // the bytes that stand in the log
	}
	return name
}

// Image is what a trigger writes of a column: the bytes of what expression would give, whatever the session that fires it has
// for a time zone or character set. Row is OLD or NEW.
func (c *Column) Image(row string) string {
	name := row + "." + Quote(c.Name)
	switch c.Kind {
	case Timestamp:
		name = "IF(" + name + " IS NULL, NULL, COALESCE(UNIX_TIMESTAMP(" + name + "), 0))" // MariaDB's is NULL for a zero date there
	case Float:
		name = "(" + name + "+0e0)"
	case Double: // MySQL cuts the text of a number off behind 22 characters, but not in a document
		name = "IF(" + name + " IS NULL, NULL, JSON_EXTRACT(JSON_ARRAY(" + name + "+0e0), '$[0]'))"
	case Big:
		name += "+0"
	case Text:
		return "CAST(" + name + " AS BINARY)"
	case Bytes:
		return name
	}
	return "CAST(" + name + " AS CHAR CHARACTER SET utf8mb4)"
}

// Quote is a name as it stands in a statement.
func Quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
