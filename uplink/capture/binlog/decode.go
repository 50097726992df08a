package binlog

import (
	"fmt"

	"github.com/go-mysql-org/go-mysql/replication"
)

// decode reads the body of a row event. The rows of other tables are read to be counted: where that can't be done they
// are nil and the stream goes on.
func (s *stream) decode(e *replication.RowsEvent, body []byte) error {
	at, err := e.DecodeHeader(body)
	if err != nil {
		return err
	}
	if s.layout.wants(e.Table) {
		return e.DecodeData(at, body)
	}
	if !countable(e.Table) || data(e, at, body) != nil {
		e.Rows, e.SkippedColumns = nil, nil
	}
	return nil
}

// data is DecodeData without its panics.
func data(e *replication.RowsEvent, at int, body []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decode rows: %v", p)
		}
	}()
	return e.DecodeData(at, body)
}

// countable tells whether the library knows all types of the table. It must not try where it doesn't: a column of another
// type has taken no part of the types' meta words, so that those of the columns behind it are wrong, and so may be the
// number of rows.
func countable(m *replication.TableMapEvent) bool {
	for _, typ := range m.ColumnType {
		if kindOf(typ) == 0 {
			return false
		}
	}
	return true
}
