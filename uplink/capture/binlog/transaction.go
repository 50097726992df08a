package binlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// mostRows bounds the rows of ours in one transaction: it stands in memory until it is committed.
const mostRows = 50_000

// mostSpare bounds the memory for rows that is kept for the next transaction.
const mostSpare = 1000

// open is the transaction that is being read.
type open struct {
	id      string // "" outside of one
	place   place
	gtid    gtid
	at      time.Time
	tick    int64
	begun   bool // it ends with XID or COMMIT; else with its first statement
	ordinal int
	rows    []capture.RowChange
	looks   looks
	undone  bool   // a part was rolled back in the log
	blind   string // table whose rows couldn't be counted: the ordinals are unknown from there on
}

// ours counts the rows of ours in it.
func (tx *open) ours() int { return len(tx.rows) + len(tx.looks.list) }

// begin is where the transaction begins, or where the statement stands that has none.
func (tx *open) begin(here place) place {
	if tx.id == "" {
		return here
	}
	return tx.place
}

// beginGTID begins a transaction of MySQL. One without a GTID gets the place where it begins for a name.
func (s *stream) beginGTID(h *replication.EventHeader, e *replication.GTIDEvent) {
	s.tx = open{rows: s.spare, at: commitTime(h, e), place: s.place(h)}
	s.tx.tick = s.tx.at.UnixMicro()
	if h.EventType == replication.ANONYMOUS_GTID_EVENT {
		s.tx.id = s.named(s.tx.place)
		return
	}
	s.tx.gtid = gtid{source: sourceName(e.SID, e.Tag.String()), number: uint64(e.GNO)}
	s.tx.id = s.tx.gtid.String()
}

// place is where an event begins.
func (s *stream) place(h *replication.EventHeader) place {
	if h.LogPos == 0 {
		return place{s.at.File, s.at.Pos}
	}
	return place{s.at.File, uint64(h.LogPos) - uint64(h.EventSize)}
}

// named names a transaction by server, file and offset of its first event.
func (s *stream) named(p place) string {
	return s.at.Server + "/" + p.File + ":" + strconv.FormatUint(p.Pos, 10)
}

func commitTime(h *replication.EventHeader, e *replication.GTIDEvent) time.Time {
	if e.OriginalCommitTimestamp != 0 {
		return time.UnixMicro(int64(e.OriginalCommitTimestamp)).UTC()
	}
	return time.Unix(int64(h.Timestamp), 0).UTC()
}

// beginMaria begins a transaction of MariaDB, whose log has whole seconds.
func (s *stream) beginMaria(h *replication.EventHeader, e *replication.MariadbGTIDEvent) {
	g := gtid{domain: e.GTID.DomainID, server: e.GTID.ServerID, number: e.GTID.SequenceNumber}
	s.tx = open{
		rows: s.spare, id: g.String(), gtid: g, place: s.place(h), at: time.Unix(int64(h.Timestamp), 0).UTC(), begun: !e.IsStandalone(),
		tick: int64(h.Timestamp)*1e6 + int64(g.number%1e6),
	}
}

// rows takes the rows of one event in. Rows of other tables are only counted.
func (s *stream) rows(h *replication.EventHeader, e *rowsEvent) error {
	table, err := s.layout.table(s.ctx, e.table, s.tx.place)
	if err != nil {
		return err
	}
	op := operation(h.EventType)
	if op == "" || len(e.there) != images(h.EventType) {
		return unreadable(e.table, errors.New("its type is unknown"))
	}
	if table == nil {
		n, err := e.count(h)
		if err != nil && s.tx.blind == "" {
			s.tx.blind = string(e.table.Schema) + "." + string(e.table.Table)
		}
		s.tx.ordinal += n
		return nil
	}
	if s.tx.id == "" {
		return capture.Gap("rows of %s stand outside of a transaction", table.Spec)
	}
	return s.each(h, e, func(rows [][]any, skipped [][]int) error {
		if s.tx.ours() >= mostRows {
			return capture.Gap("one transaction changes more than %d rows of this station", mostRows)
		}
		if why := partial(h, table, skipped); why != nil {
			return s.complete(table, op, rows, skipped, why)
		}
		return s.row(table, op, rows)
	})
}

// operation tells what a row event does; "" if it is unknown.
func operation(typ replication.EventType) record.Op {
	switch typ {
	case replication.WRITE_ROWS_EVENTv1, replication.WRITE_ROWS_EVENTv2, replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1:
		return record.Insert
	case replication.DELETE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv2, replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		return record.Delete
	}
	if images(typ) == 2 {
		return record.Update
	}
	return ""
}

// row keeps one row if it is wanted.
func (s *stream) row(table *capture.Table, op record.Op, images [][]any) error {
	s.now = capture.RowChange{Table: table, Ordinal: s.tx.ordinal, Op: op}
	s.tx.ordinal++
	switch op {
	case record.Insert:
		s.now.After = images[0]
	case record.Delete:
		s.now.Before = images[0]
	default:
		s.now.Before, s.now.After = images[0], images[1]
	}
	s.sweep.touch(table, s.now.Before, s.now.After)
	if s.keep != nil && !s.keep(&s.now) {
		return nil
	}
	if s.tx.blind != "" {
		return capture.Gap("a transaction changes a row of this station after rows of %s, which have a type that can't be read", s.tx.blind)
	}
	s.tx.looks.whole(&s.now)
	s.tx.rows = append(s.tx.rows, s.now)
	if s.keep != nil { // it has taken what it needs, and the next row comes in the same memory
		last := &s.tx.rows[len(s.tx.rows)-1]
		last.Before, last.After = nil, nil
	}
	return nil
}

