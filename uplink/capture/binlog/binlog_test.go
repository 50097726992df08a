package binlog

import (
	"errors"
	"slices"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
)

const setPackage = "UPDATE `external`.buylo_products SET external_package_id = '%s' WHERE hash = '%s'"

// workload is what the tests of one stream read, and its rows as they must come.
func workload(t *testing.T, db *servers.Database) []string {
	db.Exec(t,
		insert("a", stationA),
		"BEGIN",
		insert("b", ""), "INSERT INTO `external`.buylo_sync_outbox (hash) VALUES ('x'), ('y')", insert("c", stationB),
		"UPDATE `external`.buylo_products SET external_package_id = 'PKG-1' ORDER BY hash",
		"COMMIT",
		"BEGIN", "DELETE FROM `external`.buylo_products", "ROLLBACK",
		"BEGIN", insert("never", ""), "SAVEPOINT s", insert("nor", ""), "ROLLBACK TO SAVEPOINT s", insert("e", ""), "COMMIT",
		"CREATE TABLE `external`.other (n INT PRIMARY KEY)", // in the middle of it
		"UPDATE `external`.buylo_products SET hash = 'd' WHERE hash = 'b'",
		"DELETE FROM `external`.buylo_products WHERE hash = 'd'",
		"UPDATE `external`.buylo_products SET buylo_name = buylo_name WHERE hash = 'a'", // changes nothing
		"REPLACE INTO `external`.buylo_products (hash, buylo_name) VALUES ('a', 'again')",
	)
	mark(t, db, "end")
	return []string{
		"insert - a", "insert - b", "insert - c", "update a a", "update b b", "update c c",
		"insert - never", "insert - e", "update b d", "delete d -", "update a a", "insert - end",
	}
}

func TestTransactionsComeWholeAndInOrder(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		s := source(t, db, Auto)
		from := start(t, s)
		rows := workload(t, db)
		txs := mustFollow(t, s, from, "end")
		got := lines(txs)
		if i := slices.Index(got, "delete a -"); i >= 0 { // REPLACE is one update or a delete and an insert
			got = slices.Replace(got, i, i+2, "update a a")
		}
		same(t, got, rows)
		for i, want := range []int{0, 0, 3, 4, 5, 6} { // b, two of another table, c, three updates
			if i > 0 {
				if got := txs[1].Rows[i-1].Ordinal; got != want {
					t.Errorf("row %d of the second transaction has ordinal %d, want %d", i-1, got, want)
				}
			}
		}
		end, want := txs[len(txs)-1].Position, start(t, s)
		if end.At.IsZero() || end.At.After(want.At) {
			t.Errorf("the last commit was at %v, now is %v", end.At, want.At)
		}
		end.At, end.Begun = want.At, want.Begun // a snapshot does not know when the file was begun
		if want.File == "" {                    // where the GTIDs say it all
			end.File, end.Pos = "", 0
		}
		if end != want {
			t.Errorf("read to %+v, the log ends at %+v", end, want)
		}
	})
}

// Every way of reading gives every transaction the same identity, and every stored position goes on with exactly the
// transactions behind it.
func TestEveryWayAndEveryPositionGivesTheSameKeys(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		byGTID, byPosition := source(t, db, ByGTID), source(t, db, ByPosition)
		from, fromFile := start(t, byGTID), start(t, byPosition)
		if from.GTID == "" || fromFile.GTID != "" || fromFile.File == "" {
			t.Fatalf("positions %+v and %+v", from, fromFile)
		}
		workload(t, db)
		all := mustFollow(t, byGTID, from, "end")
		files := mustFollow(t, byPosition, fromFile, "end")
		same(t, names(files), names(all))
		for i := range all {
			if len(all) > i+1 {
				same(t, names(mustFollow(t, byGTID, all[i].Position, "end")), names(all[i+1:]))
				same(t, names(mustFollow(t, byPosition, files[i].Position, "end")), names(files[i+1:]))
			}
		}
		auto := source(t, db, Auto) // a position that was stored by file is read by file
		same(t, names(mustFollow(t, auto, fromFile, "end")), names(all))
	})
}

