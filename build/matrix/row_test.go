package matrix

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"station-agent/uplink/capture"
)

// value is one value of a column in SQL, and what its payload has to say of it.
type value struct{ sql, json string }

// column is one of the columns for the types, with values at their limits.
type column struct {
	name, kind string
	values     []value
}

const (
	zeroDate = "'0000-00-00 00:00:00'"
	document = `'{"b": [1, 1.50, 1e3, 123456789012345678], "a": {"x": null, "ž": true}}'`
)

// columns are the types at their limits. The golden table in capturetest has the finer points; here it is that no value changes
// place or gets lost in any weather.
func columns(flavor string) []column {
	doc := value{document, `"{\"b\": [1, 1.50, 1e3, 123456789012345678], \"a\": {\"x\": null, \"ž\": true}}"`}
	if flavor == "mysql" { // MariaDB has no type JSON: it is text there
		doc.json = `"{\"a\":{\"x\":null,\"ž\":true},\"b\":[1,1.5,1000,123456789012345678]}"`
	}
	list := []column{
		{"", "TINYINT", []value{{"-128", `-128`}, {"127", `127`}}},
		{"", "TINYINT UNSIGNED", []value{{"0", `0`}, {"255", `255`}}},
		{"", "SMALLINT", []value{{"-32768", `-32768`}, {"32767", `32767`}}},
		{"", "SMALLINT UNSIGNED", []value{{"65535", `65535`}}},
		{"", "MEDIUMINT", []value{{"-8388608", `-8388608`}, {"8388607", `8388607`}}},
		{"", "MEDIUMINT UNSIGNED ZEROFILL", []value{{"0", `0`}, {"16777215", `16777215`}}},
		{"", "INT", []value{{"-2147483648", `-2147483648`}, {"2147483647", `2147483647`}}},
		{"", "INT UNSIGNED", []value{{"4294967295", `4294967295`}}},
		{"", "BIGINT", []value{{"-9223372036854775808", `-9223372036854775808`}, {"9223372036854775807", `9223372036854775807`}}},
		{"", "BIGINT UNSIGNED", []value{{"0", `"0"`}, {"18446744073709551615", `"18446744073709551615"`}}},
		{"", "BIT(1)", []value{{"0", `"0"`}, {"1", `"1"`}}},
		{"", "BIT(64)", []value{{"18446744073709551615", `"18446744073709551615"`}}},
		{"", "DECIMAL(10,2)", []value{{"-12.30", `"-12.30"`}, {"99999999.99", `"99999999.99"`}, {"0", `"0.00"`}}},
		{"", "DECIMAL(65,30)", []value{
			{"12345678901234567890123456789012345.000000000000000000000000000001", `"12345678901234567890123456789012345.000000000000000000000000000001"`},
			{"-99999999999999999999999999999999999.999999999999999999999999999999", `"-99999999999999999999999999999999999.999999999999999999999999999999"`}}},
		{"", "FLOAT", []value{{"16777217", `16777216`}, {"0.1", `0.1`}}},
		{"", "DOUBLE", []value{{"1e-7", `1e-7`}, {"-1.7976931348623157e308", `-1.7976931348623157e+308`}, {"0.1", `0.1`}}},
		{"", "CHAR(10)", []value{{"'abc  '", `"abc"`}, {"''", `""`}}},
		{"", "CHAR(255)", []value{{"REPEAT('🚀', 255)", `"` + strings.Repeat("🚀", 255) + `"`}, {"'x'", `"x"`}}},
		{"", "VARCHAR(300)", []value{{"'Příliš ✓ 🚀\\n\\t\"<>&'", `"Příliš ✓ 🚀\n\t\"<>&"`}, {"''", `""`}}},
		{"", "TEXT", []value{{"REPEAT('ž', 300)", `"` + strings.Repeat("ž", 300) + `"`}, {"''", `""`}}},
		{"", "VARCHAR(9) CHARACTER SET latin1", []value{{"'café'", `{"base64":"Y2Fm6Q=="}`}}},
		{"", "BINARY(4)", []value{{"x'ff00'", `"/wAAAA=="`}, {"x'00000000'", `"AAAAAA=="`}}},
		{"", "VARBINARY(4)", []value{{"x'ff00'", `"/wA="`}, {"x''", `""`}}},
		{"", "BLOB", []value{{"x'00ff'", `"AP8="`}, {"x''", `""`}}},
		{"", "DATE", []value{{"'1000-01-01'", `"1000-01-01"`}, {"'9999-12-31'", `"9999-12-31"`}, {"'0000-00-00'", ""}}},
		{"", "DATETIME(6)", []value{{"'1000-01-01 00:00:00'", `"1000-01-01 00:00:00.000000"`}, {"'9999-12-31 23:59:59.999999'", `"9999-12-31 23:59:59.999999"`}, {zeroDate, ""}}},
		{"", "TIMESTAMP(6) NULL", []value{{"'1970-01-01 00:00:01'", `"1970-01-01T00:00:01.000000Z"`}, {"'2038-01-19 03:14:07.999999'", `"2038-01-19T03:14:07.999999Z"`}, {zeroDate, ""}}},
		{"", "TIMESTAMP NULL", []value{{"'2026-03-29 01:30:00'", `"2026-03-29T01:30:00Z"`}, {"'2026-10-25 01:30:00'", `"2026-10-25T01:30:00Z"`}}},
		{"", "TIME", []value{{"'-838:59:59'", `"-838:59:59"`}, {"'838:59:59'", `"838:59:59"`}}},
		{"", "TIME(6)", []value{{"'-01:02:03.000004'", `"-01:02:03.000004"`}, {"'00:00:00'", `"00:00:00.000000"`}}},
		{"", "YEAR", []value{{"0", `"0000"`}, {"1901", `"1901"`}, {"2155", `"2155"`}}},
		{"", "ENUM('a','b''c','ž')", []value{{"'b''c'", `"b'c"`}, {"'ž'", `"ž"`}}},
		{"", "SET('x','y','z')", []value{{"'z,x'", `"x,z"`}, {"''", `""`}}},
		{"", "POINT", []value{{"ST_GeomFromText('POINT(1 2)')", `"AAAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA=="`}}},
		{"", "JSON", []value{doc, {"'[]'", `"[]"`}}},
	}
	for i := range list {
		list[i].name = fmt.Sprintf("c%02d", i+1)
		list[i].values = append(list[i].values, value{"NULL", "null"})
	}
	return list
}

