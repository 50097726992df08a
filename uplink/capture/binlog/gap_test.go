package binlog

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
)

// gap reads from a position and wants the stream to end with a gap that says why.
func gap(t *testing.T, s *Source, from record.Position, why string, connected ...func()) {
	t.Helper()
	txs, err := follow(t, s, from, "end", connected...)
	if !errors.Is(err, capture.ErrGap) || !strings.Contains(err.Error(), why) {
		t.Fatalf("after %v: %v; want a gap: %s", lines(txs), err, why)
	}
}

// purge makes the server forget every file but the one it writes.
func purge(t *testing.T, db *servers.Database) {
	t.Helper()
	db.Exec(t, "FLUSH BINARY LOGS")
	s := source(t, db, ByPosition)
	now := start(t, s)
	capturetest.Until(t, func() (string, bool) { // a dump that just ended may still hold a file
		db.Exec(t, "PURGE BINARY LOGS TO '"+now.File+"'")
		files, err := s.list(t.Context(), s.cfg.DB, "SHOW BINARY LOGS")
		return fmt.Sprintf("the server keeps its files: %v, %v", files, err), err == nil && len(files) == 1
	})
}

func TestAPurgedLogIsAGap(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		byGTID, byPosition := source(t, db, ByGTID), source(t, db, ByPosition)
		from, fromFile := start(t, byGTID), start(t, byPosition)
		mark(t, db, "lost")
		purge(t, db)
		mark(t, db, "end")
		gap(t, byPosition, fromFile, "purged")
		gap(t, byGTID, from, "purged")
		now := start(t, byGTID)
		db.Exec(t, "DELETE FROM `external`.buylo_products")
		mark(t, db, "end")
		same(t, lines(mustFollow(t, byGTID, now, "end")), []string{"delete end -", "delete lost -", "insert - end"})
	})
}

func TestAnotherHistoryIsAGap(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		byGTID, byPosition := source(t, db, ByGTID), source(t, db, ByPosition)
		for range 20 {
			mark(t, db, "end")
			db.Exec(t, "DELETE FROM `external`.buylo_products")
		}
		from, fromFile := start(t, byGTID), start(t, byPosition)
		if db.Flavor == "mysql" {
			db.Exec(t, "RESET BINARY LOGS AND GTIDS")
		} else {
			db.Exec(t, "RESET MASTER")
		}
		mark(t, db, "end")
		gap(t, byGTID, from, "another history")
		gap(t, byPosition, fromFile, "another history")
		fromFile.Server = "another"
		gap(t, byPosition, fromFile, "another server")
		from.Flavor = "oracle"
		gap(t, byGTID, from, "the server was oracle")
		gap(t, byGTID, fromFileOnly(start(t, byPosition)), "has no GTID")
	})
}

// beginAnew has the server forget its log and count from the beginning.
func beginAnew(t *testing.T, db *servers.Database) {
	t.Helper()
	if db.Flavor == "mysql" {
		db.Exec(t, "RESET BINARY LOGS AND GTIDS")
	} else {
		db.Exec(t, "RESET MASTER")
	}
}

// A server whose history was begun anew and that has executed more transactions since than were read before looks, by its GTIDs
// and by the length of its log, like one that only went on. The numbers of its files tell, which begin anew too, and when the file
// was begun.
func TestAHistoryThatWasBegunAnewIsAGapHoweverLongItIs(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		for _, mode := range []Mode{ByGTID, ByPosition} {
			for name, files := range map[string]int{"one file": 0, "two files": 1} {
				t.Run(string(mode)+"/"+name, func(t *testing.T) {
					beginAnew(t, db)
					for range files {
						db.Exec(t, "FLUSH BINARY LOGS")
					}
					s := source(t, db, mode)
					mark(t, db, "first") // a history without one has no GTID
					first := start(t, s)
					mark(t, db, "read")
					txs := mustFollow(t, s, first, "read")
					from := txs[len(txs)-1].Position
					time.Sleep(time.Until(time.Unix(from.Begun+1, 0))) // a second file within the second would look like the first
					beginAnew(t, db)
					for range 40 {
						db.Exec(t, "DELETE FROM `external`.buylo_products")
						mark(t, db, "unread")
					}
					db.Exec(t, "DELETE FROM `external`.buylo_products")
					mark(t, db, "end")
					txs, err := follow(t, s, from, "end")
					if !errors.Is(err, capture.ErrGap) || len(txs) > 0 {
						t.Errorf("%v: %v", lines(txs), err)
					}
				})
			}
		}
	})
}

// A server doesn't tell a stream that its log was begun anew: it says that it lives, and sends nothing any more.
func TestAHistoryThatIsBegunAnewUnderAStreamIsAGap(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		for _, mode := range []Mode{ByGTID, ByPosition} {
			t.Run(string(mode), func(t *testing.T) {
				s := source(t, db, mode)
				s.look = 3 * time.Second // heartbeats come every two
				for range 20 {
					mark(t, db, "old")
					db.Exec(t, "DELETE FROM `external`.buylo_products")
				}
				gap(t, s, start(t, s), "another history", func() {
					time.Sleep(heartbeat) // one has come: what is read is known
					beginAnew(t, db)
				})
			})
		}
	})
}

func fromFileOnly(p record.Position) record.Position {
	p.GTID = ""
	return p
}