// A table that is not transactional has a COMMIT where others have an XID.
func TestTablesThatAreNotTransactional(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		spec := &capture.Spec{Schema: "external", Name: "isam", Key: []string{"hash"}, Station: "station"}
		db.Exec(t, "CREATE TABLE `external`.isam (hash CHAR(32) PRIMARY KEY, station CHAR(36)) ENGINE = MyISAM",
			"GRANT SELECT ON `external`.isam TO '"+servers.CaptureUser+"'@'%'")
		s := source(t, db, Auto, spec)
		from := start(t, s)
		db.Exec(t, "INSERT INTO `external`.isam VALUES ('a', NULL), ('b', NULL)", "UPDATE `external`.isam SET station = 'x'",
			"INSERT INTO `external`.isam VALUES ('end', NULL)")
		txs := mustFollow(t, s, from, "end")
		same(t, lines(txs), []string{"insert - a", "insert - b", "update a a", "update b b", "insert - end"})
		for i := range txs[:len(txs)-1] {
			same(t, names(mustFollow(t, s, txs[i].Position, "end")), names(txs[i+1:]))
		}
	})
}

// What was rolled back in the log is no change; a part of a transaction that was is a gap if rows of ours are in it.
func TestRolledBackInTheLog(t *testing.T) {
	var given []capture.Tx
	s := &stream{sink: func(tx capture.Tx) error { given = append(given, tx); return nil }}
	feed := func(rows int, queries ...string) error {
		s.beginMaria(&replication.EventHeader{Timestamp: 1}, &replication.MariadbGTIDEvent{GTID: mysql.MariadbGTID{SequenceNumber: 5}})
		s.tx.rows = make([]capture.RowChange, rows)
		for _, q := range queries {
			if err := s.query(&replication.EventHeader{LogPos: 10}, &replication.QueryEvent{Query: []byte(q)}); err != nil {
				return err
			}
		}
		return nil
	}
	if err := feed(2, "ROLLBACK"); err != nil || len(given) != 1 || len(given[0].Rows) != 0 || given[0].Position.Pos != 10 {
		t.Errorf("%+v, %v", given, err)
	}
	s.from.File = "another"
	if err := feed(0, "SAVEPOINT a", "ROLLBACK TO a", "COMMIT"); err != nil || len(given) != 2 {
		t.Errorf("%+v, %v", given, err)
	}
	if err := feed(1, "SAVEPOINT a", "ROLLBACK TO a", "COMMIT"); !errors.Is(err, capture.ErrGap) || len(given) != 2 {
		t.Errorf("%+v, %v", given, err)
	}
}

func TestTheSameTransactionIsNotGivenTwice(t *testing.T) {
	at := record.Position{File: "f", Pos: 100}
	s := &stream{from: at, at: at}
	if !s.repeated(&open{id: "x"}) {
		t.Error("by file: a transaction that ends where we began is new")
	}
	s.at.Pos = 101
	if s.repeated(&open{id: "x"}) {
		t.Error("by file: a later transaction was read already")
	}
	for _, c := range []struct {
		flavor, read string
		g            gtid
		want         bool
	}{
		{"mariadb", "0-1-5,1-1-7", gtid{domain: 0, server: 1, number: 5}, true},
		{"mariadb", "0-1-5", gtid{domain: 0, server: 1, number: 6}, false},
		{"mariadb", "0-1-5", gtid{domain: 0, server: 2, number: 5}, false},
		{"mariadb", "0-1-5", gtid{domain: 2, server: 1, number: 5}, false},
		{"mysql", uuid1 + ":1-5", gtid{source: uuid1, number: 5}, true},
		{"mysql", uuid1 + ":1-5", gtid{source: uuid1, number: 6}, false},
		{"mysql", uuid1 + ":1-5", gtid{source: uuid1 + ":tag", number: 5}, false},
		{"mysql", uuid1 + ":tag:1-5", gtid{source: uuid1 + ":tag", number: 5}, true},
	} {
		set, err := parseGTIDs(c.flavor, c.read)
		if err != nil {
			t.Fatal(err)
		}
		s := &stream{read: set}
		if got := s.repeated(&open{id: c.g.String(), gtid: c.g}); got != c.want {
			t.Errorf("%s read, %s comes: repeated %v", c.read, c.g, got)
		}
	}
}

// A server that gives a transaction once more behind a reconnect, as the library's own does, has it given out once.
func TestATransactionThatComesAgainIsLeftOut(t *testing.T) {
	var given []string
	s := &stream{read: maria{}, sink: func(tx capture.Tx) error { given = append(given, tx.ID); return nil }}
	for _, number := range []uint64{4, 5, 5, 6} {
		s.beginMaria(&replication.EventHeader{Timestamp: 1}, &replication.MariadbGTIDEvent{GTID: mysql.MariadbGTID{ServerID: 1, SequenceNumber: number}})
		s.tx.rows = make([]capture.RowChange, 1)
		if err := s.commit(&replication.EventHeader{LogPos: uint32(10 * number)}); err != nil {
			t.Fatal(err)
		}
	}
	same(t, given, []string{"0-1-4", "0-1-5", "0-1-6"})
}
