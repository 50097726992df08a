package writeback

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"station-agent/store/record"
)

// Own is how the name of the agent's table must begin: capture refuses to capture such a table.
const Own = "station_agent_"

// Table is a table of the agent's own: one row for each record, written by all stations that share it.
type Table struct {
	db      *sql.DB
	schema  string
	name    string
	station string
	ready   bool // the table was looked at and has all columns
}

// NewTable makes a target of SCHEMA.TABLE, for the station with that UUID. The name of the table must begin with Own.
func NewTable(db *sql.DB, name, station string) (*Table, error) {
	schema, table, err := parse(name)
	return &Table{db: db, schema: schema, name: table, station: station}, err
}

func parse(name string) (schema, table string, err error) {
	schema, table, ok := strings.Cut(name, ".")
	if !ok || schema == "" || len(schema) > 64 || len(table) > 64 || !strings.HasPrefix(table, Own) || strings.ContainsAny(name, "`\x00\\'") {
		return "", "", fmt.Errorf("check table %q: it must be SCHEMA.%s…, so that it is never captured", name, Own)
	}
	return schema, table, nil
}

// column is one of the table, as CREATE TABLE and ALTER TABLE name it.
type column struct{ name, definition string }

// columns may be added to, never changed or taken away: older agents write into the same table.
func columns() []column {
	const text = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin "
	return []column{
		{"id", "BINARY(32) NOT NULL COMMENT 'SHA-256 of database, collection, record id and version'"},
		{"database_name", "VARCHAR(255)" + text + "NOT NULL"},
		{"collection", "VARCHAR(255)" + text + "NOT NULL"},
		{"record_id", "VARCHAR(1024)" + text + "NOT NULL"},
		{"version", "VARCHAR(32)" + text + "NOT NULL"},
		{"operation", "VARCHAR(16)" + text + "NOT NULL"},
		{"record_hash", "VARCHAR(512)" + text + "NULL COMMENT 'as Certyo gave it'"},
		{"state", "VARCHAR(20)" + text + "NOT NULL COMMENT 'pending, anchored, superseded, mismatch, missing, unclear, retired or unverified'"},
		{"accepted_at", "DATETIME(3) NULL COMMENT 'UTC'"},
		{"anchored_at", "DATETIME(3) NULL COMMENT 'UTC, when it was proven'"},
		{"station", "CHAR(36)" + text + "NOT NULL COMMENT 'that sent it'"},
		{"snapshot", "VARCHAR(512)" + text + "NULL COMMENT 'as Certyo gave it'"},
	}
}

// DDL is the statement that makes the table, to be run by hand where the agent may not.
func DDL(name string) (string, error) {
	schema, table, err := parse(name)
	if err != nil {
		return "", fmt.Errorf("print table: %w", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s (\n", quoted(schema, table))
	for _, c := range columns() {
		fmt.Fprintf(&b, "  %s %s,\n", c.name, c.definition)
	}
	b.WriteString("  PRIMARY KEY (id),\n  KEY record (collection(64), record_id(191)),\n  KEY state (state, accepted_at)\n" +
		") ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'how records stand at Certyo, written by station-agent'")
	return b.String(), nil
}

func quoted(schema, table string) string { return "`" + schema + "`.`" + table + "`" }

// String is the table's name.
func (t *Table) String() string { return t.schema + "." + t.name }

// Write implements Target, in one statement. A record that ended stays as it ended.
func (t *Table) Write(ctx context.Context, list []record.Standing) error {
	if !t.ready {
		if err := t.prepare(ctx); err != nil {
			return err
		}
		t.ready = true
	}
	var names []string
	for _, c := range columns() {
		names = append(names, c.name)
	}
	row := "(" + strings.Repeat("?, ", len(names)-1) + "?)"
	var args []any
	for i := range list {
		args = append(args, t.row(&list[i])...)
	}
	const ended = "state IN ('anchored', 'retired', 'unverified')"
	query := "INSERT INTO " + quoted(t.schema, t.name) + " (" + strings.Join(names, ", ") + ") VALUES " + row + strings.Repeat(", "+row, len(list)-1) +
		" ON DUPLICATE KEY UPDATE record_hash = COALESCE(VALUES(record_hash), record_hash), snapshot = COALESCE(VALUES(snapshot), snapshot)," +
		" anchored_at = IF(" + ended + ", anchored_at, VALUES(anchored_at)), state = IF(" + ended + ", state, VALUES(state))"
	if _, err := t.db.ExecContext(ctx, query, args...); err != nil {
		t.ready = false // it may have been dropped
		return err
	}
	return nil
}

func (t *Table) row(s *record.Standing) []any {
	r := &s.Record
	id := sha256.Sum256([]byte(r.Database + "\x00" + r.Collection + "\x00" + r.ID + "\x00" + r.Version))
	accepted := s.Receipt.AcceptedAt
	if accepted.IsZero() {
		accepted = s.Since
	}
	return []any{
		id[:], clip(r.Database, 255), clip(r.Collection, 255), clip(r.ID, 1024), clip(r.Version, 32), clip(string(r.Op), 16),
		maybe(clip(s.Receipt.Hash, 512)), string(s.State), moment(accepted), moment(proven(s)), t.station, maybe(clip(s.Receipt.Snapshot, 512)),
	}
}

// proven is when a record was, zero if it wasn't.
func proven(s *record.Standing) time.Time {
	if s.State != record.Anchored {
		return time.Time{}
	}
	return s.At
}

// clip keeps a text to what its column takes, so that one odd record doesn't hold up the others.
func clip(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}

// maybe is NULL for an empty text.
func maybe(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// moment is a time as a session in UTC takes it, NULL if it is zero.
func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02 15:04:05.000")
}

// prepare makes the table if it isn't there, and adds the columns that it lacks.
func (t *Table) prepare(ctx context.Context) error {
	has, err := t.has(ctx)
	if err != nil {
		return err
	}
	if len(has) == 0 {
		ddl, err := DDL(t.String())
		if err == nil {
			_, err = t.db.ExecContext(ctx, ddl)
		}
		if err != nil {
			return fmt.Errorf("create it (or have it made: station-agent workspace ddl): %w", err)
		}
		return nil
	}
	var add []string
	for _, c := range columns() {
		if !slices.Contains(has, c.name) {
			add = append(add, "ADD COLUMN "+c.name+" "+c.definition)
		}
	}
	if len(add) == 0 {
		return nil
	}
	if _, err := t.db.ExecContext(ctx, "ALTER TABLE "+quoted(t.schema, t.name)+" "+strings.Join(add, ", ")); err != nil {
		if again, look := t.has(ctx); look == nil && len(again) >= len(has)+len(add) {
			return nil // another station did
		}
		return fmt.Errorf("add what it lacks (%s): %w", strings.Join(add, ", "), err)
	}
	return nil
}

func (t *Table) has(ctx context.Context) (names []string, err error) {
	rows, err := t.db.QueryContext(ctx, "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", t.schema, t.name)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		names = append(names, strings.ToLower(name))
	}
	return names, errors.Join(rows.Err(), rows.Close())
}
