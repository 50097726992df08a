package check

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// variables are those that somebody judges by.
const variables = `SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'log_bin', 'server_id', 'binlog_format', 'binlog_row_image',
	'binlog_row_metadata', 'binlog_row_value_options', 'binlog_transaction_compression', 'log_bin_compress', 'gtid_mode',
	'enforce_gtid_consistency', 'gtid_strict_mode', 'log_slave_updates', 'log_replica_updates', 'binlog_expire_logs_seconds',
	'expire_logs_days', 'binlog_expire_logs_auto_purge', 'max_binlog_total_size', 'time_zone', 'system_time_zone',
	'max_statement_time', 'max_execution_time', 'read_only', 'super_read_only', 'lower_case_table_names', 'partial_revokes',
	'innodb_native_foreign_keys')`

// asker asks one server on one connection. Only its first questions have to be answered.
type asker struct {
	db *sql.Conn
	f  *Facts
}

// Look asks the server what the account of db sees. The error is that of the connection or of a question that any account may
// ask; what else isn't answered stands in the facts as unread.
func Look(ctx context.Context, db *sql.DB, spec Spec) (*Facts, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	a := &asker{conn, &Facts{Vars: map[string]string{}, Unread: map[string]string{}, Rows: -1, spec: spec}}
	if err := a.whoAndWhat(ctx); err != nil {
		return nil, err
	}
	return a.f, a.rest(ctx)
}

// rest asks what may go unanswered. A broken connection leaves all of it unread, and is an error.
func (a *asker) rest(ctx context.Context) error {
	for _, q := range []struct {
		about string
		ask   func(context.Context) error
	}{
		{"grants", a.grants}, {"columns", a.columns}, {"indexes", a.indexes}, {"rows", a.rows}, {"clock", a.clock},
		{"replica", a.replica}, {"logged", a.logged}, {"limit", a.limit},
	} {
		if err := q.ask(ctx); err != nil {
			a.f.Unread[q.about] = err.Error()
		}
	}
	return a.db.PingContext(ctx)
}

func (a *asker) whoAndWhat(ctx context.Context) error {
	pairs, err := a.list(ctx, variables)
	if err != nil {
		return fmt.Errorf("ask for the server's variables: %w", err)
	}
	for _, p := range pairs {
		a.f.Vars[strings.ToLower(p[0])] = p[1]
	}
	a.f.Server = newServer(a.f.Vars["version"])
	var who string
	if err := a.db.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&who); err != nil {
		return fmt.Errorf("ask for the account: %w", err)
	}
	at := max(0, strings.LastIndexByte(who, '@'))
	a.f.User, a.f.Host = who[:at], who[min(at+1, len(who)):]
	return nil
}

// grants reads the account's rights, and those of the roles that are active without anybody asking. MariaDB lists them too;
// MySQL does when it is told which.
func (a *asker) grants(ctx context.Context) error {
	if a.f.Server.MariaDB || !a.f.Server.atLeast(8, 0, 0) {
		rights, err := a.granted(ctx, "SHOW GRANTS")
		a.f.Rights = rights
		return err
	}
	own, err := a.granted(ctx, "SHOW GRANTS FOR "+a.f.account())
	if err != nil {
		return err
	}
	a.f.Rights = own
	var active string
	if err := a.db.QueryRowContext(ctx, "SELECT CURRENT_ROLE()").Scan(&active); err != nil || active == "NONE" {
		return err
	}
	l, _ := parseGrant("GRANT " + active + " TO ``")
	for _, role := range l.roles {
		with, err := a.granted(ctx, "SHOW GRANTS FOR "+a.f.account()+" USING "+role)
		if err != nil {
			return err
		}
		for _, r := range with {
			if !slices.Contains(own, r) {
				r.Of = role
				a.f.Rights = append(a.f.Rights, r)
			}
		}
	}
	return nil
}

// granted gives the rights in an answer.
func (a *asker) granted(ctx context.Context, question string) (rights []Right, err error) {
	lines, err := a.list(ctx, question)
	if err != nil {
		return nil, err
	}
	for _, text := range lines {
		l, ok := parseGrant(text[0])
		if !ok {
			return nil, fmt.Errorf("a line of SHOW GRANTS that begins with %.12q is of no known form", text[0]) // the rest may hold a hash
		}
		for _, r := range l.rights {
			if l.to.user != a.f.User || l.to.host != a.f.Host {
				r.Of = l.to.quoted
			}
			rights = append(rights, r)
		}
	}
	return rights, nil
}

func (a *asker) columns(ctx context.Context) error {
	rows, err := a.list(ctx, `SELECT COLUMN_NAME, COLUMN_TYPE, COALESCE(CHARACTER_MAXIMUM_LENGTH, 0), IS_NULLABLE, EXTRA,
		COALESCE(CHARACTER_SET_NAME, ''), COALESCE(COLLATION_NAME, '') FROM information_schema.COLUMNS
		WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION`, a.f.spec.Schema, a.f.spec.Name)
	for _, r := range rows {
		c := Column{Name: r[0], Type: r[1], Null: r[3] == "YES", Extra: r[4]}
		_, _ = fmt.Sscan(r[2], &c.Length) // 0 if the server writes something else
		if r[5] != "" {
			c.Define = " CHARACTER SET " + r[5] + " COLLATE " + r[6]
		}
		a.f.Columns = append(a.f.Columns, c)
	}
	return err
}

