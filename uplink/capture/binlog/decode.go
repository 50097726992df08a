package binlog

import (
	"errors"
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/uplink/capture"
)

// undecoded is a row event whose rows are still as the log has them.
type undecoded struct {
	event *replication.RowsEvent
	rows  []byte
}

// decode reads the head of a row event. The library calls it and hands out the event later, in the same order.
func (s *stream) decode(e *replication.RowsEvent, body []byte) (err error) {
	defer caught(&err)
	at, err := e.DecodeHeader(body)
	if err != nil {
		return err
	}
	s.waiting = append(s.waiting, undecoded{e, body[at:]})
	return nil
}

// caught makes an error of a panic: bytes that are no row may bring one about.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("decode rows: %v", p)
	}
}

// body gives the rows of the event whose turn it is.
func (s *stream) body(h *replication.EventHeader, e *replication.RowsEvent) ([]byte, error) {
	if len(s.waiting) == 0 || s.waiting[0].event != e {
		return nil, errors.New("a row event came out of turn")
	}
	b := s.waiting[0].rows
	s.waiting[0] = undecoded{}
	if len(s.waiting) > 1 {
		s.waiting = s.waiting[1:]
	} else {
		s.waiting = s.waiting[:0]
	}
	if compressed(h) {
		return mysql.DecompressMariadbData(b)
	}
	return b, nil
}

func compressed(h *replication.EventHeader) bool {
	switch h.EventType {
	case replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1,
		replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		return true
	}
	return false
}

// bitmaps gives for each image of a row which columns are there.
func bitmaps(e *replication.RowsEvent) [][]byte {
	if len(e.ColumnBitmap2) > 0 {
		return [][]byte{e.ColumnBitmap1, e.ColumnBitmap2}
	}
	return [][]byte{e.ColumnBitmap1}
}

// count counts the rows of an event of another table. It must not try where a type is unknown: a column of such a type has
// taken no part of the types' meta words, so that those of the columns behind it are wrong, and so may be the number of rows.
func count(h *replication.EventHeader, e *replication.RowsEvent, b []byte, images int) (rows int, err error) {
	defer caught(&err)
	if !countable(e.Table) {
		return 0, errors.New("a type is unknown")
	}
	if h.EventType == replication.PARTIAL_UPDATE_ROWS_EVENT {
		err := e.DecodeData(0, b)
		return len(e.Rows) / images, err
	}
	for there := bitmaps(e); len(b) > 0; rows++ {
		left := len(b)
		for _, t := range there {
			b = b[skip(b, e.Table, t):]
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
func (s *stream) each(h *replication.EventHeader, e *replication.RowsEvent, b []byte, images int, take func(images [][]any, skipped [][]int) error) error {
	if h.EventType == replication.PARTIAL_UPDATE_ROWS_EVENT || !direct(e.Table) {
		return byLibrary(h, e, b, images, take)
	}
	there := bitmaps(e)
	if len(there) != images {
		return unreadable(e, errCut)
	}
	var rows [2][]any
	var skipped [2][]int
	for len(b) > 0 {
		if s.keep == nil { // whoever gets the rows may hold them
			s.images = [2]image{}
		}
		n, err := s.next(b, e.Table, there)
		if err != nil {
			return unreadable(e, err)
		}
		b = b[n:]
		for i := range there {
			rows[i], skipped[i] = s.images[i].row, s.images[i].skipped
		}
		if err := take(rows[:images], skipped[:images]); err != nil {
			return err
		}
	}
	return nil
}

// next reads the images of one row and tells how many bytes they have.
func (s *stream) next(b []byte, table *replication.TableMapEvent, there [][]byte) (n int, err error) {
	defer caught(&err)
	for i, t := range there {
		n += s.images[i].decode(b[n:], table, t)
	}
	if n == 0 {
		return 0, errCut
	}
	return n, nil
}

func unreadable(e *replication.RowsEvent, err error) error {
	return capture.Gap("a row event of %s.%s can't be read: %v", e.Table.Schema, e.Table.Table, err)
}

// byLibrary is each for what image doesn't know.
func byLibrary(h *replication.EventHeader, e *replication.RowsEvent, b []byte, images int, take func([][]any, [][]int) error) error {
	if err := libraryRows(e, b); err != nil {
		return unreadable(e, err)
	}
	if len(e.Rows)%images != 0 {
		return unreadable(e, errCut)
	}
	for i := 0; i < len(e.Rows); i += images {
		if err := take(e.Rows[i:i+images], e.SkippedColumns[i:i+images]); err != nil {
			return err
		}
	}
	return nil
}

func libraryRows(e *replication.RowsEvent, b []byte) (err error) {
	defer caught(&err)
	return e.DecodeData(0, b)
}
