package queue

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"station-agent/uplink/capture"
)

// Name of a queue table.
type Name struct{ Schema, Table string }

// DefaultName is the queue table beside a table.
func DefaultName(spec *capture.Spec) Name {
	return Name{spec.Schema, short(capture.Own+"queue_"+strings.ToLower(spec.Name), 64)}
}

// ParseName reads SCHEMA.TABLE.
func ParseName(text string) (n Name, err error) {
	schema, table, ok := strings.Cut(text, ".")
	if !ok || schema == "" || !strings.HasPrefix(table, capture.Own) || strings.ContainsAny(text, "`\x00") {
		return n, fmt.Errorf("check queue table %q: it must be SCHEMA.%s…, so that it is never captured itself", text, capture.Own)
	}
	return Name{schema, table}, nil
}

// String is the name for a person.
func (n Name) String() string { return n.Schema + "." + n.Table }

func (n Name) quoted() string { return capture.Quote(n.Schema) + "." + capture.Quote(n.Table) }

// short cuts a name that is longer than the server takes, and keeps it apart from others.
func short(name string, most int) string {
	if len(name) <= most {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:most-9] + "_" + hex.EncodeToString(sum[:4])
}

const (
	before = "b_" // prefix of the columns for the row before
	after  = "a_"
)

var errLongColumn = errors.New("the name of a column is too long for a queue table: 62 characters at most")

// Statements are those that make the queue table and the triggers of a table, to be run by an administrator. A user that is
// given gets the rights that reading takes.
func Statements(table *capture.Table, name Name, user string) ([]string, error) {
	for _, c := range table.Columns {
		if len(c.Name) > 62 {
			return nil, fmt.Errorf("queue for %s: %w", table.Spec, errLongColumn)
		}
	}
	list := append([]string{create(table, name)}, triggers(table, name)...)
	if user != "" {
		list = append(list, fmt.Sprintf("GRANT SELECT, DELETE, UPDATE (taken) ON %s TO %s", name.quoted(), user))
	}
	return list, nil
}

func create(table *capture.Table, name Name) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s (\n", name.quoted())
	b.WriteString("  n BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,\n  id CHAR(32) CHARACTER SET ascii NOT NULL,\n" +
		"  op CHAR(6) CHARACTER SET ascii NOT NULL,\n  made DATETIME(6) NOT NULL,\n  taken DATETIME(6) NULL,\n")
	for _, prefix := range []string{before, after} {
		for _, c := range table.Columns {
			fmt.Fprintf(&b, "  %s LONGBLOB NULL,\n", capture.Quote(prefix+c.Name))
		}
	}
	b.WriteString("  KEY station_agent_taken (taken, n)\n) ENGINE=InnoDB")
	return b.String()
}

// trigger is one of the three of a table.
type trigger struct{ name, op, body string }

func triggerList(table *capture.Table, name Name) []trigger {
	var list []trigger
	for _, op := range []string{"insert", "update", "delete"} {
		list = append(list, trigger{short(capture.Own+strings.ToLower(table.Name), 56) + "_" + op, op, body(table, name, op)})
	}
	return list
}

func triggers(table *capture.Table, name Name) (list []string) {
	for _, t := range triggerList(table, name) {
		list = append(list, fmt.Sprintf("CREATE TRIGGER %s.%s AFTER %s ON %s.%s FOR EACH ROW %s",
			capture.Quote(table.Schema), capture.Quote(t.name), strings.ToUpper(t.op), capture.Quote(table.Schema), capture.Quote(table.Name), t.body))
	}
	return list
}

// body is one statement, so that no client needs another delimiter. An UPDATE that changes no byte is no change.
func body(table *capture.Table, name Name, op string) string {
	columns, values, same := []string{"id", "op", "made"}, []string{randomID, "'" + op + "'", "UTC_TIMESTAMP(6)"}, []string{}
	for _, side := range []struct{ row, prefix, not string }{{"OLD", before, "insert"}, {"NEW", after, "delete"}} {
		for i := range table.Columns {
			if c := &table.Columns[i]; op != side.not {
				columns = append(columns, capture.Quote(side.prefix+c.Name))
				values = append(values, c.Image(side.row))
			}
		}
	}
	text := fmt.Sprintf("INSERT INTO %s (%s) SELECT %s", name.quoted(), strings.Join(columns, ", "), strings.Join(values, ", "))
	if op != "update" {
		return text
	}
	for i := range table.Columns {
		c := &table.Columns[i]
		same = append(same, "CAST("+c.Image("OLD")+" AS BINARY) <=> CAST("+c.Image("NEW")+" AS BINARY)")
	}
	return text + " FROM DUAL WHERE NOT (" + strings.Join(same, " AND ") + ")"
}

// randomID is 32 hexadecimal digits that come once: TRUNCATE starts the numbers anew.
const randomID = "LEFT(SHA2(CONCAT(UUID(), RAND()), 256), 32)"