func (a *asker) indexes(ctx context.Context) error {
	hidden := "0"
	switch {
	case a.f.Server.MariaDB && a.f.Server.atLeast(10, 6, 0):
		hidden = "IGNORED = 'YES'"
	case !a.f.Server.MariaDB && a.f.Server.atLeast(8, 0, 0):
		hidden = "IS_VISIBLE = 'NO'"
	}
	rows, err := a.list(ctx, "SELECT INDEX_NAME, COALESCE(COLUMN_NAME, ''), "+hidden+`, NON_UNIQUE = 0 FROM information_schema.STATISTICS
		WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND INDEX_TYPE IN ('BTREE', 'HASH') ORDER BY INDEX_NAME, SEQ_IN_INDEX`,
		a.f.spec.Schema, a.f.spec.Name)
	for _, r := range rows {
		if n := len(a.f.Indexes); n > 0 && a.f.Indexes[n-1].Name == r[0] {
			a.f.Indexes[n-1].Columns = append(a.f.Indexes[n-1].Columns, r[1])
			continue
		}
		a.f.Indexes = append(a.f.Indexes, Index{r[0], []string{r[1]}, r[2] == "1", r[3] == "1"})
	}
	return err
}

func (a *asker) rows(ctx context.Context) error {
	var n sql.NullInt64
	err := a.db.QueryRowContext(ctx, "SELECT MAX(TABLE_ROWS), COALESCE(MAX(ENGINE), '') FROM information_schema.TABLES"+
		" WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", a.f.spec.Schema, a.f.spec.Name).Scan(&n, &a.f.Engine)
	if n.Valid {
		a.f.Rows = n.Int64
	}
	return err
}

func (a *asker) clock(ctx context.Context) error {
	if a.f.Zone = a.f.Vars["time_zone"]; a.f.Zone == "SYSTEM" {
		a.f.Zone = a.f.Vars["system_time_zone"]
	}
	var shift, now int64
	began := time.Now()
	err := a.db.QueryRowContext(ctx, "SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), NOW()), "+
		"TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))").Scan(&shift, &now)
	if err == nil {
		a.f.Shift = time.Duration(shift) * time.Second
		middle := began.Add(time.Since(began) / 2)
		a.f.Away = time.UnixMicro(now).Sub(middle).Round(time.Millisecond)
	}
	return err
}

// replica asks whether the server gets its rows from another one. MariaDB tells the number of its sources to anybody.
func (a *asker) replica(ctx context.Context) error {
	question := "SHOW REPLICA STATUS"
	switch {
	case a.f.Server.MariaDB:
		question = "SHOW GLOBAL STATUS WHERE Variable_name = 'Slaves_running' AND Value <> '0'"
	case !a.f.Server.atLeast(8, 0, 22):
		question = "SHOW SLAVE STATUS"
	}
	rows, err := a.list(ctx, question)
	if err == nil {
		is := len(rows) > 0
		a.f.Replica = &is
	}
	return err
}

// logged asks whether schemas are kept out of the binary log.
func (a *asker) logged(ctx context.Context) error {
	question := "SHOW MASTER STATUS"
	if !a.f.Server.MariaDB && a.f.Server.atLeast(8, 2, 0) {
		question = "SHOW BINARY LOG STATUS"
	}
	rows, err := a.list(ctx, question)
	if err == nil && len(rows) > 0 && len(rows[0]) >= 4 {
		a.f.Logged = &Logged{Only: rows[0][2], Except: rows[0][3]}
	}
	return err
}

// limit tries a statement that the server is to end after a while.
func (a *asker) limit(ctx context.Context) error {
	question, variable := "SELECT /*+ MAX_EXECUTION_TIME(5000) */ 1", "max_execution_time"
	if a.f.Server.MariaDB {
		question, variable = "SET STATEMENT max_statement_time = 5 FOR SELECT 1", "max_statement_time"
	}
	if _, known := a.f.Vars[variable]; !known {
		a.f.Limited = a.f.Server.String() + " has no variable " + variable
		return nil
	}
	if _, err := a.list(ctx, question); err != nil {
		a.f.Limited = err.Error()
	}
	return nil
}

// list asks a question whose answer has another number of columns on each server.
func (a *asker) list(ctx context.Context, question string, args ...any) (out [][]string, err error) {
	rows, err := a.db.QueryContext(ctx, question, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	cells, into := make([]sql.RawBytes, len(columns)), make([]any, len(columns))
	for i := range cells {
		into[i] = &cells[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]string, len(cells))
		for i, c := range cells {
			row[i] = string(c)
		}
		out = append(out, row)
	}
	return out, rows.Err()
}
