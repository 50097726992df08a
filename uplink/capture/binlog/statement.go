package binlog

import (
	"slices"
	"strings"

	"station-agent/uplink/capture"
)

// statement is what a QUERY event means for a transaction.
type statement int

const (
	other          statement = iota // on the layout or on rights, or rows in statement format
	begin                           // a transaction begins
	commit                          // it ends; its tables are not transactional
	rollback                        // it ends and was for nothing
	savepoint                       // a mark in it
	rollbackTo                      // a part of it was for nothing
	twoPhaseBegin                   // XA START
	twoPhaseEnd                     // XA END
	twoPhaseCommit                  // XA COMMIT of what was prepared before
	twoPhaseUndo                    // XA ROLLBACK of it
	createFilled                    // CREATE TABLE … SELECT: a statement and rows in one transaction
)

// read tells what a QUERY event is. Servers write the words of transactions themselves, in capitals.
func read(query string) statement {
	switch query {
	case "BEGIN":
		return begin
	case "COMMIT":
		return commit
	case "ROLLBACK":
		return rollback
	}
	switch {
	case hasWord(query, "SAVEPOINT"), hasWord(query, "RELEASE SAVEPOINT"):
		return savepoint
	case hasWord(query, "ROLLBACK TO"):
		return rollbackTo
	case hasWord(query, "XA START"), hasWord(query, "XA BEGIN"):
		return twoPhaseBegin
	case hasWord(query, "XA END"):
		return twoPhaseEnd
	case hasWord(query, "XA COMMIT"):
		return twoPhaseCommit
	case hasWord(query, "XA ROLLBACK"):
		return twoPhaseUndo
	case strings.HasSuffix(query, "START TRANSACTION"):
		return createFilled
	}
	return other
}

func hasWord(query, words string) bool {
	return len(query) > len(words) && query[len(words)] == ' ' && strings.EqualFold(query[:len(words)], words)
}

// touch is what a statement may do to a table.
type touch int

const (
	nothing      touch = iota
	changeLayout       // the next row may have other columns
	changeRows         // rows may have changed, without row events
)

// touches tells what a statement may do to a table, given the schema that its session was in. It reads no grammar: it looks
// for the table's name and at the words that say what kind of statement it is, and errs on the side of reading the layout
// once more and of comparing the rows once more.
func touches(query, schema string, table *capture.Spec) touch {
	if q := strings.ToUpper(query); !strings.Contains(q, needle(table.Name)) && !strings.Contains(q, needle(table.Schema)) {
		return nothing // as most are
	}
	list, ok := words(query)
	if !ok { // it can't be cut into words for certain
		return touchesAs(firstWords(strings.ToUpper(query)), query, table)
	}
	if list = effective(list); len(list) == 0 {
		return nothing
	}
	object, at := objectOf(list)
	if list[0].is("DROP") && (object == "DATABASE" || object == "SCHEMA") {
		return rowsIf(mentions(list, table.Schema))
	}
	if !speaksOf(list, schema, table) {
		return nothing
	}
	switch {
	case object == "TABLE":
		return onTable(list, at, schema, table)
	case object != "" || list[0].is("GRANT", "REVOKE", "FLUSH", "OPTIMIZE", "REPAIR", "CHECK", "SET"):
		return nothing // on what stands beside the table
	case list[0].is("ANALYZE") && len(list) > 1 && list[1].is("TABLE", "TABLES", "LOCAL", "NO_WRITE_TO_BINLOG"): // else it does what it analyzes
		return nothing
	}
	return changeRows
}

// touchesAs judges a statement by its first words in capitals, and by whether the name stands in it anywhere.
func touchesAs(first, query string, table *capture.Spec) touch {
	q := strings.ToUpper(query)
	if strings.HasPrefix(first, "DROP DATABASE ") || strings.HasPrefix(first, "DROP SCHEMA ") {
		return rowsIf(strings.Contains(q, needle(table.Schema)))
	}
	if !strings.Contains(q, needle(table.Name)) {
		return nothing
	}
	if strings.HasPrefix(first, "ALTER TABLE ") {
		for _, part := range []string{"PARTITION", "TABLESPACE", "RENAME"} {
			if strings.Contains(q, part) {
				return changeRows
			}
		}
		return changeLayout
	}
	for _, part := range []string{"GRANT ", "REVOKE ", "CREATE TABLE ", "CREATE TRIGGER ", "CREATE PROCEDURE ", "CREATE FUNCTION ", "CREATE VIEW ",
		"CREATE EVENT ", "CREATE DEFINER", "CREATE USER ", "ALTER USER ", "ALTER EVENT ", "SET PASSWORD "} {
		if strings.HasPrefix(first, part) {
			return changeLayout
		}
	}
	return changeRows
}

