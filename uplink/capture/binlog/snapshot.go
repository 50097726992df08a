package binlog

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// Snapshot implements capture.Source. A server writes a transaction to the log first and commits it in the engine then;
// between the two, which may be long where a replica has to acknowledge it, the log ends behind a transaction that no
// SELECT shows. So where now is and what the rows are must come from one hand:
//
//   - MariaDB's consistent snapshot is one over engine and log: it names the place behind the last transaction it shows.
//   - MySQL adds a transaction to gtid_executed after its engine commit: rows that are read later show it. The place in
//     the file has no such bond, so none is given.
//   - MySQL without GTIDs: until its engine commit a transaction has its rows locked, and a locking read waits for it
//     and then shows it. Rows that no transaction before the log's end has in hand are as they were then, or later.
func (s *Source) Snapshot(ctx context.Context, want []capture.Want, run string) (record.Position, []capture.State, error) {
	sv, err := s.ask(ctx)
	if err != nil {
		return record.Position{}, nil, s.about(err)
	}
	p, found, err := s.rows(ctx, sv, want, run)
	if err != nil {
		return p, nil, err
	}
	return p, found, s.about(s.taken(ctx, sv.id, want, p))
}

func (s *Source) rows(ctx context.Context, sv *server, want []capture.Want, run string) (record.Position, []capture.State, error) {
	conn, err := s.cfg.DB.Conn(ctx)
	if err != nil {
		return record.Position{}, nil, s.about(s.explain(err))
	}
	defer conn.Raw(func(any) error { return driver.ErrBadConn }) // closes it: the transaction and its settings end
	p, err := s.now(ctx, conn, sv)
	if err != nil {
		return record.Position{}, nil, s.about(err)
	}
	var found []capture.State
	sweeps := make(capture.Sweeps)
	for _, w := range want {
		if w.Table.Station == "" {
			sweeps[w.Table.Collection()] = capture.Progress{Run: run, Quiet: w.Quiet, All: w.All, Began: p.At}
			continue
		}
		rows := capture.Snapshot{
			DB: conn, Table: w.Table, Station: s.cfg.Station, Explain: s.cfg.Explain,
			Locking: sv.flavor == mysql.MySQLFlavor && p.File != "",
		}
		more, err := rows.Rows(ctx, w.IDs)
		if err != nil {
			return p, nil, err
		}
		found = append(found, more...)
	}
	p.Sweep = sweeps.String()
	return p, found, nil
}

// now is where now is. The connection is then in the transaction in which the rows must be read.
func (s *Source) now(ctx context.Context, conn *sql.Conn, sv *server) (p record.Position, err error) {
	if s.cfg.Mode == ByGTID && !sv.gtid {
		return p, errNoGTID
	}
	p = record.Position{Flavor: sv.flavor, Server: sv.id}
	last := ""
	switch {
	case sv.flavor == mysql.MariaDBFlavor:
		if last, err = s.mariaNow(ctx, conn, &p); s.cfg.Mode != ByPosition {
			p.GTID = last
		}
	case s.cfg.Mode != ByPosition && sv.gtid && sv.executed != "":
		p.GTID = sv.executed
	default:
		err = s.fileNow(ctx, conn, &p)
	}
	if err != nil {
		return p, err
	}
	p.At, err = s.clock(ctx, conn)
	p.At = likeTheLog(p.At, sv.flavor, last)
	return p, err
}

// likeTheLog is a time of the server as its log would have it. MariaDB's has whole seconds, and within one the numbers of the
// transactions tell which was later (the tick of a change, beginMaria): the last one that was shown stands for the time within
// the second, so that a state that was found is younger than the changes before it and older than those behind.
func likeTheLog(at time.Time, flavor, last string) time.Time {
	if flavor != mysql.MariaDBFlavor {
		return at
	}
	var number uint64
	if gtids, err := parseMaria(last); err == nil {
		for _, g := range gtids {
			number = max(number, g.SequenceNumber)
		}
	}
	return at.Truncate(time.Second).Add(time.Duration(number%1e6) * time.Microsecond)
}

// clock is the server's time.
func (s *Source) clock(ctx context.Context, db capture.Querier) (time.Time, error) {
	rows, err := s.list(ctx, db, "SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)")
	if err != nil || len(rows) == 0 {
		return time.Time{}, cmp.Or(err, errors.New("the server doesn't say its time"))
	}
	return time.Parse("2006-01-02 15:04:05.999999", rows[0][0])
}

// mariaNow takes MariaDB's snapshot of engine and log, and tells the last transaction of each domain that it shows.
func (s *Source) mariaNow(ctx context.Context, conn *sql.Conn, p *record.Position) (last string, err error) {
	err = s.begin(ctx, conn, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT")
	if err != nil {
		return "", err
	}
	place, err := s.list(ctx, conn, "SHOW STATUS WHERE Variable_name IN ('Binlog_snapshot_file', 'Binlog_snapshot_position')")
	if err != nil {
		return "", err
	}
	said := make(map[string]string)
	for _, row := range place {
		said[strings.ToLower(row[0])] = row[1]
	}
	if p.File = said["binlog_snapshot_file"]; p.File == "" {
		return "", errNoEnd
	}
	if p.Pos, err = strconv.ParseUint(said["binlog_snapshot_position"], 10, 64); err != nil {
		return "", err
	}
	var gtid sql.NullString
	err = s.explain(conn.QueryRowContext(ctx, "SELECT BINLOG_GTID_POS(?, ?)", p.File, p.Pos).Scan(&gtid))
	if err == nil && !gtid.Valid && s.cfg.Mode != ByPosition {
		return "", fmt.Errorf("the server doesn't say the GTID at %s:%d of its binary log", p.File, p.Pos)
	}
	return gtid.String, err
}

// fileNow begins a transaction of locking reads and takes the end of the log. It waits for a lock for a short time only:
// meanwhile it has locks itself, for which others wait.
func (s *Source) fileNow(ctx context.Context, conn *sql.Conn, p *record.Position) error {
	err := s.begin(ctx, conn, "SET SESSION innodb_lock_wait_timeout = 5",
		"SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION") // gives the locks of other rows back at once
	if err != nil {
		return err
	}
	p.File, p.Pos, err = s.end(ctx, conn)
	return err
}

func (s *Source) begin(ctx context.Context, conn *sql.Conn, statements ...string) error {
	for _, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return s.explain(err)
		}
	}
	return nil
}

var errNoEnd = errors.New("the server doesn't say where its binary log ends")

// end is where the log of MySQL ends now.
func (s *Source) end(ctx context.Context, conn capture.Querier) (file string, pos uint64, err error) {
	rows, err := s.list(ctx, conn, "SHOW BINARY LOG STATUS") // since 8.2; the old one is gone since 8.4
	if err != nil {
		newer := err
		if rows, err = s.list(ctx, conn, "SHOW MASTER STATUS"); err != nil && !strings.Contains(newer.Error(), "1064") {
			err = newer // the server knows the first question
		}
	}
	if err != nil {
		return "", 0, fmt.Errorf("ask where the log ends: %w; as administrator %s TO the account if it is refused", err, grants)
	}
	if len(rows) == 0 || len(rows[0]) < 2 {
		return "", 0, errNoEnd
	}
	pos, err = strconv.ParseUint(rows[0][1], 10, 64)
	return rows[0][0], pos, err
}
