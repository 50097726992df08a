package check

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	packageLength = 64 // of the longest label (Buylo's contract)
	mostAway      = 5 * time.Minute
	shortest      = 5.0 // seconds that the server has to leave a statement
)

// unread adds an Unknown finding if the server didn't answer the question.
func (j *judge) unread(question, code, what string) bool {
	why, missing := j.Unread[question]
	if missing {
		j.add(Finding{Code: code, State: Unknown, Fact: "not known: " + why, Why: "nobody can tell " + what})
	}
	return missing
}

// selects finds whether the account reads the shared table, and tells whether the table can be judged.
func (j *judge) selects() (seen bool) {
	t := j.spec.Table()
	if !j.unread("grants", "select", "whether the rows can be read") {
		may := j.may("SELECT", t, "")
		j.add(Finding{
			Code: "select", State: state(may, Fault), Fact: fmt.Sprintf("%s %s SELECT on %s", j.account(), has(may), t),
			Why: "without it no row can be read", Fix: []string{j.grant("SELECT", t.quoted())},
		})
	}
	if j.unread("columns", "table", "whether the table fits") {
		return false
	}
	if len(j.Columns) == 0 {
		j.add(Finding{
			Code: "table", State: Fault, Fact: fmt.Sprintf("the account sees no table %s", t), Why: "it is what the station works on",
			Advice: "see whether it is there and whether mysql.schema names its schema; without a right on it the account can't see it",
		})
		return false
	}
	j.key()
	return true
}

func has(may bool) string {
	if may {
		return "has"
	}
	return "lacks"
}

// key finds whether the key is the one by which rows are told apart.
func (j *judge) key() {
	if j.unread("indexes", "key", "whether the key is unique") {
		return
	}
	right := slices.ContainsFunc(j.Indexes, func(i Index) bool { return i.Name == "PRIMARY" && slices.Equal(i.Columns, j.spec.Key) })
	f := Finding{
		Code: "key", State: state(right, Fault), Fact: fmt.Sprintf("%s is the primary key of %s", strings.Join(j.spec.Key, ", "), j.spec.Table()),
		Why: "rows are told apart by it: twice the same value, and two items are one",
	}
	if right {
		j.add(f)
		return
	}
	drop := ""
	f.Fact = j.spec.Table().String() + " has no primary key"
	if i := slices.IndexFunc(j.Indexes, func(i Index) bool { return i.Name == "PRIMARY" }); i >= 0 {
		f.Fact = fmt.Sprintf("the primary key of %s is %s, not %s", j.spec.Table(), strings.Join(j.Indexes[i].Columns, ", "), strings.Join(j.spec.Key, ", "))
		drop = "DROP PRIMARY KEY, "
	}
	f.Fix = []string{fmt.Sprintf("ALTER TABLE %s %sADD PRIMARY KEY (%s)", j.spec.Table().quoted(), drop, quoteName(j.spec.Key[0]))}
	j.add(f)
}

// packing finds what reading the station's rows and writing their package needs.
func (j *judge) packing() {
	t := j.spec.Table()
	if !j.unread("grants", "update", "whether packages can be written") {
		may := j.may("UPDATE", t, j.spec.Package)
		right := "UPDATE (" + quoteName(j.spec.Package) + ")"
		j.add(Finding{
			Code: "update", State: state(may, Fault), Fact: fmt.Sprintf("%s %s UPDATE (%s) on %s", j.account(), has(may), j.spec.Package, t),
			Why: "without it no package is ever written", Fix: []string{j.grant(right, t.quoted())},
		})
	}
	if j.selects() {
		j.packageColumn()
		j.index("station_index", j.spec.Station, "every station reads its rows each second, and without it the server looks at every row for that")
	}
	j.writable()
}

