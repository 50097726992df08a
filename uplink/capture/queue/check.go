package queue

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"station-agent/uplink/capture"
)

// Fault is one thing that is not as Statements would make it.
type Fault struct {
	Text    string `json:"text"`    // the thing, the reason and what to do
	Serious bool   `json:"serious"` // changes get lost
}

const again = "have an administrator drop what there is and run what station-agent queue ddl prints"

// Check compares the queue table and the triggers with what they should be, and names the foreign keys that change rows
// without a trigger.
func Check(ctx context.Context, db capture.Querier, spec *capture.Spec, name Name) (faults []Fault, err error) {
	table, err := capture.ReadTable(ctx, db, spec)
	if err != nil {
		return nil, err
	}
	columns, err := column(ctx, db, "SELECT COLUMN_NAME, '' FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", name.Schema, name.Table)
	if err != nil {
		return nil, err
	}
	if len(columns) == 0 {
		return []Fault{{fmt.Sprintf("there is no queue table %s, or the account may not see it: have an administrator run what station-agent queue ddl prints", name), true}}, nil
	}
	for _, c := range table.Columns {
		for _, prefix := range []string{before, after} {
			if _, ok := columns[prefix+c.Name]; !ok {
				faults = append(faults, Fault{fmt.Sprintf("the queue table %s lacks the column %s: %s", name, prefix+c.Name, again), true})
			}
		}
	}
	more, err := checkTriggers(ctx, db, table, name)
	if err != nil {
		return nil, err
	}
	cascades, err := Cascades(ctx, db, spec)
	return slices.Concat(faults, more, cascades), err
}

func checkTriggers(ctx context.Context, db capture.Querier, table *capture.Table, name Name) (faults []Fault, err error) {
	there, err := column(ctx, db, "SELECT TRIGGER_NAME, ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE = ?",
		table.Schema, table.Name)
	if err != nil {
		return nil, err
	}
	for _, t := range triggerList(table, name) {
		body, ok := there[t.name]
		switch {
		case !ok && len(there) == 0:
			return []Fault{{fmt.Sprintf("no triggers of %s can be seen: there are none, or the account lacks the right TRIGGER on it, without which nobody can tell: "+
				"GRANT TRIGGER, or have an administrator look; where the server refuses triggers (error 1142), as Buylo's does, a queue is no way", table.Spec), false}}, nil
		case !ok:
			faults = append(faults, Fault{fmt.Sprintf("the trigger %s of %s is missing: %s", t.name, table.Spec, again), true})
		case plain(body) != plain(t.body):
			faults = append(faults, Fault{fmt.Sprintf("the trigger %s of %s is another one than it should be; the table may have been altered since: %s", t.name, table.Spec, again), true})
		}
	}
	return faults, nil
}

// plain takes off what servers and clients change in a statement.
func plain(s string) string { return strings.Join(strings.Fields(s), " ") }

// Cascades finds the foreign keys that change rows of the table on their own. The statement that made the table is what an
// account with SELECT alone may ask for: MariaDB's information_schema shows it no keys.
func Cascades(ctx context.Context, db capture.Querier, spec *capture.Spec) (faults []Fault, err error) {
	made, err := column(ctx, db, "SHOW CREATE TABLE "+capture.Quote(spec.Schema)+"."+capture.Quote(spec.Name))
	if err != nil {
		return nil, err
	}
	for _, text := range made {
		for _, key := range foreignKeys(text) {
			faults = append(faults, Fault{fmt.Sprintf("the foreign key %s of %s (to %s) changes rows without a trigger: such changes are never seen by a queue, "+
				"and by MariaDB's and older MySQL's binary log neither; let the application change those rows itself, or poll", key.name, spec, key.rules), false})
		}
	}
	return faults, nil
}

type foreignKey struct{ name, rules string }

// foreignKeys reads those that change rows out of what SHOW CREATE TABLE prints: a line for each, in the order of their names.
func foreignKeys(made string) (list []foreignKey) {
	line := regexp.MustCompile("(?m)^ +CONSTRAINT [`\"](.+)[`\"] FOREIGN KEY \\(.+\\) REFERENCES (.+) \\(.+?\\)((?: ON (?:DELETE|UPDATE) [A-Z]+(?: [A-Z]+)?)+),?$")
	for _, m := range line.FindAllStringSubmatch(made, -1) {
		if strings.Contains(m[3], "CASCADE") || strings.Contains(m[3], "SET NULL") {
			list = append(list, foreignKey{m[1], strings.NewReplacer("`", "", `"`, "").Replace(m[2]) + "," + m[3]})
		}
	}
	return list
}

// column reads names and what belongs to them.
func column(ctx context.Context, db capture.Querier, query string, args ...any) (map[string]string, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := make(map[string]string)
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return nil, err
		}
		list[name] = text
	}
	return list, rows.Err()
}
