package binlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/uplink/capture"
)

// The library brings the events as they come; three kinds are nearly all of a log, and are read here without making an object
// of each: a table's description, which is mostly the one before, rows, and the end of a transaction. Everything else, and
// rows with MySQL's JSON in them, the library's parser reads.

// tableMap is what the log says of a table before its rows.
type tableMap struct {
	body   []byte // of the event
	event  *replication.TableMapEvent
	direct bool // image knows all of its types
}

// rowsEvent is a row event whose rows are still as the log has them.
type rowsEvent struct {
	table *replication.TableMapEvent
	there [][]byte // for each image of a row, which columns are there
	rows  []byte

	library *replication.RowsEvent // if its parser had it
}

// take reads one event and does what it says. It gives those that were parsed.
func (s *stream) take(e *replication.BinlogEvent) (replication.Event, error) {
	h := e.Header
	switch h.EventType {
	case replication.XID_EVENT:
		return nil, s.commit(h)
	case replication.TABLE_MAP_EVENT:
		return nil, s.tableMap(e)
	case replication.MARIADB_GTID_EVENT:
		s.mariaGTID = replication.MariadbGTIDEvent{}
		s.mariaGTID.GTID.ServerID = h.ServerID
		if err := s.mariaGTID.Decode(body(e)); err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		s.beginMaria(h, &s.mariaGTID)
		return nil, nil
	case replication.MARIADB_ANNOTATE_ROWS_EVENT, replication.ROWS_QUERY_EVENT:
		return nil, nil
	}
	if images(h.EventType) > 0 && h.EventType != replication.PARTIAL_UPDATE_ROWS_EVENT {
		if m := s.maps[tableID(body(e))]; m != nil && m.direct {
			return nil, s.rawRows(h, m.event, body(e))
		}
	}
	parsed, err := s.parser.Parse(e.RawData)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	return parsed.Event, s.handle(h, parsed.Event)
}

// body is what the library left unparsed; of an event that it has parsed itself there is none.
func body(e *replication.BinlogEvent) []byte {
	if g, ok := e.Event.(*replication.GenericEvent); ok {
		return g.Data
	}
	return nil
}

// tableID is the log's number of a table, which its description and its rows begin with.
func tableID(body []byte) uint64 {
	if len(body) < 6 {
		return 0
	}
	return little(body[:6])
}

// mostMaps bounds the descriptions that are remembered.
const mostMaps = 1000

func (s *stream) tableMap(e *replication.BinlogEvent) error {
	b := body(e)
	if m := s.maps[tableID(b)]; m != nil && m.direct && bytes.Equal(m.body, b) {
		return nil
	}
	parsed, err := s.parser.Parse(e.RawData)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	m, ok := parsed.Event.(*replication.TableMapEvent)
	if !ok {
		return nil
	}
	if len(s.maps) >= mostMaps {
		clear(s.maps)
	}
	s.maps[tableID(b)] = &tableMap{b, m, direct(m) && m.TableID == tableID(b)}
	return nil
}

// images is how many images each row of an event has: 0 if it isn't known to be of rows.
func images(typ replication.EventType) int {
	switch typ {
	case replication.WRITE_ROWS_EVENTv1, replication.WRITE_ROWS_EVENTv2, replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1,
		replication.DELETE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv2, replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		return 1
	case replication.UPDATE_ROWS_EVENTv1, replication.UPDATE_ROWS_EVENTv2, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1,
		replication.PARTIAL_UPDATE_ROWS_EVENT:
		return 2
	}
	return 0
}

// rawRows reads the head of a row event (MySQL's Rows_log_event):
//
//	table 6 | flags 2 | length of what is extra, with itself, 2 (version 2 alone) | extra | columns, packed | a bitmap for each image | rows
func (s *stream) rawRows(h *replication.EventHeader, table *replication.TableMapEvent, b []byte) error {
	e := rowsEvent{table: table, there: s.there[:0]}
	if err := e.head(h.EventType, b); err != nil {
		return unreadable(table, err)
	}
	return s.rows(h, &e)
}

func (e *rowsEvent) head(typ replication.EventType, b []byte) (err error) {
	defer caught(&err)
	b = b[8:]
	switch typ {
	case replication.WRITE_ROWS_EVENTv2, replication.UPDATE_ROWS_EVENTv2, replication.DELETE_ROWS_EVENTv2:
		b = b[binary.LittleEndian.Uint16(b):]
	}
	columns, _, n := mysql.LengthEncodedInt(b)
	if b = b[n:]; columns != e.table.ColumnCount {
		return fmt.Errorf("it has %d columns, its table %d", columns, e.table.ColumnCount)
	}
	size := int(columns+7) / 8
	for range images(typ) {
		e.there = append(e.there, first(b, size))
		b = b[size:]
	}
	if compressed(typ) {
		b, err = inflate(b)
	}
	e.rows = b
	return err
}

func compressed(typ replication.EventType) bool {
	switch typ {
	case replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1,
		replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		return true
	}
	return false
}