// packageColumn finds whether the column takes every label, and none at all.
func (j *judge) packageColumn() {
	c := j.column(j.spec.Package)
	f := Finding{Code: "package_column", State: Fault, Why: "a label that doesn't fit is refused, and an item that is taken out of its package has none"}
	alter := "ALTER TABLE " + j.spec.Table().quoted()
	column := fmt.Sprintf(" COLUMN %s VARCHAR(%d)", quoteName(j.spec.Package), packageLength)
	switch {
	case c == nil:
		f.Fact = fmt.Sprintf("%s has no column %s, as far as the account sees", j.spec.Table(), j.spec.Package)
		f.Fix = []string{alter + " ADD" + column + " CHARACTER SET utf8mb4 NULL"}
	case c.Length < packageLength:
		f.Fact = fmt.Sprintf("%s is %s: shorter than %d characters", c.Name, c.Type, packageLength)
		f.Fix = []string{alter + " MODIFY" + column + c.Define + " NULL"}
	case !c.Null:
		f.Fact = fmt.Sprintf("%s takes no NULL", c.Name)
		f.Fix = []string{alter + " MODIFY COLUMN " + quoteName(c.Name) + " " + c.Type + c.Define + " NULL"}
	default:
		f.State, f.Fact = OK, fmt.Sprintf("%s is %s and takes NULL", c.Name, c.Type)
	}
	j.add(f)
}

// index finds whether the column has an index, and is told what is slow without.
func (j *judge) index(code, column, why string) {
	if j.unread("indexes", code, "whether reading is slow") {
		return
	}
	t := j.spec.Table()
	f := Finding{Code: code, State: Warning, Why: why}
	switch i := j.indexed(column); {
	case j.column(column) == nil:
		f.State, f.Fact = Fault, fmt.Sprintf("%s has no column %s, as far as the account sees", t, column)
		f.Advice = "see whether mysql.schema names the schema that the bridge shares"
	case i == nil:
		rows := "it has few or many rows, the server doesn't say"
		if j.Rows >= 0 {
			rows = fmt.Sprintf("about %d rows", j.Rows)
		}
		f.Fact = fmt.Sprintf("no index of %s begins with %s (%s)", t, column, rows)
		f.Fix = []string{fmt.Sprintf("CREATE INDEX %s ON %s (%s)", quoteName("station_agent_"+code), t.quoted(), quoteName(column))}
	case i.Hidden:
		f.Fact = fmt.Sprintf("index %s begins with %s, but is hidden from statements", i.Name, column)
		f.Fix = []string{fmt.Sprintf("ALTER TABLE %s ALTER INDEX %s %s", t.quoted(), quoteName(i.Name), map[bool]string{true: "NOT IGNORED", false: "VISIBLE"}[j.Server.MariaDB])}
	default:
		f.State, f.Fact = OK, fmt.Sprintf("index %s begins with %s", i.Name, column)
	}
	j.add(f)
}

// writable finds whether the server takes changes at all.
func (j *judge) writable() {
	for _, name := range []string{"super_read_only", "read_only"} {
		value := j.Vars[name]
		if value == "" || value == "OFF" || value == "0" {
			continue
		}
		f := Finding{
			Code: "read_only", State: Fault, Fact: name + " is " + value, Why: "the server takes no changes, so no package is ever written",
			Advice: "if it is a replica, leave it so, and name its source in mysql.address",
		}
		j.add(f.mend(j.Server, name, "OFF"))
		return
	}
	j.add(Finding{Code: "read_only", State: OK, Fact: "the server takes changes"})
}

// polling finds what reading the rows again and again needs.
func (j *judge) polling() {
	if j.selects() {
		j.timestamp()
		j.index("station_index", j.spec.Station, "every station reads its rows again and again, and without it the server looks at every row for that")
		j.index("time_index", j.spec.Changed, "changes are looked for by their time, and without it the server looks at every row for that")
	}
	j.serverClock()
	j.timeLimit()
}