func rowsIf(yes bool) touch {
	if yes {
		return changeRows
	}
	return nothing
}

// effective takes MariaDB's SET STATEMENT … FOR off: what follows is the statement.
func effective(list []word) []word {
	if len(list) > 1 && list[0].is("SET") && list[1].is("STATEMENT") {
		for i, w := range list {
			if w.is("FOR") {
				return effective(list[i+1:])
			}
		}
	}
	return list
}

// objectOf is what a CREATE, ALTER, DROP, RENAME or TRUNCATE is about, and where in the list that stands; "" if it is none of
// these, or about nothing that is known.
func objectOf(list []word) (object string, at int) {
	if list[0].is("TRUNCATE") {
		return "TABLE", 0
	}
	if !list[0].is("CREATE", "ALTER", "DROP", "RENAME") {
		return "", 0
	}
	for i, w := range list[1:] {
		for _, kind := range []string{"TABLE", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "PACKAGE", "EVENT", "INDEX", "USER", "ROLE", "DATABASE", "SCHEMA",
			"SERVER", "TABLESPACE", "SEQUENCE", "LOGFILE", "INSTANCE", "LIBRARY", "RESOURCE"} {
			if w.is(kind) {
				return kind, i + 1
			}
		}
		if w.is("TABLES") {
			return "TABLE", i + 1
		}
	}
	return "", 0
}

// onTable judges a statement on tables that names ours.
func onTable(list []word, at int, schema string, table *capture.Spec) touch {
	switch {
	case slices.ContainsFunc(list[:at], func(w word) bool { return w.is("TEMPORARY") }):
		return nothing
	case list[0].is("CREATE"):
		target := list[at+1:]
		for len(target) > 0 && target[0].is("IF", "NOT", "EXISTS") {
			target = target[1:]
		}
		end := min(len(target), 1)
		if len(target) > 2 && target[1].text == "." {
			end = 3
		}
		if !speaksOf(target[:end], schema, table) {
			return nothing // like ours, or with a reference to it
		}
		return max(changeLayout, rowsIf(len(list) > 1 && list[1].is("OR")))
	case list[0].is("ALTER"):
		return alters(list)
	}
	return changeRows
}

// alters judges an ALTER TABLE.
func alters(list []word) touch {
	for i, w := range list {
		switch {
		case w.is("PARTITION", "PARTITIONS", "PARTITIONING", "TABLESPACE"):
			return changeRows
		case w.is("RENAME") && !(i+1 < len(list) && list[i+1].is("COLUMN", "INDEX", "KEY")):
			return changeRows
		}
	}
	return changeLayout
}

// speaksOf tells whether the table's name stands in the list: with its schema before it, or with none where the session was in it.
func speaksOf(list []word, schema string, table *capture.Spec) bool {
	for i, w := range list {
		if !w.name || !alike(w.text, table.Name) {
			continue
		}
		in := schema
		if i > 1 && list[i-1].text == "." && list[i-2].name {
			in = list[i-2].text
		}
		if in == "" || alike(in, table.Schema) {
			return true
		}
	}
	return false
}

func mentions(list []word, name string) bool {
	for _, w := range list {
		if w.name && alike(w.text, name) {
			return true
		}
	}
	return false
}

// alike tells whether a name in a statement may be this one. A statement is in its session's character set: of a name with
// other letters only a part in ASCII can be compared.
func alike(text, name string) bool {
	if part := needle(name); len(part) != len(name) {
		return strings.Contains(strings.ToUpper(text), part)
	}
	return strings.EqualFold(text, name)
}

// needle is the longest part of a name that stands in a statement as it is, in capitals: without quotes, and in ASCII.
func needle(name string) (longest string) {
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r >= 0x80 || r == '`' || r == '"' }) {
		if len(part) > len(longest) {
			longest = part
		}
	}
	return strings.ToUpper(longest)
}

// firstWords takes the comments and blanks off that stand before a statement, and makes one blank of each blank behind.
func firstWords(q string) string {
	for {
		q = strings.TrimLeft(q, " \t\r\n")
		if !strings.HasPrefix(q, "/*") || strings.HasPrefix(q, "/*!") {
			break
		}
		_, after, closed := strings.Cut(q, "*/")
		if !closed {
			break
		}
		q = after
	}
	return strings.Join(strings.Fields(q[:min(len(q), 100)]), " ") + " "
}