// inflate unpacks compressed rows: the lowest three bits of the first byte tell how many bytes the length has that follows,
// highest first; then come the bytes as zlib packs them, which makes them at most a thousand times smaller.
func inflate(b []byte) (_ []byte, err error) {
	defer caught(&err)
	if size := big(first(b[1:], int(b[0]&7))); size > 1100*uint64(len(b)) {
		return nil, fmt.Errorf("%d bytes can't have been packed into %d", size, len(b))
	}
	return mysql.DecompressMariadbData(b)
}

// undecoded is a row event that the library's parser has read the head of.
type undecoded struct {
	event *replication.RowsEvent
	rows  []byte
}

// decode is called by the library's parser for each row event. It hands out the event later, in the same order.
func (s *stream) decode(e *replication.RowsEvent, body []byte) (err error) {
	defer caught(&err)
	at, err := e.DecodeHeader(body)
	if err != nil {
		return err
	}
	s.waiting = append(s.waiting, undecoded{e, body[at:]})
	return nil
}

// parsedRows gives the event whose turn it is.
func (s *stream) parsedRows(h *replication.EventHeader, e *replication.RowsEvent) (*rowsEvent, error) {
	if len(s.waiting) == 0 || s.waiting[0].event != e {
		return nil, errors.New("read the log: a row event came out of turn")
	}
	b := s.waiting[0].rows
	s.waiting[0] = undecoded{}
	if len(s.waiting) > 1 {
		s.waiting = s.waiting[1:]
	} else {
		s.waiting = s.waiting[:0]
	}
	there := append(s.there[:0], e.ColumnBitmap1)
	if len(e.ColumnBitmap2) > 0 {
		there = append(there, e.ColumnBitmap2)
	}
	var err error
	if compressed(h.EventType) {
		b, err = inflate(b)
	}
	return &rowsEvent{e.Table, there, b, e}, err
}

// caught makes an error of a panic: bytes that are no row may bring one about.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("decode rows: %v", p)
	}
}

func unreadable(table *replication.TableMapEvent, err error) error {
	return capture.Gap("a row event of %s.%s can't be read: %v", table.Schema, table.Table, err)
}

// count counts the rows of an event of another table. It must not try where a type is unknown: a column of such a type has
// taken no part of the types' meta words, so that those of the columns behind it are wrong, and so may be the number of rows.
func (e *rowsEvent) count(h *replication.EventHeader) (rows int, err error) {
	defer caught(&err)
	if !countable(e.table) {
		return 0, errors.New("a type is unknown")
	}
	if h.EventType == replication.PARTIAL_UPDATE_ROWS_EVENT {
		err := e.library.DecodeData(0, e.rows)
		return len(e.library.Rows) / len(e.there), err
	}
	for b := e.rows; len(b) > 0; rows++ {
		left := len(b)
		for _, t := range e.there {
			b = b[skip(b, e.table, t):]
		}
		if len(b) == left {
			return 0, errCut
		}
	}
	return rows, nil
}

// countable tells whether all types of the table are known.
func countable(m *replication.TableMapEvent) bool {
	for _, typ := range m.ColumnType {
		if kindOf(typ) == 0 {
			return false
		}
	}
	return true
}

// each reads the rows of an event, one after another: its images, and the columns that are not in them. What they lie in is
// used again for the next row.
func (s *stream) each(h *replication.EventHeader, e *rowsEvent, use func(images [][]any, skipped [][]int) error) error {
	if h.EventType == replication.PARTIAL_UPDATE_ROWS_EVENT || !direct(e.table) {
		return e.byLibrary(use)
	}
	n := len(e.there)
	for b := e.rows; len(b) > 0; {
		if s.keep == nil { // whoever gets the rows may hold them
			s.images = [2]image{}
		}
		size, err := s.next(b, e)
		if err != nil {
			return unreadable(e.table, err)
		}
		b = b[size:]
		for i := range n {
			s.pair[i], s.skipped[i] = s.images[i].row, s.images[i].skipped
		}
		if err := use(s.pair[:n], s.skipped[:n]); err != nil {
			return err
		}
	}
	return nil
}

// next reads the images of one row and tells how many bytes they have.
func (s *stream) next(b []byte, e *rowsEvent) (n int, err error) {
	defer caught(&err)
	for i, t := range e.there {
		n += s.images[i].decode(b[n:], e.table, t)
	}
	if n == 0 {
		return 0, errCut
	}
	return n, nil
}

// byLibrary is each for what image doesn't know.
func (e *rowsEvent) byLibrary(use func([][]any, [][]int) error) error {
	if err := e.libraryRows(); err != nil {
		return unreadable(e.table, err)
	}
	list, n := e.library.Rows, len(e.there)
	if len(list)%n != 0 {
		return unreadable(e.table, errCut)
	}
	for i := 0; i < len(list); i += n {
		if err := use(list[i:i+n], e.library.SkippedColumns[i:i+n]); err != nil {
			return err
		}
	}
	return nil
}

func (e *rowsEvent) libraryRows() (err error) {
	defer caught(&err)
	return e.library.DecodeData(0, e.rows)
}
