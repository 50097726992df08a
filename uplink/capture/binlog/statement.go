package binlog

import (
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

// touches tells whether a statement may concern the table, and whether it may change rows of it without row events. It
// looks for the name and for the first words only: it errs on the side of reading the layout once more and of comparing the
// rows once more.
func touches(query string, table *capture.Spec) (layout, rows bool) {
	q := strings.ToUpper(query)
	words := firstWords(q)
	dropsSchema := strings.HasPrefix(words, "DROP DATABASE") || strings.HasPrefix(words, "DROP SCHEMA")
	if !strings.Contains(q, strings.ToUpper(table.Name)) && !(dropsSchema && strings.Contains(q, strings.ToUpper(table.Schema))) {
		return false, false
	}
	return true, !keepsRows(words, q)
}

// keepsRows tells whether a statement changes layouts and rights only.
func keepsRows(words, q string) bool {
	if strings.HasPrefix(words, "ALTER TABLE") {
		return !strings.Contains(q, "PARTITION") && !strings.Contains(q, "RENAME TO") && !strings.Contains(q, "RENAME AS") &&
			!strings.Contains(q, "TABLESPACE")
	}
	for _, harmless := range []string{"CREATE ", "ALTER ", "GRANT ", "REVOKE ", "ANALYZE ", "OPTIMIZE ", "FLUSH ", "REPAIR ", "SET ",
		"DROP INDEX", "DROP TRIGGER", "DROP VIEW", "DROP PROCEDURE", "DROP FUNCTION", "DROP USER", "DROP EVENT", "DROP TEMPORARY"} {
		if strings.HasPrefix(words, harmless) {
			return !strings.HasPrefix(words, "CREATE OR REPLACE TABLE")
		}
	}
	return false
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
