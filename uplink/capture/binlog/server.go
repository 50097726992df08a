package binlog

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// server is what the server says of itself at one connect.
type server struct {
	flavor   string            // "mysql" or "mariadb"
	id       string            // identity of the server that file names belong to
	gtid     bool              // every transaction has one
	executed string            // MySQL: all GTIDs executed; MariaDB: the last one per domain
	purged   string            // MySQL: GTIDs that are in no file any more
	keeps    capture.Retention // of what is there from now on
}

// ask asks the server and checks that its log can be followed.
func (s *Source) ask(ctx context.Context) (*server, error) {
	vars, err := s.variables(ctx)
	if err != nil {
		return nil, err
	}
	if err := fit(vars); err != nil {
		return nil, err
	}
	sv := &server{flavor: mysql.MySQLFlavor, id: identity(vars), keeps: capture.Keeps(vars)}
	if strings.Contains(vars["version"], "MariaDB") {
		sv.flavor, sv.gtid = mysql.MariaDBFlavor, true
		return sv, s.row(ctx, "SELECT @@GLOBAL.gtid_binlog_pos", &sv.executed)
	}
	sv.gtid = vars["gtid_mode"] == "ON"
	err = s.row(ctx, "SELECT @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged", &sv.executed, &sv.purged)
	sv.executed, sv.purged = strings.ReplaceAll(sv.executed, "\n", ""), strings.ReplaceAll(sv.purged, "\n", "")
	return sv, err
}

// identity is the name of the server that file names belong to: MySQL's, MariaDB's, or that of an older one.
func identity(vars map[string]string) string {
	return cmp.Or(vars["server_uuid"], vars["server_uid"], "server_id="+vars["server_id"])
}

// same holds that the connection for the log leads to the server that was asked, and not to another one behind the same
// address: places in the log, the layouts and the rows would be of two servers.
func (sv *server) same(c *client.Conn) error {
	r, err := c.Execute("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'server_uid', 'server_id')")
	if err != nil {
		return err
	}
	vars := make(map[string]string)
	for i := range r.RowNumber() {
		name, _ := r.GetString(i, 0)
		vars[name], _ = r.GetString(i, 1)
	}
	if id := identity(vars); id != sv.id {
		return fmt.Errorf("the address leads to two servers: the questions went to %s and the log comes from %s: give capture the address of one of them", sv.id, id)
	}
	return nil
}

func (s *Source) variables(ctx context.Context) (map[string]string, error) {
	rows, err := s.cfg.DB.QueryContext(ctx, `SHOW GLOBAL VARIABLES WHERE Variable_name IN
		('version', 'log_bin', 'binlog_format', 'binlog_row_image', 'gtid_mode', 'server_uuid', 'server_uid', 'server_id',
		'binlog_expire_logs_seconds', 'expire_logs_days', 'binlog_expire_logs_auto_purge', 'max_binlog_total_size')`)
	if err != nil {
		return nil, s.explain(err)
	}
	defer rows.Close()
	vars := make(map[string]string)
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, s.explain(err)
		}
		vars[name] = value
	}
	return vars, s.explain(rows.Err())
}

// fit checks that the log has every row in full. A variable that the server doesn't know is fine: it has one way only.
func fit(vars map[string]string) error {
	if v := vars["log_bin"]; v != "ON" {
		return errors.New("the server writes no binary log (log_bin is OFF): set log_bin in its configuration and restart it, or set capture.source to off")
	}
	if v := vars["binlog_format"]; v != "" && v != "ROW" {
		return fmt.Errorf("the binary log is in format %s and doesn't show the rows: as administrator, SET GLOBAL binlog_format = 'ROW', and binlog_format=ROW in the server's configuration", v)
	}
	if v := vars["binlog_row_image"]; v != "" && v != "FULL" {
		return fmt.Errorf("the binary log has %s row images and doesn't show whole rows: as administrator, SET GLOBAL binlog_row_image = 'FULL', and binlog_row_image=FULL in the server's configuration", v)
	}
	return nil
}

var errNoGTID = errors.New("the server gives no GTIDs (gtid_mode is not ON), but the configuration asks for them: switch them on, or set capture.mode to auto")

// list asks a question whose answer has another number of columns on each server.
func (s *Source) list(ctx context.Context, db capture.Querier, question string) ([][]string, error) {
	rows, err := db.QueryContext(ctx, question)
	if err != nil {
		return nil, s.explain(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, s.explain(err)
	}
	cells := make([]sql.RawBytes, len(columns))
	into := make([]any, len(cells))
	for i := range cells {
		into[i] = &cells[i]
	}
	var out [][]string
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, s.explain(err)
		}
		row := make([]string, len(cells))
		for i, c := range cells {
			row[i] = string(c)
		}
		out = append(out, row)
	}
	return out, s.explain(rows.Err())
}

