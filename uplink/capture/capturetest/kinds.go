package capturetest

import (
	"strings"
	"testing"
)

type kind struct{ column, sql, json string }

// kinds are the columns of the golden table of types, each with a value in SQL and in canonical JSON.
func kinds() []kind {
	return []kind{
		{"c01 TINYINT", "-128", `-128`},
		{"c02 TINYINT UNSIGNED", "255", `255`},
		{"c03 SMALLINT UNSIGNED", "65535", `65535`},
		{"c04 MEDIUMINT", "-8388608", `-8388608`},
		{"c05 MEDIUMINT UNSIGNED ZEROFILL", "16777215", `16777215`},
		{"c06 INT UNSIGNED", "4294967295", `4294967295`},
		{"c07 INT ZEROFILL", "42", `42`},
		{"c08 BIGINT", "-9223372036854775808", `-9223372036854775808`},
		{"c09 BIGINT UNSIGNED", "18446744073709551615", `"18446744073709551615"`},
		{"c10 BIT(1)", "1", `"1"`},
		{"c11 BIT(64)", "18446744073709551615", `"18446744073709551615"`},
		{"c12 DECIMAL(10,2)", "-12.30", `"-12.30"`},
		{"c13 DECIMAL(65,30)", "12345678901234567890123456789012345.000000000000000000000000000001", `"12345678901234567890123456789012345.000000000000000000000000000001"`},
		{"c14 DECIMAL(8,3) ZEROFILL", "1.5", `"1.500"`},
		{"c15 FLOAT", "16777217", `16777216`},
		{"c16 FLOAT", "0.1", `0.1`},
		{"c17 FLOAT(7,2)", "0.123", `0.12`},
		{"c18 DOUBLE", "1e-7", `1e-7`},
		{"c19 DOUBLE", "1.7976931348623157e308", `1.7976931348623157e+308`},
		{"c20 DOUBLE", "0.1", `0.1`},
		{"c21 CHAR(10)", "'abc  '", `"abc"`},
		{"c22 VARCHAR(20)", `'a"\\\\<>&'`, `"a\"\\\\<>&"`},
		{"c23 VARCHAR(300)", "'Příliš ✓ 🚀\\n\\t'", `"Příliš ✓ 🚀\n\t"`},
		{"c24 TEXT", "REPEAT('ž', 300)", `"` + strings.Repeat("ž", 300) + `"`},
		{"c25 VARCHAR(9) CHARACTER SET latin1", "'caf\u00e9'", `{"base64":"Y2Fm6Q=="}`},
		{"c26 BINARY(4)", "x'ff00'", `"/wAAAA=="`},
		{"c27 VARBINARY(4)", "x'ff00'", `"/wA="`},
		{"c28 BLOB", "x'00ff'", `"AP8="`},
		{"c29 DATE", "'2026-05-19'", `"2026-05-19"`},
		{"c30 DATE", "'0000-00-00'", `null`},
		{"c31 DATETIME", "'2026-03-29 02:30:00'", `"2026-03-29 02:30:00"`},
		{"c32 DATETIME(3)", "'2026-03-29 02:30:00.120'", `"2026-03-29 02:30:00.120"`},
		{"c33 DATETIME(6)", "'1000-01-01 00:00:00'", `"1000-01-01 00:00:00.000000"`},
		{"c34 TIMESTAMP NULL", "FROM_UNIXTIME(1774747800)", `"2026-03-29T01:30:00Z"`},
		{"c35 TIMESTAMP(3) NULL", "FROM_UNIXTIME(1792891800.250)", `"2026-10-25T01:30:00.250Z"`},
		{"c36 TIMESTAMP(6) NULL", "FROM_UNIXTIME(2147483647.999999)", `"2038-01-19T03:14:07.999999Z"`},
		{"c37 TIMESTAMP NULL", "'0000-00-00 00:00:00'", `null`},
		{"c38 TIME", "'-838:59:59'", `"-838:59:59"`},
		{"c39 TIME(3)", "'12:00:00'", `"12:00:00.000"`},
		{"c40 TIME(1)", "'-00:00:00.5'", `"-00:00:00.5"`},
		{"c41 TIME(6)", "'-01:02:03.000004'", `"-01:02:03.000004"`},
		{"c42 YEAR", "2026", `"2026"`},
		{"c43 YEAR", "0", `"0000"`},
		{"c44 ENUM('a','b''c','ž')", "'b''c'", `"b'c"`},
		{"c45 ENUM('a','b''c','ž')", "'ž'", `"ž"`},
		{"c46 SET('x','y','z')", "'z,x'", `"x,z"`},
		{"c47 SET('x','y','z')", "''", `""`},
		{"c48 POINT", "ST_GeomFromText('POINT(1 2)')", `"AAAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA=="`},
		{"c49 INT", "NULL", `null`},
		{"c50 TIMESTAMP(2) NULL", "NULL", `null`},
		{"c51 VARCHAR(4)", "''", `""`},
		{"c52 TIME(2)", "'00:00:00'", `"00:00:00.00"`},
		{"c53 MEDIUMTEXT", "'x'", `"x"`},
		{"c54 CHAR(255)", "'x'", `"x"`},
		{"c55 DATETIME(6)", "'0000-00-00 00:00:00'", `null`},
		{"c56 DOUBLE", "-1.7976931348623157e308", `-1.7976931348623157e+308`},
		{"c57 DOUBLE", "-2.2250738585072014e-308", `-2.2250738585072014e-308`},
		{"c58 DOUBLE", "NULL", `null`},
	}
}

const document = `'{"b": [1, 1.50, 1e3, -0.0, 123456789012345678], "aa": "ž\\u0001<", "a": {"x": null, "y": true}}'`

// Kinds is the golden table of types: its columns and one row of values in SQL, and the canonical JSON of that row. The row's
// hash is "end".
func Kinds(flavor, station string) (columns, values, want string) {
	columns, values = "hash CHAR(32) PRIMARY KEY, station CHAR(36)", "'end', '"+station+"'"
	for _, k := range kinds() {
		name, _, _ := strings.Cut(k.column, " ")
		columns += ", " + k.column
		values += ", " + k.sql
		want += `"` + name + `":` + k.json + ","
	}
	columns += ", d1 JSON"
	values += ", " + document
	doc := `"{\"b\": [1, 1.50, 1e3, -0.0, 123456789012345678], \"aa\": \"ž\\u0001<\", \"a\": {\"x\": null, \"y\": true}}"`
	if flavor == "mysql" { // MariaDB has no type JSON: it is text there
		doc = `"{\"a\":{\"x\":null,\"y\":true},\"aa\":\"ž\\u0001<\",\"b\":[1,1.5,1000,0,123456789012345678]}"`
	}
	return columns, values, "{" + want + `"d1":` + doc + `,"hash":"end","station":"` + station + `","station_agent_zero_dates":["c30","c37","c55"]}`
}

// Same compares two rows in canonical JSON and names the columns that differ.
func Same(t testing.TB, what, got, want string) {
	t.Helper()
	g, w := strings.Split(got, `,"`), strings.Split(want, `,"`)
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Errorf("%s: got %s, want %s", what, g[i], w[i])
		}
	}
	if len(g) != len(w) {
		t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
	}
}