// What the log doesn't tell in full is a gap, not a guess.
func TestWhatTheLogDoesNotTellIsAGap(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		s := source(t, db, Auto)
		for _, c := range []struct {
			name, why  string
			statements []string
		}{
			{"truncate", "a statement (TRUNCATE", []string{"TRUNCATE `external`.buylo_products"}},
			{"statement format", "a statement (DELETE", []string{"SET SESSION binlog_format = 'STATEMENT'", "DELETE FROM `external`.buylo_products WHERE hash < 'x'"}},
			{"rename", "a statement (RENAME", []string{
				"RENAME TABLE `external`.buylo_products TO `external`.aside", "RENAME TABLE `external`.aside TO `external`.buylo_products"}},
			{"two phases", "two-phase", []string{"XA START 'one'", "INSERT INTO `external`.buylo_products (hash) VALUES ('xa')", "XA END 'one'", "XA PREPARE 'one'", "XA COMMIT 'one'"}},
		} {
			t.Run(c.name, func(t *testing.T) {
				db.Exec(t, "DELETE FROM `external`.buylo_products", insert("a", stationA))
				from := start(t, s)
				db.Exec(t, c.statements...)
				mark(t, db, "end")
				gap(t, s, from, c.why)
			})
		}
	})
}

// A two-phase transaction of other tables is none of our business, whichever server.
func TestForeignTwoPhaseTransactionsPass(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		s := source(t, db, Auto)
		from := start(t, s)
		db.Exec(t,
			"XA START 'it''s','b'", "INSERT INTO `external`.buylo_sync_outbox (hash) VALUES ('xa')", "XA END 'it''s','b'", "XA PREPARE 'it''s','b'",
			"XA COMMIT 'it''s','b'", insert("between", ""),
			"XA START 'two'", "INSERT INTO `external`.buylo_sync_outbox (hash) VALUES ('xb')", "XA END 'two'", "XA COMMIT 'two' ONE PHASE",
			"XA START 'three'", "INSERT INTO `external`.buylo_sync_outbox (hash) VALUES ('xc')", "XA END 'three'", "XA PREPARE 'three'", "XA ROLLBACK 'three'")
		mark(t, db, "end")
		same(t, lines(mustFollow(t, s, from, "end")), []string{"insert - between", "insert - end"})
	})
}

// A layout that changed before we read is known from the snapshot on; without its memory, only if it fits the rows.
func TestALayoutThatDoesNotFitIsAGap(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		s := source(t, db, Auto)
		from := start(t, s)
		mark(t, db, "end")
		db.Exec(t, "ALTER TABLE `external`.buylo_products ADD COLUMN note VARCHAR(20) FIRST")
		gap(t, source(t, db, Auto), from, "the table has 9 columns and the log 8")
		same(t, lines(mustFollow(t, s, from, "end")), []string{"insert - end"})

		from = start(t, s)
		db.Exec(t, "DELETE FROM `external`.buylo_products")
		txs := mustFollow(t, s, from, "end", func() { // changed while we read: known
			db.Exec(t, insert("old", ""), "ALTER TABLE `external`.buylo_products DROP COLUMN note, ADD COLUMN weight DECIMAL(8,3) DEFAULT 1.5 AFTER hash",
				insert("end", stationA))
		})
		last := txs[len(txs)-1].Rows[0]
		payload, err := last.Table.AppendPayload(nil, last.After)
		if err != nil || !strings.Contains(string(payload), `"weight":"1.500"`) || last.Table.Place(last.After) != stationA {
			t.Fatalf("%s: %v", payload, err)
		}
	})
}

// A position in the middle of an event, or an event that the server doesn't send, is a gap with its own name, and capture goes
// on behind it.
func TestWhatTheServerDoesNotSendIsAGapOfItsOwnName(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		store := &capturetest.Store{}
		s := source(t, db, ByPosition)
		cond, stop := startRunner(t, s, store)
		db.Exec(t, insert("first", stationA))
		until(t, store, "first", cond)
		stop()
		from := start(t, s)
		mark(t, db, "behind")
		large, within := false, false
		for i := uint64(1); i < 30 && !(large && within); i++ {
			at := from
			at.Pos += i
			_, err := follow(t, s, at, "end")
			if !errors.Is(err, capture.ErrGap) {
				t.Fatalf("at %d in an event: %v", i, err)
			}
			within = within || strings.Contains(err.Error(), "not where an event begins, or")
			if !large && strings.Contains(err.Error(), "SET GLOBAL max_allowed_packet") {
				large = true
				at.Tables = "buylo_products"
				store.Salvage(at, "")
			}
		}
		if !large || !within {
			t.Fatal("the server didn't say both")
		}
		cond, stop = startRunner(t, s, store)
		until(t, store, "run-2", cond)
		db.Exec(t, insert("end", stationA))
		until(t, store, "end", cond)
		stop()
		for _, r := range store.Records() {
			if r.ID == "run-2" && !strings.Contains(string(r.Payload), "an event is larger than the server sends") {
				t.Errorf("%s", r.Payload)
			}
		}
	})
}

// MariaDB's transaction of the same number but of another server is another history.
func TestAForeignGTIDIsAnotherHistory(t *testing.T) {
	db := servers.MariaDB(t)
	s := source(t, db, ByGTID)
	from := start(t, s)
	mark(t, db, "end")
	domain, rest, _ := strings.Cut(from.GTID, "-")
	_, number, _ := strings.Cut(rest, "-")
	from.GTID = domain + "-99999-" + number
	gap(t, s, from, "another history")
}