func (s *Source) row(ctx context.Context, question string, into ...any) error {
	return s.explain(s.cfg.DB.QueryRowContext(ctx, question).Scan(into...))
}

// resume tells how to go on from a stored position: by GTID or by file. ErrGap if the server's log doesn't go on there.
func (s *Source) resume(ctx context.Context, sv *server, from record.Position) (byGTID bool, err error) {
	if from.Way != "" {
		return false, capture.OtherWay(from.Way, "")
	}
	if from.Flavor != sv.flavor {
		return false, capture.Gap("the server was %s and is %s", from.Flavor, sv.flavor)
	}
	if s.cfg.Mode != ByPosition && from.GTID != "" && sv.gtid {
		if err := s.wentOn(ctx, sv, from); err != nil {
			return true, err
		}
		if sv.flavor == mysql.MariaDBFlavor {
			return true, mariaResume(sv.executed, from.GTID)
		}
		return true, s.mysqlResume(ctx, from.GTID)
	}
	if s.cfg.Mode == ByGTID {
		if !sv.gtid {
			return false, errNoGTID
		}
		if sv.executed != "" {
			return false, capture.Gap("the stored position has no GTID and the configuration asks for them")
		}
	}
	return false, s.fileResume(ctx, sv, from)
}

// wentOn holds that the server's log wasn't begun anew: GTIDs don't tell, once as many were given again as were read. The numbers
// of its files do, if more than one was written before.
func (s *Source) wentOn(ctx context.Context, sv *server, from record.Position) error {
	if from.Server != sv.id || from.File == "" {
		return nil
	}
	files, err := s.list(ctx, s.cfg.DB, "SHOW BINARY LOGS")
	if err != nil {
		return fmt.Errorf("ask for the files of the log: %w; as administrator %s TO the account if it is refused", err, grants)
	}
	if len(files) == 0 {
		return nil
	}
	if last := files[len(files)-1][0]; sameName(last, from.File) && fileNumber(last) < fileNumber(from.File) {
		return capture.Gap("the server has another history: %s was read, and its log has only come to %s", from.File, last)
	}
	return nil
}

// sameName tells whether two files of a log have the same name but for their numbers.
func sameName(a, b string) bool {
	return a[:strings.LastIndexByte(a, '.')+1] == b[:strings.LastIndexByte(b, '.')+1]
}

// mysqlResume holds that the server has executed all that we read, and still has all that we didn't.
func (s *Source) mysqlResume(ctx context.Context, read string) error {
	var known, kept bool
	err := s.explain(s.cfg.DB.QueryRowContext(ctx,
		"SELECT GTID_SUBSET(?, @@GLOBAL.gtid_executed), GTID_SUBSET(@@GLOBAL.gtid_purged, ?)", read, read).Scan(&known, &kept))
	switch {
	case err != nil:
		return err
	case !known:
		return capture.Gap("the server has another history: it has not executed all transactions that were read (%s)", read)
	case !kept:
		return capture.Gap("the binary log was purged before it was read to its end")
	}
	return nil
}

// mariaResume holds that the server has got as far as we did, in every domain.
func mariaResume(executed, read string) error {
	has, err := parseMaria(executed)
	if err != nil {
		return err
	}
	had, err := parseMaria(read)
	if err != nil {
		return capture.Gap("the stored position is unreadable: %v", err)
	}
	for domain, gtid := range had {
		if now, ok := has[domain]; !ok || now.SequenceNumber < gtid.SequenceNumber {
			return capture.Gap("the server has another history: it is at %q and was read up to %s", executed, read)
		}
	}
	return nil
}

// fileResume holds that it is the same server and that it still has the file.
func (s *Source) fileResume(ctx context.Context, sv *server, from record.Position) error {
	if from.Server != sv.id {
		return capture.Gap("it is another server: files of %s were read, this is %s", from.Server, sv.id)
	}
	if from.File == "" {
		return capture.Gap("the stored position names no file and the server gives no GTIDs any more")
	}
	files, err := s.list(ctx, s.cfg.DB, "SHOW BINARY LOGS")
	if err != nil {
		return err
	}
	for _, f := range files {
		if len(f) < 2 || f[0] != from.File {
			continue
		}
		if size, err := strconv.ParseUint(f[1], 10, 64); err == nil && size < from.Pos {
			return capture.Gap("the server has another history: %s was read up to %d and ends at %d", from.File, from.Pos, size)
		}
		return nil
	}
	return capture.Gap("the binary log was purged before it was read to its end: %s is gone", from.File)
}