// commit ends the transaction and gives it out.
func (s *stream) commit(h *replication.EventHeader) error {
	tx := s.tx
	s.tx = open{}
	if h.LogPos > 0 {
		s.at.Pos = uint64(h.LogPos)
	}
	if tx.id == "" || s.repeated(&tx) {
		return nil
	}
	if tx.undone && tx.ours() > 0 {
		return capture.Gap("a part of a transaction was rolled back in the log")
	}
	if s.read != nil && tx.gtid.number > 0 {
		s.read.add(tx.gtid)
		s.at.GTID = s.read.String()
	}
	s.at.At = tx.at
	found, missing, err := s.find(&tx)
	if err != nil {
		return err
	}
	err = s.give(capture.Tx{Position: s.at, ID: tx.id, At: tx.at, Tick: tx.tick, Rows: tx.rows, Found: found, Missing: missing})
	s.spare = nil
	if s.keep != nil && len(s.held.txs) == 0 && cap(tx.rows) <= mostSpare { // nobody has them any more
		clear(tx.rows)
		s.spare = tx.rows[:0]
	}
	return err
}

// repeated tells whether a transaction was read before: the server's and the library's answers to a lost connection differ
// in whether they give the last one again.
func (s *stream) repeated(tx *open) bool {
	if s.read != nil {
		return tx.gtid.number > 0 && s.read.has(tx.gtid)
	}
	return s.at.File == s.from.File && s.at.Pos <= s.from.Pos
}

// query handles a statement: a word of the transaction, a change of layout, or rows in statement format.
func (s *stream) query(h *replication.EventHeader, e *replication.QueryEvent) error {
	query := string(e.Query)
	switch kind := read(query); kind {
	case begin, twoPhaseBegin, createFilled:
		if kind == createFilled {
			if err := s.changes(h, e); err != nil {
				return err
			}
		}
		if s.tx.id == "" { // a server older than GTIDs
			at, here := time.Unix(int64(h.Timestamp), 0).UTC(), s.place(h)
			s.tx = open{rows: s.spare, id: s.named(here), place: here, at: at, tick: at.UnixMicro()}
		}
		s.tx.begun = true
	case commit:
		return s.commit(h)
	case rollback:
		s.tx.rows, s.tx.looks = nil, looks{}
		return s.commit(h)
	case rollbackTo:
		s.tx.undone = true
	case savepoint, twoPhaseEnd:
	case twoPhaseUndo:
		return s.commit(h)
	case twoPhaseCommit:
		return s.commitPrepared(h, query)
	default:
		return s.statement(h, e)
	}
	return nil
}

func (s *stream) statement(h *replication.EventHeader, e *replication.QueryEvent) error {
	if err := s.changes(h, e); err != nil || s.tx.begun {
		return err
	}
	return s.commit(h)
}

// changes looks what a statement does to our tables.
func (s *stream) changes(h *replication.EventHeader, e *replication.QueryEvent) error {
	query := string(e.Query)
	for _, spec := range s.layout.specs {
		switch touches(query, string(e.Schema), spec) {
		case changeRows:
			return capture.Gap("a statement (%.20s…) changes rows of %s and the log doesn't show which", firstWords(query), spec)
		case changeLayout:
			if err := s.layout.changed(spec, s.tx.begin(s.place(h))); err != nil {
				return err
			}
		}
	}
	return nil
}

// prepared ends the first phase of a two-phase transaction. Whether its rows come to be is known only at its second one.
func (s *stream) prepared(h *replication.EventHeader, body []byte) error {
	xid, onePhase, err := parseXID(body)
	if err != nil {
		return capture.Gap("a two-phase transaction can't be read: %v", err)
	}
	if onePhase {
		return s.commit(h)
	}
	if s.tx.ours() > 0 {
		return capture.Gap("a two-phase (XA) transaction changes rows of this station")
	}
	if len(s.twoXA) > 10_000 {
		clear(s.twoXA) // the price is a needless look at the rows
	}
	s.twoXA[xid] = true
	return s.commit(h)
}

// commitPrepared ends the second phase. If we didn't see the first, its rows may be ours.
func (s *stream) commitPrepared(h *replication.EventHeader, query string) error {
	xid := query[len("XA COMMIT "):]
	if !s.twoXA[xid] {
		return capture.Gap("a two-phase (XA) transaction ended whose rows are not known")
	}
	delete(s.twoXA, xid)
	return s.commit(h)
}

// parseXID reads the body of an XA_PREPARE event: one byte one-phase, then three 32-bit words format, length of the
// global part, length of the branch part, and both parts (MySQL's XA_prepare_log_event). The text is the one that the
// server writes behind XA COMMIT.
func parseXID(b []byte) (xid string, onePhase bool, err error) {
	if len(b) < 13 {
		return "", false, mysql.ErrMalformPacket
	}
	format := binary.LittleEndian.Uint32(b[1:])
	global, branch := binary.LittleEndian.Uint32(b[5:]), binary.LittleEndian.Uint32(b[9:])
	data := b[13:]
	if global > 64 || branch > 64 || int(global+branch) > len(data) {
		return "", false, mysql.ErrMalformPacket
	}
	return fmt.Sprintf("X'%x',X'%x',%d", data[:global], data[global:global+branch], format), b[0] != 0, nil
}