// timestamp finds whether the column of times moves by itself, and means the same everywhere.
func (j *judge) timestamp() {
	t := j.spec.Table()
	c := j.column(j.spec.Changed)
	define := fmt.Sprintf(" COLUMN %s TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP", quoteName(j.spec.Changed))
	f := Finding{Code: "timestamp", State: Fault, Why: "a change that moves no time is not found"}
	switch {
	case c == nil:
		f.Fact = fmt.Sprintf("%s has no column %s, as far as the account sees", t, j.spec.Changed)
		f.Fix = []string{"ALTER TABLE " + t.quoted() + " ADD" + define}
	case !strings.HasPrefix(strings.ToLower(c.Type), "timestamp"):
		f.State = state(j.utc(), Fault)
		if f.State == OK {
			f.State = Warning
		}
		f.Fact = fmt.Sprintf("%s is %s, a time without its zone, and the server's zone is %s", c.Name, c.Type, j.Zone)
		f.Why = "it means another moment to each connection's zone, and an hour comes twice when clocks are set back"
		f.Fix = []string{"ALTER TABLE " + t.quoted() + " MODIFY" + define}
	case !strings.Contains(strings.ToLower(c.Extra), "on update"):
		f.State, f.Fact = Warning, c.Name+" doesn't move by itself when a row changes"
		f.Why = "a change whose writer doesn't set it is not found"
		f.Fix = []string{"ALTER TABLE " + t.quoted() + " MODIFY" + define}
	default:
		f.State, f.Fact = OK, fmt.Sprintf("%s is %s and moves when a row changes", c.Name, c.Type)
	}
	j.add(f)
}

func (j *judge) utc() bool {
	return slices.Contains([]string{"UTC", "Etc/UTC", "GMT", "+00:00", "-00:00"}, j.Zone)
}

// serverClock finds whether times can be compared.
func (j *judge) serverClock() {
	if j.unread("clock", "time_zone", "whether times can be compared") {
		return
	}
	f := Finding{
		Code: "time_zone", State: OK, Fact: fmt.Sprintf("the server's zone is %s, our connections' is UTC, and its clock is %s from this machine's",
			j.Zone, j.Away.Abs().Round(100*time.Millisecond)),
	}
	switch {
	case j.Shift != 0:
		f.State, f.Fact = Fault, fmt.Sprintf("our connections' clock is %v from UTC", j.Shift)
		f.Why = "times are compared in UTC"
		f.Advice = "something between this station and the server sets the session's time zone: switch that off"
	case j.Away.Abs() > mostAway:
		f.State, f.Fact = Warning, fmt.Sprintf("the server's clock is %v from this machine's", j.Away.Round(time.Second))
		f.Why = "ages and delays are told wrong, and certificates may not hold"
		f.Advice = "see to the time service on both machines"
	}
	j.add(f)
}

// timeLimit finds whether the server ends a statement that takes too long, and that it leaves it time enough.
func (j *judge) timeLimit() {
	f := Finding{Code: "time_limit", State: OK, Fact: "the server ends a statement that takes too long",
		Why: "a read that was given up would run on at the server, and the next one beside it"}
	name, limit := "max_statement_time", 0.0
	_, _ = fmt.Sscan(j.Vars[name], &limit) // 0 if there is none
	if ms, known := j.Vars["max_execution_time"]; known {
		name = "max_execution_time"
		_, _ = fmt.Sscan(ms, &limit)
		limit /= 1000
	}
	switch {
	case j.Limited != "":
		f.State, f.Fact, f.Advice = Warning, "the server takes no time limit with a statement: "+j.Limited, "MySQL does since 5.7.8, MariaDB since 10.1"
	case limit > 0 && limit < shortest:
		f.State, f.Fact = Warning, fmt.Sprintf("%s is %s", name, j.value(name))
		f.Why = "the server ends our reads before they are done"
		f = f.mend(j.Server, name, "0")
	}
	j.add(f)
}