// layout is what the table of goods has at a time: the columns of types, and those that were added since.
type layout struct {
	types []column
	added []added
}

type added struct{ name, otherwise string }

// goods is one row of the customer's table. It is never changed once made.
type goods struct {
	shop  string
	id    int
	n     int64
	at    time.Time
	pick  []int             // of the values of each column
	added map[string]string // of the columns that were added; those that are left out have what the column has otherwise
}

// name is the row's id in records.
func (g *goods) name() string { return nameOf(g.shop, g.id) }

func nameOf(shop string, id int) string {
	return fmt.Sprintf("%s/%d", strings.ReplaceAll(strings.ReplaceAll(shop, "%", "%25"), "/", "%2F"), id)
}

// payload is the row in canonical JSON.
func (l *layout) payload(g *goods) string {
	var fields, zeros []string
	for i, c := range l.types {
		v := c.values[g.pick[i]].json
		if v == "" {
			v, zeros = "null", append(zeros, `"`+c.name+`"`)
		}
		fields = append(fields, `"`+c.name+`":`+v)
	}
	fields = append(fields, fmt.Sprintf(`"id":%d`, g.id), fmt.Sprintf(`"n":"%d"`, g.n), `"shop":"`+g.shop+`"`,
		`"updated_at":"`+g.at.Format(time.RFC3339)+`"`)
	for _, a := range l.added {
		v, ok := g.added[a.name]
		if !ok {
			v = a.otherwise
		}
		fields = append(fields, `"`+a.name+`":"`+v+`"`)
	}
	if zeros != nil {
		fields = append(fields, `"`+capture.Zeros+`":[`+strings.Join(zeros, ",")+`]`)
	}
	slices.Sort(fields) // a name is never the beginning of another one's with its quote
	return "{" + strings.Join(fields, ",") + "}"
}

// names are the columns in which a row is written.
func (l *layout) names() string {
	list := []string{"shop", "id", "n", "updated_at"}
	for _, c := range l.types {
		list = append(list, c.name)
	}
	for _, a := range l.added {
		list = append(list, a.name)
	}
	return strings.Join(list, ", ")
}

// values are the values of a row in SQL, as names has them.
func (l *layout) values(g *goods) string {
	list := []string{"'" + g.shop + "'", fmt.Sprint(g.id), fmt.Sprint(g.n), "'" + g.at.Format(time.DateTime) + "'"}
	for i, c := range l.types {
		list = append(list, c.values[g.pick[i]].sql)
	}
	for _, a := range l.added {
		if v, ok := g.added[a.name]; ok {
			list = append(list, "'"+v+"'")
		} else {
			list = append(list, "DEFAULT")
		}
	}
	return "(" + strings.Join(list, ", ") + ")"
}

// create makes the table.
func (l *layout) create() string {
	list := []string{"shop VARCHAR(20)", "id INT UNSIGNED", "n BIGINT UNSIGNED", "updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP"}
	for _, c := range l.types {
		list = append(list, c.name+" "+c.kind)
	}
	return "CREATE TABLE matrix.goods (" + strings.Join(list, ", ") + ", PRIMARY KEY (shop, id), KEY (updated_at)) CHARACTER SET utf8mb4"
}

// plain is a payload without the columns that come and go: a state that was found before or after has others of them.
func plain(payload string) string { return comes.ReplaceAllString(payload, "") }

var comes = regexp.MustCompile(`,"x\d+":"[^"]*"`)

// item is one row of Buylo's table. It is never changed once made.
type item struct {
	hash, station, pack string // "" for NULL
	held                string // the station that had it last
	n                   int64
	at                  time.Time
}

func (i *item) payload() string {
	quoted := func(s string) string {
		if s == "" {
			return "null"
		}
		return `"` + s + `"`
	}
	at := i.at.Format(time.RFC3339)
	return fmt.Sprintf(`{"buylo_active_packing_station_uuid":%s,"buylo_ean":null,"buylo_name":"%d","buylo_product_id":null,"created_at":"2026-01-01T00:00:00Z",`+
		`"external_package_id":%s,"hash":"%s","updated_at":"%s"}`, quoted(i.station), i.n, quoted(i.pack), i.hash, at)
}
