package binlog

import (
	"errors"
	"slices"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/build/servers"
	"station-agent/uplink/capture"
)

// What stands in tables of others can't end the stream, whatever their types are, as long as our rows are known.
func TestForeignRowsOfUnknownTypes(t *testing.T) {
	db := servers.MariaDB(t)
	db.Exec(t, "CREATE TABLE `external`.notes (id INT AUTO_INCREMENT PRIMARY KEY, body VARCHAR(9000) COMPRESSED, price DECIMAL(20,2), data BLOB COMPRESSED, name VARCHAR(300))")
	const note = "INSERT INTO `external`.notes (body, price, data, name) VALUES (REPEAT('x', 4000), 1.5, REPEAT('y', 4000), 'z'), (NULL, 2.5, NULL, 'zz')"
	for _, compress := range []string{"OFF", "ON"} {
		t.Run("compress "+compress, func(t *testing.T) {
			db.Exec(t, "DELETE FROM `external`.buylo_products", "SET GLOBAL log_bin_compress = "+compress)
			s := source(t, db, Auto)
			from := start(t, s)
			db.Exec(t, note, insert("a", stationA), "BEGIN", insert("b", stationA), note, "UPDATE `external`.notes SET price = 3", "DELETE FROM `external`.notes", "COMMIT")
			db.Exec(t, "BEGIN", note, "COMMIT", insert("end", ""))
			same(t, lines(mustFollow(t, s, from, "end")), []string{"insert - a", "insert - b", "insert - end"})

			db.Exec(t, "DELETE FROM `external`.buylo_products")
			from = start(t, s)
			db.Exec(t, "BEGIN", note, insert("c", stationA), "COMMIT", insert("end", ""))
			gap(t, s, from, "external.notes")
			var got []string
			keep := func(c *capture.RowChange) bool {
				id := c.Table.ID(c.After)
				if id == "c" {
					return false
				}
				got = append(got, "insert - "+id)
				return true
			}
			err := s.Run(t.Context(), from, keep, func(capture.Tx) error {
				if slices.Contains(got, "insert - end") {
					return errEnough
				}
				return nil
			})
			same(t, got, []string{"insert - end"}) // c is not ours
			if err == nil {
				t.Error("it ended by itself")
			}
		})
	}
}

// Rows that don't fit their table are an error, not a panic.
func TestBrokenRowsAreAnError(t *testing.T) {
	e := &rowsEvent{there: [][]byte{{1}}, table: &replication.TableMapEvent{
		ColumnCount: 1, ColumnType: []byte{mysql.MYSQL_TYPE_LONG}, ColumnMeta: []uint16{0},
	}}
	for _, body := range [][]byte{{0}, {0, 1, 2, 3}, {0, 1, 2, 3, 4, 0}} {
		e.rows = body
		err := new(stream).each(&replication.EventHeader{}, e, func([][]any, [][]int) error { return nil })
		if !errors.Is(err, capture.ErrGap) {
			t.Errorf("%v was read: %v", body, err)
		}
		if _, err := e.count(&replication.EventHeader{}); err == nil {
			t.Errorf("%v was counted", body)
		}
	}
	e.there, e.rows = [][]byte{{0}}, []byte{0}
	if _, err := e.count(&replication.EventHeader{}); err == nil {
		t.Error("rows of nothing were counted")
	}
}
